//! Transitions of a job by institutions: accept, report, submit. Each method has its own type of answer and
//! applies its consequences at once.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use eosfed_common::assignment::{BlobRef, EvaluationSubmission, Lease, Progress, UpdateSubmission};
use eosfed_common::clock::Timestamp;
use eosfed_common::finite::Finite;
use eosfed_common::ids::{AssignmentId, IdempotencyKey, InstitutionName, LeaseToken};
use eosfed_common::ledger::{Actor, EventKind};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::signing::SignedUpdate;
use eosfed_common::weights::{DEFAULT_TOP_K_SHARE, Encoding, StepCode};

use super::{Job, JobState, Next, Outcome};
use crate::domain::admission::{
    Reported, ScreenedEvaluation, ScreenedStatistics, ScreenedUpdate, check_points,
};
use crate::domain::closed::ClosedRound;
use crate::domain::curve::CurveId;
use crate::domain::round::{Contribution, ParticipantState, Round, RoundKind};

impl Job {
    /// Leases an assignment to its institution.
    ///
    /// # Errors
    /// If the round has closed, or the institution has already answered.
    pub fn accept(
        &self,
        id: &AssignmentId,
        token: LeaseToken,
        now: Timestamp,
    ) -> Result<(Outcome, Lease), Refusal> {
        if let JobState::Paused { .. } = self.state {
            let message =
                format!("job {} is paused; try again later, after the operator has resumed it", self.id);
            return Err(Refusal::new(Reason::JobPaused, message));
        }
        self.in_round(id, now, |round| {
            let (lease, fresh) = round.accept(&id.institution, id.round, token, now)?;
            round.run_time(&id.institution, now, self.spec.participation().deadline);
            let accepted = EventKind::AssignmentAccepted { round: round.index, attempt: round.attempt };
            Ok((lease, fresh.then_some(accepted)))
        })
    }

    /// Records that an institution declines an assignment.
    ///
    /// # Errors
    /// If the round has closed, or the institution has already answered.
    pub fn refuse(
        &self,
        id: &AssignmentId,
        refusal: Refusal,
        now: Timestamp,
    ) -> Result<(Outcome, ()), Refusal> {
        self.in_round(id, now, |round| {
            let Refusal { reason, message } = refusal.clone();
            let refused = EventKind::AssignmentRefused { round: round.index, reason, message };
            let fresh = round.refuse(&id.institution, refusal, now)?;
            Ok(((), fresh.then_some(refused)))
        })
    }

    /// Renews a lease and records progress, without the points of the curve. Gives the new end of the lease.
    ///
    /// # Errors
    /// If the round has closed, the token does not belong to the lease, or a loss or a metric is out of range.
    pub fn heartbeat(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        progress: &Progress,
        now: Timestamp,
    ) -> Result<(Outcome, Timestamp), Refusal> {
        let Progress { step, steps, points } = progress;
        check_points(points)?;
        let loss = points.last().map(|point| point.loss);
        self.in_round(id, now, |round| {
            Ok((round.heartbeat(&id.institution, token, (*step, *steps), loss, now)?, None))
        })
    }

    /// The curve to which an assignment's points belong.
    #[must_use]
    pub fn curve_of(&self, id: &AssignmentId) -> Option<CurveId> {
        let participant = self.current()?.participants.get(&id.institution)?;
        Some(CurveId { asked_in: participant.asked_in.clone(), institution: id.institution.clone() })
    }

    /// How the file of an update encodes a step; nothing if it holds weights.
    ///
    /// # Errors
    /// [`Reason::Malformed`] if the plan does not accept its encoding.
    pub fn code_of(&self, update: &UpdateSubmission) -> Result<Option<StepCode>, Refusal> {
        let found = update.report.encoding;
        let (accepted, share) = match self.spec.federated() {
            Some(federated) => (federated.rounds.encodings.as_slice(), federated.rounds.top_k_share),
            None => ([Encoding::F32].as_slice(), DEFAULT_TOP_K_SHARE),
        };
        if accepted.contains(&found) {
            return Ok(found.code(share));
        }
        let accepted = accepted.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let message = format!("the plan accepts updates as {accepted} (`rounds.encodings`), found `{found}`");
        Err(Refusal::new(Reason::Malformed, message))
    }

    /// Counts an update and gives the time of its record. A repeated call gives the first answer.
    ///
    /// # Errors
    /// If the round has closed, the token does not belong to the lease, or the bytes are not new.
    pub fn submit_update(
        &self,
        update: ScreenedUpdate,
        now: Timestamp,
    ) -> Result<(Outcome, Timestamp), Refusal> {
        let (update, norm) = update.into_inner();
        let base = self.base_of(update.assignment.round);
        let nothing_moved = !update.report.encoding.is_plain() && norm.get() == 0.0;
        if nothing_moved || base.is_some_and(|base| base.digest == update.weights.digest) {
            let message = "the update has the same values as the weights that it started from";
            return Err(Refusal::new(Reason::Replayed, message));
        }
        let signed = SignedUpdate { statement: update.statement(), signature: update.signature };
        let start_metrics = self.scores_of_average(update.assignment.round, update.start_metrics);
        let contribution = Contribution::Update {
            weights: update.weights,
            report: Box::new(update.report),
            norm,
            since: update.assignment.round,
            signed: Some(Box::new(signed)),
            statistics: update.statistics,
            start_metrics,
        };
        self.submit_contribution(&update.assignment, &update.token, update.key, contribution, now)
    }

