//! Reading and verifying a site log, also while a daemon writes it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use eosfed_common::ledger::{Broken, EventRef, Verified, Verifier};
use serde_json::Value;

use super::SiteLogError;
use super::file::{LOCK, MAX_LINE, firsts, path_of};

/// Reads the complete lines of a log, from the oldest, and later those that were added.
#[derive(Debug)]
pub struct Follower {
    folder: PathBuf,
    /// The file that is read, and how many bytes of it were.
    at: Option<(u64, u64)>,
}

impl Follower {
    /// A reader from the oldest entry on.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), at: None }
    }

    /// Gives each complete line that was not given before, without its end.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn each(&mut self, mut take: impl FnMut(&str)) -> Result<(), SiteLogError> {
        for first in firsts(&self.folder)? {
            let from = match self.at {
                Some((reading, _)) if first < reading => continue,
                Some((reading, bytes)) if first == reading => bytes,
                _ => 0,
            };
            let read = each_line(&path_of(&self.folder, first), from, &mut take)?;
            self.at = Some((first, from + read));
        }
        Ok(())
    }

    /// Whether bytes follow the last complete line of the newest file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn is_torn(&self) -> Result<bool, SiteLogError> {
        let Some((first, bytes)) = self.at else { return Ok(false) };
        let path = path_of(&self.folder, first);
        let found = path.metadata().map_err(SiteLogError::io(&path))?;
        Ok(found.len() > bytes)
    }

    /// The path of the file that was read last.
    fn path(&self) -> PathBuf {
        self.at.map_or_else(|| self.folder.clone(), |(first, _)| path_of(&self.folder, first))
    }
}

/// Gives the complete lines of a file from this byte on, without their ends, and returns how many bytes they have.
pub(super) fn each_line(path: &Path, from: u64, take: &mut impl FnMut(&str)) -> Result<u64, SiteLogError> {
    let failed = || SiteLogError::io(path);
    let mut file = File::open(path).map_err(failed())?;
    file.seek(SeekFrom::Start(from)).map_err(failed())?;
    let mut reader = BufReader::new(file);
    let mut read = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let bytes = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(failed())?;
        let Some(text) = line.strip_suffix(b"\n") else {
            if bytes as u64 == MAX_LINE {
                let reason = format!("a line has more than {MAX_LINE} bytes");
                return Err(SiteLogError::Damaged { path: path.to_owned(), reason });
            }
            return Ok(read);
        };
        read += bytes as u64;
        take(&String::from_utf8_lossy(text));
    }
}

/// The result of verifying a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verification {
    /// The entries, each of which is unchanged and follows from the one before it.
    pub verified: Verified,
    /// The first entry that must be there, as the log itself says.
    pub oldest: u64,
}

/// Verifies a log, and looks for an entry that was noted elsewhere.
///
/// # Errors
/// The first break, with the file.
pub fn verify(folder: &Path, noted: Option<EventRef>) -> Result<Verification, SiteLogError> {
    // A writer is not in the middle of a line.
    let lock = File::open(folder.join(LOCK)).and_then(|file| file.lock_shared().map(|()| file));
    let mut verifier = Verifier::expecting(noted);
    let mut broken = None;
    let mut oldest = 0;
    let mut first = None;
    let mut follower = Follower::new(folder);
    follower.each(|line| {
        if broken.is_some() {
            return;
        }
        broken = verifier.line(line).err();
        let value: Value = serde_json::from_str(line).unwrap_or_default();
        first = first.or_else(|| value["sequence"].as_u64());
        if value["kind"] == "rotated" {
            oldest = value["oldest"].as_u64().unwrap_or(oldest);
        }
    })?;
    let path = follower.path();
    let at = |broken| SiteLogError::Broken { path: path.clone(), broken };
    if let Some(broken) = broken {
        return Err(at(broken));
    }
    if follower.is_torn()? {
        let reason = "it is incomplete, after a crash or because its end was cut".to_owned();
        return Err(SiteLogError::Damaged { path, reason });
    }
    drop(lock);
    let verified = verifier.finish().map_err(at)?;
    if let Some(found) = first.filter(|found| *found > oldest) {
        return Err(at(Broken::Missing { from: oldest, found }));
    }
    Ok(Verification { verified, oldest })
}
