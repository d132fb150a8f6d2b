//! Blobs in files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use eosfed_common::assignment::BlobRef;
use eosfed_common::digest::Digest;
use eosfed_common::files;
use tempfile::NamedTempFile;

use super::received::Received;
use super::{BlobError, Blobs, Presence, failed};
use crate::storage::STAGING;

/// Suffix of files that pin a blob.
const DONE: &str = ".done";

/// Blobs in a folder: `sha256/ab/ab12...`, uploads in `partial/OWNER/`, where an empty file of the name
/// `HEX.done` pins one that has become a blob, and temporary files of the coordinator in `staging/`.
#[derive(Debug)]
pub struct FileBlobs {
    blobs: PathBuf,
    partial: PathBuf,
    staging: PathBuf,
    received: Received,
}

impl FileBlobs {
    /// Opens the blobs in the folder `root`, which is made if it is missing.
    ///
    /// # Errors
    /// If the folders cannot be made.
    pub fn open(root: &Path) -> io::Result<Self> {
        let [blobs, partial, staging] = ["sha256", "partial", STAGING].map(|name| root.join(name));
        // Removes files that a crash left incomplete; their contents are computed again. Earlier versions
        // used the name `workshop`.
        for folder in [&staging, &root.join("workshop")] {
            gone(fs::remove_dir_all(folder))?;
        }
        for folder in [&blobs, &partial, &staging] {
            fs::create_dir_all(folder)?;
        }
        Ok(Self { blobs, partial, staging, received: Received::default() })
    }

