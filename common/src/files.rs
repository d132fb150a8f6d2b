//! Atomic writing of files, and digests of files.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use crate::digest::{Digest, Hasher};

/// The folder of a file: its parent, or `.` for a name alone.
#[must_use]
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
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
