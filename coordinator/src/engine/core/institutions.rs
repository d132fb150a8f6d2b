//! Calls of institutions on the engine: accepting work, and submitting results to be admitted and counted.

use eosfed_aggregation::{WeightsReader, check_from, distance};
use eosfed_common::assignment::{
    BlobRef, Directive, EvaluationSubmission, Lease, MAX_TEXT, Progress, StatisticsSubmission,
    UpdateSubmission,
};
use eosfed_common::clock::Timestamp;
use eosfed_common::data_statement::SignedDataStatement;
use eosfed_common::ids::{AssignmentId, IdempotencyKey, InstitutionName, LeaseToken};
use eosfed_common::policy_summary::SignedPolicySummary;
use eosfed_common::printable::Printable;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::weights::{Encoding, WeightsError};

use super::{Core, Writer, defect, lock};
use crate::domain::admission::{UpdateRules, weights_refusal};
use crate::domain::curve::{Curve, CurveId};
use crate::domain::{Change, Job, Outcome, ScreenedEvaluation, ScreenedStatistics, ScreenedUpdate};
use crate::storage::{LocalFile, Presence, StoreError};

impl Core {
    /// Applies a transition of an institution and gives its answer.
    async fn on_assignment<T>(
        &self,
        id: &AssignmentId,
        change: impl FnOnce(&Job, Timestamp) -> Result<(Outcome, T), Refusal>,
    ) -> Result<T, Refusal> {
        self.transact(|state, now, _| {
            let (outcome, answer) = change(state.job(&id.job)?, now)?;
            Ok((answer, state.settle(outcome, now)?))
        })
        .await
    }

    /// Leases an assignment, or gives the lease that the institution already holds.
    ///
    /// # Errors
    /// If it is no longer offered.
    pub async fn accept(&self, id: &AssignmentId) -> Result<Lease, Refusal> {
        self.transact(|state, now, rng| {
            let (outcome, lease) = state.job(&id.job)?.accept(id, LeaseToken::random(rng), now)?;
            Ok((lease, state.settle(outcome, now)?))
        })
        .await
    }

    /// Records that an institution declines an assignment.
    ///
    /// # Errors
    /// If it is no longer offered.
    pub async fn refuse(&self, id: &AssignmentId, refusal: Refusal) -> Result<(), Refusal> {
        self.on_assignment(id, |job, now| job.refuse(id, refusal, now)).await
    }

    /// Takes what an institution says of its data set. Gives the time of its first record.
    ///
    /// # Errors
    /// As [`Federation::state_data`](crate::domain::Federation::state_data).
    pub async fn state_data(
        &self,
        by: &InstitutionName,
        signed: SignedDataStatement,
    ) -> Result<Timestamp, Refusal> {
        self.transact(|state, now, _| state.state_data(by, signed, now)).await
    }

    /// Takes what an institution shares of its policy; gives when it was first recorded.
    ///
    /// # Errors
    /// As [`Federation::share_policy`](crate::domain::Federation::share_policy).
    pub async fn share_policy(
        &self,
        by: &InstitutionName,
        signed: SignedPolicySummary,
    ) -> Result<Timestamp, Refusal> {
        self.transact(|state, now, _| state.share_policy(by, signed, now)).await
    }

    /// Renews a lease and records progress. A client whose work can no longer count gets a refusal and stops.
    /// New points of the curve are stored as a separate record; the current step need not survive a restart.
    ///
    /// # Errors
    /// If the caller does not hold the lease, or it has expired or used up its heartbeats or its bytes.
    pub async fn heartbeat(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        progress: Progress,
    ) -> Result<Directive, Refusal> {
        let mut writer = self.lock_writer().await;
        let now = self.now();
        let decided = self.read(|state| {
            let job = state.job(&id.job)?;
            let (outcome, expires_at) = job.heartbeat(id, token, &progress, now)?;
            Ok::<_, Refusal>((expires_at, job.curve_of(id), state.settle(outcome, now)?))
        });
        let (expires_at, curve, change) = match decided {
            Ok(decided) => decided,
            Err(refusal) if matches!(refusal.reason, Reason::RoundClosed | Reason::JobEnded) => {
                return Ok(Directive::Stop(refusal));
            }
            Err(refusal) => return Err(refusal),
        };
        lock(&self.quotas).heartbeat(token, (&id.institution, &id.job), &progress.points, now)?;
        // The lease is renewed even if the points cannot be stored.
        self.store_change(&mut writer, change, now).await?;
        if let (Some(id), false) = (curve, progress.points.is_empty()) {
            let curves = self.curve(id).await?.extended(progress.points).into_iter().collect();
            self.store_change(&mut writer, Change { curves, ..Change::default() }, now).await?;
        }
        Ok(Directive::Continue(expires_at))
    }

