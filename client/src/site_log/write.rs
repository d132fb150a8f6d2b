//! The writer of a site log. Before each line it takes the lock of the folder and looks whether another
//! process has written since.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use eosfed_common::clock::Timestamp;
use eosfed_common::ledger::{Event, EventRef, Verifier};
use eosfed_common::private::create_private_folder;

use super::file::{LOCK, end_of, firsts, path_of};
use super::{Entry, EntryKind, SiteLogError};

/// Nobody but the owner may read it.
const MODE: u32 = 0o600;

#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    max_bytes: u64,
    max_files: usize,
    /// Where the next line goes, as this process knows it.
    place: Option<Place>,
}

/// The end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// The newest file, by its first entry.
    first: u64,
    /// Its bytes.
    bytes: u64,
    /// The newest entry; absent in an empty log.
    last: Option<EventRef>,
}

impl Writer {
    pub(super) fn new(folder: &Path, max_bytes: u64, max_files: usize) -> Self {
        Self { folder: folder.to_owned(), max_bytes, max_files, place: None }
    }

    /// Appends an entry and syncs it to the disk.
    pub(super) fn append(&mut self, at: Timestamp, entry: Entry) -> Result<(), SiteLogError> {
        create_private_folder(&self.folder).map_err(SiteLogError::io(&self.folder))?;
        let path = self.folder.join(LOCK);
        let lock = OpenOptions::new().create(true).append(true).mode(MODE).open(&path);
        let lock = lock.and_then(|file| file.lock().map(|()| file)).map_err(SiteLogError::io(&path))?;
        let mut place = self.find_place(at)?;
        if place.bytes >= self.max_bytes
            && let Some(last) = place.last
        {
            place = Place { first: last.sequence + 1, bytes: 0, last: place.last };
            place = self.write(at, place, self.rotated(place.first)?)?;
            self.remove_oldest()?;
        }
        self.place = Some(self.write(at, place, entry)?);
        drop(lock);
        Ok(())
    }

    /// The end of the log. An incomplete last line is cut, and an entry says so.
    fn find_place(&self, at: Timestamp) -> Result<Place, SiteLogError> {
        let firsts = firsts(&self.folder)?;
        let Some(first) = firsts.last().copied() else { return Ok(Place { first: 0, bytes: 0, last: None }) };
        let path = path_of(&self.folder, first);
        if let Some(known) = self.place.filter(|known| known.first == first)
            && path.metadata().is_ok_and(|found| found.len() == known.bytes)
        {
            return Ok(known);
        }
        let failed = || SiteLogError::io(&path);
        let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(failed())?;
        let end = end_of(&mut file).map_err(failed())?;
        let last = match (&end.line, firsts.len().checked_sub(2)) {
            (Some(line), _) => Some(event_ref(&path, line)?),
            // A crash came between the file and its first line.
            (None, Some(before)) => self.last_of(firsts[before])?,
            (None, None) => None,
        };
        let mut place = Place { first, bytes: end.complete, last };
        if end.torn > 0 {
            file.set_len(end.complete).and_then(|()| file.sync_all()).map_err(failed())?;
            tracing::warn!(path = %path.display(), bytes = end.torn, "cut an incomplete last line of the site log");
            place = self.write(at, place, Entry::new(EntryKind::Mended { bytes: end.torn }))?;
        }
        Ok(place)
    }

    fn last_of(&self, first: u64) -> Result<Option<EventRef>, SiteLogError> {
        let path = path_of(&self.folder, first);
        let end =
            File::open(&path).and_then(|mut file| end_of(&mut file)).map_err(SiteLogError::io(&path))?;
        end.line.map(|line| event_ref(&path, &line)).transpose()
    }

    fn write(&self, at: Timestamp, place: Place, entry: Entry) -> Result<Place, SiteLogError> {
        let path = path_of(&self.folder, place.first);
        let event = Event::follow(place.last, at, entry);
        let line = format!("{}\n", event.to_line());
        append_line(&path, place.bytes, line.as_bytes()).map_err(SiteLogError::io(&path))?;
        if place.bytes == 0 {
            File::open(&self.folder).and_then(|it| it.sync_all()).map_err(SiteLogError::io(&self.folder))?;
        }
        Ok(Place { bytes: place.bytes + line.len() as u64, last: Some(event.event_ref()), ..place })
    }

    /// The entry of a new file: which entries are kept after the oldest files are removed.
    fn rotated(&self, new: u64) -> Result<Entry, SiteLogError> {
        let mut firsts = firsts(&self.folder)?;
        firsts.push(new);
        let oldest = firsts[firsts.len().saturating_sub(self.max_files)];
        Ok(Entry::new(EntryKind::Rotated { oldest }))
    }

    fn remove_oldest(&self) -> Result<(), SiteLogError> {
        let firsts = firsts(&self.folder)?;
        for first in &firsts[..firsts.len().saturating_sub(self.max_files)] {
            let path = path_of(&self.folder, *first);
            std::fs::remove_file(&path).map_err(SiteLogError::io(&path))?;
        }
        Ok(())
    }
}

/// Appends to a file of so many bytes. What was written of a line before an error is taken back.
fn append_line(path: &Path, bytes: u64, line: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).mode(MODE).open(path)?;
    let written = file.write_all(line).and_then(|()| file.sync_data());
    if written.is_err() {
        // If this fails too, the next writer cuts the line.
        let _ = file.set_len(bytes);
    }
    written
}

/// The number and the hash of a line, if it is an entry.
fn event_ref(path: &Path, line: &[u8]) -> Result<EventRef, SiteLogError> {
    let damaged = |reason: String| SiteLogError::Damaged { path: path.to_owned(), reason };
    let line = std::str::from_utf8(line).map_err(|error| damaged(error.to_string()))?;
    let mut verifier = Verifier::default();
    verifier.line(line).map_err(|broken| damaged(broken.to_string()))?;
    let verified = verifier.finish().map_err(|broken| damaged(broken.to_string()))?;
    verified.head.ok_or_else(|| damaged("it is empty".to_owned()))
}
