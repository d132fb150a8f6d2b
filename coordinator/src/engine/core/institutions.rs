//! What institutions ask of the engine: work, and to have its results admitted and counted.

use eosfed_aggregation::{Operand, distance};
use eosfed_common::assignment::{
    BlobRef, Directive, EvaluationSubmission, Lease, Progress, StatisticsSubmission, UpdateSubmission,
};
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{AssignmentId, LeaseToken};
use eosfed_common::refusal::{Reason, Refusal};

use super::{Core, defect};
use crate::domain::admission::{UpdateRules, weights_refusal};
use crate::domain::{Change, Job, Outcome, ScreenedEvaluation, ScreenedStatistics, ScreenedUpdate};
use crate::storage::{LocalFile, Presence};

impl Core {
    /// A transition that an institution asks for, with its answer.
    async fn on_assignment<T>(
        &self,
        id: &AssignmentId,
        volatile: bool,
        change: impl FnOnce(&Job, Timestamp) -> Result<(Outcome, T), Refusal>,
    ) -> Result<T, Refusal> {
        self.transact(|state, now, _| {
            let job = state.job(&id.job)?;
            let (outcome, answer) = change(job, now)?;
            // A heartbeat may be the first to notice that the round is over; that must not be forgotten.
            let volatile = volatile && attempt(job) == attempt(&outcome.job);
            Ok((answer, Change { volatile, ..state.settle(outcome, now)? }))
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
        self.on_assignment(id, false, |job, now| job.refuse(id, refusal, now)).await
    }

    /// Renews a lease and notes progress. What can no longer be used is told to stop.
    ///
    /// # Errors
    /// If the lease is not the caller's or has run out.
    pub async fn heartbeat(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        progress: Progress,
    ) -> Result<Directive, Refusal> {
        // The step that a trainer is at need not survive a restart; points of a curve must.
        let volatile = progress.points.is_empty();
        let beat = |job: &Job, now| job.heartbeat(id, token, progress, now);
        match self.on_assignment(id, volatile, beat).await {
            Ok(expires_at) => Ok(Directive::Continue(expires_at)),
            Err(refusal) if matches!(refusal.reason, Reason::RoundClosed | Reason::JobEnded) => {
                Ok(Directive::Stop(refusal))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Admits and counts an update; gives when it was first recorded. An update that admission
    /// refuses is kept with the reason, and not counted.
    ///
    /// # Errors
    /// Whatever admission finds, or that the round is over.
    pub async fn submit_update(&self, submission: &UpdateSubmission) -> Result<Timestamp, Refusal> {
        let id = submission.assignment.clone();
        let job = self.job(&id.job)?;
        if let Some(at) = job.receipt(&id, &submission.key) {
            return Ok(at);
        }
        job.check_lease(&id, &submission.token)?;
        let weights = submission.weights;
        let screened = match self.screen(&job, submission.clone()).await {
            Ok(screened) => screened,
            Err(refusal) => return Err(self.reject(submission, refusal).await),
        };
        let mut writer = self.writer.lock().await;
        // Blobs are removed under the same lock: what is there now is there when it counts.
        self.must_be_here(weights).await?;
        let now = self.now();
        let (recorded, change) = self.read(|state| {
            let (outcome, recorded) = state.job(&id.job)?.submit_update(screened, now)?;
            Ok::<_, Refusal>((recorded, state.settle(outcome, now)?))
        })?;
        self.commit(&mut writer, change).await?;
        drop(writer);
        self.unpin(&id, weights).await;
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
        let trainee = job.trainee_of(institution).ok_or_else(|| {
            Refusal::new(Reason::NotFound, format!("institution `{institution}` was not asked to take part"))
        })?;
        self.must_be_here(submission.weights).await?;
        let open = async |blob: BlobRef| -> Result<_, Refusal> {
            let file = LocalFile::of(self.blobs(), blob.digest).await?;
            let opened = Operand::open(file.path(), &trainee.signature());
            opened.map_err(|error| weights_refusal(&error, &blob))
        };
        let weights = open(submission.weights).await?;
        let norm = match job.base_of(submission.assignment.round) {
            Some(base) => distance(&trainee.signature(), &open(base).await?, &weights)
                .map_err(|error| defect("weights cannot be read", &error))?,
            None => 0.0,
        };
        ScreenedUpdate::screen(submission, UpdateRules::of(&job.spec), &trainee, weights.verified(), norm)
    }

    /// Records that admission has refused an update, unless trying again may help.
    async fn reject(&self, submission: &UpdateSubmission, refusal: Refusal) -> Refusal {
        if refusal.reason.is_transient() || refusal.reason == Reason::BlobMissing {
            return refusal;
        }
        let UpdateSubmission { assignment, token, weights, .. } = submission;
        tracing::warn!(%assignment, %refusal, "admission refuses an update");
        let why = refusal.clone();
        // What is no safetensors file may be anything, imagery too: it is not kept.
        let recorded = if refusal.reason == Reason::WeightsMalformed {
            let failed = |job: &Job, now| job.report_failure(assignment, token, why.to_string(), now);
            let recorded = self.on_assignment(assignment, false, failed).await;
            self.remove_unless_needed(weights.digest).await;
            recorded
        } else {
            let rejected = |job: &Job, now| job.reject(assignment, token, *weights, why, now);
            self.on_assignment(assignment, false, rejected).await
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
        let job = self.job(&id.job)?;
        if let Some(at) = job.receipt(&id, &submission.key) {
            return Ok(at);
        }
        job.check_lease(&id, &submission.token)?;
        let trainee = job.trainee_of(&id.institution).ok_or_else(|| {
            Refusal::new(Reason::NotFound, format!("institution `{}` was not asked", id.institution))
        })?;
        let screened = ScreenedStatistics::screen(submission, &trainee)?;
        self.on_assignment(&id, false, |job, now| job.submit_statistics(screened, now)).await
    }

    /// Admits and counts scores; gives when they were first recorded.
    ///
    /// # Errors
    /// Whatever admission finds, or that the round is over.
    pub async fn submit_evaluation(&self, submission: EvaluationSubmission) -> Result<Timestamp, Refusal> {
        let id = submission.assignment.clone();
        let job = self.job(&id.job)?;
        if let Some(at) = job.receipt(&id, &submission.key) {
            return Ok(at);
        }
        job.check_lease(&id, &submission.token)?;
        let screened = ScreenedEvaluation::screen(submission)?;
        self.on_assignment(&id, false, |job, now| job.submit_evaluation(screened, now)).await
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
        self.on_assignment(id, false, |job, now| job.report_failure(id, token, message, now)).await
    }
}

/// The attempt at a round that is open.
fn attempt(job: &Job) -> Option<(u32, u32)> {
    job.open_round().map(|round| (round.index, round.attempt))
}