    /// The path of the blob with this digest, whether it exists or not.
    #[must_use]
    pub fn path_of(&self, digest: Digest) -> PathBuf {
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

    /// Moves a finished file to the path of its blob, durably.
    fn settle(&self, from: &Path, digest: Digest) -> io::Result<()> {
        let to = self.path_of(digest);
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

/// The digest that a file in the folder of an owner pins, if it is a pin.
fn pin(path: &Path) -> Option<Digest> {
    let name = path.file_name()?.to_str()?;
    format!("sha256:{}", name.strip_suffix(DONE)?).parse().ok()
}

/// The length of a file; `None` without one.
fn length(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A missing file counts as removed.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[async_trait]
impl Blobs for FileBlobs {
    async fn stat(&self, owner: &str, digest: Digest) -> Result<Presence, BlobError> {
        let failed = failed(digest);
        if let Some(bytes) = length(&self.path_of(digest)).map_err(&failed)? {
            return Ok(Presence::Complete(bytes));
        }
        let partial = length(&self.partial(owner, digest)).map_err(&failed)?;
        Ok(Presence::Partial(partial.unwrap_or_default()))
    }

    async fn uploaded(&self, owner: &str, digest: Digest) -> Result<Presence, BlobError> {
        let failed = failed(digest);
        if length(&self.done(owner, digest)).map_err(&failed)?.is_some()
            && let Some(bytes) = length(&self.path_of(digest)).map_err(&failed)?
        {
            return Ok(Presence::Complete(bytes));
        }
        let partial = length(&self.partial(owner, digest)).map_err(&failed)?;
        Ok(Presence::Partial(partial.unwrap_or_default()))
    }

    async fn append(&self, owner: &str, blob: BlobRef, offset: u64, bytes: &[u8]) -> Result<u64, BlobError> {
        let failed = failed(blob.digest);
        let path = self.partial(owner, blob.digest);
        let upload = self.received.of(owner);
        let mut upload = upload.lock().unwrap_or_else(PoisonError::into_inner);
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
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(&failed)?;
        file.write_all_at(bytes, offset).map_err(&failed)?;
        upload.written(blob.digest, offset, bytes);
        Ok(end)
    }

    async fn finish(&self, owner: &str, blob: BlobRef) -> Result<(), BlobError> {
        let failed = failed(blob.digest);
        let path = self.partial(owner, blob.digest);
        let upload = self.received.of(owner);
        let mut upload = upload.lock().unwrap_or_else(PoisonError::into_inner);
        let stands = length(&path).map_err(&failed)?.unwrap_or_default();
        if stands != blob.size {
            return Err(BlobError::Offset { stands, found: blob.size });
        }
        let found = match upload.finish(blob.digest, blob.size) {
            Some(found) => found,
            None => files::digest(&path).map_err(&failed)?,
        };
        if found != blob.digest {
            fs::remove_file(&path).map_err(&failed)?;
            return Err(BlobError::Digest { found, expected: blob.digest });
        }
        // The pin is written first: a blob without one would be removed.
        File::create(self.done(owner, blob.digest)).map_err(&failed)?;
        self.settle(&path, blob.digest).map_err(&failed)
    }

    fn stage(&self) -> Result<NamedTempFile, BlobError> {
        NamedTempFile::new_in(&self.staging).map_err(failed(Digest::of(b"")))
    }

    async fn ingest(&self, staged: NamedTempFile) -> Result<BlobRef, BlobError> {
        let unknown = failed(Digest::of(b""));
        let digest = files::digest(staged.path()).map_err(&unknown)?;
        let size = fs::metadata(staged.path()).map_err(&unknown)?.len();
        self.settle(staged.path(), digest).map_err(failed(digest))?;
        Ok(BlobRef { digest, size })
    }

    fn local(&self, digest: Digest) -> Option<PathBuf> {
        Some(self.path_of(digest)).filter(|path| path.exists())
    }

    async fn read(&self, digest: Digest, offset: u64, most: usize) -> Result<Vec<u8>, BlobError> {
        let failed = failed(digest);
        let mut file = File::open(self.path_of(digest)).map_err(&failed)?;
        // A caller can ask for an offset that the system refuses. Nothing can be read after the end anyway.
        let length = file.metadata().map_err(&failed)?.len();
        file.seek(SeekFrom::Start(offset.min(length))).map_err(&failed)?;
        let rest = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(most.min(rest));
        file.take(most as u64).read_to_end(&mut bytes).map_err(&failed)?;
        Ok(bytes)
    }

    async fn list(&self) -> Result<Vec<Digest>, BlobError> {
        let names = files(&self.blobs).map_err(failed(Digest::of(b"")))?.into_iter().map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            format!("sha256:{name}").parse()
        });
        // Files that do not have the name of a blob are left alone.
        Ok(names.filter_map(Result::ok).collect())
    }

    async fn pinned(&self) -> Result<Vec<Digest>, BlobError> {
        let files = files(&self.partial).map_err(failed(Digest::of(b"")))?;
        Ok(files.iter().filter_map(|path| pin(path)).collect())
    }

    async fn unpin(&self, owner: &str, digest: Digest) -> Result<(), BlobError> {
        gone(fs::remove_file(self.done(owner, digest))).map_err(failed(digest))
    }

    async fn drop_uploads(&self, owner: &str, keep: Option<Digest>) -> Result<Vec<Digest>, BlobError> {
        let drop = || -> io::Result<Vec<Digest>> {
            let entries = match fs::read_dir(self.partial.join(owner)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            let mut pinned = Vec::new();
            for entry in entries {
                let path = entry?.path();
                if keep
                    .is_some_and(|kept| path == self.partial(owner, kept) || path == self.done(owner, kept))
                {
                    continue;
                }
                pinned.extend(pin(&path));
                gone(fs::remove_file(path))?;
            }
            Ok(pinned)
        };
        drop().map_err(failed(Digest::of(b"")))
    }

    async fn drop_stale_uploads(&self, age: Duration) -> Result<(), BlobError> {
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

    async fn remove(&self, digest: Digest) -> Result<(), BlobError> {
        gone(fs::remove_file(self.path_of(digest))).map_err(failed(digest))
    }
}
