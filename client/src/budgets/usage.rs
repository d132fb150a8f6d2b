//! What was used of the limits on jobs and days, as `usage.json` of the state folder holds it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{AssignmentId, JobId};
use eosfed_common::quantity::{self, bytes_apart};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::{Limit, Limits};

const DAY: u64 = 86_400_000;
/// Most jobs whose counts are kept.
const MAX_JOBS: usize = 4096;
/// Days after which a job's counts may be forgotten, if there are more jobs.
const FORGET_AFTER: u64 = 90;
/// Most rounds of a job that can be told apart, whatever the policy allows.
const MAX_ROUNDS: u64 = 100_000;

/// The way that bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// To the coordinator.
    Up,
    /// From the coordinator.
    Down,
}

/// The counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// The newest day that was seen, in days since the epoch. A clock that goes back does not change it.
    day: u64,
    today: Counts,
    jobs: BTreeMap<JobId, JobUsage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    assignments: u64,
    bytes_up: u64,
    bytes_down: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JobUsage {
    rounds: BTreeSet<u32>,
    counts: Counts,
    /// The day of the last change.
    day: u64,
}

/// What is used of the limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Used {
    /// The begin of the day (UTC) that is counted, RFC 3339.
    pub day: String,
    /// What is used on it.
    pub today: UsedCounts,
    /// What jobs have used, those that changed last first.
    pub jobs: Vec<UsedByJob>,
    /// The number of jobs that are not listed.
    pub further_jobs: u64,
}

/// What a job has used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UsedByJob {
    /// The job.
    pub job: JobId,
    /// Its rounds.
    pub rounds: u64,
    /// The counts.
    #[serde(flatten)]
    pub used: UsedCounts,
}

/// Assignments and bytes that count for limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UsedCounts {
    /// Assignments.
    pub assignments: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes fetched.
    pub fetched_bytes: u64,
}

/// A limit that is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// The limit, what is used of it, and when it resets.
    pub message: String,
    /// When the day's counts begin anew; absent for a limit of a job.
    pub until: Option<Timestamp>,
}

/// What an assignment needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// Most bytes of its weights and its report.
    pub up: u64,
    /// Bytes that it declares to be fetched.
    pub down: u64,
}

impl Counts {
    const fn used(self) -> UsedCounts {
        let Self { assignments, bytes_up, bytes_down } = self;
        UsedCounts { assignments, sent_bytes: bytes_up, fetched_bytes: bytes_down }
    }

    const fn bytes(&mut self, direction: Direction) -> &mut u64 {
        match direction {
            Direction::Up => &mut self.bytes_up,
            Direction::Down => &mut self.bytes_down,
        }
    }
}

/// Whose limit it is.
#[derive(Clone, Copy)]
enum Scope<'a> {
    Job(&'a JobId),
    Day,
}

impl Usage {
    /// Begins a new day, if it is one, and says so.
    pub fn look_at(&mut self, now: Timestamp) -> bool {
        let day = now.0 / DAY;
        let new = day > self.day;
        if new {
            self.day = day;
            self.today = Counts::default();
        }
        new
    }

    /// The limits that an assignment would exceed.
    #[must_use]
    pub fn objections(&self, limits: &Limits, id: &AssignmentId, demand: Demand) -> Vec<Spent> {
        let job = self.of_job(&id.job);
        let scope = || Scope::Job(&id.job);
        let mut spent = Vec::new();
        let limit = match limits.rounds_per_job {
            Limit::AtMost(most) if most <= MAX_ROUNDS => limits.rounds_per_job,
            Limit::AtMost(_) | Limit::Unlimited => Limit::AtMost(MAX_ROUNDS),
        };
        let more = u64::from(!job.rounds.contains(&id.round));
        spent.extend(self.number("rounds_per_job", limit, scope(), job.rounds.len() as u64, more));
        let used = job.counts.assignments;
        spent.extend(self.number("assignments_per_job", limits.assignments_per_job, scope(), used, 1));
        let used = self.today.assignments;
        spent.extend(self.number("assignments_per_day", limits.assignments_per_day, Scope::Day, used, 1));
        for (direction, bytes) in [(Direction::Up, demand.up), (Direction::Down, demand.down)] {
            spent.extend(self.bytes(limits, &id.job, direction, bytes, 0));
        }
        if !self.jobs.contains_key(&id.job) && self.jobs.len() >= MAX_JOBS && self.oldest().is_none() {
            let message =
                format!("the counts of {MAX_JOBS} jobs are kept, and none is {FORGET_AFTER} days old");
            spent.push(Spent { message, until: None });
        }
        spent
    }

