//! Blobs in memory, for tests. None of them is a local file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use eosfed_common::assignment::BlobRef;
use eosfed_common::digest::Digest;
use tempfile::NamedTempFile;

use super::{BlobError, Blobs, Presence, failed};

#[derive(Debug, Default)]
struct State {
    blobs: BTreeMap<Digest, Vec<u8>>,
    /// For each owner, the blob that it uploads and the bytes that have arrived.
    uploads: BTreeMap<String, (Digest, Vec<u8>)>,
    pins: BTreeSet<(String, Digest)>,
}

/// Blobs in memory. Clones share their contents, like a store that is opened again.
#[derive(Debug, Clone, Default)]
pub struct MemoryBlobs(Arc<Mutex<State>>);

impl MemoryBlobs {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The bytes of an upload that have arrived.
    fn arrived(&self, owner: &str, digest: Digest) -> &[u8] {
        match self.uploads.get(owner) {
            Some((found, bytes)) if *found == digest => bytes,
            Some(_) | None => &[],
        }
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn stat(&self, owner: &str, digest: Digest) -> Result<Presence, BlobError> {
        let state = self.state();
        Ok(match state.blobs.get(&digest) {
            Some(bytes) => Presence::Complete(bytes.len() as u64),
            None => Presence::Partial(state.arrived(owner, digest).len() as u64),
        })
    }

    async fn uploaded(&self, owner: &str, digest: Digest) -> Result<Presence, BlobError> {
        let state = self.state();
        let pinned = state.pins.contains(&(owner.to_owned(), digest));
        Ok(match state.blobs.get(&digest).filter(|_| pinned) {
            Some(bytes) => Presence::Complete(bytes.len() as u64),
            None => Presence::Partial(state.arrived(owner, digest).len() as u64),
        })
    }

    async fn append(&self, owner: &str, blob: BlobRef, offset: u64, bytes: &[u8]) -> Result<u64, BlobError> {
        let mut state = self.state();
        let mut arrived = state.arrived(owner, blob.digest).to_vec();
        let stands = arrived.len() as u64;
        if stands != offset {
            return Err(BlobError::Offset { stands, found: offset });
        }
        arrived.extend_from_slice(bytes);
        let end = arrived.len() as u64;
        if end > blob.size {
            return Err(BlobError::TooLong(blob.size));
        }
        state.uploads.insert(owner.to_owned(), (blob.digest, arrived));
        Ok(end)
    }

    async fn finish(&self, owner: &str, blob: BlobRef) -> Result<(), BlobError> {
        let mut state = self.state();
        let bytes = state.arrived(owner, blob.digest).to_vec();
        if bytes.len() as u64 != blob.size {
            return Err(BlobError::Offset { stands: bytes.len() as u64, found: blob.size });
        }
        state.uploads.remove(owner);
        let found = Digest::of(&bytes);
        if found != blob.digest {
            return Err(BlobError::Digest { found, expected: blob.digest });
        }
        state.pins.insert((owner.to_owned(), found));
        state.blobs.insert(found, bytes);
        Ok(())
    }

    fn stage(&self) -> Result<NamedTempFile, BlobError> {
        NamedTempFile::new().map_err(failed(Digest::of(b"")))
    }

    async fn ingest(&self, staged: NamedTempFile) -> Result<BlobRef, BlobError> {
        let bytes = std::fs::read(staged.path()).map_err(failed(Digest::of(b"")))?;
        let blob = BlobRef { digest: Digest::of(&bytes), size: bytes.len() as u64 };
        self.state().blobs.insert(blob.digest, bytes);
        Ok(blob)
    }

    fn local(&self, _: Digest) -> Option<PathBuf> {
        None
    }

    async fn read(&self, digest: Digest, offset: u64, most: usize) -> Result<Vec<u8>, BlobError> {
        let state = self.state();
        let bytes = state.blobs.get(&digest).ok_or(BlobError::Missing(digest))?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes[start..].iter().copied().take(most).collect())
    }

    async fn list(&self) -> Result<Vec<Digest>, BlobError> {
        Ok(self.state().blobs.keys().copied().collect())
    }

    async fn pinned(&self) -> Result<Vec<Digest>, BlobError> {
        let pins: BTreeSet<_> = self.state().pins.iter().map(|(_, digest)| *digest).collect();
        Ok(pins.into_iter().collect())
    }

    async fn unpin(&self, owner: &str, digest: Digest) -> Result<(), BlobError> {
        self.state().pins.remove(&(owner.to_owned(), digest));
        Ok(())
    }

    async fn drop_uploads(&self, owner: &str, keep: Option<Digest>) -> Result<Vec<Digest>, BlobError> {
        let mut state = self.state();
        if state.uploads.get(owner).is_some_and(|(digest, _)| Some(*digest) != keep) {
            state.uploads.remove(owner);
        }
        let dropped = state.pins.iter().filter(|(of, digest)| of == owner && Some(*digest) != keep);
        let dropped: Vec<Digest> = dropped.map(|(_, digest)| *digest).collect();
        state.pins.retain(|(of, digest)| of != owner || Some(*digest) == keep);
        Ok(dropped)
    }

    /// Ages are not known here: everything is stale for an age of zero, and nothing for a longer age.
    async fn drop_stale_uploads(&self, age: Duration) -> Result<(), BlobError> {
        if age.is_zero() {
            let mut state = self.state();
            state.uploads.clear();
            state.pins.clear();
        }
        Ok(())
    }

    async fn remove(&self, digest: Digest) -> Result<(), BlobError> {
        self.state().blobs.remove(&digest);
        Ok(())
    }
}
