//! The folder of decoded samples: one file for each part of a data set, as many as fit, and beside them what is
//! known of each part. Who looked at a file longest ago loses it first. The folder has derived private data, so
//! only its owner may read it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use eosfed_common::digest::Digest;
use eosfed_common::files::write_atomically;
use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;

use super::facts::PartFacts;
use super::record::{Reader, Writer};

/// Ending of a file of decoded samples.
const SAMPLES: &str = "samples";
/// Ending of a file that says what is known of a part.
const FACTS: &str = "json";
/// Beginning of the name of a file that is being written.
const WRITING: &str = ".writing-";
const LOCK: &str = "lock";
/// Parts of which something is known, at most.
const MOST_FACTS: usize = 256;

/// Where decoded samples are kept, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleCache {
    /// Their folder. It is made when it is not there.
    pub folder: PathBuf,
    /// Most bytes of all files of samples in it.
    pub bytes: u64,
}

/// Held by the only process that may write to the folder.
pub(super) struct Lock {
    _file: File,
}

impl SampleCache {
    /// Makes the folder and removes from it what was used last before a time (since 1970), and what a killed
    /// process has left unfinished. Gives the number of files removed.
    ///
    /// # Errors
    /// If the folder cannot be made or a file cannot be removed.
    pub fn prepare(&self, before: Duration) -> io::Result<usize> {
        // Whoever writes now is told apart by the lock, and removes leftovers too.
        let Some(_lock) = self.lock()? else { return Ok(0) };
        let mut removed = 0;
        for ending in [SAMPLES, FACTS] {
            let files = self.oldest_first(ending)?.into_iter();
            for (_, path, _) in files.filter(|(used, ..)| *used < SystemTime::UNIX_EPOCH + before) {
                std::fs::remove_file(path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn path(&self, key: Digest, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", key.to_hex()))
    }

    /// What is known of a part.
    pub(super) fn facts(&self, key: Digest) -> Option<PartFacts> {
        let path = self.path(key, FACTS);
        let facts = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
        used(&File::open(path).ok()?);
        Some(facts)
    }

    /// Keeps what is known of a part.
    pub(super) fn keep_facts(&self, key: Digest, facts: &PartFacts) -> io::Result<()> {
        for (_, path, _) in self.oldest_first(FACTS)?.into_iter().rev().skip(MOST_FACTS - 1) {
            std::fs::remove_file(path)?;
        }
        write_atomically(&self.path(key, FACTS), &serde_json::to_vec(facts)?)
    }

    /// The decoded samples of a part, if they are there. They stay there while the reader lives. A damaged file
    /// is removed.
    pub(super) fn reader(&self, key: Digest) -> Option<Reader> {
        let path = self.path(key, SAMPLES);
        if !path.exists() {
            return None;
        }
        match Reader::open(&path) {
            Ok(reader) => {
                reader.file().try_lock_shared().ok()?;
                used(reader.file());
                Some(reader)
            }
            Err(_) => {
                let _ = std::fs::remove_file(path);
                None
            }
        }
    }

    /// Makes this process the only one that writes; `None` if another one does. Files that a killed process has
    /// left unfinished are removed.
    pub(super) fn lock(&self) -> io::Result<Option<Lock>> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(self.folder.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(WRITING.as_bytes()) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(Some(Lock { _file: file }))
    }

    /// Removes files, the one that was used longest ago first, until `bytes` have room. Gives the bytes that have
    /// room then; if `bytes` still have none, nothing is removed. Files that a process reads stay.
    pub(super) fn make_room(&self, _lock: &Lock, bytes: u64) -> io::Result<Option<u64>> {
        let files = self.oldest_first(SAMPLES)?;
        let mut held = files.iter().fold(0_u64, |sum, (_, _, length)| sum.saturating_add(*length));
        let room = |held: u64| self.bytes.checked_sub(held).filter(|room| *room >= bytes);
        let mut removable = Vec::new();
        for (_, path, length) in files {
            if room(held).is_some() {
                break;
            }
            let file = File::open(&path)?;
            if file.try_lock().is_ok() {
                held -= length;
                removable.push((path, file));
            }
        }
        let Some(room) = room(held) else { return Ok(None) };
        removable.into_iter().try_for_each(|(path, _)| std::fs::remove_file(path))?;
        Ok(Some(room))
    }

    /// Begins a file.
    pub(super) fn writer(&self, _lock: &Lock) -> io::Result<Writer> {
        Writer::new(tempfile::Builder::new().prefix(WRITING).tempfile_in(&self.folder)?)
    }

    /// Gives a written file its name, and opens it.
    pub(super) fn finish(&self, key: Digest, writer: Writer) -> io::Result<Option<Reader>> {
        writer.finish(&self.path(key, SAMPLES))?;
        Ok(self.reader(key))
    }

    /// Files with this ending: the time of their last use, path and bytes.
    fn oldest_first(&self, ending: &str) -> io::Result<Vec<(SystemTime, PathBuf, u64)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let Ok(metadata) = path.symlink_metadata() else { continue };
            if metadata.is_file() && path.extension() == Some(ending.as_ref()) {
                found.push((metadata.modified()?, path, metadata.len()));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Notes that a file is used now. If that fails, it is only removed earlier.
fn used(file: &File) {
    let _ = futimens(file, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW);
}

/// Removes a file that was found to be damaged, so that it is made again.
pub(super) fn give_up(path: &Path) {
    let _ = std::fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache of 1000 bytes with files of these sizes, the first of which was used last.
    fn cache(folder: &Path, sizes: &[usize]) -> SampleCache {
        for (age, size) in sizes.iter().enumerate() {
            let path = folder.join(format!("{age}.{SAMPLES}"));
            std::fs::write(&path, vec![0; *size]).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 - age as u64);
            File::open(path).unwrap().set_modified(time).unwrap();
        }
        SampleCache { folder: folder.to_owned(), bytes: 1000 }
    }

    #[test]
    fn all_room_is_given_at_once_and_no_more_is_removed_than_needed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), &[300, 200, 100]);
        let lock = cache.lock().unwrap().unwrap();
        // Whoever asks for little need not ask again before all of it is used.
        let room = |bytes| cache.make_room(&lock, bytes).unwrap();
        assert_eq!((room(1), room(400)), (Some(400), Some(400)));
        assert_eq!((room(401), room(500)), (Some(500), Some(500)));
        let read = File::open(folder.path().join("0.samples")).unwrap();
        read.try_lock_shared().unwrap();
        assert_eq!((room(701), cache.oldest_first(SAMPLES).unwrap().len()), (None, 2));
        drop(read);
        assert_eq!((room(1000), room(1001)), (Some(1000), None));
    }
}