    /// The limits that so many bytes would exceed, where so many are counted already and have not gone. The
    /// limit of the job comes first.
    #[must_use]
    pub fn bytes(
        &self,
        limits: &Limits,
        job: &JobId,
        direction: Direction,
        bytes: u64,
        reserved: u64,
    ) -> Vec<Spent> {
        let (per_job, per_day, word) = match direction {
            Direction::Up => (limits.upload_mb_per_job, limits.upload_mb_per_day, "upload"),
            Direction::Down => (limits.download_mb_per_job, limits.download_mb_per_day, "download"),
        };
        let mut today = self.today;
        let mut of_job = self.of_job(job).counts;
        let all = [
            (format!("{word}_mb_per_job"), per_job, Scope::Job(job), *of_job.bytes(direction)),
            (format!("{word}_mb_per_day"), per_day, Scope::Day, *today.bytes(direction)),
        ];
        let spent = all.into_iter().filter_map(|(key, limit, scope, used)| {
            let used = used.saturating_sub(reserved);
            let Limit::AtMost(most) = limit.megabytes() else { return None };
            if bytes == 0 || used.saturating_add(bytes) <= most {
                return None;
            }
            let [left, needed] = bytes_apart(most.saturating_sub(used), bytes);
            let used = quantity::bytes(used);
            let used = format!("{used} are used, {left} are left, and {needed} are needed");
            Some(self.spent(&key, limit, scope, &used))
        });
        spent.collect()
    }

    fn number(&self, key: &str, limit: Limit, scope: Scope<'_>, used: u64, more: u64) -> Option<Spent> {
        if limit.admits(used.saturating_add(more)) {
            return None;
        }
        Some(self.spent(key, limit, scope, &format!("{used} are used")))
    }

    fn spent(&self, key: &str, limit: Limit, scope: Scope<'_>, used: &str) -> Spent {
        match scope {
            Scope::Job(job) => Spent {
                message: format!("`limits.{key}` is {limit}, and {used} by job {job}; it does not reset"),
                until: None,
            },
            Scope::Day => {
                let until = Timestamp(self.day.saturating_add(1).saturating_mul(DAY));
                let message = format!("`limits.{key}` is {limit}, and {used}; it resets at {until}");
                Spent { message, until: Some(until) }
            }
        }
    }

    /// Counts an assignment.
    pub fn take_assignment(&mut self, id: &AssignmentId) {
        self.today.assignments = self.today.assignments.saturating_add(1);
        let job = self.job_mut(&id.job);
        job.counts.assignments = job.counts.assignments.saturating_add(1);
        job.rounds.insert(id.round);
    }

    /// Takes back an assignment that was counted and not granted. Its round stays counted.
    pub fn give_back_assignment(&mut self, id: &AssignmentId) {
        self.today.assignments = self.today.assignments.saturating_sub(1);
        let job = self.job_mut(&id.job);
        job.counts.assignments = job.counts.assignments.saturating_sub(1);
    }