    /// A curve as it is stored. A damaged one is replaced by an empty one.
    async fn curve(&self, id: CurveId) -> Result<Curve, Refusal> {
        match self.store.curve(&id).await {
            Ok(curve) => Ok(curve.unwrap_or_else(|| Curve::new(id))),
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%error, "a stored training curve is damaged; a new one is started");
                Ok(Curve::new(id))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The time at which a submission with this key was recorded, if it was, and the number of closed rounds
    /// of its job.
    async fn receipt(
        &self,
        id: &AssignmentId,
        key: &IdempotencyKey,
    ) -> Result<(Option<Timestamp>, usize), Refusal> {
        let job = self.job(&id.job)?;
        let closed = match job.rounds_with_receipts(id) {
            Some(rounds) => self.store.closed_rounds(&id.job, rounds).await?,
            None => Vec::new(),
        };
        Ok((job.receipt(id, key, &closed), job.closed.len()))
    }

    /// Counts a submission under the write lock, and stores its curve if it brings one. `seen` is the number of closed rounds when the caller
    /// checked that the submission was not recorded yet.
    async fn count(
        &self,
        writer: &mut Writer,
        (id, key, seen): (&AssignmentId, &IdempotencyKey, usize),
        curve: Option<Curve>,
        submit: impl FnOnce(&Job, Timestamp) -> Result<(Outcome, Timestamp), Refusal>,
    ) -> Result<Timestamp, Refusal> {
        if self.with_job(&id.job, |job| job.closed.len())? != seen
            && let (Some(at), _) = self.receipt(id, key).await?
        {
            return Ok(at);
        }
        let now = self.now();
        let (recorded, change) = self.read(|state| {
            let (outcome, recorded) = submit(state.job(&id.job)?, now)?;
            Ok::<_, Refusal>((recorded, state.settle(outcome, now)?))
        })?;
        self.store_change(writer, Change { curves: curve.into_iter().collect(), ..change }, now).await?;
        Ok(recorded)
    }

    /// Admits and counts an update. Gives the time of its first record. An update that admission refuses is
    /// kept with the reason and not counted.
    ///
    /// # Errors
    /// The refusal of admission, or that the round has closed.
    pub async fn submit_update(&self, submission: &UpdateSubmission) -> Result<Timestamp, Refusal> {
        let UpdateSubmission { assignment: id, key, weights, .. } = submission;
        let (recorded, seen) = self.receipt(id, key).await?;
        if let Some(at) = recorded {
            return Ok(at);
        }
        let job = self.job(&id.job)?;
        job.check_lease(id, &submission.token)?;
        let statement = submission.statement();
        self.read(|state| state.check_signed(&id.institution, &statement, &submission.signature))?;
        if let Some((statement, signature)) = submission.statistics_statement() {
            self.read(|state| state.check_signed(&id.institution, &statement, &signature))?;
        }
        self.must_be_sent(submission).await?;
        let screened = match self.screen(&job, submission.clone()).await {
            Ok(screened) => screened,
            Err(refusal) => return Err(self.reject(submission, refusal).await),
        };
        let mut writer = self.lock_writer().await;
        // Blobs are removed under the same lock, so a blob that exists now cannot be removed before the
        // update counts.
        self.must_be_here(*weights).await?;
        let curve = self.with_points_of(submission).await?;
        let submit = |job: &Job, now| job.submit_update(screened, now);
        let recorded = self.count(&mut writer, (id, key, seen), curve, submit).await?;
        drop(writer);
        self.unpin(id, *weights).await;
        Ok(recorded)
    }

    /// The curve with the points that an update brings; nothing where it has none that are new. An update counts also if
    /// its lease may send no more points.
    async fn with_points_of(&self, submission: &UpdateSubmission) -> Result<Option<Curve>, Refusal> {
        let UpdateSubmission { assignment: id, token, points, .. } = submission;
        if points.is_empty() {
            return Ok(None);
        }
        let Some(curve) = self.with_job(&id.job, |job| job.curve_of(id))? else { return Ok(None) };
        let counted = lock(&self.quotas).points(token, (&id.institution, &id.job), points, self.now());
        if let Err(refusal) = counted {
            tracing::warn!(assignment = %id, %refusal, "the points of an update are not kept");
            return Ok(None);
        }
        Ok(self.curve(curve).await?.extended(points.clone()))
    }

    /// Unpins an upload: from now on, records decide whether its blob is kept.
    async fn unpin(&self, id: &AssignmentId, weights: BlobRef) {
        if let Err(error) = self.blobs.unpin(id.institution.as_str(), weights.digest).await {
            tracing::warn!(assignment = %id, %error, "cannot unpin an upload; its blob is kept longer");
        }
    }

    /// Only what an institution has sent itself counts as its own, whatever digest it names.
    async fn must_be_sent(&self, submission: &UpdateSubmission) -> Result<(), Refusal> {
        let UpdateSubmission { assignment, weights, .. } = submission;
        match self.uploaded(&assignment.institution, weights.digest).await? {
            Presence::Complete(size) if size == weights.size => Ok(()),
            Presence::Complete(_) | Presence::Partial(_) => Err(not_uploaded(*weights)),
        }
    }

    async fn must_be_here(&self, weights: BlobRef) -> Result<(), Refusal> {
        match self.blobs.stat("", weights.digest).await? {
            Presence::Complete(size) if size == weights.size => Ok(()),
            Presence::Complete(_) | Presence::Partial(_) => Err(not_uploaded(weights)),
        }
    }

    async fn screen(&self, job: &Job, submission: UpdateSubmission) -> Result<ScreenedUpdate, Refusal> {
        let institution = &submission.assignment.institution;
        let target = job.target_of(institution).ok_or_else(|| {
            Refusal::new(Reason::NotFound, format!("institution `{institution}` was not asked to take part"))
        })?;
        self.must_be_here(submission.weights).await?;
        let signature = target.signature();
        let file = LocalFile::of(self.blobs(), submission.weights.digest).await?;
        let base = match job.base_of(submission.assignment.round) {
            Some(base) => Some(LocalFile::of(self.blobs(), base.digest).await?),
            None => None,
        };
        let open = |base: &LocalFile| WeightsReader::open(base.path(), &signature);
        let checked = match (job.code_of(&submission)?, &base) {
            (None, None) => {
                WeightsReader::check(file.path(), &signature).map(|(_, verified)| (verified, Ok(0.0)))
            }
            (None, Some(base)) => check_from(file.path(), &signature, &open(base).map_err(unreadable)?),
            (Some(code), Some(base)) => WeightsReader::check_step(file.path(), &signature, code, base.path())
                .map(|(step, verified)| {
                    (verified, open(base).and_then(|base| distance(&signature, &base, &step)))
                }),
            (Some(_), None) => return Err(nothing_to_step_from(submission.report.encoding)),
        };
        let (verified, norm) = checked.map_err(|error| weights_refusal(&error, &submission.weights))?;
        let norm = norm.map_err(unreadable)?;
        let stated = self.read(|state| state.counted_samples(&submission.assignment));
        let rules = UpdateRules::of(&job.spec, job.reported(institution), stated);
        ScreenedUpdate::screen(submission.clone(), rules, &target, verified, norm)
    }

    /// Records that admission has refused an update, unless trying again may help.
    async fn reject(&self, submission: &UpdateSubmission, refusal: Refusal) -> Refusal {
        if refusal.reason.is_transient() || refusal.reason == Reason::BlobMissing {
            return refusal;
        }
        let UpdateSubmission { assignment, token, weights, .. } = submission;
        let why = refusal.clone();
        // A file that is not safetensors could be anything, even imagery. It is not kept.
        let recorded = if refusal.reason == Reason::WeightsMalformed {
            let recorded = self.report_failure(assignment, token, why.to_string()).await;
            self.remove_unless_needed(weights.digest).await;
            recorded
        } else {
            let rejected = |job: &Job, now| job.reject(assignment, token, *weights, why, now);
            self.on_assignment(assignment, rejected).await
        };
        match recorded {
            Ok(()) => self.unpin(assignment, *weights).await,
            Err(error) => tracing::warn!(%error, "cannot record that an update was refused"),
        }
        refusal
    }

    /// Records that admission has refused the statistics or scores of the lease's holder: the same work would give
    /// the same numbers, so this attempt at the round does not ask for it again. The text is bounded like those that
    /// institutions send, since it quotes what they have sent.
    async fn fail_refused(&self, id: &AssignmentId, token: &LeaseToken, refusal: Refusal) -> Refusal {
        let why = Printable::escaped(&refusal.to_string(), MAX_TEXT).into();
        if let Err(error) = self.report_failure(id, token, why).await {
            tracing::warn!(assignment = %id, %error, "cannot record that numbers were refused");
        }
        refusal
    }

    /// Admits and counts statistics. Gives the time of their first record. Refused ones fail the assignment.
    ///
    /// # Errors
    /// The refusal of admission, or that the round has closed.
    pub async fn submit_statistics(&self, submission: StatisticsSubmission) -> Result<Timestamp, Refusal> {
        let id = submission.assignment.clone();
        let key = submission.key.clone();
        let (recorded, seen) = self.receipt(&id, &key).await?;
        if let Some(at) = recorded {
            return Ok(at);
        }
        let job = self.job(&id.job)?;
        job.check_lease(&id, &submission.token)?;
        let statement = submission.statement();
        self.read(|state| state.check_signed(&id.institution, &statement, &submission.signature))?;
        let target = job.target_of(&id.institution).ok_or_else(|| {
            Refusal::new(Reason::NotFound, format!("institution `{}` was not asked", id.institution))
        })?;
        let token = submission.token.clone();
        let screened = match ScreenedStatistics::screen(submission, &target) {
            Ok(screened) => screened,
            Err(refusal) => return Err(self.fail_refused(&id, &token, refusal).await),
        };
        let mut writer = self.lock_writer().await;
        let submit = |job: &Job, now| job.submit_statistics(screened, now);
        self.count(&mut writer, (&id, &key, seen), None, submit).await
    }

    /// Admits and counts scores. Gives the time of their first record. Refused ones fail the assignment.
    ///
    /// # Errors
    /// The refusal of admission, or that the round has closed.
    pub async fn submit_evaluation(&self, submission: EvaluationSubmission) -> Result<Timestamp, Refusal> {
        let id = submission.assignment.clone();
        let key = submission.key.clone();
        let (recorded, seen) = self.receipt(&id, &key).await?;
        if let Some(at) = recorded {
            return Ok(at);
        }
        let job = self.job(&id.job)?;
        job.check_lease(&id, &submission.token)?;
        let statement = submission.statement();
        self.read(|state| state.check_signed(&id.institution, &statement, &submission.signature))?;
        let stated = self.read(|state| state.counted_samples(&id));
        let token = submission.token.clone();
        let screened = match ScreenedEvaluation::screen(submission, stated) {
            Ok(screened) => screened,
            Err(refusal) => return Err(self.fail_refused(&id, &token, refusal).await),
        };
        let mut writer = self.lock_writer().await;
        let submit = |job: &Job, now| job.submit_evaluation(screened, now);
        self.count(&mut writer, (&id, &key, seen), None, submit).await
    }

    /// Records that the work has failed at an institution and will not be repeated there.
    ///
    /// # Errors
    /// If the caller does not hold the lease or the round has closed.
    pub async fn report_failure(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        message: String,
    ) -> Result<(), Refusal> {
        self.on_assignment(id, |job, now| job.report_failure(id, token, message, now)).await
    }
}

fn nothing_to_step_from(encoding: Encoding) -> Refusal {
    let message = format!("the update is a step (`{encoding}`), and this assignment has no starting weights");
    Refusal::new(Reason::Malformed, message)
}

#[allow(clippy::needless_pass_by_value, reason = "it is what errors are mapped with")]
fn unreadable(error: WeightsError) -> Refusal {
    defect("weights cannot be read", &error)
}

fn not_uploaded(weights: BlobRef) -> Refusal {
    let message = format!("{} of {} bytes has not been uploaded", weights.digest, weights.size);
    Refusal::new(Reason::BlobMissing, message)
}
