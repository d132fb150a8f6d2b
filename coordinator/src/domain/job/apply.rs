//! Transitions of a job by time, by operators and by the coordinator's own computations, and the consequences
//! of a closed round.

use std::sync::Arc;

use eosfed_common::assignment::BlobRef;
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::InstitutionName;
use eosfed_common::ledger::{Actor, EventKind};
use eosfed_common::plan::{JobSpec, RoundsPlan, SharedNormalisation};
use eosfed_common::refusal::{Reason, Refusal};

use super::{Job, JobState, Next, Outcome, Transition};
use crate::domain::round::{Contribution, Expired, Round, RoundKind, Verdict};
use crate::domain::statistics::pool;

impl Job {
    /// The job after a transition.
    ///
    /// # Errors
    /// [`Reason::WrongState`] if the transition is not possible in this state.
    pub fn apply(&self, transition: Transition, now: Timestamp) -> Result<Outcome, Refusal> {
        let mut outcome = Outcome::of(self.clone());
        match transition {
            Transition::Tick => outcome.expire_leases(now),
            Transition::Restart => {
                if let JobState::Collecting(round) = &mut outcome.job.state {
                    round.extend(now);
                }
            }
            Transition::Prepared(weights) => outcome.prepared(weights, now)?,
            Transition::Aggregated(index, weights, optimizer_state) => {
                outcome.aggregated(index, weights, optimizer_state, now)?;
            }
            Transition::TaskFailed(why) => outcome.pause(Actor::Coordinator, why, now)?,
            Transition::Cancel(by) => outcome.cancel(by, now)?,
            Transition::Pause(by) => {
                let why = format!("paused by {by}");
                outcome.pause(Actor::Operator(by), why, now)?;
            }
            Transition::Resume(by) => outcome.resume(by, now)?,
            Transition::Retry { by, institution } => outcome.retry_with(by, &institution)?,
        }
        Ok(outcome.settle(now))
    }

    fn wrong_state(&self, what: &str) -> Refusal {
        let state = self.state.name();
        Refusal::new(Reason::WrongState, format!("job {} is {state}; it cannot be {what}", self.id))
    }

    /// The kind of the round with this index.
    pub(super) fn kind_of(&self, index: u32) -> RoundKind {
        match &self.spec {
            JobSpec::OneShot(_) => RoundKind::OneShot,
            JobSpec::Rounds(spec) => match spec.normalisation {
                SharedNormalisation::Federated if index == 0 => RoundKind::Statistics,
                SharedNormalisation::Federated => RoundKind::Train(index - 1),
                SharedNormalisation::Given { .. } => RoundKind::Train(index),
            },
            JobSpec::Downstream(_) => RoundKind::Train(index),
            JobSpec::Evaluation(_) => RoundKind::Evaluate(index),
            JobSpec::Statistics(_) => RoundKind::Statistics,
        }
    }
}

impl Outcome {
    fn expire_leases(&mut self, now: Timestamp) {
        let JobState::Collecting(round) = &mut self.job.state else { return };
        let index = round.index;
        for expired in round.expire_leases(self.job.definition.spec.participation(), now) {
            let Expired { institution, expiries, failed } = expired;
            let kind = EventKind::LeaseExpired { round: index, expiries, failed };
            self.note_of(&institution, Actor::Coordinator, kind);
        }
    }

    fn prepared(&mut self, weights: BlobRef, now: Timestamp) -> Result<(), Refusal> {
        if self.job.state != JobState::Preparing {
            return Err(self.job.wrong_state("prepared"));
        }
        self.job.global_model = Some(weights);
        self.note(Actor::Coordinator, EventKind::ModelInitialised { weights: weights.digest });
        self.open(0, now);
        Ok(())
    }

