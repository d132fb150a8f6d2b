//! What institutions ask of the engine: work, and to have its results admitted and counted.

use eosfed_aggregation::{WeightsReader, distance};
use eosfed_common::assignment::{
    BlobRef, Directive, EvaluationSubmission, Lease, Progress, StatisticsSubmission, UpdateSubmission,
};
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{AssignmentId, IdempotencyKey, LeaseToken};
use eosfed_common::refusal::{Reason, Refusal};

use super::{Core, Writer, defect};
use crate::domain::admission::{UpdateRules, weights_refusal};
use crate::domain::curve::{Curve, CurveId};
use crate::domain::{Change, Job, Outcome, ScreenedEvaluation, ScreenedStatistics, ScreenedUpdate};
use crate::storage::{LocalFile, Presence, StoreError};

impl Core {
    /// A transition that an institution asks for, with its answer.
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

    /// Lends an assignment, or gives the lease that is held already.
    ///
    /// # Errors
    /// If it is not offered any more.
    pub async fn accept(&self, id: &AssignmentId) -> Result<Lease, Refusal> {
        self.transact(|state, now, rng| {
            let (outcome, lease) = state.job(&id.job)?.accept(id, LeaseToken::random(rng), now)?;
            Ok((lease, state.settle(outcome, now)?))
        })
        .await
    }

    /// Notes that an institution does not want an assignment.
    ///
    /// # Errors
    /// If it is not offered any more.
    pub async fn refuse(&self, id: &AssignmentId, refusal: Refusal) -> Result<(), Refusal> {
        self.on_assignment(id, |job, now| job.refuse(id, refusal, now)).await
    }

    /// Renews a lease and notes progress. What can no longer be used is told to stop. Points of the curve
    /// are stored, as a record of their own; the step that a trainer is at need not survive a restart.
    ///
    /// # Errors
    /// If the lease is not the caller's or has expired.
    pub async fn heartbeat(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        progress: Progress,
    ) -> Result<Directive, Refusal> {
        let mut writer = self.writer.lock().await;
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
        // The lease is renewed whether the points can be stored or not.
        self.store_change(&mut writer, change, now).await?;
        if let (Some(id), false) = (curve, progress.points.is_empty()) {
            let curves = self.curve(id).await?.extended(progress.points).into_iter().collect();
            self.store_change(&mut writer, Change { curves, ..Change::default() }, now).await?;
        }
        Ok(Directive::Continue(expires_at))
    }

