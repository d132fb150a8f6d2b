//! What institutions do to a job: take work, report, hand in. Each is answered in its own type, and
//! each draws its consequences at once.

use eosfed_common::assignment::{BlobRef, EvaluationSubmission, Lease, Progress};
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{AssignmentId, IdempotencyKey, LeaseToken};
use eosfed_common::refusal::{Reason, Refusal};

use super::{Job, JobState, Next, Outcome};
use crate::domain::admission::{ScreenedEvaluation, ScreenedStatistics, ScreenedUpdate};
use crate::domain::round::{Contribution, Purpose, Round, Slot};

impl Job {
    /// Lends an assignment.
    ///
    /// # Errors
    /// If the round is over, or the institution has answered already.
    pub fn accept(
        &self,
        id: &AssignmentId,
        token: LeaseToken,
        now: Timestamp,
    ) -> Result<(Outcome, Lease), Refusal> {
        if let JobState::Paused { .. } = self.state {
            let message = format!("job {} is paused; it may be resumed, try again later", self.id);
            return Err(Refusal::new(Reason::JobPaused, message));
        }
        self.in_round(id, now, |round| round.accept(&id.institution, id.round, token, now))
    }

    /// Notes that an institution does not want an assignment.
    ///
    /// # Errors
    /// If the round is over, or the institution has answered already.
    pub fn refuse(
        &self,
        id: &AssignmentId,
        refusal: Refusal,
        now: Timestamp,
    ) -> Result<(Outcome, ()), Refusal> {
        self.in_round(id, now, |round| round.refuse(&id.institution, refusal, now))
    }

    /// Renews a lease and notes progress; gives the lease's new end.
    ///
    /// # Errors
    /// If the round is over or the token not the lease's.
    pub fn heartbeat(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        progress: Progress,
        now: Timestamp,
    ) -> Result<(Outcome, Timestamp), Refusal> {
        self.in_round(id, now, |round| round.heartbeat(&id.institution, token, progress, now))
    }

    /// Counts an update; gives when it was recorded. Repeating the call gives the first answer.
    ///
    /// # Errors
    /// If the round is over, the token not the lease's, or the bytes are not new.
    pub fn submit_update(
        &self,
        update: ScreenedUpdate,
        now: Timestamp,
    ) -> Result<(Outcome, Timestamp), Refusal> {
        let (update, norm) = update.into_inner();
        if self.base_of(update.assignment.round).is_some_and(|base| base.digest == update.weights.digest) {
            let message = "the update has the bytes of the weights it started from";
            return Err(Refusal::new(Reason::Replayed, message));
        }
        let contribution = Contribution::Update {
            weights: update.weights,
            samples: update.samples,
            metrics: update.metrics,
            normalisation: update.normalisation,
            energy: update.energy,
            initial: update.initial,
            norm,
            since: update.assignment.round,
        };
        self.submit_contribution(&update.assignment, &update.token, update.key, contribution, now)
    }

    /// Counts statistics; gives when they were recorded. Repeating the call gives the first answer.
    ///
    /// # Errors
    /// If the round is over or the token not the lease's.
    pub fn submit_statistics(
        &self,
        statistics: ScreenedStatistics,
        now: Timestamp,
    ) -> Result<(Outcome, Timestamp), Refusal> {
        let statistics = statistics.into_inner();
        let contribution = Contribution::Statistics(statistics.bands);
        self.submit_contribution(&statistics.assignment, &statistics.token, statistics.key, contribution, now)
    }

    /// Counts scores; gives when they were recorded. Repeating the call gives the first answer.
    ///
    /// # Errors
    /// If the round is over or the token not the lease's.
    pub fn submit_evaluation(
        &self,
        scores: ScreenedEvaluation,
        now: Timestamp,
    ) -> Result<(Outcome, Timestamp), Refusal> {
        let EvaluationSubmission { assignment, token, key, samples, metrics, energy } = scores.into_inner();
        let contribution = Contribution::Evaluation { samples, metrics, energy };
        self.submit_contribution(&assignment, &token, key, contribution, now)
    }

    fn submit_contribution(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        key: IdempotencyKey,
        contribution: Contribution,
        now: Timestamp,
    ) -> Result<(Outcome, Timestamp), Refusal> {
        if let Some(at) = self.receipt(id, &key) {
            return Ok((Outcome { job: self.clone(), frozen: Vec::new() }, at));
        }
        if let JobState::Aggregating(_) = self.state {
            self.round_of(id)?;
            let message = "the updates before this one are being aggregated; try again in a moment";
            return Err(Refusal::new(Reason::Unavailable, message));
        }
        let fits = |round: &Round| match &contribution {
            Contribution::Statistics(_) => round.purpose == Purpose::Statistics,
            Contribution::Update { .. } => matches!(round.purpose, Purpose::OneShot | Purpose::Train(_)),
            Contribution::Evaluation { .. } => matches!(round.purpose, Purpose::Evaluate(_)),
        };
        if !self.open_round().is_none_or(fits) {
            let message = format!("assignment {id} asks for something else");
            return Err(Refusal::new(Reason::WrongState, message));
        }
        self.in_round(id, now, |round| {
            round.submit(&id.institution, token, key, contribution, now).map(|()| now)
        })
    }

