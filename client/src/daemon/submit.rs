//! Submitting the outcome, with as many tries as it takes until the coordinator gives a final answer. Each
//! try has the same idempotency key, so that only one is counted. The site policy is read again before each
//! step that sends anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use eosfed_common::assignment::{
    BandMoments, EvaluationSubmission, SignedMoments, StatisticsSubmission, UpdateSubmission,
};
use eosfed_common::card::Energy;
use eosfed_common::clock::Timestamp;
use eosfed_common::counted::counted;
use eosfed_common::head::Imagery;
use eosfed_common::ids::AssignmentId;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::report::{EvaluationReport, TrainingReport};
use eosfed_common::signing::{
    EvaluationStatement, KeySignature, SigningKey, Statement, StatisticsStatement, UpdateStatement,
};
use eosfed_common::weights::Encoding;
use eosfed_transport::wire::message_bytes;

use super::budget::{CutOff, refusal_bytes};
use super::environment::{DaemonError, Environment};
use super::heartbeat::{HeartbeatTask, Reporter, after_refusal};
use super::run::{Daemon, Flow};
use super::step::Event;
use super::supervise::Supervised;
use super::told;
use crate::budgets::{Budgets, Direction};
use crate::condition::{ConditionKind, LocalCondition};
use crate::coordinator::{Coordinator, UploadGuard};
use crate::egress::{EgressGate, Permission, WorkInHand};
use crate::outbound;
use crate::policy::{Egress, word_of_result};
use crate::retry::{Recovery, recovery};
use crate::site::SiteError;
use crate::site_log::{Entry, EntryKind, Record, Sending, SiteLog, SiteLogError, Why};
use crate::state::{HeldAssignment, Outcome, State, Update};

impl<E: Environment> Daemon<E> {
    pub(super) async fn submit(&mut self) -> Result<Flow, DaemonError> {
        let State::Submitting { held, outcome } = self.state.clone() else { return Ok(Flow::Continue) };
        if let Some(event) = self.prepare(&held, &outcome).await? {
            return Ok(Flow::Event(event));
        }
        let reporter = self.reporter(&held);
        let interval = self.parts.intervals.heartbeat;
        let mut heartbeats = HeartbeatTask::start(reporter.clone(), held.lease.token.clone(), interval);
        let mut failures = 0;
        loop {
            let held = self.held();
            let work = self.work_in_hand(&held);
            if let Outcome::Update(update) = &outcome
                && let Some(event) = self.add_noise(&held, update).await?
            {
                return Ok(Flow::Event(event));
            }
            if let Outcome::Update(update) = &outcome
                && let Some(event) = self.encode_update(&held, update).await?
            {
                return Ok(Flow::Event(event));
            }
            if let Some(event) = self.policy_objection(&work, &outcome)? {
                return Ok(Flow::Event(event));
            }
            let submission = Submission {
                coordinator: self.parts.coordinator.clone(),
                gate: self.gate.clone(),
                log: self.parts.log.clone(),
                budgets: self.budgets.clone(),
                cut_off: CutOff::default(),
                carbon_intensity: self.parts.task.carbon_intensity,
                reporter: reporter.clone(),
                work: work.clone(),
                now: self.parts.clock.now(),
                signing_key: self.parts.credentials.signing_key.clone(),
            };
            let sent = self.supervise(&mut heartbeats, submission.send(&held, &outcome)).await;
            self.budgets.settle(&held.assignment.id.job, Direction::Up)?;
            let refusal = match sent? {
                // The submission may have been recorded already, so only its answer decides.
                Supervised::Interrupted(Flow::Event(Event::Stopped(_))) => continue,
                Supervised::Interrupted(flow) => return Ok(flow),
                Supervised::Done(Ok(at)) => {
                    self.keep_dropped(&held, &outcome)?;
                    return Ok(Flow::Event(Event::Acknowledged(at)));
                }
                Supervised::Done(Err(NotSent::Unlogged(error))) => return Err(error.into()),
                Supervised::Done(Err(NotSent::Uncounted(error))) => return Err(error.into()),
                Supervised::Done(Err(NotSent::Refused(refusal))) => refusal,
            };
            self.log_is_written()?;
            if let Some(why) = submission.cut_off.take() {
                return Ok(Flow::Event(self.not_taken(why)?));
            }
            // The policy may have cut it off.
            if let Some(event) = self.policy_objection(&work, &outcome)? {
                return Ok(Flow::Event(event));
            }
            reporter.note_failure(&refusal);
            let event = after_refusal(&self.parts.coordinator, &work, refusal, Event::Rejected).await;
            if let (Outcome::Withheld(_), Some(Event::Rejected(refusal))) = (&outcome, &event) {
                tracing::warn!(%refusal, "the result may have been recorded before the policy was changed");
            }
            match event {
                Some(Event::Leased(lease)) => drop(self.apply(Event::Leased(lease))?),
                Some(event) => return Ok(Flow::Event(event)),
                None => {
                    failures += 1;
                    if !self.pause(failures).await {
                        return Ok(Flow::Exit);
                    }
                    self.renew_when_due().await?;
                }
            }
        }
    }

