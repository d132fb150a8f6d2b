//! The counts behind the limits on jobs and days. They are in a small file, `usage.json`, that is written
//! before what it counts happens, so that neither a restart nor a clock that goes back gives anything back.

mod usage;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eosfed_common::clock::Clock;
use eosfed_common::ids::{AssignmentId, JobId};

use crate::policy::Limits;
use crate::site::{Site, SiteError};

pub use usage::{Demand, Direction, Spent, Usage, Used, UsedByJob, UsedCounts};

/// The file's name.
const FILE: &str = "usage.json";
/// Bytes that are counted at once, so that the file is not written for each chunk.
const BLOCK: u64 = 16_000_000;
/// The same for messages of fewer bytes than these, such as heartbeats. After a crash, what was counted in
/// addition stays counted.
const SMALL_BLOCK: u64 = 64_000;

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

impl Inner {
    /// Bytes that are counted already and have not gone.
    fn reserved(&self, job: &JobId, direction: Direction) -> u64 {
        self.reserved.get(&(job.clone(), direction)).copied().unwrap_or(0)
    }

    /// Whether so many bytes more are within the limits.
    fn admit(&self, limits: &Limits, job: &JobId, direction: Direction, bytes: u64) -> Result<(), NotTaken> {
        let reserved = self.reserved(job, direction);
        let spent = self.usage.bytes(limits, job, direction, bytes, reserved);
        spent.into_iter().next().map_or(Ok(()), |spent| Err(NotTaken::Spent(spent)))
    }
}

/// The counts of a state folder, as they are on the disk.
///
/// # Errors
/// If the file holds something else.
pub fn usage(site: &Site) -> Result<Usage, SiteError> {
    Ok(site.read_json(FILE)?.unwrap_or_default())
}

impl Budgets {
    /// The counts of a state folder.
    ///
    /// # Errors
    /// If the file holds something else.
    pub fn open(site: &Site, clock: Arc<dyn Clock>) -> Result<Self, SiteError> {
        let usage = usage(site)?;
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

    /// Counts bytes of an assignment, before they go. More than these are counted on the disk at first;
    /// [`Self::settle`] takes back what did not go.
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
        inner.admit(limits, job, direction, bytes)?;
        Ok(self.draw(&mut inner, Some(limits), job, direction, bytes)?)
    }

    /// Counts bytes of an offer, as far as they have come, or before they are fetched. Those of a job without
    /// an accepted assignment count for the day alone.
    ///
    /// # Errors
    /// If a limit is reached, or the counts cannot be written.
    pub fn take_of_offer(
        &self,
        limits: &Limits,
        job: &JobId,
        direction: Direction,
        bytes: u64,
    ) -> Result<(), NotTaken> {
        let mut inner = self.lock();
        inner.admit(limits, job, direction, bytes)?;
        Ok(self.note(&mut inner, job, direction, bytes)?)
    }

    /// Counts bytes that no limit holds back, such as a refusal. They count as those of
    /// [`Self::take_of_offer`] do.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn count(&self, job: &JobId, direction: Direction, bytes: u64) -> Result<(), SiteError> {
        self.note(&mut self.lock(), job, direction, bytes)
    }

    fn note(
        &self,
        inner: &mut Inner,
        job: &JobId,
        direction: Direction,
        bytes: u64,
    ) -> Result<(), SiteError> {
        if inner.usage.knows(job) {
            return self.draw(inner, None, job, direction, bytes);
        }
        self.change(inner, |usage| usage.take_of_day(direction, bytes))
    }

    /// Counts bytes from those that were counted in advance, and more of these if they are not enough and no
    /// limit is in the way.
    fn draw(
        &self,
        inner: &mut Inner,
        limits: Option<&Limits>,
        job: &JobId,
        direction: Direction,
        bytes: u64,
    ) -> Result<(), SiteError> {
        let key = (job.clone(), direction);
        let reserved = inner.reserved(job, direction);
        let missing = bytes.saturating_sub(reserved);
        let mut counted = missing;
        if missing > 0 {
            let block = missing.max(if bytes < SMALL_BLOCK { SMALL_BLOCK } else { BLOCK });
            let fits = |limits| inner.usage.bytes(limits, job, direction, block, 0).is_empty();
            if limits.is_none_or(fits) {
                counted = block;
            }
            self.change(inner, |usage| usage.take(job, direction, counted))?;
        }
        inner.reserved.insert(key, reserved + counted - bytes);
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

    #[test]
    fn offers_of_an_unknown_job_count_for_the_day_and_leave_no_job_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (job, id): (JobId, AssignmentId) =
            ("j-0a1b2c3d".parse().unwrap(), "j-0a1b2c3d.0.1.west".parse().unwrap());
        let limits = Limits { download_mb_per_day: Limit::AtMost(3), ..Limits::default() };
        let budgets = budgets(&folder);
        let take = |bytes| budgets.take_of_offer(&limits, &job, Direction::Down, bytes);
        take(1_000_000).unwrap();
        budgets.count(&job, Direction::Down, 500_000).unwrap();
        let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(text.contains("1500000") && !text.contains("j-0a1b2c3d"), "{text}");
        budgets.take_assignment(&id).unwrap();
        take(1_400_000).unwrap();
        let Err(NotTaken::Spent(spent)) = take(200_000) else { panic!("it is spent") };
        assert!(spent.message.contains("`limits.download_mb_per_day` is 3"), "{spent:?}");
        // What no limit holds back is counted all the same.
        budgets.count(&job, Direction::Down, 200_000).unwrap();
        budgets.settle(&job, Direction::Down).unwrap();
        let kept: Usage = Site::at(folder.path()).read_json(FILE).unwrap().unwrap();
        let spent = kept.bytes(&limits, &job, Direction::Down, 1, 0);
        assert!(spent[0].message.contains("3.1 MB are used"), "{spent:?}");
    }

    #[test]
    fn small_messages_are_written_down_once_for_many() {
        let folder = tempfile::tempdir().unwrap();
        let job: JobId = "j-0a1b2c3d".parse().unwrap();
        let up = Direction::Up;
        let counts = budgets(&folder);
        let path = folder.path().join(FILE);
        counts.take(&limits(20), &job, up, 300).unwrap();
        let first = std::fs::read(&path).unwrap();
        (0..200).for_each(|_| counts.take(&limits(20), &job, up, 300).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), first);
        // A crash costs no more than one small block.
        let after = budgets(&folder);
        after.take(&limits(20), &job, up, 19_936_000).unwrap();
        assert!(after.take(&limits(20), &job, up, 1).is_err());
    }
}
