//! The sizes of what is stored. Folders are walked in the background, not with each scrape.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::single;
use crate::disk::free_bytes;
use crate::metrics::{Observer, Scrape, table};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(30);
/// Most folders inside one another that are looked into.
const MAX_DEPTH: u32 = 8;

/// The sizes at the last look.
#[derive(Debug, Default)]
pub(in crate::http) struct Sizes {
    store: AtomicU64,
    blobs: AtomicU64,
    blob_files: AtomicU64,
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
        // A disk that does not answer has no value instead of a wrong one.
        let free = free_bytes(&self.state).ok();
        scrape.gauge(&table::DISK_FREE, free.map(|free| ([], free as f64)))
    }
}

/// Looks at the sizes, for ever.
pub(in crate::http) async fn sample(sizes: Arc<Sizes>, store: PathBuf, blobs: PathBuf) {
    loop {
        let (sizes, store, blobs) = (Arc::clone(&sizes), store.clone(), blobs.clone());
        let looked = tokio::task::spawn_blocking(move || look(&sizes, &store, &blobs)).await;
        match looked {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot see the size of what is stored"),
            Err(error) => tracing::error!(%error, "the look at sizes has failed"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn look(sizes: &Sizes, store: &Path, blobs: &Path) -> io::Result<()> {
    let (bytes, _) = size(store, MAX_DEPTH)?;
    sizes.store.store(bytes, Ordering::Relaxed);
    let (bytes, files) = size(blobs, MAX_DEPTH)?;
    sizes.blobs.store(bytes, Ordering::Relaxed);
    sizes.blob_files.store(files, Ordering::Relaxed);
    Ok(())
}

/// The bytes and the number of the files in a folder. Files that vanish meanwhile do not count.
fn size(folder: &Path, depth: u32) -> io::Result<(u64, u64)> {
    let mut sum = (0, 0);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        let (bytes, files) = match (metadata.is_dir(), depth) {
            (true, 0) => (0, 0),
            (true, _) => size(&entry.path(), depth - 1).unwrap_or_default(),
            (false, _) => (metadata.len(), 1),
        };
        sum = (sum.0 + bytes, sum.1 + files);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_summed_over_folders() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("one"), [0; 10]).unwrap();
        fs::write(folder.path().join("a/b/two"), [0; 32]).unwrap();
        assert_eq!(size(folder.path(), MAX_DEPTH).unwrap(), (42, 2));
        assert_eq!(size(folder.path(), 1).unwrap(), (10, 1), "the depth is bounded");
        assert!(size(&folder.path().join("gone"), 1).is_err());
    }
}