    /// Checks an outcome that an earlier run of the daemon may have left, and moves weights that may not
    /// leave to `withheld/`.
    async fn prepare(
        &mut self,
        held: &HeldAssignment,
        outcome: &Outcome,
    ) -> Result<Option<Event>, DaemonError> {
        match outcome {
            Outcome::Update(update) => {
                let update = update.clone();
                let training_target = held.assignment.training_target.clone();
                let checked =
                    self.parts.blocking.run(move || outbound::recheck(&update, &training_target)).await;
                let checked = checked.and_then(|checked| checked);
                Ok(checked.err().map(|why| Event::Rejected(Refusal::new(Reason::Internal, why))))
            }
            Outcome::Withheld(refusal) => {
                let weights = self.finished_weights(held);
                if let Some(kept) = self.parts.site.withhold(&held.assignment.id, &weights)? {
                    let job = &held.assignment.id.job;
                    let kept = kept.display();
                    tracing::warn!(%refusal, "the finished weights of job {job} are kept at {kept} and not sent");
                }
                Ok(None)
            }
            Outcome::Failure(refusal) => {
                tracing::warn!(assignment = %held.assignment.id, %refusal, "reporting that the work failed here");
                Ok(None)
            }
            Outcome::Statistics(_) | Outcome::Scores(_) => Ok(None),
        }
    }

    /// The policy's objection to sending the outcome now.
    fn policy_objection(
        &mut self,
        work: &WorkInHand,
        outcome: &Outcome,
    ) -> Result<Option<Event>, DaemonError> {
        if !outcome.is_result() {
            return Ok(None);
        }
        match self.gate.result(work) {
            Permission::Allowed => {
                // Only a try shows whether these are over.
                let lasts = [ConditionKind::LogUnwritable, ConditionKind::BudgetSpent];
                if self.state.wait().is_some_and(|wait| !lasts.contains(&wait.condition.kind)) {
                    drop(self.apply(Event::Progressed)?);
                }
                Ok(None)
            }
            Permission::Denied(refusal) => Ok(Some(Event::PolicyDenied(refusal))),
            Permission::Held(why) => {
                let condition = LocalCondition::new(ConditionKind::PolicyUnclear, why);
                Ok(Some(match self.blocked(condition) {
                    Event::Failed(refusal) => Event::PolicyDenied(refusal),
                    event => event,
                }))
            }
        }
    }
}

/// Why a try has failed.
enum NotSent {
    /// The coordinator has refused it, cannot be reached, or the policy has cut it off.
    Refused(Refusal),
    /// The site log cannot be written.
    Unlogged(SiteLogError),
    /// What is sent cannot be counted.
    Uncounted(SiteError),
}

impl From<Refusal> for NotSent {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<SiteError> for NotSent {
    fn from(error: SiteError) -> Self {
        Self::Uncounted(error)
    }
}

impl From<SiteLogError> for NotSent {
    fn from(error: SiteLogError) -> Self {
        Self::Unlogged(error)
    }
}

/// One try to submit.
struct Submission<C> {
    coordinator: C,
    gate: EgressGate,
    log: SiteLog,
    budgets: Budgets,
    cut_off: CutOff,
    reporter: Reporter<C>,
    work: WorkInHand,
    now: Timestamp,
    signing_key: Option<SigningKey>,
    carbon_intensity: Option<u32>,
}

impl<C: Coordinator> Submission<C> {
    async fn send(&self, held: &HeldAssignment, outcome: &Outcome) -> Result<Timestamp, NotSent> {
        let kept = match outcome {
            Outcome::Update(_) => self.reporter.kept_for_update(),
            Outcome::Statistics(_) | Outcome::Scores(_) | Outcome::Failure(_) | Outcome::Withheld(_) => 0,
        };
        match self.reporter.flush(&held.lease.token, kept).await {
            // The result is sent even if the coordinator refuses the points of the curve.
            Err(refusal) if recovery(refusal.reason) == Recovery::Abandon => {}
            flushed => flushed?,
        }
        match outcome {
            Outcome::Update(update) => self.send_update(held, update, kept).await,
            Outcome::Statistics(bands) => self.send_statistics(held, bands).await,
            Outcome::Scores(report) => self.send_scores(held, report).await,
            Outcome::Failure(why) | Outcome::Withheld(why) => {
                let id = &held.assignment.id;
                let told = &self.gate.described(why, held.dataset.as_ref());
                let noted = Why::new(why, told);
                let kind = match outcome {
                    Outcome::Failure(_) => EntryKind::Failed(noted),
                    _ => EntryKind::Refused(noted),
                };
                self.log.record_once(Entry::of(id, kind))?;
                let why = told;
                self.budgets.count(&id.job, Direction::Up, refusal_bytes(id, why))?;
                // A refusal has a reason on the wire, a failure only a message.
                if matches!(why.reason, Reason::Policy | Reason::DataUnfit) {
                    self.coordinator.decline(id, why.clone()).await?;
                } else {
                    self.coordinator.report_failure(id, &held.lease.token, why).await?;
                }
                Ok(self.now)
            }
        }
    }