    /// The scores of the weights that work of a round started from, if these are the average that the open round starts
    /// from. They are not where nothing was averaged before, and where the work is of an earlier round (asynchronous).
    fn scores_of_average(&self, index: u32, scores: BTreeMap<String, Finite>) -> BTreeMap<String, Finite> {
        let after_another = |round: &Round| {
            round.index == index && matches!(round.kind, RoundKind::Train(number) if number > 0)
        };
        if self.current().is_some_and(after_another) { scores } else { BTreeMap::new() }
    }

    /// Counts statistics and gives the time of their record. A repeated call gives the first answer.
    ///
    /// # Errors
    /// If the round has closed, or the token does not belong to the lease.
    pub fn submit_statistics(
        &self,
        statistics: ScreenedStatistics,
        now: Timestamp,
    ) -> Result<(Outcome, Timestamp), Refusal> {
        let statistics = statistics.into_inner();
        let contribution = Contribution::Statistics(statistics.bands);
        self.submit_contribution(&statistics.assignment, &statistics.token, statistics.key, contribution, now)
    }

    /// Counts scores and gives the time of their record. A repeated call gives the first answer.
    ///
    /// # Errors
    /// If the round has closed, or the token does not belong to the lease.
    pub fn submit_evaluation(
        &self,
        scores: ScreenedEvaluation,
        now: Timestamp,
    ) -> Result<(Outcome, Timestamp), Refusal> {
        let EvaluationSubmission { assignment, token, key, report, signature: _ } = scores.into_inner();
        let contribution = Contribution::Evaluation(report);
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
        if let Some(at) = self.receipt(id, &key, &[]) {
            return Ok((Outcome::of(self.clone()), at));
        }
        if let JobState::Aggregating(_) = self.state {
            self.round_of(id)?;
            let message = "the updates before this one are being aggregated; try again in a moment";
            return Err(Refusal::new(Reason::Unavailable, message));
        }
        let fits = |round: &Round| match &contribution {
            Contribution::Statistics(_) => round.kind == RoundKind::Statistics,
            Contribution::Update { .. } => matches!(round.kind, RoundKind::OneShot | RoundKind::Train(_)),
            Contribution::Evaluation { .. } => matches!(round.kind, RoundKind::Evaluate(_)),
        };
        if !self.open_round().is_none_or(fits) {
            let message = format!("assignment {id} needs another kind of result");
            return Err(Refusal::new(Reason::WrongState, message));
        }
        self.in_round(id, now, |round| {
            let event = submitted(&contribution, round.index);
            round.submit(&id.institution, token, key, contribution, now)?;
            Ok((now, Some(event)))
        })
    }

    /// The closed rounds in which a submission for an assignment can be recorded, if there are any. They are
    /// an argument of [`Job::receipt`].
    #[must_use]
    pub fn rounds_with_receipts(&self, id: &AssignmentId) -> Option<RangeInclusive<u32>> {
        let last = match self.current() {
            // All attempts at a round keep the submissions that an earlier attempt acknowledged.
            Some(round) => round.index.checked_sub(1)?,
            None => self.closed.last()?.id.round,
        };
        let behind = self.asynchronous().map_or(0, |rules| rules.max_staleness);
        let last = last.min(id.round.saturating_add(behind));
        (id.round <= last).then_some(id.round..=last)
    }

    /// When a submission with this key was recorded, if it was. This also works after its round has closed,
    /// so that a client can repeat a call whose answer was lost. `closed` holds the rounds of
    /// [`Job::rounds_with_receipts`].
    #[must_use]
    pub fn receipt(
        &self,
        id: &AssignmentId,
        key: &IdempotencyKey,
        closed: &[ClosedRound],
    ) -> Option<Timestamp> {
        let rounds = closed.iter().map(|closed| &closed.round).chain(self.current());
        let rounds = rounds.filter(|round| round.index >= id.round);
        let participants = rounds.filter_map(|round| round.participants.get(&id.institution));
        participants.filter_map(|participant| participant.receipt(key)).next()
    }

    /// Keeps an update that admission refused. It is not counted.
    ///
    /// # Errors
    /// If the round has closed, or the token does not belong to the lease.
    pub fn reject(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        weights: BlobRef,
        refusal: Refusal,
        now: Timestamp,
    ) -> Result<(Outcome, ()), Refusal> {
        self.in_round(id, now, |round| {
            let Refusal { reason, message } = refusal.clone();
            let rejected =
                EventKind::UpdateRejected { round: round.index, weights: weights.digest, reason, message };
            round.reject(&id.institution, token, weights, refusal, now)?;
            Ok(((), Some(rejected)))
        })
    }

