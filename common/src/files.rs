//! Atomic writing of files, digests of files, and free room on disks.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use nix::sys::statvfs::statvfs;

use crate::digest::{Digest, Hasher};

/// The folder of a file: its parent, or `.` for a name alone.
#[must_use]
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// The bytes that this user may still write on the disk of a path.
///
/// # Errors
/// If the path does not exist or the file system does not say.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = statvfs(path)?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()))
}

/// Writes a file atomically: a temporary file beside it is synced and renamed. Only the owner can read it.
///
/// # Errors
/// Errors of the file system. The old file, if any, is then unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    atomically(path, |file| file.write_all(bytes))
}

/// The digest of a file's contents, read in pieces.
///
/// # Errors
/// Errors of reading.
pub fn digest(path: &Path) -> io::Result<Digest> {
    let mut hasher = Hasher::default();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Fills a temporary file beside `path` and renames it to `path`.
pub(crate) fn atomically(
    path: &Path,
    fill: impl FnOnce(&mut tempfile::NamedTempFile) -> io::Result<()>,
) -> io::Result<()> {
    let folder = folder_of(path);
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    fill(&mut file)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_folder() {
        let of = |file: &str| folder_of(Path::new(file)).to_owned();
        assert_eq!((of("a.tif"), of("")), (".".into(), ".".into()));
        assert_eq!((of("maps/a.tif"), of("/a.tif"), of("/")), ("maps".into(), "/".into(), ".".into()));
        assert_eq!((of("./a.tif"), of("../a.tif")), (".".into(), "..".into()));
    }

    #[test]
    fn a_disk_has_free_room_and_a_path_that_is_missing_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let free = free_bytes(folder.path()).unwrap();
        let all = statvfs(folder.path()).unwrap();
        assert!(0 < free && free <= all.blocks().saturating_mul(all.fragment_size()), "{free}");
        let missing = free_bytes(&folder.path().join("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        write_atomically(&path, b"old").unwrap();
        let failed = atomically(&path, |file| {
            file.write_all(b"ne")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
