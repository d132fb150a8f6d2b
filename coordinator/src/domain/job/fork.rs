//! Jobs that are forked from a round of another job. The round is trained again, or its kept updates are
//! aggregated by another strategy. The other job does not change; the new job has its complete rounds up to
//! the fork. It creates no release by itself, whatever the plan says: it tries another way, and the operator
//! compares it with the other job first.

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId};
use eosfed_common::ledger::{Actor, EventKind};
use eosfed_common::plan::{JobKind, JobSpec, RoundsPlan};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::view::{ForkStep, Origin};

use super::{Job, JobDefinition, Outcome};
use crate::domain::closed::ClosedRound;
use crate::domain::round::RoundKind;

/// A job to be forked from a round of another.
#[derive(Debug, Clone, PartialEq)]
pub struct Fork {
    /// The new job's id.
    pub id: JobId,
    /// The idempotency key of the call.
    pub key: IdempotencyKey,
    /// The operator.
    pub by: InstitutionName,
    /// Index of the round.
    pub round: u32,
    /// Rules for aggregating the round's kept updates. Without them, the round is trained again.
    pub rounds: Option<RoundsPlan>,
}

impl Job {
    /// A job that is forked from a round of this one. `closed` holds the closed rounds of this job up to that
    /// round.
    ///
    /// # Errors
    /// [`Reason::WrongState`] if the round is not complete, or has no updates to aggregate;
    /// [`Reason::Malformed`] in a one-shot job; [`Reason::PlanInvalid`] if the rules do not fit the plan.
    pub fn fork(&self, fork: Fork, closed: &[ClosedRound], now: Timestamp) -> Result<Outcome, Refusal> {
        let index = fork.round;
        let from = self.complete_round(index, closed)?;
        let Some(rounds) = fork.rounds.clone() else {
            let mut outcome = self.begin(fork, ForkStep::Train, self.spec.clone(), (from, closed), now);
            outcome.open(index, now);
            return Ok(outcome);
        };
        let (spec, same_optimizer) = self.with_rounds(from, rounds)?;
        let mut outcome = self.begin(fork, ForkStep::Aggregate, spec, (from, closed), now);
        if !same_optimizer {
            outcome.job.optimizer_state = None;
        }
        outcome.aggregate(from.round.clone());
        Ok(outcome)
    }

    /// The round of this index that was completed.
    fn complete_round<'a>(&self, index: u32, closed: &'a [ClosedRound]) -> Result<&'a ClosedRound, Refusal> {
        if self.spec.kind() == JobKind::OneShot {
            let message = format!("job {} is one-shot: submit its plan again instead", self.id);
            return Err(Refusal::new(Reason::Malformed, message));
        }
        closed.iter().find(|closed| closed.complete && closed.round.index == index).ok_or_else(|| {
            let done = self.closed.iter().filter(|closed| closed.complete).count();
            let message = format!("job {} has completed {done} rounds, but not round {}", self.id, index + 1);
            Refusal::new(Reason::WrongState, message)
        })
    }

    /// This job's spec with other rules of aggregation, and whether the state of its server optimizer can be
    /// used with them. A strategy cannot use the state of another strategy.
    fn with_rounds(&self, from: &ClosedRound, rounds: RoundsPlan) -> Result<(JobSpec, bool), Refusal> {
        let (RoundKind::Train(_), Some(federated)) = (from.round.kind, self.spec.federated()) else {
            let message =
                format!("round {} of job {} has no updates to aggregate", from.round.index + 1, self.id);
            return Err(Refusal::new(Reason::WrongState, message));
        };
        let same_optimizer = rounds.strategy == federated.rounds.strategy;
        let changed = self.spec.with_rounds(RoundsPlan {
            count: federated.rounds.count,
            // The updates of that round are encoded by the plan that they were made under.
            encodings: federated.rounds.encodings.clone(),
            top_k_share: federated.rounds.top_k_share,
            ..rounds
        });
        let spec = changed.map_err(|error| Refusal::new(Reason::PlanInvalid, error.to_string()))?;
        Ok((spec, same_optimizer))
    }

    /// The new job, with the results of this one before that round.
    fn begin(
        &self,
        fork: Fork,
        step: ForkStep,
        spec: JobSpec,
        (from, closed): (&ClosedRound, &[ClosedRound]),
        now: Timestamp,
    ) -> Outcome {
        let Fork { id, key, by, round, rounds: _ } = fork;
        let mut job = Self::new(JobDefinition {
            id: id.clone(),
            key,
            spec: spec.with_manual_release(),
            origin: Some(Origin { job: self.id.clone(), round, step }),
            head: self.head.clone(),
            candidates: self.candidates.clone(),
            starts: self.starts.clone(),
            cohort: self.cohort.clone(),
            submitted_by: by.clone(),
            submitted_at: now,
        });
        job.normalisation.clone_from(&self.normalisation);
        let mut outcome = Outcome::of(job);
        outcome.note(Actor::Operator(by), EventKind::JobForked { origin: self.id.clone(), round });
        for before in closed.iter().filter(|one| one.complete && one.round.index < round) {
            outcome.record(ClosedRound { job: id.clone(), ..before.clone() });
        }
        outcome.job.global_model = from.base;
        outcome.job.optimizer_state = from.optimizer_state;
        outcome
    }
}
