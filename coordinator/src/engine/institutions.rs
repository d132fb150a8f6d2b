//! What institutions ask of the engine: work, and to have its results admitted and counted.

use eosfed_common::assignment::{Directive, Lease, Progress, StatisticsSubmission, UpdateSubmission};
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{AssignmentId, LeaseToken};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::weights::WeightsFile;

use super::{Handle, defect};
use crate::domain::{Change, Job, Outcome, ScreenedStatistics, ScreenedUpdate};
use crate::storage::Presence;

impl Handle {
    /// A transition that an institution asks for, with its answer.
    async fn on_assignment<T: Send + 'static>(
        &self,
        id: AssignmentId,
        volatile: bool,
        change: impl FnOnce(&Job, &AssignmentId, Timestamp) -> Result<(Outcome, T), Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.transact(move |state, now, _| {
            let job = state.job(&id.job)?;
            let (outcome, answer) = change(job, &id, now)?;
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
    pub async fn accept(&self, id: AssignmentId) -> Result<Lease, Refusal> {
        self.transact(move |state, now, rng| {
            let (outcome, lease) = state.job(&id.job)?.accept(&id, LeaseToken::random(rng), now)?;
            Ok((lease, state.settle(outcome, now)?))
        })
        .await
    }

    /// Notes that an institution does not want an assignment.
    ///
    /// # Errors
    /// If it is not offered any more.
    pub async fn refuse(&self, id: AssignmentId, refusal: Refusal) -> Result<(), Refusal> {
        self.on_assignment(id, false, |job, id, now| job.refuse(id, refusal, now)).await
    }

    /// Renews a lease and notes progress. What can no longer be used is told to stop.
    ///
    /// # Errors
    /// If the lease is not the caller's or has run out.
    pub async fn heartbeat(
        &self,
        id: AssignmentId,
        token: LeaseToken,
        progress: Progress,
    ) -> Result<Directive, Refusal> {
        // The step that a trainer is at need not survive a restart; points of a curve must.
        let volatile = progress.points.is_empty();
        let beat = move |job: &Job, id: &AssignmentId, now| job.heartbeat(id, &token, progress, now);
        match self.on_assignment(id, volatile, beat).await {
            Ok(expires_at) => Ok(Directive::Continue(expires_at)),
            Err(refusal) if matches!(refusal.reason, Reason::RoundClosed | Reason::JobEnded) => {
                Ok(Directive::Stop(refusal))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Admits and counts an update; gives when it was first recorded. An update that admission
    /// refuses is recorded as that institution's failure.
    ///
    /// # Errors
    /// Whatever admission finds, or that the round is over.
    pub async fn submit_update(&self, submission: UpdateSubmission) -> Result<Timestamp, Refusal> {
        let id = submission.assignment.clone();
        let job = self.job(&id.job)?;
        if let Some(at) = job.receipt(&id, &submission.key) {
            return Ok(at);
        }
        job.check_lease(&id, &submission.token)?;
        let screened = match self.screen(&job, submission.clone()).await {
            Ok(screened) => screened,
            Err(refusal) => return Err(self.reject(submission, refusal).await),
        };
        self.on_assignment(id, false, |job, _, now| job.submit_update(screened, now)).await
    }

    async fn screen(&self, job: &Job, submission: UpdateSubmission) -> Result<ScreenedUpdate, Refusal> {
        let institution = &submission.assignment.institution;
        let trainee = job.trainee_of(institution).ok_or_else(|| {
            Refusal::new(Reason::NotFound, format!("institution `{institution}` was not asked to take part"))
        })?;
        let blobs = self.blobs();
        let checked = tokio::task::spawn_blocking(move || {
            let weights = submission.weights;
            match blobs.stat("", weights.digest)? {
                Presence::Complete(size) if size == weights.size => {}
                Presence::Complete(_) | Presence::Partial(_) => {
                    let message =
                        format!("{} of {} bytes has not been uploaded", weights.digest, weights.size);
                    return Err(Refusal::new(Reason::BlobMissing, message));
                }
            }
            let path = blobs.file(weights.digest)?;
            let file =
                WeightsFile::open(&path).map_err(|error| defect("an upload cannot be read", &error))?;
            ScreenedUpdate::screen(submission, &trainee, &file)
        });
        checked.await.map_err(|error| defect("admission has panicked", &error))?
    }

    /// Records that admission has refused an update, unless trying again may help.
    async fn reject(&self, submission: UpdateSubmission, refusal: Refusal) -> Refusal {
        if refusal.reason.is_transient() || refusal.reason == Reason::BlobMissing {
            return refusal;
        }
        let UpdateSubmission { assignment, token, weights, .. } = submission;
        tracing::warn!(%assignment, %refusal, "admission refuses an update");
        let message = format!("refused at admission: {refusal}");
        let failed = move |job: &Job, id: &AssignmentId, now| job.report_failure(id, &token, message, now);
        if let Err(error) = self.on_assignment(assignment, false, failed).await {
            tracing::warn!(%error, "cannot record that an update was refused");
        }
        self.remove_unless_needed(weights.digest);
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
        self.on_assignment(id, false, |job, _, now| job.submit_statistics(screened, now)).await
    }

    /// Notes that the work failed at an institution for good.
    ///
    /// # Errors
    /// If the lease is not the caller's or the round is over.
    pub async fn report_failure(
        &self,
        id: AssignmentId,
        token: LeaseToken,
        message: String,
    ) -> Result<(), Refusal> {
        self.on_assignment(id, false, move |job, id, now| job.report_failure(id, &token, message, now)).await
    }
}

/// The attempt at a round that is open.
fn attempt(job: &Job) -> Option<(u32, u32)> {
    job.collecting().map(|round| (round.index, round.attempt))
}
