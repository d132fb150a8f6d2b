//! The counts behind the limits on jobs and days. They are in a small file, `usage.json`, that is written
//! before what it counts happens, so that neither a restart nor a clock that goes back gives anything back.

mod usage;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eosfed_common::clock::Clock;
use eosfed_common::ids::{AssignmentId, JobId};

use crate::policy::Limits;
use crate::site::{Site, SiteError};

pub use usage::{Demand, Direction, Spent, Usage};

/// The file's name.
const FILE: &str = "usage.json";
/// Bytes that are counted at once, so that the file is not written for each chunk.
const BLOCK: u64 = 16_000_000;

/// Why bytes may not go.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// A limit is reached.
    #[error("{}", .0.message)]
    Spent(Spent),
    /// The counts cannot be written.
    #[error(transparent)]
    Site(#[from] SiteError),
}

/// The counts; clones share them.
#[derive(Debug, Clone)]
pub struct Budgets(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    site: Site,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    usage: Usage,
    /// Bytes that are counted already and have not gone.
    reserved: BTreeMap<(JobId, Direction), u64>,
}

impl Budgets {
    /// The counts of a state folder.
    ///
    /// # Errors
    /// If the file holds something else.
    pub fn open(site: &Site, clock: Arc<dyn Clock>) -> Result<Self, SiteError> {
        let usage = site.read_json(FILE)?.unwrap_or_default();
        let inner = Mutex::new(Inner { usage, reserved: BTreeMap::new() });
        Ok(Self(Arc::new(Shared { site: site.clone(), clock, inner })))
    }

    /// The limits that an assignment would exceed.
    #[must_use]
    pub fn objections(&self, limits: &Limits, id: &AssignmentId, demand: Demand) -> Vec<Spent> {
        self.lock().usage.objections(limits, id, demand)
    }

    /// Counts an assignment, before it is accepted.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn take_assignment(&self, id: &AssignmentId) -> Result<(), SiteError> {
        self.change(&mut self.lock(), |usage| usage.take_assignment(id))
    }

    /// Takes back an assignment that was not granted.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn give_back_assignment(&self, id: &AssignmentId) -> Result<(), SiteError> {
        self.change(&mut self.lock(), |usage| usage.give_back_assignment(id))
    }

    /// Counts bytes, before they go. More than these are counted on the disk at first; [`Self::settle`] takes
    /// back what did not go.
    ///
    /// # Errors
    /// If a limit is reached, or the counts cannot be written.
    pub fn take(
        &self,
        limits: &Limits,
        job: &JobId,
        direction: Direction,
        bytes: u64,
    ) -> Result<(), NotTaken> {
        let mut inner = self.lock();
        let key = (job.clone(), direction);
        let reserved = inner.reserved.get(&key).copied().unwrap_or(0);
        let missing = bytes.saturating_sub(reserved);
        let mut spent = inner.usage.bytes(limits, job, direction, bytes, reserved);
        if !spent.is_empty() {
            return Err(NotTaken::Spent(spent.swap_remove(0)));
        }
        if missing > 0 {
            let block = missing.max(BLOCK);
            let fits = inner.usage.bytes(limits, job, direction, block, 0).is_empty();
            let counted = if fits { block } else { missing };
            self.change(&mut inner, |usage| usage.take(job, direction, counted))?;
            inner.reserved.insert(key, reserved + counted - bytes);
        } else {
            inner.reserved.insert(key, reserved - bytes);
        }
        Ok(())
    }

    /// Takes back bytes that were counted and did not go, and what [`Self::take`] has counted in addition.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn give_back_bytes(&self, job: &JobId, direction: Direction, bytes: u64) -> Result<(), SiteError> {
        if bytes > 0 {
            self.change(&mut self.lock(), |usage| usage.give_back(job, direction, bytes))?;
        }
        self.settle(job, direction)
    }

    /// Takes back what was counted in addition.
    ///
    /// # Errors
    /// If that cannot be written. It is tried again the next time.
    pub fn settle(&self, job: &JobId, direction: Direction) -> Result<(), SiteError> {
        let mut inner = self.lock();
        let key = (job.clone(), direction);
        let Some(reserved) = inner.reserved.get(&key).copied().filter(|bytes| *bytes > 0) else {
            return Ok(());
        };
        self.change(&mut inner, |usage| usage.give_back(job, direction, reserved))?;
        inner.reserved.remove(&key);
        Ok(())
    }

    /// Writes the counts with a change. After an error they are as before.
    fn change(&self, inner: &mut Inner, change: impl FnOnce(&mut Usage)) -> Result<(), SiteError> {
        let mut usage = inner.usage.clone();
        change(&mut usage);
        self.0.site.write_json(FILE, &usage)?;
        inner.usage = usage;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.usage.look_at(self.0.clock.now()) {
            // What was counted on another day is not taken back from this one.
            inner.reserved.clear();
        }
        inner
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::clock::{ManualClock, Timestamp};

    use super::*;
    use crate::policy::Limit;

    fn budgets(folder: &tempfile::TempDir) -> Budgets {
        let clock = Arc::new(ManualClock::new(Timestamp(1_795_000_000_000)));
        Budgets::open(&Site::at(folder.path()), clock).unwrap()
    }

    fn limits(most: u64) -> Limits {
        let most = Limit::AtMost(most);
        Limits { assignments_per_job: most, upload_mb_per_job: most, ..Limits::default() }
    }

    #[test]
    fn counts_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let id: AssignmentId = "j-0a1b2c3d.0.1.west".parse().unwrap();
        budgets(&folder).take_assignment(&id).unwrap();
        let spent = budgets(&folder).objections(&limits(1), &id, Demand::default());
        assert!(spent.len() == 1 && spent[0].message.contains("assignments_per_job"), "{spent:?}");
        budgets(&folder).give_back_assignment(&id).unwrap();
        assert_eq!(budgets(&folder).objections(&limits(1), &id, Demand::default()), []);
        std::fs::write(folder.path().join(FILE), "{}").unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp(0)));
        let error = Budgets::open(&Site::at(folder.path()), clock).unwrap_err().to_string();
        assert!(error.contains("usage.json"), "{error}");
    }

    #[test]
    fn bytes_are_on_the_disk_before_they_go_and_what_did_not_go_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let job: JobId = "j-0a1b2c3d".parse().unwrap();
        let up = Direction::Up;
        let first = budgets(&folder);
        let limits = limits(20);
        first.take(&limits, &job, up, 300_000).unwrap();
        // A crash: the block is counted.
        let after = budgets(&folder);
        assert!(after.take(&limits, &job, up, 4_000_001).is_err());
        after.take(&limits, &job, up, 4_000_000).unwrap();
        let Err(NotTaken::Spent(spent)) = after.take(&limits, &job, up, 1) else { panic!("it is spent") };
        assert!(spent.message.contains("`limits.upload_mb_per_job` is 20, and 20 MB are used"), "{spent:?}");
        // In order: it is not.
        let folder = tempfile::tempdir().unwrap();
        let first = budgets(&folder);
        first.take(&limits, &job, up, 300_000).unwrap();
        first.settle(&job, up).unwrap();
        budgets(&folder).take(&limits, &job, up, 19_700_000).unwrap();
    }
}
