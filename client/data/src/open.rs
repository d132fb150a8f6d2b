//! Opening files of data sets. Only regular files are opened: a named pipe or a device among the
//! images would otherwise block the reader, or never end. A symbolic link must not lead out of the
//! folder, since what lies elsewhere may not be meant for training.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::error::DataError;

/// The file whose name is that of another one and an ending more: `scene.tif.msk` beside `scene.tif`.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Checks that a path lies in a folder once symbolic links are followed. A file that does not exist is
/// left to whoever reads it.
///
/// # Errors
/// With where it leads, if that is outside of the folder.
pub(crate) fn stays_inside(folder: &Path, path: &Path) -> Result<(), DataError> {
    let (Ok(root), Ok(target)) = (folder.canonicalize(), path.canonicalize()) else { return Ok(()) };
    if target.starts_with(&root) {
        return Ok(());
    }
    let reason = format!(
        "must lie in {}, and leads to {}; copy the file there, or set `follow_links = true` in dataset.toml",
        root.display(),
        target.display()
    );
    Err(DataError::file(path, reason))
}

/// Opens a regular file for reading. Waits for nobody: a named pipe without a writer is refused at once.
///
/// # Errors
/// If the file cannot be opened or is not a regular file; then with what it is.
pub(crate) fn open_regular(path: &Path) -> Result<File, DataError> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let fail = |error: io::Error| DataError::file(path, error);
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(fail)?;
    let kind = file.metadata().map_err(fail)?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    let found = match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(DataError::file(path, format!("must be a regular file, found {found}; move it out of the data set")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("tile.tif");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for (path, found) in [
            (pipe.as_path(), "a named pipe"),
            (folder.path(), "a folder"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            let error = open_regular(path).unwrap_err().to_string();
            assert!(error.contains(found), "{error}");
        }
        let file = folder.path().join("real.tif");
        std::fs::write(&file, "x").unwrap();
        assert!(open_regular(&file).is_ok());
    }
}