    async fn send_statistics(
        &self,
        held: &HeldAssignment,
        bands: &[BandMoments],
    ) -> Result<Timestamp, NotSent> {
        let submission = StatisticsSubmission {
            assignment: held.assignment.id.clone(),
            token: held.lease.token.clone(),
            key: held.key.clone(),
            bands: bands.to_vec(),
            signature: self.sign(&StatisticsStatement::of(&held.assignment.id, &bands))?,
        };
        let bytes = message_bytes(submission.clone());
        let what = format!("moments of {}", counted(bands.len(), "band"));
        let sending = self.sending(Record::Statistics, what, bytes);
        self.admit(bytes)?;
        self.note_sending(&sending)?;
        let at = self.coordinator.submit_statistics(submission).await?;
        self.note_sent(sending);
        Ok(at)
    }

    /// The energy as it leaves: with its emissions, or not at all.
    fn energy_to_send(&self, energy: Energy, allowed: bool) -> Energy {
        if allowed { energy.at_intensity(self.carbon_intensity) } else { Energy::default() }
    }

    async fn send_scores(
        &self,
        held: &HeldAssignment,
        report: &EvaluationReport,
    ) -> Result<Timestamp, NotSent> {
        self.ask_policy()?;
        let mut report = report.clone();
        let provenance = self.allows(Egress::Provenance)?;
        report.energy = self.energy_to_send(report.energy, provenance);
        let submission = EvaluationSubmission {
            assignment: held.assignment.id.clone(),
            token: held.lease.token.clone(),
            key: held.key.clone(),
            signature: self.sign(&EvaluationStatement::of(&held.assignment.id, &report))?,
            report,
        };
        let what = counted(submission.report.metrics.len(), "score");
        let bytes = message_bytes(submission.clone());
        let mut sending = self.sending(Record::Scores, what, bytes);
        sending.words.extend(provenance.then(|| Egress::Provenance.name().to_owned()));
        self.admit(bytes)?;
        self.note_sending(&sending)?;
        let at = self.coordinator.submit_evaluation(submission).await?;
        self.note_sent(sending);
        Ok(at)
    }

    /// Sends an update, with at most so many points of the curve.
    async fn send_update(
        &self,
        held: &HeldAssignment,
        update: &Update,
        kept: usize,
    ) -> Result<Timestamp, NotSent> {
        self.ask_policy()?;
        let (file, sent) = update.sent();
        let digest = Some(sent.digest);
        let what = match update.encoding() {
            Encoding::F32 => "the file of weights".to_owned(),
            encoding => format!("the file of the step of the weights, encoded as `{encoding}`"),
        };
        let weights = Sending { weights: digest, ..self.sending(Record::Weights, what, sent.size) };
        self.note_sending(&weights)?;
        let uploaded = self.coordinator.upload(file, sent, self.upload_guard()).await;
        // Without a lease nothing can be uploaded. But an earlier try may have been recorded without an answer, and the
        // round have closed since. Then the submission is still answered, by its key, and what the encoding has dropped
        // is kept for the next step.
        if let Err(refusal) = &uploaded
            && recovery(refusal.reason) == Recovery::Retry
        {
            return Err(refusal.clone().into());
        }
        let mut report = TrainingReport { encoding: update.encoding(), ..update.report.clone() };
        let metrics = self.allows(Egress::Metrics)?;
        if !metrics {
            report.metrics = BTreeMap::new();
            report.scoring = None;
        }
        let start_metrics = if metrics { update.start_metrics.clone() } else { BTreeMap::new() };
        let points = self.reporter.of_update(if metrics { kept } else { 0 });
        // What the coordinator has not brought says more of the imagery than a specialist needs.
        let statistics = self.allows(Egress::Statistics)?;
        if !statistics {
            report.normalisation.iter_mut().for_each(|band| band.values = None);
        }
        let bands: &[BandMoments] = if statistics { &update.statistics } else { &[] };
        let statistics = self.signed_moments(&held.assignment.id, bands)?;
        let provenance = self.allows(Egress::Provenance)?;
        report.energy = self.energy_to_send(report.energy, provenance);
        if !provenance {
            report.imagery = Imagery::default();
            report.spent = None;
        }
        let statement = UpdateStatement::of(&held.assignment.id, (sent.digest, sent.size), &report);
        let submission = UpdateSubmission {
            assignment: held.assignment.id.clone(),
            token: held.lease.token.clone(),
            key: held.key.clone(),
            weights: sent,
            report,
            signature: self.sign(&statement)?,
            statistics,
            start_metrics,
            points,
        };
        let brought = submission.points.len();
        let what = told::contents(&submission);
        let bytes = message_bytes(submission.clone());
        let mut sending = self.sending(Record::TrainingReport, what, bytes);
        sending.weights = digest;
        let moments = told::has_statistics(&held.assignment.work, &submission);
        let others =
            [(metrics, Egress::Metrics), (provenance, Egress::Provenance), (moments, Egress::Statistics)];
        let others = others.into_iter().filter(|(leaves, _)| *leaves);
        sending.words.extend(others.map(|(_, word)| word.name().to_owned()));
        self.admit(bytes)?;
        self.note_sending(&sending)?;
        let submitted = self.coordinator.submit_update(submission).await;
        let at = match uploaded {
            Ok(()) => submitted?,
            // Of a submission that was not recorded, the refused upload is the cause.
            Err(cause) => submitted.map_err(|why| if why.reason.is_transient() { why } else { cause })?,
        };
        self.reporter.brought(brought);
        self.note_sent(weights);
        self.note_sent(sending);
        Ok(at)
    }