    /// When a submission with this key was recorded, if it was: also after its round has closed, so
    /// that an answer that got lost can be asked for again.
    #[must_use]
    pub fn receipt(&self, id: &AssignmentId, key: &IdempotencyKey) -> Option<Timestamp> {
        let rounds = self.history.iter().map(|closed| &closed.round).chain(self.current());
        let rounds = rounds.filter(|round| round.index >= id.round);
        rounds.filter_map(|round| round.participants.get(&id.institution)).find_map(|participant| {
            let aside = participant.rejections().find(|one| one.key.as_ref() == Some(key));
            match &participant.slot {
                Slot::Submitted { at, key: known, .. } if known == key => Some(*at),
                Slot::Submitted { .. }
                | Slot::Rejected(_)
                | Slot::Offered
                | Slot::Leased { .. }
                | Slot::Refused { .. }
                | Slot::Failed { .. } => aside.map(|rejection| rejection.at),
            }
        })
    }

    /// Keeps an update that admission has refused, out of every count.
    ///
    /// # Errors
    /// If the round is over or the token not the lease's.
    pub fn reject(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        weights: BlobRef,
        refusal: Refusal,
        now: Timestamp,
    ) -> Result<(Outcome, ()), Refusal> {
        self.in_round(id, now, |round| round.reject(&id.institution, token, weights, refusal, now))
    }

    /// Notes that the work failed at an institution for good.
    ///
    /// # Errors
    /// If the round is over or the token not the lease's.
    pub fn report_failure(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        message: String,
        now: Timestamp,
    ) -> Result<(Outcome, ()), Refusal> {
        self.in_round(id, now, |round| round.fail(&id.institution, token, message, now))
    }

    /// Checks that the caller holds the lease of an assignment that is still wanted.
    ///
    /// # Errors
    /// As the calls that need it.
    pub fn check_lease(&self, id: &AssignmentId, token: &LeaseToken) -> Result<(), Refusal> {
        self.round_of(id)?.clone().holder(&id.institution, token).map(|_| ())
    }

    /// The round in which an assignment is of use. An assignment of an earlier attempt still is: it
    /// started from the same weights. So is one of an earlier round that is not too far behind, in
    /// asynchronous jobs.
    fn round_of(&self, id: &AssignmentId) -> Result<&Round, Refusal> {
        let closed = || {
            let message = format!("round {} (attempt {}) of job {} has closed", id.round, id.attempt, id.job);
            Err(Refusal::new(Reason::RoundClosed, message))
        };
        let ended = |how: &str| Err(Refusal::new(Reason::JobEnded, format!("job {} {how}", self.id)));
        let wanted = |round: &Round| {
            let slot = round.participants.get(&id.institution).map(|participant| &participant.slot);
            let since = match slot {
                Some(Slot::Leased { since, .. }) => *since,
                Some(
                    Slot::Offered
                    | Slot::Submitted { .. }
                    | Slot::Refused { .. }
                    | Slot::Rejected(_)
                    | Slot::Failed { .. },
                )
                | None => id.round,
            };
            let attempted = id.round < round.index || id.attempt <= round.attempt;
            since == id.round && attempted && self.is_fresh(id.round, round)
        };
        match &self.state {
            JobState::Collecting(round) | JobState::Paused { next: Next::Collect(round), .. } => {
                if wanted(round) { Ok(round) } else { closed() }
            }
            // Who goes on beyond the round keeps its lease while the others' updates are combined.
            JobState::Aggregating(round) if self.asynchronous().is_some() && wanted(round) => Ok(round),
            JobState::Aggregating(_) | JobState::Preparing | JobState::Paused { .. } => closed(),
            JobState::Finished { .. } => ended("has finished"),
            JobState::Cancelled { .. } => ended("was cancelled"),
        }
    }

    /// A transition inside the open round, and what follows from it.
    fn in_round<T>(
        &self,
        id: &AssignmentId,
        now: Timestamp,
        change: impl FnOnce(&mut Round) -> Result<T, Refusal>,
    ) -> Result<(Outcome, T), Refusal> {
        let mut round = self.round_of(id)?.clone();
        let answer = change(&mut round)?;
        let state = match &self.state {
            JobState::Paused { at, why, next: _ } => {
                JobState::Paused { at: *at, why: why.clone(), next: Next::Collect(round) }
            }
            JobState::Aggregating(_) => JobState::Aggregating(round),
            JobState::Collecting(_)
            | JobState::Preparing
            | JobState::Finished { .. }
            | JobState::Cancelled { .. } => JobState::Collecting(round),
        };
        Ok((Self { state, ..self.clone() }.settle(now), answer))
    }
}