    fn aggregated(
        &mut self,
        index: u32,
        weights: BlobRef,
        optimizer_state: Option<BlobRef>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let round = match &self.job.state {
            JobState::Aggregating(round) if round.index == index => round.clone(),
            JobState::Aggregating(_)
            | JobState::Preparing
            | JobState::Collecting(_)
            | JobState::Paused { .. }
            | JobState::Finished { .. }
            | JobState::Cancelled { .. } => return Err(self.job.wrong_state("aggregated")),
        };
        self.note(Actor::Coordinator, EventKind::RoundAggregated { round: index, weights: weights.digest });
        self.close(round.clone(), true, now);
        self.job.global_model = Some(weights);
        self.job.optimizer_state = optimizer_state;
        let is_last = |rounds: &RoundsPlan| round.kind == RoundKind::Train(rounds.count - 1);
        if !self.job.spec.federated().is_some_and(|federated| is_last(&federated.rounds)) {
            self.open(index + 1, now);
            self.carry(&round, now);
            return Ok(());
        }
        self.frozen = self.job.freeze_shared(&round, weights, now).into_iter().collect();
        self.job.trained = self.job.freeze_head(&round, weights).map(Arc::new);
        if self.job.trained.is_some() {
            self.note(Actor::Coordinator, EventKind::HeadTrained { weights: weights.digest });
        }
        self.finish(now);
        Ok(())
    }

    /// In asynchronous jobs, institutions at work continue after the end of the round.
    fn carry(&mut self, last: &Round, now: Timestamp) {
        if let (Some(rules), JobState::Collecting(round)) = (self.job.asynchronous(), &mut self.job.state) {
            round.carry(last, rules.max_staleness);
            round.extend(now);
        }
    }

    fn cancel(&mut self, by: InstitutionName, now: Timestamp) -> Result<(), Refusal> {
        if self.job.has_ended() {
            return Err(self.job.wrong_state("cancelled"));
        }
        self.note(Actor::Operator(by.clone()), EventKind::JobCancelled);
        if let Some(round) = self.job.current().cloned() {
            self.close(round, false, now);
        }
        self.job.state = JobState::Cancelled { at: now, by };
        Ok(())
    }

    /// Pauses the job: for an operator in any state, for the coordinator when a computation fails.
    fn pause(&mut self, actor: Actor, why: String, now: Timestamp) -> Result<(), Refusal> {
        let next = match &self.job.state {
            JobState::Preparing => Next::Prepare,
            JobState::Collecting(round) if actor != Actor::Coordinator => Next::Collect(round.clone()),
            JobState::Aggregating(round) => Next::Aggregate(round.clone()),
            JobState::Collecting(_)
            | JobState::Paused { .. }
            | JobState::Finished { .. }
            | JobState::Cancelled { .. } => return Err(self.job.wrong_state("paused")),
        };
        self.rest(actor, why, next, now);
        Ok(())
    }

    fn rest(&mut self, actor: Actor, why: String, next: Next, now: Timestamp) {
        self.note(actor, EventKind::JobPaused { reason: why.clone() });
        self.job.state = JobState::Paused { at: now, why, next };
    }

    fn retry_with(&mut self, by: InstitutionName, institution: &InstitutionName) -> Result<(), Refusal> {
        let why_not = self.job.wrong_state("asked anything");
        let job = self.job.definition.id.clone();
        let round = self.job.open_round_mut().ok_or(why_not)?;
        round.ask_again(&job, institution)?;
        let kind = EventKind::InstitutionRetried { round: round.index };
        self.note_of(institution, Actor::Operator(by), kind);
        Ok(())
    }

    fn resume(&mut self, by: InstitutionName, now: Timestamp) -> Result<(), Refusal> {
        let JobState::Paused { at, next, .. } = &self.job.state else {
            return Err(self.job.wrong_state("resumed"));
        };
        let at = *at;
        let next = next.clone();
        self.note(Actor::Operator(by), EventKind::JobResumed);
        match next {
            Next::Prepare => self.job.state = JobState::Preparing,
            Next::Aggregate(round) => self.job.state = JobState::Aggregating(round),
            Next::Collect(round) => {
                // It was paused because its attempts were used up. It gets the same number of attempts again.
                let exhausted = self.job.has_closed(&round);
                let spec = &self.job.definition.spec;
                let id = &self.job.definition.id;
                let mut next = if exhausted { round.again(id, spec.participation(), now) } else { round };
                if exhausted {
                    next.last_attempt = next.attempt + spec.attempts() - 1;
                }
                next.move_deadlines(|deadline| deadline.plus(now.since(at)));
                next.run_times(now, spec.participation().deadline);
                next.extend(now);
                if exhausted {
                    self.collect(next);
                } else {
                    self.job.state = JobState::Collecting(next);
                }
            }
        }
        Ok(())
    }