    /// Moments of a head's bands with the institution's signature; nothing where there are none.
    fn signed_moments(
        &self,
        id: &AssignmentId,
        bands: &[BandMoments],
    ) -> Result<Option<Box<SignedMoments>>, Refusal> {
        if bands.is_empty() {
            return Ok(None);
        }
        let signature = self.sign(&StatisticsStatement::of(id, &bands))?;
        Ok(Some(Box::new(SignedMoments { bands: bands.to_vec(), signature })))
    }

    /// The institution's signature. Without an enrolled key it is asked for again, after the next renewal.
    fn sign<S: Statement>(&self, statement: &S) -> Result<KeySignature, Refusal> {
        let key = self.signing_key.as_ref().ok_or_else(|| {
            let message =
                "the signing key of this institution is not enrolled yet; it is at the next renewal";
            Refusal::new(Reason::Unavailable, message)
        })?;
        Ok(key.sign(statement))
    }

    /// What the site log says of a record. Its first word is that of the result.
    fn sending(&self, record: Record, what: String, bytes: u64) -> Sending {
        let words = vec![word_of_result(&self.work.assignment).name().to_owned()];
        Sending { record, what, bytes: Some(bytes), weights: None, words }
    }

    fn note_sending(&self, sending: &Sending) -> Result<(), SiteLogError> {
        let kind = EntryKind::Sending(sending.clone());
        self.log.record_once(Entry::of(&self.work.assignment.id, kind))
    }

    fn note_sent(&self, sending: Sending) {
        self.log.note(Entry::of(&self.work.assignment.id, EntryKind::Sent(sending)));
    }

    /// Whether the policy allows this to leave beside the result. It is asked again while it is unclear.
    fn allows(&self, what: Egress) -> Result<bool, Refusal> {
        match self.gate.word(&self.work, what) {
            Permission::Allowed => Ok(true),
            Permission::Denied(_) => Ok(false),
            Permission::Held(why) => Err(Refusal::new(Reason::Unavailable, why)),
        }
    }

    /// Checks that the policy allows the result to leave at this moment. If it does not, the next try
    /// decides what follows.
    fn ask_policy(&self) -> Result<(), Refusal> {
        let allowed = self.gate.limits_of_result(&self.work);
        allowed.map(drop).map_err(|why| Refusal::new(Reason::Unavailable, why))
    }

    /// Counts the bytes of a message with a result, if the policy lets it leave at this moment.
    fn admit(&self, bytes: u64) -> Result<(), Refusal> {
        let admitted = self.cut_off.admit(&self.budgets, &self.gate, &self.work, bytes);
        admitted.map_err(|why| Refusal::new(Reason::Unavailable, why))
    }

    fn upload_guard(&self) -> UploadGuard {
        let gate = self.gate.clone();
        let work = self.work.clone();
        let budgets = self.budgets.clone();
        let cut_off = self.cut_off.clone();
        Arc::new(move |bytes| cut_off.admit(&budgets, &gate, &work, bytes))
    }
}