    /// Records that the work has failed at an institution and will not be repeated there.
    ///
    /// # Errors
    /// If the round has closed, or the token does not belong to the lease.
    pub fn report_failure(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        message: String,
        now: Timestamp,
    ) -> Result<(Outcome, ()), Refusal> {
        self.in_round(id, now, |round| {
            let failed = EventKind::FailureReported { round: round.index, message: message.clone() };
            let fresh = round.fail(&id.institution, token, message, now)?;
            Ok(((), fresh.then_some(failed)))
        })
    }

    /// What an institution has reported of its data in earlier rounds of this job.
    #[must_use]
    pub fn reported(&self, institution: &InstitutionName) -> Reported {
        let amount = |kind: RoundKind| {
            let round = self.closed.iter().find(|closed| closed.kind == kind && closed.complete);
            round.and_then(|closed| closed.amounts.get(institution).copied())
        };
        Reported { pixels: amount(RoundKind::Statistics), samples: amount(RoundKind::Train(0)) }
    }

    /// The lease that an institution holds.
    #[must_use]
    pub fn lease_of(&self, institution: &InstitutionName) -> Option<&Lease> {
        match &self.current()?.participants.get(institution)?.state {
            ParticipantState::Leased { lease, .. } => Some(lease),
            ParticipantState::Offered
            | ParticipantState::Submitted { .. }
            | ParticipantState::Refused { .. }
            | ParticipantState::Rejected(_)
            | ParticipantState::Failed { .. } => None,
        }
    }

    /// Whether the work of an institution is offered to it, as after its lease has expired.
    #[must_use]
    pub fn is_offered(&self, institution: &InstitutionName) -> bool {
        self.current().is_some_and(|round| round.is_offered(institution))
    }

    /// Checks that the caller holds the lease of an assignment that is still wanted.
    ///
    /// # Errors
    /// As the calls that use it.
    pub fn check_lease(&self, id: &AssignmentId, token: &LeaseToken) -> Result<(), Refusal> {
        self.round_of(id)?.clone().holder(&id.institution, token).map(|_| ())
    }

    /// The round in which an assignment can count. An assignment of an earlier attempt can, since it started
    /// from the same weights. In asynchronous jobs, one of an earlier round can, if it is not too many rounds
    /// behind.
    fn round_of(&self, id: &AssignmentId) -> Result<&Round, Refusal> {
        let closed = || {
            let AssignmentId { job, round, attempt, .. } = id;
            let message =
                format!("round {} (attempt {attempt}) of job {job} has closed", u64::from(*round) + 1);
            Err(Refusal::new(Reason::RoundClosed, message))
        };
        let ended = |how: &str| Err(Refusal::new(Reason::JobEnded, format!("job {} {how}", self.id)));
        let wanted = |round: &Round| {
            let state = round.participants.get(&id.institution).map(|participant| &participant.state);
            let since = match state {
                Some(ParticipantState::Leased { since, .. }) => *since,
                Some(
                    ParticipantState::Offered
                    | ParticipantState::Submitted { .. }
                    | ParticipantState::Refused { .. }
                    | ParticipantState::Rejected(_)
                    | ParticipantState::Failed { .. },
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
            // An institution that continues after the round keeps its lease while the updates of the others
            // are aggregated.
            JobState::Aggregating(round) if self.asynchronous().is_some() && wanted(round) => Ok(round),
            JobState::Aggregating(_) | JobState::Preparing | JobState::Paused { .. } => closed(),
            JobState::Finished { .. } => ended("has finished"),
            JobState::Cancelled { .. } => ended("was cancelled"),
        }
    }

    /// Applies a transition of the open round, which gives its answer and its event, and then the
    /// consequences for the job.
    fn in_round<T>(
        &self,
        id: &AssignmentId,
        now: Timestamp,
        change: impl FnOnce(&mut Round) -> Result<(T, Option<EventKind>), Refusal>,
    ) -> Result<(Outcome, T), Refusal> {
        let mut round = self.round_of(id)?.clone();
        let (answer, event) = change(&mut round)?;
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
        let mut outcome = Outcome::of(Self { state, ..self.clone() });
        if let Some(event) = event {
            let actor = Actor::Institution(id.institution.clone());
            outcome.note_of(&id.institution, actor, event);
        }
        Ok((outcome.settle(now), answer))
    }
}

/// The kind of the event for a contribution that counts.
fn submitted(contribution: &Contribution, round: u32) -> EventKind {
    match contribution {
        Contribution::Update { weights, report, .. } => EventKind::UpdateSubmitted {
            round,
            weights: weights.digest,
            samples: report.samples,
            encoding: report.encoding,
        },
        Contribution::Statistics(_) => EventKind::StatisticsSubmitted { round },
        Contribution::Evaluation(report) => EventKind::EvaluationSubmitted { round, samples: report.samples },
    }
}
