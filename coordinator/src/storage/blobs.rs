//! Weights as files named by their digest. An upload grows in a partial file of its owner's and
//! becomes a blob only when its digest is right; a blob never changes.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eosfed_common::assignment::BlobRef;
use eosfed_common::digest::Digest;
use eosfed_common::refusal::{Reason, Refusal};

/// What ends the name of a finished upload that is still to be claimed.
const DONE: &str = ".done";

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
/// - A full disk loses nothing that has arrived.
pub trait Blobs: fmt::Debug + Send + Sync + 'static {
    /// How much of a blob is there, counting an upload of `owner`.
    ///
    /// # Errors
    /// If the disk fails.
    fn stat(&self, owner: &str, digest: Digest) -> Result<Presence, BlobError>;

    /// Adds bytes to the upload of `owner` at `offset`; gives where it then stands.
    ///
    /// # Errors
    /// [`BlobError::Offset`] if it does not stand at `offset`, [`BlobError::TooLong`],
    /// [`BlobError::Full`].
    fn append(&self, owner: &str, blob: BlobRef, offset: u64, bytes: &[u8]) -> Result<u64, BlobError>;

    /// Makes the upload of `owner` a blob.
    ///
    /// # Errors
    /// [`BlobError::Offset`] if bytes are still to come, [`BlobError::Digest`].
    fn finish(&self, owner: &str, blob: BlobRef) -> Result<(), BlobError>;

    /// Makes a file of the coordinator's own a blob. The file is moved and must lie in
    /// [`Blobs::workshop`].
    ///
    /// # Errors
    /// If the disk fails.
    fn adopt(&self, file: &Path) -> Result<BlobRef, BlobError>;

    /// Where the coordinator writes files that are to become blobs.
    fn workshop(&self) -> &Path;

    /// A local file with the blob's bytes, to be mapped into memory.
    ///
    /// # Errors
    /// [`BlobError::Missing`].
    fn file(&self, digest: Digest) -> Result<PathBuf, BlobError>;

    /// Up to `most` of the blob's bytes from `offset`; none at its end.
    ///
    /// # Errors
    /// [`BlobError::Missing`].
    fn read(&self, digest: Digest, offset: u64, most: usize) -> Result<Vec<u8>, BlobError>;

    /// Every blob that is there.
    ///
    /// # Errors
    /// If the disk fails.
    fn list(&self) -> Result<Vec<Digest>, BlobError>;

    /// Uploads that have become blobs and that nobody has claimed yet: what they are for is still to
    /// come. They survive a restart.
    ///
    /// # Errors
    /// If the disk fails.
    fn unclaimed(&self) -> Result<Vec<Digest>, BlobError>;

    /// Notes that what `owner` has uploaded has found its use, or none: whether it stays no longer
    /// depends on the upload.
    ///
    /// # Errors
    /// If the disk fails.
    fn claim(&self, owner: &str, digest: Digest) -> Result<(), BlobError>;

    /// Drops uploads that have not grown, or been claimed, for longer than `age`.
    ///
    /// # Errors
    /// If the disk fails.
    fn drop_stale_uploads(&self, age: Duration) -> Result<(), BlobError>;

    /// Removes a blob, if it is there.
    ///
    /// # Errors
    /// If the disk fails.
    fn remove(&self, digest: Digest) -> Result<(), BlobError>;
}

/// Blobs in a folder: `sha256/ab/ab12...`, uploads in `partial/OWNER/`, where an empty file of the name
/// `HEX.done` stays behind from one that has become a blob until somebody claims it.
#[derive(Debug)]
pub struct FileBlobs {
    blobs: PathBuf,
    partial: PathBuf,
    workshop: PathBuf,
}

impl FileBlobs {
    /// Blobs in the folder `root`, which is made if it is not there.
    ///
    /// # Errors
    /// If the folders cannot be made.
    pub fn open(root: &Path) -> io::Result<Self> {
        let [blobs, partial, workshop] = ["sha256", "partial", "workshop"].map(|name| root.join(name));
        // Files that a crash has left half written; what they were to hold is computed again.
        if workshop.exists() {
            fs::remove_dir_all(&workshop)?;
        }
        for folder in [&blobs, &partial, &workshop] {
            fs::create_dir_all(folder)?;
        }
        Ok(Self { blobs, partial, workshop })
    }

    /// Where the blob of this digest lies, if it is there.
    #[must_use]
    pub fn place(&self, digest: Digest) -> PathBuf {
        let hex = digest.to_hex();
        self.blobs.join(&hex[..2]).join(hex)
    }

    fn partial(&self, owner: &str, digest: Digest) -> PathBuf {
        self.partial.join(owner).join(digest.to_hex())
    }

    fn done(&self, owner: &str, digest: Digest) -> PathBuf {
        self.partial.join(owner).join(format!("{}{DONE}", digest.to_hex()))
    }

    /// Drops other uploads of `owner`.
    fn begin(&self, owner: &str, path: &Path) -> io::Result<()> {
        let folder = self.partial.join(owner);
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let other = entry?.path();
            if other != path {
                fs::remove_file(other)?;
            }
        }
        Ok(())
    }

    /// Moves a finished file to its place, durably.
    fn settle(&self, from: &Path, digest: Digest) -> io::Result<()> {
        let to = self.place(digest);
        let folder = to.parent().unwrap_or(&self.blobs);
        fs::create_dir_all(folder)?;
        File::open(from)?.sync_all()?;
        fs::rename(from, &to)?;
        File::open(folder)?.sync_all()?;
        File::open(&self.blobs)?.sync_all()
    }
}