    /// Applies the verdict of the open round.
    pub(super) fn settle(mut self, now: Timestamp) -> Self {
        let JobState::Collecting(round) = &self.job.state else { return self };
        let mut round = round.clone();
        let definition = Arc::clone(&self.job.definition);
        let rules = definition.spec.participation();
        let mut verdict = round.verdict(rules, now);
        let norm_factor = definition.spec.federated().and_then(|federated| federated.admission.norm_factor);
        if let (Verdict::Complete, Some(factor)) = (verdict, norm_factor) {
            self.exclude_outliers(&mut round, factor);
            verdict = round.verdict(rules, now);
        }
        match verdict {
            Verdict::Open => {}
            Verdict::Complete => self.complete(round, now),
            Verdict::TooFew => self.retry(round, now),
        }
        self
    }

    fn exclude_outliers(&mut self, round: &mut Round, factor: f64) {
        let excluded = round.exclude_outliers(factor);
        if excluded.is_empty() {
            return;
        }
        for (institution, rejection) in excluded {
            let kind = EventKind::UpdateExcluded {
                round: round.index,
                weights: rejection.weights.digest,
                message: rejection.refusal.message,
            };
            self.note_of(&institution, Actor::Coordinator, kind);
        }
        self.job.state = JobState::Collecting(round.clone());
    }

    fn complete(&mut self, round: Round, now: Timestamp) {
        match round.kind {
            RoundKind::Train(_) => self.aggregate(round),
            RoundKind::Statistics => self.complete_statistics(round, now),
            RoundKind::OneShot => {
                self.frozen = self.job.freeze_each(&round, now);
                self.close(round, true, now);
                self.finish(now);
            }
            RoundKind::Evaluate(_) => self.pass_on(round, true, now),
        }
    }

    fn complete_statistics(&mut self, round: Round, now: Timestamp) {
        let sites = round.contributions().filter_map(|(_, contribution)| match contribution {
            Contribution::Statistics(bands) => Some(bands),
            Contribution::Update { .. } | Contribution::Evaluation { .. } => None,
        });
        match pool(sites, self.job.max_share()) {
            Ok(pooled) => {
                self.job.normalisation = Some(Arc::new(pooled));
                let next = round.index + 1;
                self.close(round, true, now);
                match self.job.spec {
                    // The round's result is known.
                    JobSpec::Statistics(_) => self.finish(now),
                    JobSpec::OneShot(_)
                    | JobSpec::Rounds(_)
                    | JobSpec::Downstream(_)
                    | JobSpec::Evaluation(_) => self.open(next, now),
                }
            }
            Err(error) => {
                let why = format!("the pooled statistics must be {error}; cancel the job");
                self.rest(Actor::Coordinator, why, Next::Collect(round), now);
            }
        }
    }

    /// Closes the round of one candidate and opens the round of the next.
    fn pass_on(&mut self, round: Round, complete: bool, now: Timestamp) {
        let next = round.index + 1;
        self.close(round, complete, now);
        if (next as usize) < self.job.candidates.len() {
            self.open(next, now);
        } else {
            self.finish(now);
        }
    }

    /// Opens another attempt at a round that got too few answers, or pauses the job. A candidate that no
    /// institution can score is skipped, so that the others do not wait for it.
    fn retry(&mut self, round: Round, now: Timestamp) {
        if let RoundKind::Evaluate(_) = round.kind {
            return self.pass_on(round, false, now);
        }
        self.close(round.clone(), false, now);
        let definition = Arc::clone(&self.job.definition);
        let rules = definition.spec.participation();
        if round.attempt < round.last_attempt {
            return self.collect(round.again(&definition.id, rules, now));
        }
        let got = round.submitted();
        let min = rules.min;
        let attempts = round.attempt;
        let why = format!(
            "round {} got {got} of at least {min} results in {attempts} attempts; see why with `eosfed job \
             show {id}`, then `eosfed job resume {id}` or `eosfed job cancel {id}`",
            round.index + 1,
            id = definition.id
        );
        self.rest(Actor::Coordinator, why, Next::Collect(round), now);
    }
}
