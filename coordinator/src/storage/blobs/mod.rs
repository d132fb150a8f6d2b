//! Weights, by their digest. An upload is collected separately for its owner and becomes a blob only if its
//! digest is right. A blob never changes.

mod files;
mod memory;
mod received;

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

/// Bytes of a blob that are copied at once into a local file.
const PIECE: usize = 1 << 20;

/// How many bytes of a blob are present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The complete blob, of this size in bytes.
    Complete(u64),
    /// The number of bytes that the caller has uploaded so far; 0 if there are none.
    Partial(u64),
}

/// Why a blob cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The disk is full. Bytes that had arrived are kept.
    #[error("the disk of the coordinator is full; the bytes that arrived are kept; try again later")]
    Full,
    /// Any other failure of the disk.
    #[error("blob {digest}: {source}")]
    Io {
        /// Which blob.
        digest: Digest,
        /// The system's error.
        source: io::Error,
    },
    /// There is no such blob.
    #[error("blob {0} does not exist")]
    Missing(Digest),
    /// The chunk does not begin where the upload ends.
    #[error("the upload has {stands} bytes, found a chunk for byte {found}; ask for the offset")]
    Offset {
        /// The number of bytes that have arrived.
        stands: u64,
        /// The offset of the chunk.
        found: u64,
    },
    /// More bytes than announced.
    #[error("more than the {0} bytes announced")]
    TooLong(u64),
    /// The bytes do not have the announced digest. They were deleted.
    #[error("the bytes have digest {found}, expected {expected}; they were deleted, upload the blob again")]
    Digest {
        /// The digest of the bytes that arrived.
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

/// Stores weights.
///
/// # Behavior
/// - A blob is complete and right, or does not exist. It never changes.
/// - Each owner has at most one upload. Beginning another drops the first. Bytes that have arrived survive a
///   restart.
/// - A finished upload is pinned for its owner until it is unpinned. Pins survive a restart.
/// - A full disk loses no bytes that have arrived.
///
/// Blobs need not be local files. Those that are can be read directly: [`Blobs::local`].
#[async_trait]
pub trait Blobs: fmt::Debug + Send + Sync + 'static {
    /// How much of a blob is there, counting an upload of `owner`.
    ///
    /// # Errors
    /// If the disk fails.
    async fn stat(&self, owner: &str, digest: Digest) -> Result<Presence, BlobError>;

    /// How much of a blob `owner` itself has uploaded: [`Presence::Complete`] only while it pins the blob.
    /// That somebody else has uploaded it, or that the coordinator has made it, does not show.
    ///
    /// # Errors
    /// If the disk fails.
    async fn uploaded(&self, owner: &str, digest: Digest) -> Result<Presence, BlobError>;

    /// Adds bytes to the upload of `owner` at `offset`. Gives the new size of the upload.
    ///
    /// # Errors
    /// [`BlobError::Offset`] if the upload does not have `offset` bytes, [`BlobError::TooLong`],
    /// [`BlobError::Full`].
    async fn append(&self, owner: &str, blob: BlobRef, offset: u64, bytes: &[u8]) -> Result<u64, BlobError>;

    /// Turns the upload of `owner` into a blob, and pins it.
    ///
    /// # Errors
    /// [`BlobError::Offset`] if bytes are missing, [`BlobError::Digest`].
    async fn finish(&self, owner: &str, blob: BlobRef) -> Result<(), BlobError>;

    /// A new local file for bytes that the coordinator will turn into a blob. It is removed when it is
    /// dropped.
    ///
    /// # Errors
    /// If the disk fails.
    fn stage(&self) -> Result<NamedTempFile, BlobError>;

    /// Turns a staged file into a blob.
    ///
    /// # Errors
    /// If the disk fails.
    async fn ingest(&self, staged: NamedTempFile) -> Result<BlobRef, BlobError>;

    /// The file of a blob, if blobs are local files and it exists.
    fn local(&self, digest: Digest) -> Option<PathBuf>;

    /// Up to `most` of the blob's bytes from `offset`; none at its end.
    ///
    /// # Errors
    /// [`BlobError::Missing`].
    async fn read(&self, digest: Digest, offset: u64, most: usize) -> Result<Vec<u8>, BlobError>;

    /// Every existing blob.
    ///
    /// # Errors
    /// If the disk fails.
    async fn list(&self) -> Result<Vec<Digest>, BlobError>;

    /// The pinned blobs: finished uploads that were not submitted yet.
    ///
    /// # Errors
    /// If the disk fails.
    async fn pinned(&self) -> Result<Vec<Digest>, BlobError>;

    /// Unpins the blob that `owner` has uploaded. From now on, records decide whether it is kept.
    ///
    /// # Errors
    /// If the disk fails.
    async fn unpin(&self, owner: &str, digest: Digest) -> Result<(), BlobError>;

    /// Drops the uploads of `owner` and its pins, but for those of `keep`; gives what was pinned.
    ///
    /// # Errors
    /// If the disk fails.
    async fn drop_uploads(&self, owner: &str, keep: Option<Digest>) -> Result<Vec<Digest>, BlobError>;

    /// Drops uploads that have not grown for longer than `age`, and pins that are older.
    ///
    /// # Errors
    /// If the disk fails.
    async fn drop_stale_uploads(&self, age: Duration) -> Result<(), BlobError>;

    /// Removes a blob, if it exists.
    ///
    /// # Errors
    /// If the disk fails.
    async fn remove(&self, digest: Digest) -> Result<(), BlobError>;
}

/// A local file with the bytes of a blob, to be mapped into memory.
#[derive(Debug)]
pub enum LocalFile {
    /// The file of the blob.
    Blob(PathBuf),
    /// A copy, removed when it is dropped.
    Copy(NamedTempFile),
}

impl LocalFile {
    /// The file of the blob, if it is local, or a copy.
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

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Blob(path) => path,
            Self::Copy(file) => file.path(),
        }
    }
}

impl BlobError {
    /// The blob error for an error of the disk.
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