    /// What is used on this day, and by the `most` jobs that changed last.
    #[must_use]
    pub fn used(&self, now: Timestamp, most: usize) -> Used {
        let day = self.day.max(now.0 / DAY);
        let today = if day > self.day { Counts::default() } else { self.today };
        let mut jobs: Vec<_> = self.jobs.iter().collect();
        jobs.sort_by_key(|(_, usage)| std::cmp::Reverse(usage.day));
        let further_jobs = jobs.len().saturating_sub(most) as u64;
        let of_job = |(job, usage): (&JobId, &JobUsage)| UsedByJob {
            job: job.clone(),
            rounds: usage.rounds.len() as u64,
            used: usage.counts.used(),
        };
        Used {
            day: Timestamp(day.saturating_mul(DAY)).to_string(),
            today: today.used(),
            jobs: jobs.into_iter().take(most).map(of_job).collect(),
            further_jobs,
        }
    }

    /// Whether an assignment of a job was counted.
    #[must_use]
    pub fn knows(&self, job: &JobId) -> bool {
        self.jobs.contains_key(job)
    }

    /// Counts bytes of an offer of a job that is not known, for the day alone.
    pub fn take_of_day(&mut self, direction: Direction, bytes: u64) {
        let today = self.today.bytes(direction);
        *today = today.saturating_add(bytes);
    }

    /// Counts bytes.
    pub fn take(&mut self, job: &JobId, direction: Direction, bytes: u64) {
        let of_job = self.job_mut(job).counts.bytes(direction);
        *of_job = of_job.saturating_add(bytes);
        self.take_of_day(direction, bytes);
    }

    /// Takes back bytes that were counted and did not go.
    pub fn give_back(&mut self, job: &JobId, direction: Direction, bytes: u64) {
        let of_job = self.job_mut(job).counts.bytes(direction);
        *of_job = of_job.saturating_sub(bytes);
        let today = self.today.bytes(direction);
        *today = today.saturating_sub(bytes);
    }

    fn of_job(&self, job: &JobId) -> JobUsage {
        self.jobs.get(job).cloned().unwrap_or_default()
    }

    fn job_mut(&mut self, job: &JobId) -> &mut JobUsage {
        if !self.jobs.contains_key(job)
            && self.jobs.len() >= MAX_JOBS
            && let Some(oldest) = self.oldest()
        {
            self.jobs.remove(&oldest);
        }
        let day = self.day;
        let usage = self.jobs.entry(job.clone()).or_default();
        usage.day = day;
        usage
    }

