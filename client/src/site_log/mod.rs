//! The site log: what a coordinator has asked of this institution, what was decided, what was sent, and by
//! whose approval. It is written before anything is sent; while it cannot be written, nothing is.
//!
//! The log is a folder of files of JSON lines, each named by the number of its first entry. The entries are
//! chained as the events of a coordinator's ledger are ([`eosfed_common::ledger`]), from file to file, so that
//! an entry that was changed or removed is found. The daemon and `eosfed-client approve` write, one at a time.

mod entry;
mod file;
mod page;
mod read;
mod words;
mod write;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eosfed_common::clock::Clock;
use eosfed_common::ledger::Broken;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use entry::{Approved, Entry, EntryKind, NoisedUpdate, Record, Sending, Why};
pub use page::{LogPage, LogQuery, end, page};
pub use read::{Follower, Verification, verify};

pub(crate) use entry::{lines, name, text};
use write::Writer;

/// Most entries that wait for the log to be writable again.
const MAX_PENDING: usize = 100;

/// The table `site_log` of `client.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SiteLogSettings {
    /// Size at which a new file is begun, in MiB.
    #[schemars(range(min = 1, max = 1024))]
    pub file_mib: u64,
    /// The number of files that are kept.
    #[schemars(range(min = 2, max = 10_000))]
    pub files: usize,
}

impl Default for SiteLogSettings {
    fn default() -> Self {
        Self { file_mib: 8, files: 32 }
    }
}

impl SiteLogSettings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// A sentence with the key and the value found.
    pub fn check(&self) -> Result<(), String> {
        let Self { file_mib, files } = self;
        if !(1..=1024).contains(file_mib) {
            return Err(format!("`site_log.file_mib` must be between 1 and 1024, found `{file_mib}`"));
        }
        if !(2..=10_000).contains(files) {
            return Err(format!("`site_log.files` must be between 2 and 10000, found `{files}`"));
        }
        Ok(())
    }

    const fn max_bytes(&self) -> u64 {
        self.file_mib << 20
    }
}

/// Why the site log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SiteLogError {
    /// A file of it cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Its end is not an entry, so nothing can follow it.
    #[error(
        "{path} is not the end of a site log: {reason}; `eosfed-client log verify` says what \
         is damaged; keep the folder as evidence, and move it away to begin a new log",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The chain is broken.
    #[error("{path}: {broken}", path = path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The first break.
        broken: Broken,
    },
}

impl SiteLogError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// The writing end of the site log; clones share it.
#[derive(Debug, Clone)]
pub struct SiteLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    writer: Writer,
    /// Entries that could not be written yet.
    pending: Vec<Entry>,
    /// Entries that need not be repeated, such as those of another try.
    known: BTreeSet<Entry>,
}

impl SiteLog {
    /// The log in this folder, which is made by the first entry.
    #[must_use]
    pub fn new(folder: &Path, settings: SiteLogSettings, clock: Arc<dyn Clock>) -> Self {
        let writer = Writer::new(folder, settings.max_bytes(), settings.files);
        let inner = Inner { writer, pending: Vec::new(), known: BTreeSet::new() };
        Self(Arc::new(Shared { clock, inner: Mutex::new(inner) }))
    }

    /// Writes an entry to the disk. The caller does what it says after that only.
    ///
    /// # Errors
    /// If it is not on the disk.
    pub fn record(&self, entry: Entry) -> Result<(), SiteLogError> {
        let mut inner = self.lock();
        self.flush(&mut inner)?;
        inner.writer.append(self.0.clock.now(), entry)
    }

    /// As [`Self::record`], unless the same entry was written since [`Self::forget`].
    ///
    /// # Errors
    /// If it is not on the disk.
    pub fn record_once(&self, entry: Entry) -> Result<(), SiteLogError> {
        if self.lock().known.contains(&entry) {
            return Ok(());
        }
        self.record(entry.clone())?;
        self.lock().known.insert(entry);
        Ok(())
    }

    /// Forgets the entries of [`Self::record_once`] that `keep` does not want.
    pub fn forget(&self, keep: impl FnMut(&Entry) -> bool) {
        self.lock().known.retain(keep);
    }

    /// Writes an entry about what has happened already. If that is impossible now, it is written before the
    /// next one.
    pub fn note(&self, entry: Entry) {
        let mut inner = self.lock();
        if inner.pending.len() < MAX_PENDING {
            inner.pending.push(entry);
        } else {
            tracing::error!(?entry, "the site log cannot be written, and too much waits for it");
        }
        if let Err(error) = self.flush(&mut inner) {
            tracing::warn!(%error, "the site log cannot be written");
        }
    }

    fn flush(&self, inner: &mut Inner) -> Result<(), SiteLogError> {
        while let Some(entry) = inner.pending.first().cloned() {
            inner.writer.append(self.0.clock.now(), entry)?;
            inner.pending.remove(0);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
