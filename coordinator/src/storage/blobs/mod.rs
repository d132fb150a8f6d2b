//! Weights by their digest. An upload grows in a place of its owner's and becomes a blob only when its
//! digest is right; a blob never changes.

mod files;
mod memory;

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use eosfed_common::assignment::BlobRef;
use eosfed_common::digest::Digest;
use eosfed_common::refusal::{Reason, Refusal};
use tempfile::NamedTempFile;

pub use files::FileBlobs;
pub use memory::MemoryBlobs;

/// How much of a blob is copied at once into a local file.
const PIECE: usize = 1 << 20;

/// How much of a blob is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// All of it: so many bytes.
    Complete(u64),
    /// The first so many bytes of an upload by whoever asks; 0 when there is nothing.
    Partial(u64),
}

/// Why a blob cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The disk is full; what had arrived is kept.
    #[error("the disk of the coordinator is full; what has arrived is kept, try again later")]
    Full,
    /// Any other failure of the disk.
    #[error("blob {digest}: {source}")]
    Io {
        /// Which blob.
        digest: Digest,
        /// What the system said.
        source: io::Error,
    },
    /// There is no such blob.
    #[error("blob {0} is not here")]
    Missing(Digest),
    /// The chunk does not follow what is there.
    #[error("the upload stands at byte {stands}, found a chunk for byte {found}; ask where to go on")]
    Offset {
        /// Where the upload stands.
        stands: u64,
        /// Where the chunk belongs.
        found: u64,
    },
    /// More bytes than announced.
    #[error("more than the {0} bytes announced")]
    TooLong(u64),
    /// The bytes are not those that the digest names; they were thrown away.
    #[error("the bytes have digest {found}, not {expected}; the upload starts afresh")]
    Digest {
        /// The digest of what arrived.
        found: Digest,
        /// The digest announced.
        expected: Digest,
    },
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        let reason = match &error {
            BlobError::Full => Reason::StorageFull,
            BlobError::Io { .. } => Reason::Internal,
            BlobError::Missing(_) => Reason::BlobMissing,
            BlobError::Offset { .. } => Reason::OffsetMismatch,
            BlobError::TooLong(_) => Reason::TooLarge,
            BlobError::Digest { .. } => Reason::DigestMismatch,
        };
        Self::new(reason, error.to_string())
    }
}

/// Keeps weights.
///
/// # Behavior
/// - A blob is there whole and right, or not at all; once there it never changes.
/// - Each owner has at most one upload under way; beginning another drops the first. What has
///   arrived of it survives a restart.
/// - A finished upload is pinned for its owner until it is unpinned. Pins survive a restart.
/// - A full disk loses nothing that has arrived.
///
/// Nothing here needs blobs to be files of this machine. Those that are can be read in place:
/// [`Blobs::local`].
#[async_trait]
pub trait Blobs: fmt::Debug + Send + Sync + 'static {
    /// How much of a blob is there, counting an upload of `owner`.
    ///
    /// # Errors
    /// If the disk fails.
    async fn stat(&self, owner: &str, digest: Digest) -> Result<Presence, BlobError>;

    /// Adds bytes to the upload of `owner` at `offset`; gives where it then stands.
    ///
    /// # Errors
    /// [`BlobError::Offset`] if it does not stand at `offset`, [`BlobError::TooLong`],
    /// [`BlobError::Full`].
    async fn append(&self, owner: &str, blob: BlobRef, offset: u64, bytes: &[u8]) -> Result<u64, BlobError>;

    /// Makes the upload of `owner` a blob, and pins it.
    ///
    /// # Errors
    /// [`BlobError::Offset`] if bytes are still to come, [`BlobError::Digest`].
    async fn finish(&self, owner: &str, blob: BlobRef) -> Result<(), BlobError>;

    /// A new local file in which the coordinator writes what is to become a blob. It is removed when it
    /// is dropped.
    ///
    /// # Errors
    /// If the disk fails.
    fn stage(&self) -> Result<NamedTempFile, BlobError>;

    /// Makes a staged file a blob.
    ///
    /// # Errors
    /// If the disk fails.
    async fn ingest(&self, staged: NamedTempFile) -> Result<BlobRef, BlobError>;

    /// The file of a blob, where blobs are files of this machine and it is there.
    fn local(&self, digest: Digest) -> Option<PathBuf>;

    /// Up to `most` of the blob's bytes from `offset`; none at its end.
    ///
    /// # Errors
    /// [`BlobError::Missing`].
    async fn read(&self, digest: Digest, offset: u64, most: usize) -> Result<Vec<u8>, BlobError>;

    /// Every blob that is there.
    ///
    /// # Errors
    /// If the disk fails.
    async fn list(&self) -> Result<Vec<Digest>, BlobError>;

    /// The blobs that are pinned: uploads that have become blobs, and whose use is still to come.
    ///
    /// # Errors
    /// If the disk fails.
    async fn pinned(&self) -> Result<Vec<Digest>, BlobError>;

    /// Notes that what `owner` has uploaded has found its use, or none: whether it stays no longer
    /// depends on the upload.
    ///
    /// # Errors
    /// If the disk fails.
    async fn unpin(&self, owner: &str, digest: Digest) -> Result<(), BlobError>;

    /// Drops uploads that have not grown, and pins that are as old, for longer than `age`.
    ///
    /// # Errors
    /// If the disk fails.
    async fn drop_stale_uploads(&self, age: Duration) -> Result<(), BlobError>;

    /// Removes a blob, if it is there.
    ///
    /// # Errors
    /// If the disk fails.
    async fn remove(&self, digest: Digest) -> Result<(), BlobError>;
}

/// A local file with the bytes of a blob, to be mapped into memory.
#[derive(Debug)]
pub enum LocalFile {
    /// The blob itself.
    Blob(PathBuf),
    /// A copy, removed when it is dropped.
    Copy(NamedTempFile),
}

impl LocalFile {
    /// The file of the blob if it is one of this machine, or a copy.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::Full`].
    pub async fn of(blobs: &dyn Blobs, digest: Digest) -> Result<Self, BlobError> {
        if let Some(path) = blobs.local(digest) {
            return Ok(Self::Blob(path));
        }
        let failed = failed(digest);
        let mut copy = NamedTempFile::new().map_err(&failed)?;
        let mut offset = 0;
        loop {
            let piece = blobs.read(digest, offset, PIECE).await?;
            if piece.is_empty() {
                return Ok(Self::Copy(copy));
            }
            copy.write_all(&piece).map_err(&failed)?;
            offset += piece.len() as u64;
        }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Blob(path) => path,
            Self::Copy(file) => file.path(),
        }
    }
}

impl BlobError {
    /// What a failure of the disk means for a blob.
    #[must_use]
    pub fn of(digest: Digest, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::NotFound => Self::Missing(digest),
            _ => Self::Io { digest, source },
        }
    }
}

fn failed(digest: Digest) -> impl Fn(io::Error) -> BlobError {
    move |source| BlobError::of(digest, source)
}