    /// A job whose counts may be forgotten.
    fn oldest(&self) -> Option<JobId> {
        let (job, usage) = self.jobs.iter().min_by_key(|(_, usage)| usage.day)?;
        (usage.day.saturating_add(FORGET_AFTER) <= self.day).then(|| job.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(20_000 * DAY + DAY / 2);

    fn limits() -> Limits {
        Limits {
            rounds_per_job: Limit::AtMost(2),
            assignments_per_job: Limit::AtMost(4),
            assignments_per_day: Limit::AtMost(5),
            upload_mb_per_job: Limit::AtMost(3),
            upload_mb_per_day: Limit::AtMost(4),
            download_mb_per_job: Limit::AtMost(1),
            download_mb_per_day: Limit::AtMost(2),
        }
    }

    fn id(job: u32, round: u32, attempt: u32) -> AssignmentId {
        format!("j-{job:08x}.{round}.{attempt}.west").parse().unwrap()
    }

    fn said(usage: &Usage, id: &AssignmentId, demand: Demand) -> String {
        let spent = usage.objections(&limits(), id, demand);
        spent.into_iter().map(|spent| spent.message).collect::<Vec<_>>().join("\n")
    }

    fn at_noon() -> Usage {
        let mut usage = Usage::default();
        usage.look_at(NOON);
        usage
    }

    #[test]
    fn rounds_are_counted_once_and_attempts_each_time() {
        let mut usage = at_noon();
        for attempt in 1..=3 {
            usage.take_assignment(&id(1, 0, attempt));
        }
        assert_eq!(said(&usage, &id(1, 900, 1), Demand::default()), "", "one more round and assignment");
        usage.take_assignment(&id(1, 900, 1));
        let all = said(&usage, &id(1, 7, 1), Demand::default());
        assert!(all.contains("`limits.rounds_per_job` is 2, and 2 are used by job j-00000001"), "{all}");
        assert!(all.contains("`limits.assignments_per_job` is 4, and 4 are used"), "{all}");
        assert!(all.contains("does not reset"), "{all}");
        let known = said(&usage, &id(1, 900, 2), Demand::default());
        assert!(!known.contains("rounds_per_job") && known.contains("assignments_per_job"), "{known}");
        usage.take_assignment(&id(2, 0, 1));
        let of_day = said(&usage, &id(3, 0, 1), Demand::default());
        assert_eq!(
            of_day,
            "`limits.assignments_per_day` is 5, and 5 are used; it resets at 2024-10-05T00:00:00Z"
        );
        usage.give_back_assignment(&id(2, 0, 1));
        assert_eq!(said(&usage, &id(3, 0, 1), Demand::default()), "");
    }

    #[test]
    fn bytes_are_counted_for_the_job_and_for_the_day() {
        let mut usage = at_noon();
        let job = id(1, 0, 1).job;
        let demand = |up, down| Demand { up, down };
        assert_eq!(said(&usage, &id(1, 0, 1), demand(3_000_000, 1_000_000)), "");
        let all = said(&usage, &id(1, 0, 1), demand(3_000_001, 1_000_001));
        assert!(
            all.contains(
                "upload_mb_per_job` is 3, and 0 B are used, 3 MB are left, and 3.000001 MB are needed"
            ),
            "{all}"
        );
        assert!(all.contains("download_mb_per_job") && !all.contains("per_day"), "{all}");
        usage.take(&job, Direction::Up, 2_500_000);
        usage.take(&id(2, 0, 1).job, Direction::Up, 1_000_000);
        let spent = usage.bytes(&limits(), &job, Direction::Up, 600_000, 0);
        assert!(spent.len() == 2 && spent[0].until.is_none() && spent[1].until.is_some(), "{spent:?}");
        assert_eq!(usage.bytes(&limits(), &job, Direction::Down, 600_000, 0), []);
        assert_eq!(usage.bytes(&limits(), &job, Direction::Up, 600_000, 500_000), []);
        usage.give_back(&job, Direction::Up, 500_000);
        assert_eq!(usage.bytes(&limits(), &job, Direction::Up, 600_000, 0), []);
        assert_eq!(usage.bytes(&limits(), &job, Direction::Up, 0, 0), []);
    }

    #[test]
    fn a_day_ends_at_midnight_and_a_clock_that_goes_back_brings_no_new_one() {
        let mut usage = at_noon();
        (0..5).for_each(|round| usage.take_assignment(&id(round, 0, 1)));
        let next = id(9, 0, 1);
        for (now, free) in [
            (Timestamp(NOON.0 + DAY / 2 - 1), false),
            (Timestamp(0), false),
            (Timestamp(NOON.0 - 3 * DAY), false),
            (Timestamp(NOON.0 + DAY / 2), true),
        ] {
            usage.look_at(now);
            assert_eq!(usage.objections(&limits(), &next, Demand::default()).is_empty(), free, "{now}");
        }
        assert!(usage.jobs.values().all(|job| job.counts.assignments == 1), "jobs keep their counts");
    }

    #[test]
    fn the_number_of_jobs_is_bounded_and_only_old_counts_are_forgotten() {
        let unlimited = Limits { assignments_per_day: Limit::Unlimited, ..limits() };
        let mut usage = at_noon();
        let most = u32::try_from(MAX_JOBS).unwrap();
        (0..most).for_each(|job| usage.take_assignment(&id(job, 0, 1)));
        let next = id(most, 0, 1);
        let spent = usage.objections(&unlimited, &next, Demand::default());
        assert!(spent.len() == 1 && spent[0].message.contains("none is 90 days old"), "{spent:?}");
        usage.look_at(Timestamp(NOON.0 + FORGET_AFTER * DAY));
        assert_eq!(usage.objections(&unlimited, &next, Demand::default()), []);
        usage.take_assignment(&next);
        assert!(usage.jobs.len() == MAX_JOBS && usage.jobs.contains_key(&next.job));
    }
}