    /// A curve as it is stored. One that is damaged begins anew.
    async fn curve(&self, id: CurveId) -> Result<Curve, Refusal> {
        match self.store.curve(&id).await {
            Ok(curve) => Ok(curve.unwrap_or_else(|| Curve::new(id))),
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%error, "a training curve begins anew");
                Ok(Curve::new(id))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// When a submission with this key was recorded, if it was, and how many rounds of its job have closed.
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

    /// Counts a submission under the write lock. `seen` is how many rounds had closed when it was looked
    /// whether the submission was recorded already.
    async fn count(
        &self,
        writer: &mut Writer,
        (id, key, seen): (&AssignmentId, &IdempotencyKey, usize),
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
        self.store_change(writer, change, now).await?;
        Ok(recorded)
    }

    /// Admits and counts an update; gives when it was first recorded. An update that admission
    /// refuses is kept with the reason, and not counted.
    ///
    /// # Errors
    /// Whatever admission finds, or that the round is over.
    pub async fn submit_update(&self, submission: &UpdateSubmission) -> Result<Timestamp, Refusal> {
        let UpdateSubmission { assignment: id, key, weights, .. } = submission;
        let (recorded, seen) = self.receipt(id, key).await?;
        if let Some(at) = recorded {
            return Ok(at);
        }
        let job = self.job(&id.job)?;
        job.check_lease(id, &submission.token)?;
        let screened = match self.screen(&job, submission.clone()).await {
            Ok(screened) => screened,
            Err(refusal) => return Err(self.reject(submission, refusal).await),
        };
        let mut writer = self.writer.lock().await;
        // Blobs are removed under the same lock: what is there now is there when it counts.
        self.must_be_here(*weights).await?;
        let submit = |job: &Job, now| job.submit_update(screened, now);
        let recorded = self.count(&mut writer, (id, key, seen), submit).await?;
        drop(writer);
        self.unpin(id, *weights).await;
        Ok(recorded)
    }

    /// From now on, records decide whether an upload is kept.
    async fn unpin(&self, id: &AssignmentId, weights: BlobRef) {
        if let Err(error) = self.blobs.unpin(id.institution.as_str(), weights.digest).await {
            tracing::warn!(assignment = %id, %error, "an upload is kept longer than needed");
        }
    }

    async fn must_be_here(&self, weights: BlobRef) -> Result<(), Refusal> {
        match self.blobs.stat("", weights.digest).await? {
            Presence::Complete(size) if size == weights.size => Ok(()),
            Presence::Complete(_) | Presence::Partial(_) => {
                let message = format!("{} of {} bytes has not been uploaded", weights.digest, weights.size);
                Err(Refusal::new(Reason::BlobMissing, message))
            }
        }
    }

    async fn screen(&self, job: &Job, submission: UpdateSubmission) -> Result<ScreenedUpdate, Refusal> {
        let institution = &submission.assignment.institution;
        let target = job.target_of(institution).ok_or_else(|| {
            Refusal::new(Reason::NotFound, format!("institution `{institution}` was not asked to take part"))
        })?;
        self.must_be_here(submission.weights).await?;
        let open = async |blob: BlobRef| -> Result<_, Refusal> {
            let file = LocalFile::of(self.blobs(), blob.digest).await?;
            let opened = WeightsReader::open(file.path(), &target.signature());
            opened.map_err(|error| weights_refusal(&error, &blob))
        };
        let weights = open(submission.weights).await?;
        let norm = match job.base_of(submission.assignment.round) {
            Some(base) => distance(&target.signature(), &open(base).await?, &weights)
                .map_err(|error| defect("weights cannot be read", &error))?,
            None => 0.0,
        };
        ScreenedUpdate::screen(submission, UpdateRules::of(&job.spec), &target, weights.verified(), norm)
    }

    /// Records that admission has refused an update, unless trying again may help.
    async fn reject(&self, submission: &UpdateSubmission, refusal: Refusal) -> Refusal {
        if refusal.reason.is_transient() || refusal.reason == Reason::BlobMissing {
            return refusal;
        }
        let UpdateSubmission { assignment, token, weights, .. } = submission;
        let why = refusal.clone();
        // What is no safetensors file may be anything, imagery too: it is not kept.
        let recorded = if refusal.reason == Reason::WeightsMalformed {
            let failed = |job: &Job, now| job.report_failure(assignment, token, why.to_string(), now);
            let recorded = self.on_assignment(assignment, failed).await;
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

    /// Admits and counts statistics; gives when they were first recorded.
    ///
    /// # Errors
    /// Whatever admission finds, or that the round is over.
    pub async fn submit_statistics(&self, submission: StatisticsSubmission) -> Result<Timestamp, Refusal> {
        let id = submission.assignment.clone();
        let key = submission.key.clone();
        let (recorded, seen) = self.receipt(&id, &key).await?;
        if let Some(at) = recorded {
            return Ok(at);
        }
        let job = self.job(&id.job)?;
        job.check_lease(&id, &submission.token)?;
        let target = job.target_of(&id.institution).ok_or_else(|| {
            Refusal::new(Reason::NotFound, format!("institution `{}` was not asked", id.institution))
        })?;
        let screened = ScreenedStatistics::screen(submission, &target)?;
        let mut writer = self.writer.lock().await;
        let submit = |job: &Job, now| job.submit_statistics(screened, now);
        self.count(&mut writer, (&id, &key, seen), submit).await
    }

    /// Admits and counts scores; gives when they were first recorded.
    ///
    /// # Errors
    /// Whatever admission finds, or that the round is over.
    pub async fn submit_evaluation(&self, submission: EvaluationSubmission) -> Result<Timestamp, Refusal> {
        let id = submission.assignment.clone();
        let key = submission.key.clone();
        let (recorded, seen) = self.receipt(&id, &key).await?;
        if let Some(at) = recorded {
            return Ok(at);
        }
        let job = self.job(&id.job)?;
        job.check_lease(&id, &submission.token)?;
        let screened = ScreenedEvaluation::screen(submission)?;
        let mut writer = self.writer.lock().await;
        let submit = |job: &Job, now| job.submit_evaluation(screened, now);
        self.count(&mut writer, (&id, &key, seen), submit).await
    }

    /// Notes that the work failed at an institution for good.
    ///
    /// # Errors
    /// If the lease is not the caller's or the round is over.
    pub async fn report_failure(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        message: String,
    ) -> Result<(), Refusal> {
        self.on_assignment(id, |job, now| job.report_failure(id, token, message, now)).await
    }
}