/// The files in the folders of a folder.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for inner in fs::read_dir(folder)? {
        for entry in fs::read_dir(inner?.path())? {
            found.push(entry?.path());
        }
    }
    Ok(found)
}

/// The length of a file; `None` without one.
fn length(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What was not there is gone too.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn failed(digest: Digest) -> impl Fn(io::Error) -> BlobError {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BlobError::Full,
        io::ErrorKind::NotFound => BlobError::Missing(digest),
        _ => BlobError::Io { digest, source },
    }
}

impl Blobs for FileBlobs {
    fn stat(&self, owner: &str, digest: Digest) -> Result<Presence, BlobError> {
        let failed = failed(digest);
        if let Some(bytes) = length(&self.place(digest)).map_err(&failed)? {
            return Ok(Presence::Complete(bytes));
        }
        let partial = length(&self.partial(owner, digest)).map_err(&failed)?;
        Ok(Presence::Partial(partial.unwrap_or_default()))
    }

    fn append(&self, owner: &str, blob: BlobRef, offset: u64, bytes: &[u8]) -> Result<u64, BlobError> {
        let failed = failed(blob.digest);
        let path = self.partial(owner, blob.digest);
        if offset == 0 {
            self.begin(owner, &path).map_err(&failed)?;
        }
        let stands = length(&path).map_err(&failed)?.unwrap_or_default();
        if stands != offset {
            return Err(BlobError::Offset { stands, found: offset });
        }
        let end = offset + bytes.len() as u64;
        if end > blob.size {
            return Err(BlobError::TooLong(blob.size));
        }
        // At its place, not at the end: a connection that was given up may still deliver the same bytes.
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(&failed)?;
        file.write_all_at(bytes, offset).map_err(&failed)?;
        Ok(end)
    }

    fn finish(&self, owner: &str, blob: BlobRef) -> Result<(), BlobError> {
        let failed = failed(blob.digest);
        let path = self.partial(owner, blob.digest);
        let stands = length(&path).map_err(&failed)?.unwrap_or_default();
        if stands != blob.size {
            return Err(BlobError::Offset { stands, found: blob.size });
        }
        let found = Digest::of_file(&path).map_err(&failed)?;
        if found != blob.digest {
            fs::remove_file(&path).map_err(&failed)?;
            return Err(BlobError::Digest { found, expected: blob.digest });
        }
        // First: a blob without it is one that nobody needs.
        File::create(self.done(owner, blob.digest)).map_err(&failed)?;
        self.settle(&path, blob.digest).map_err(&failed)
    }

    fn adopt(&self, file: &Path) -> Result<BlobRef, BlobError> {
        let unknown = failed(Digest::of(b""));
        let digest = Digest::of_file(file).map_err(&unknown)?;
        let size = fs::metadata(file).map_err(&unknown)?.len();
        self.settle(file, digest).map_err(failed(digest))?;
        Ok(BlobRef { digest, size })
    }

    fn workshop(&self) -> &Path {
        &self.workshop
    }

    fn file(&self, digest: Digest) -> Result<PathBuf, BlobError> {
        let path = self.place(digest);
        if path.exists() { Ok(path) } else { Err(BlobError::Missing(digest)) }
    }

    fn read(&self, digest: Digest, offset: u64, most: usize) -> Result<Vec<u8>, BlobError> {
        let failed = failed(digest);
        let mut file = File::open(self.place(digest)).map_err(&failed)?;
        // The system refuses to seek as far as a caller can ask for; behind the end there is nothing.
        let length = file.metadata().map_err(&failed)?.len();
        file.seek(SeekFrom::Start(offset.min(length))).map_err(&failed)?;
        let mut bytes = Vec::new();
        file.take(most as u64).read_to_end(&mut bytes).map_err(&failed)?;
        Ok(bytes)
    }

    fn list(&self) -> Result<Vec<Digest>, BlobError> {
        let names = files(&self.blobs).map_err(failed(Digest::of(b"")))?.into_iter().map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            format!("sha256:{name}").parse()
        });
        // Anything that is not named like a blob is somebody else's, and stays.
        Ok(names.filter_map(Result::ok).collect())
    }

    fn unclaimed(&self) -> Result<Vec<Digest>, BlobError> {
        let names = files(&self.partial).map_err(failed(Digest::of(b"")))?.into_iter().map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            format!("sha256:{}", name.strip_suffix(DONE).unwrap_or_default()).parse()
        });
        Ok(names.filter_map(Result::ok).collect())
    }

    fn claim(&self, owner: &str, digest: Digest) -> Result<(), BlobError> {
        gone(fs::remove_file(self.done(owner, digest))).map_err(failed(digest))
    }

    fn drop_stale_uploads(&self, age: Duration) -> Result<(), BlobError> {
        let drop = || -> io::Result<()> {
            for path in files(&self.partial)? {
                let idle = fs::metadata(&path)?.modified()?.elapsed().unwrap_or_default();
                if idle > age {
                    fs::remove_file(path)?;
                }
            }
            Ok(())
        };
        drop().map_err(failed(Digest::of(b"")))
    }

    fn remove(&self, digest: Digest) -> Result<(), BlobError> {
        gone(fs::remove_file(self.place(digest))).map_err(failed(digest))
    }
}
