//! Files that are being written and have no name of their own yet. A program that is ended by a signal removes them, and
//! the next run removes those of one that was killed: their names are this program's own, and a file that is still being
//! written is locked.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

/// How the names of these files begin; random letters and digits follow.
const PREFIX: &str = ".eosfed-unfinished-";
const RANDOM: usize = 8;

/// Those of this process. It is global because a signal ends the whole process.
static FILES: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn files() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that is being written. It is removed unless it is kept.
#[derive(Debug)]
pub(crate) struct Unfinished(Option<NamedTempFile>);

impl Unfinished {
    /// Begins a file in a folder, which all may read once it is kept.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn begin(folder: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).rand_bytes(RANDOM).permissions(Permissions::from_mode(0o644));
        let mut own = files();
        loop {
            let file = builder.tempfile_in(folder)?;
            // Another run may take it for a leftover before it is locked. Where the file system has no locks, leftovers stay.
            let taken = matches!(file.as_file().try_lock(), Err(TryLockError::WouldBlock));
            if !taken && file.path().exists() {
                own.insert(file.path().to_owned());
                return Ok(Self(Some(file)));
            }
        }
    }

    pub(crate) fn file(&self) -> &File {
        self.0.as_ref().expect("it is there until it is kept or dropped").as_file()
    }

    /// Gives it its name, in place of an older file there.
    ///
    /// # Errors
    /// If that is not possible.
    pub(crate) fn keep(mut self, path: &Path) -> io::Result<()> {
        let Some(file) = self.0.take() else { return Ok(()) };
        let mut own = files();
        own.remove(file.path());
        file.persist(path).map(drop).map_err(|error| error.error)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(file) = self.0.take() {
            let mut own = files();
            own.remove(file.path());
            drop(file);
        }
    }
}

/// Does a short work during which no signal ends the process: that waits until it is done.
pub fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    let _own = files();
    work()
}

/// Removes the files that this process is writing, and lets none begin or get its name until `end` has ended the process.
pub fn remove_unfinished(end: impl FnOnce()) {
    let own = files();
    for path in &*own {
        let _ = fs::remove_file(path);
    }
    end();
}

/// Removes the files that killed runs have left in a folder. Those that another process is writing stay. Gives their number.
///
/// # Errors
/// If the folder cannot be read.
pub fn remove_left_unfinished(folder: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_own(entry.file_name().as_encoded_bytes())
            && entry.file_type().is_ok_and(|kind| kind.is_file())
            && remove_left(&entry.path())
        {
            removed += 1;
        }
    }
    Ok(removed)
}

fn is_own(name: &[u8]) -> bool {
    let random = name.strip_prefix(PREFIX.as_bytes());
    random.is_some_and(|random| random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric))
}

/// Removes a file that nobody is writing. Gives whether it did.
fn remove_left(path: &Path) -> bool {
    // On disks of other machines, only who may write a file may lock it.
    let file = OpenOptions::new().write(true).open(path);
    file.is_ok_and(|file| file.try_lock().is_ok() && fs::remove_file(path).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_killed_run_has_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let names = || {
            let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
            names.map(|name| name.into_string().unwrap()).collect::<BTreeSet<_>>()
        };
        let own = format!("{PREFIX}aB3dE6gH");
        let others =
            [".tmpAbC123".to_owned(), format!("{PREFIX}notes.txt"), format!("{own}x"), "a.tif".to_owned()];
        for name in others.iter().chain([&own]) {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        fs::create_dir(folder.path().join(format!("{PREFIX}12345678"))).unwrap();
        let being_written = Unfinished::begin(folder.path()).unwrap();
        assert_eq!(names().len(), 7);
        assert_eq!(remove_left_unfinished(folder.path()).unwrap(), 1);
        let left = names();
        assert!(!left.contains(&own) && others.iter().all(|name| left.contains(name)), "{left:?}");
        assert_eq!(left.len(), 6, "{left:?}");
        being_written.keep(&folder.path().join("b.tif")).unwrap();
        assert!(names().contains("b.tif"));
        assert!(remove_left_unfinished(&folder.path().join("nowhere")).is_err());
    }

    #[test]
    fn a_file_is_removed_at_the_end_unless_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let count = || fs::read_dir(folder.path()).unwrap().count();
        drop(Unfinished::begin(folder.path()).unwrap());
        assert_eq!(count(), 0);
        let file = Unfinished::begin(folder.path()).unwrap();
        assert_eq!((count(), file.file().metadata().unwrap().permissions().mode() & 0o777), (1, 0o644));
        file.keep(&folder.path().join("a.tif")).unwrap();
        assert_eq!((count(), folder.path().join("a.tif").exists()), (1, true));
        assert!(Unfinished::begin(&folder.path().join("nowhere")).is_err());
    }
}
