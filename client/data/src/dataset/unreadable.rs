//! Which samples cannot be read. Parts are read one after another, and by several readers, but the share of files that may
//! be unreadable (`max_corrupt_share`) is one of the whole data set: what is found in all parts counts together, each
//! sample once.

use std::sync::{Mutex, PoisonError};

use super::Dataset;
use crate::error::DataError;
use crate::reasons::Groups;

/// What is known of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    NotRead,
    Readable,
    Unreadable,
}

/// What is known of the samples of a data set.
#[derive(Debug, Default)]
pub(super) struct Unreadable(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    samples: Vec<State>,
    /// Files that were read, readable or not.
    read: usize,
    groups: Groups,
}

impl Known {
    fn put(&mut self, position: u32, state: State, reason: impl FnOnce(&mut Groups)) {
        let Some(known) = self.samples.get_mut(position as usize) else { return };
        // What could not be read once stays counted, and once.
        if *known == State::Unreadable {
            return;
        }
        self.read += usize::from(*known == State::NotRead);
        *known = state;
        if state == State::Unreadable {
            reason(&mut self.groups);
        }
    }
}

impl Unreadable {
    /// Of so many samples, none of which has been read, and of files that could not be opened.
    pub(super) fn new(samples: usize, broken: &Groups) -> Self {
        let read = usize::try_from(broken.files()).unwrap_or(usize::MAX);
        Self(Mutex::new(Known { samples: vec![State::NotRead; samples], read, groups: broken.clone() }))
    }

    fn put(&self, position: u32, state: State, reason: impl FnOnce(&mut Groups)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(position, state, reason);
    }
}

impl Dataset {
    /// Remembers whether a sample could be read.
    pub(crate) fn has_read<T>(&self, position: u32, result: &Result<T, DataError>) {
        match result {
            Ok(_) => self.unreadable.put(position, State::Readable, |_| ()),
            Err(error) => self.unreadable.put(position, State::Unreadable, |groups| groups.add(error)),
        }
    }

    /// Remembers what is known of a sample from an earlier reading: what was wrong with it, if something was.
    pub(crate) fn is_known(&self, position: u32, wrong: Option<&str>) {
        let Some(wrong) = wrong else { return self.unreadable.put(position, State::Readable, |_| ()) };
        self.unreadable.put(position, State::Unreadable, |groups| {
            let mut grouped = false;
            self.each_file(position, &mut |file| {
                let name = format!("{}: ", file.display());
                if let Some(reason) = wrong.strip_prefix(&name).filter(|_| !grouped) {
                    groups.file(file, reason);
                    grouped = true;
                }
            });
            if !grouped {
                groups.other(wrong);
            }
        });
    }

    /// Whether so many files may be unreadable as were found in all parts that have been read.
    pub(crate) fn tolerable(&self) -> Result<(), DataError> {
        let known = self.unreadable.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.judged(&known.groups, self.files(), known.read)
    }

    /// Whether so many files of `total` may be unreadable, of which `read` have been read.
    pub(crate) fn judged(&self, groups: &Groups, total: usize, read: usize) -> Result<(), DataError> {
        if groups.files() as f64 <= self.config.max_corrupt_share * total as f64 {
            return Ok(());
        }
        Err(self.too_many_corrupt(groups, total, read))
    }

    pub(crate) fn too_many_corrupt(&self, groups: &Groups, total: usize, read: usize) -> DataError {
        let reasons = groups.clone().list().iter().map(ToString::to_string).collect();
        let share = self.config.max_corrupt_share.to_string();
        DataError::TooManyCorrupt { files: groups.files(), total, read, share, reasons }
    }
}
