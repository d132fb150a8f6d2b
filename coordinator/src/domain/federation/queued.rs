//! Institutions that have not answered because they are at work for another job. They are shown as queued, and
//! their time does not run.

use std::collections::{BTreeMap, BTreeSet};

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{InstitutionName, JobId};
use eosfed_common::view::{ParticipantState as Shown, RoundView};

use super::Federation;
use crate::domain::job::Job;
use crate::domain::round::Round;

impl Federation {
    /// Says of each institution that has not answered in the open round of a job which other job it is at work for.
    pub fn mark_queued(&self, round: &mut RoundView) {
        let busy = self.at_work();
        for (name, one) in &mut round.participants {
            if one.state == Shown::Offered {
                one.queued_behind = busy.get(name).map(|job| (*job).clone());
            }
        }
    }

    /// The institutions that are at work, each with the first job that it is at work for.
    fn at_work(&self) -> BTreeMap<&InstitutionName, &JobId> {
        let mut busy = BTreeMap::new();
        for (id, job) in &self.jobs {
            for (name, _) in job.at_work() {
                busy.entry(name).or_insert(id);
            }
        }
        busy
    }

    /// Lets the time of institutions stand still where their work is offered while they are at work for another
    /// job: in `job`, after a transition of it, and in the other jobs that see its institutions come and go. Gives
    /// those of the others that have changed.
    ///
    /// What an institution says of itself plays no part, only the leases that the coordinator has given. Each has
    /// a known end, and an institution that calls no more loses it, so no job stays open for ever.
    pub(super) fn keep_time(&self, job: &mut Job, now: Timestamp) -> Vec<Job> {
        let others = self.jobs.values().filter(|one| one.id != job.id && one.current().is_some());
        let others: Vec<&Job> = others.collect();
        if others.is_empty() {
            return Vec::new();
        }
        let offered: Vec<_> = job.open_round().into_iter().flat_map(Round::offered).cloned().collect();
        for name in &offered {
            let busy_until = others.iter().filter_map(|other| other.busy_until(name)).max();
            if busy_until.is_some() {
                job.set_time(name, busy_until, now);
            }
        }
        let moved = self.moved(job);
        let sees = |other: &Job| {
            other.open_round().is_some_and(|round| moved.iter().any(|name| round.is_offered(name)))
        };
        let changed = others.iter().filter(|other| sees(other)).map(|other| {
            let mut after = (*other).clone();
            for name in &moved {
                let elsewhere = others.iter().copied().filter(|one| one.id != other.id).chain([&*job]);
                after.set_time(name, elsewhere.filter_map(|one| one.busy_until(name)).max(), now);
            }
            after
        });
        changed.filter(|after| self.jobs[&after.id] != *after).collect()
    }

    /// The institutions that a transition of a job has made busy or free, or busy for longer.
    fn moved(&self, job: &Job) -> BTreeSet<InstitutionName> {
        let before = self.jobs.get(&job.id);
        let both = before.into_iter().flat_map(Job::at_work).chain(job.at_work());
        let moved = both
            .filter(|(name, _)| before.and_then(|before| before.busy_until(name)) != job.busy_until(name));
        moved.map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
