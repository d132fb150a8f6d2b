//! The sizes of what is stored. Folders are walked in the background, not with each scrape.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::single;
use crate::disk::{MAX_DEPTH, folder_size, free_bytes};
use crate::domain::Federation;
use crate::engine::Handle;
use crate::metrics::{Observer, Scrape, table};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(30);

/// The sizes at the last look.
#[derive(Debug, Default)]
pub(in crate::http) struct Sizes {
    store: AtomicU64,
    blobs: AtomicU64,
    blob_files: AtomicU64,
    kept: AtomicU64,
}

/// The files of the coordinator.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) sizes: Arc<Sizes>,
    pub(super) state: PathBuf,
}

impl Observer for Files {
    fn observe(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        let read = |size: &AtomicU64| single(size.load(Ordering::Relaxed) as f64);
        scrape.gauge(&table::STORE_BYTES, read(&self.sizes.store))?;
        scrape.gauge(&table::BLOBS_BYTES, read(&self.sizes.blobs))?;
        scrape.gauge(&table::BLOBS, read(&self.sizes.blob_files))?;
        scrape.gauge(&table::KEPT_BYTES, read(&self.sizes.kept))?;
        // A disk that does not answer has no value instead of a wrong one.
        let free = free_bytes(&self.state).ok();
        scrape.gauge(&table::DISK_FREE, free.map(|free| ([], free as f64)))
    }
}

/// Looks at the sizes, for ever.
pub(in crate::http) async fn sample(sizes: Arc<Sizes>, engine: Handle, store: PathBuf, blobs: PathBuf) {
    loop {
        let (sizes, engine) = (Arc::clone(&sizes), engine.clone());
        let (store, blobs) = (store.clone(), blobs.clone());
        let looked = tokio::task::spawn_blocking(move || {
            sizes.kept.store(engine.read(Federation::kept_bytes), Ordering::Relaxed);
            look(&sizes, &store, &blobs)
        });
        let looked = looked.await;
        match looked {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot see the size of what is stored"),
            Err(error) => tracing::error!(%error, "the look at sizes has failed"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn look(sizes: &Sizes, store: &Path, blobs: &Path) -> io::Result<()> {
    let (bytes, _) = folder_size(store, MAX_DEPTH)?;
    sizes.store.store(bytes, Ordering::Relaxed);
    let (bytes, files) = folder_size(blobs, MAX_DEPTH)?;
    sizes.blobs.store(bytes, Ordering::Relaxed);
    sizes.blob_files.store(files, Ordering::Relaxed);
    Ok(())
}
