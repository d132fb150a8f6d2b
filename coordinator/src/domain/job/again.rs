//! Jobs that go on from another: a round run again, or its kept updates aggregated by another
//! strategy. The other job stays as it is; the new one begins with its rounds up to there.

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId};
use eosfed_common::plan::{JobKind, RoundsPlan};
use eosfed_common::refusal::{Reason, Refusal};

use super::{Again, ClosedRound, Job, JobState, Origin};
use crate::domain::round::Purpose;

impl Job {
    /// A job that runs round `index` of this one again, and those after it.
    ///
    /// # Errors
    /// [`Reason::WrongState`] if that round has not closed, [`Reason::Malformed`] in a one-shot job.
    pub fn run_again(
        &self,
        index: u32,
        id: JobId,
        key: IdempotencyKey,
        by: InstitutionName,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let closed = self.closed(index)?;
        let mut job = self.derived(closed, Again::Round, id, key, by, now);
        job.open(index, now);
        Ok(job)
    }

    /// A job that aggregates the kept updates of round `index` of this one by other rules, and goes on
    /// from there.
    ///
    /// # Errors
    /// As [`Job::run_again`]; [`Reason::WrongState`] if the round was not one of training;
    /// [`Reason::PlanInvalid`] if the rules do not fit the plan.
    pub fn aggregate_again(
        &self,
        index: u32,
        rounds: RoundsPlan,
        id: JobId,
        key: IdempotencyKey,
        by: InstitutionName,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let closed = self.closed(index)?;
        let (Purpose::Train(_), Some(federated)) = (closed.round.purpose, self.spec.federated()) else {
            let message = format!("round {} of job {} has no updates to aggregate", index + 1, self.id);
            return Err(Refusal::new(Reason::WrongState, message));
        };
        let mut job = self.derived(closed, Again::Aggregate, id, key, by, now);
        if rounds.strategy != federated.rounds.strategy {
            // Another server step would not understand what this one remembers.
            job.memory = None;
        }
        let rounds = RoundsPlan { count: federated.rounds.count, ..rounds };
        let changed = self.spec.with_rounds(rounds);
        job.spec = changed.map_err(|error| Refusal::new(Reason::PlanInvalid, error.to_string()))?;
        job.state = JobState::Aggregating(closed.round.clone());
        Ok(job)
    }

    /// The round of this index that was completed.
    fn closed(&self, index: u32) -> Result<&ClosedRound, Refusal> {
        if self.spec.kind() == JobKind::OneShot {
            let message = format!("job {} is one-shot: submit its plan again instead", self.id);
            return Err(Refusal::new(Reason::Malformed, message));
        }
        self.history.iter().find(|closed| closed.complete && closed.round.index == index).ok_or_else(|| {
            let done = self.history.iter().filter(|closed| closed.complete).count();
            let message = format!("job {} has completed {done} rounds, and not round {}", self.id, index + 1);
            Refusal::new(Reason::WrongState, message)
        })
    }

    fn derived(
        &self,
        closed: &ClosedRound,
        again: Again,
        id: JobId,
        key: IdempotencyKey,
        by: InstitutionName,
        now: Timestamp,
    ) -> Self {
        let index = closed.round.index;
        let before = |one: &&ClosedRound| one.complete && one.round.index < index;
        Self {
            id,
            key,
            origin: Some(Origin { job: self.id.clone(), round: index, again }),
            submitted_by: by,
            submitted_at: now,
            state: JobState::Preparing,
            history: self.history.iter().filter(before).cloned().collect(),
            global: closed.base,
            memory: closed.memory,
            produced: Vec::new(),
            release: None,
            trained: None,
            ..self.clone()
        }
    }
}
