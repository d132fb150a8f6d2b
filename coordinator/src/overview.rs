//! The overview and what is stored, with what the state of the federation does not say: the disk, and who has called.

use std::path::{Path, PathBuf};

use eosfed_common::clock::Timestamp;
use eosfed_common::refusal::Refusal;
use eosfed_common::view::{BackupsView, DiskView, Overview, StorageView};

use crate::backup::whole_backups;
use crate::disk::{MAX_DEPTH, folder_size, room};
use crate::domain::listing::StoredJobs;
use crate::domain::view::{self, StoragePage, Surroundings};
use crate::engine::{Core, Handle};
use crate::traffic::Traffic;

/// Makes the overview.
#[derive(Debug, Clone)]
pub struct Overviews {
    engine: Handle,
    traffic: Traffic,
    state: PathBuf,
    backups: Option<PathBuf>,
    started_at: Timestamp,
}

impl Overviews {
    /// Of a coordinator that was started now, with this state folder.
    #[must_use]
    pub fn new(engine: Handle, traffic: Traffic, state: PathBuf) -> Self {
        let started_at = engine.now();
        Self { engine, traffic, state, backups: None, started_at }
    }

    /// With the folder in which the timer makes backups.
    #[must_use]
    pub fn with_backups(self, backups: Option<PathBuf>) -> Self {
        Self { backups, ..self }
    }

    /// The state folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.state
    }

    /// The disk of the state folder, if the file system says how large it is.
    pub async fn disk(&self) -> Option<DiskView> {
        let state = self.state.clone();
        tokio::task::spawn_blocking(move || room(&state).ok()).await.ok().flatten()
    }

    /// The overview of this instant.
    pub async fn now(&self) -> Overview {
        let around = Surroundings {
            now: self.engine.now(),
            started_at: self.started_at,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            disk: self.disk().await,
        };
        let seen = |member: &_| self.traffic.of(member).0;
        self.engine.read(|state| view::overview(state, around, seen))
    }
    /// What is stored, now.
    ///
    /// # Errors
    /// If the disk of the blobs fails.
    pub async fn storage(&self, listed: StoredJobs) -> Result<StoragePage, Refusal> {
        let stored = self.engine.call(async move |core: &Core| core.stored(&listed).await).await?;
        let (store, folder) = (self.state.join("store"), self.backups.clone());
        let look = move || {
            let store = folder_size(&store, MAX_DEPTH).ok().map(|(bytes, _)| bytes);
            (store, folder.and_then(|folder| backups(&folder)))
        };
        let (store_bytes, backups) = tokio::task::spawn_blocking(look).await.unwrap_or_default();
        let view = StorageView { store_bytes, backups, disk: self.disk().await, ..stored.view };
        Ok(StoragePage { view, ..stored })
    }
}

/// The whole backups in a folder, if it can be read.
fn backups(folder: &Path) -> Option<BackupsView> {
    let whole = whole_backups(folder).ok()?;
    let bytes = whole.iter().filter_map(|one| folder_size(one, MAX_DEPTH).ok()).map(|(bytes, _)| bytes).sum();
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    Some(BackupsView {
        folder: folder.display().to_string(),
        number: u32::try_from(whole.len()).unwrap_or(u32::MAX),
        bytes,
        oldest: whole.first().and_then(name),
        newest: whole.last().and_then(name),
    })
}
