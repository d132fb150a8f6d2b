//! The coordinator's disks: a store and blobs that can be interrupted before, during and after each
//! write, and that can be full.

use std::fmt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use eosfed_common::assignment::BlobRef;
use eosfed_common::digest::Digest;
use eosfed_coordinator::domain::Change;
use eosfed_coordinator::storage::{
    BlobError, Blobs, Faults, FaultyStore, FileBlobs, MemoryStore, Presence, Store as _, StoreError, ready,
};
use rand::RngExt as _;
use rand_chacha::ChaCha12Rng;
use tempfile::NamedTempFile;

/// The panic payload for the death of the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Died;

/// The faults of writes, shared by the store and the blobs.
#[derive(Clone)]
pub struct DiskFaults(Arc<Mutex<State>>);

struct State {
    rng: ChaCha12Rng,
    /// One of this number of writes is interrupted; 0: none.
    deadly: u32,
    full: bool,
}

impl fmt::Debug for DiskFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiskFaults")
    }
}

impl DiskFaults {
    /// Faults that follow from `rng`.
    #[must_use]
    pub fn new(rng: ChaCha12Rng, deadly: u32) -> Self {
        Self(Arc::new(Mutex::new(State { rng, deadly, full: false })))
    }

    /// Whether the disk is full from now on.
    pub fn fill(&self, full: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).full = full;
    }

    /// From now on, one of this number of writes is interrupted; 0: none.
    pub fn arm(&self, deadly: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).deadly = deadly;
    }

    /// Ends all faults.
    pub fn end(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.deadly, state.full) = (0, false);
    }

    fn is_full(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).full
    }

    /// Whether the machine dies at this instant.
    fn strikes(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let deadly = state.deadly;
        deadly > 0 && state.rng.random_ratio(1, deadly)
    }

    fn draw(&self, most: usize) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rng.random_range(0..=most)
    }

    fn maybe_die(&self) {
        if self.strikes() {
            resume_unwind(Box::new(Died));
        }
    }
}

/// A store with atomic commits. Clones share the disk.
pub type SimStore = FaultyStore<MemoryStore, DiskFaults>;

impl Faults for DiskFaults {
    fn before_commit(&self) -> Result<(), StoreError> {
        if self.is_full() {
            return Err(StoreError::Full);
        }
        self.maybe_die();
        Ok(())
    }

    fn after_commit(&self) {
        self.maybe_die();
    }
}

/// A disk with this content.
#[must_use]
pub fn disk(disk_faults: DiskFaults, beginning: &Change) -> SimStore {
    let store = MemoryStore::default();
    ready(store.commit(beginning, &[])).unwrap();
    FaultyStore { store, faults: disk_faults }
}

/// Blobs in files, whose writes can be interrupted and torn.
#[derive(Debug)]
pub struct SimBlobs {
    files: FileBlobs,
    disk_faults: DiskFaults,
}

impl SimBlobs {
    /// The blobs in a folder, as after a start.
    #[must_use]
    pub fn open(folder: &Path, disk_faults: DiskFaults) -> Self {
        Self { files: FileBlobs::open(folder).unwrap(), disk_faults }
    }
}

#[async_trait]
impl Blobs for SimBlobs {
    async fn stat(&self, owner: &str, digest: Digest) -> Result<Presence, BlobError> {
        self.files.stat(owner, digest).await
    }

    async fn uploaded(&self, owner: &str, digest: Digest) -> Result<Presence, BlobError> {
        self.files.uploaded(owner, digest).await
    }

    async fn append(&self, owner: &str, blob: BlobRef, offset: u64, bytes: &[u8]) -> Result<u64, BlobError> {
        if self.disk_faults.is_full() {
            return Err(BlobError::Full);
        }
        if self.disk_faults.strikes() {
            // The write is torn: a part of it is written.
            let torn = self.disk_faults.draw(bytes.len());
            let _ = self.files.append(owner, blob, offset, &bytes[..torn]).await;
            resume_unwind(Box::new(Died));
        }
        self.files.append(owner, blob, offset, bytes).await
    }

    async fn finish(&self, owner: &str, blob: BlobRef) -> Result<(), BlobError> {
        self.disk_faults.maybe_die();
        let finished = self.files.finish(owner, blob).await;
        self.disk_faults.maybe_die();
        finished
    }

    fn stage(&self) -> Result<NamedTempFile, BlobError> {
        self.files.stage()
    }

    async fn ingest(&self, staged: NamedTempFile) -> Result<BlobRef, BlobError> {
        if self.disk_faults.is_full() {
            return Err(BlobError::Full);
        }
        self.disk_faults.maybe_die();
        let ingested = self.files.ingest(staged).await;
        self.disk_faults.maybe_die();
        ingested
    }

    fn local(&self, digest: Digest) -> Option<PathBuf> {
        self.files.local(digest)
    }

    async fn read(&self, digest: Digest, offset: u64, most: usize) -> Result<Vec<u8>, BlobError> {
        self.files.read(digest, offset, most).await
    }

    async fn list(&self) -> Result<Vec<Digest>, BlobError> {
        self.files.list().await
    }

    async fn pinned(&self) -> Result<Vec<Digest>, BlobError> {
        self.files.pinned().await
    }

    async fn unpin(&self, owner: &str, digest: Digest) -> Result<(), BlobError> {
        self.disk_faults.maybe_die();
        self.files.unpin(owner, digest).await
    }

    async fn drop_uploads(&self, owner: &str, keep: Option<Digest>) -> Result<Vec<Digest>, BlobError> {
        self.disk_faults.maybe_die();
        self.files.drop_uploads(owner, keep).await
    }

    async fn drop_stale_uploads(&self, age: Duration) -> Result<(), BlobError> {
        self.files.drop_stale_uploads(age).await
    }

    async fn remove(&self, digest: Digest) -> Result<(), BlobError> {
        self.disk_faults.maybe_die();
        self.files.remove(digest).await
    }
}
