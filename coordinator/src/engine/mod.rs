//! The engine: the one door to the federation, and the threads around it. What it decides and in
//! which order is [`Core`]'s affair; here its calls get a thread of their own, what a change asks to
//! be computed is computed, and time passes.

pub mod core;
pub mod places;
mod timer;

#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use eosfed_common::assignment::{
    Directive, EvaluationSubmission, Lease, Progress, StatisticsSubmission, UpdateSubmission,
};
use eosfed_common::card::ReleaseManifest;
use eosfed_common::clock::{Clock, Timestamp};
use eosfed_common::ids::{AssignmentId, IdempotencyKey, InstitutionName, JobId, LeaseToken};
use eosfed_common::plan::{Plan, RoundsPlan};
use eosfed_common::refusal::Refusal;
use rand_chacha::ChaCha12Rng;

use crate::domain::registry::SpecialistRef;
use crate::storage::{Blobs, Store, StoreError};

pub use core::{Core, Invited, Performed, Staged};

/// How long to wait before recording a result again when the store could not take it.
const PAUSE: Duration = Duration::from_secs(30);

/// What an operator can choose about the engine.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long what closed rounds are made of is kept: for audits, and to run or aggregate a round again.
    pub keep_updates_for: Duration,
    /// How long an upload is kept that nobody goes on with.
    pub keep_uploads_for: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            keep_updates_for: Duration::from_secs(7 * 86_400),
            keep_uploads_for: Duration::from_secs(7 * 86_400),
        }
    }
}

/// The engine; clones are the same one. Dropping the last ends its timer. Questions go to the
/// [`Core`] that it dereferences to; what may have to wait for the disk goes through the methods here.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Core>);

impl Deref for Handle {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.0
    }
}

impl Handle {
    /// Opens the federation in `store` and takes up what it was computing. Must be called inside a
    /// tokio runtime.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn start(
        store: Box<dyn Store>,
        blobs: Arc<dyn Blobs>,
        clock: Arc<dyn Clock>,
        rng: ChaCha12Rng,
        options: Options,
    ) -> Result<Self, StoreError> {
        let opened = tokio::task::spawn_blocking(move || Core::open(store, blobs, clock, rng, options)).await;
        let core = opened.map_err(|error| StoreError::Backend(error.to_string()))??;
        let handle = Self(Arc::new(core));
        handle.dispatch();
        timer::spawn(&handle);
        Ok(handle)
    }

    /// Runs a call on a thread of its own, so that a caller who hangs up tears nothing.
    async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Core) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || call(&inner)).await;
        self.dispatch();
        done.map_err(|error| core::defect("a call has panicked", &error))?
    }

    /// Starts what the changed jobs ask to be computed.
    fn dispatch(&self) {
        for id in self.take_changed() {
            if self.look_at(&id, |job| job.task().is_some()) == Ok(true) {
                tokio::spawn(self.clone().compute(id));
            }
        }
    }

    async fn compute(self, id: JobId) {
        loop {
            let (core, job) = (Arc::clone(&self.0), id.clone());
            match tokio::task::spawn_blocking(move || core.perform(&job)).await {
                Ok(Performed::Again) => tokio::time::sleep(PAUSE).await,
                Ok(Performed::Nothing | Performed::Recorded) => break,
                Err(error) => {
                    tracing::error!(job = %id, %error, "a computation has panicked; it is tried again at the next start");
                    break;
                }
            }
        }
        self.dispatch();
    }

    /// As [`Core::invite`].
    ///
    /// # Errors
    /// As there.
    pub async fn invite(&self, name: InstitutionName, valid_for: Duration) -> Result<Invited, Refusal> {
        self.run(move |core| core.invite(&name, valid_for)).await
    }

    /// As [`Core::redeem`].
    ///
    /// # Errors
    /// As there.
    pub async fn redeem(
        &self,
        name: InstitutionName,
        secret: String,
        request_pem: String,
    ) -> Result<(), Refusal> {
        self.run(move |core| core.redeem(&name, &secret, &request_pem)).await
    }

    /// As [`Core::submit_job`].
    ///
    /// # Errors
    /// As there.
    pub async fn submit_job(
        &self,
        plan: Plan,
        by: InstitutionName,
        key: IdempotencyKey,
    ) -> Result<JobId, Refusal> {
        self.run(move |core| core.submit_job(plan, &by, key)).await
    }

    /// As [`Core::job_from`].
    ///
    /// # Errors
    /// As there.
    pub async fn job_from(
        &self,
        origin: JobId,
        round: u32,
        rounds: Option<RoundsPlan>,
        by: InstitutionName,
        key: IdempotencyKey,
    ) -> Result<JobId, Refusal> {
        self.run(move |core| core.job_from(&origin, round, rounds, &by, key)).await
    }

    /// As [`Core::cancel_job`].
    ///
    /// # Errors
    /// As there.
    pub async fn cancel_job(&self, id: JobId, by: InstitutionName) -> Result<(), Refusal> {
        self.run(move |core| core.cancel_job(&id, by)).await
    }

    /// As [`Core::pause_job`].
    ///
    /// # Errors
    /// As there.
    pub async fn pause_job(&self, id: JobId, by: InstitutionName) -> Result<(), Refusal> {
        self.run(move |core| core.pause_job(&id, by)).await
    }

    /// As [`Core::resume_job`].
    ///
    /// # Errors
    /// As there.
    pub async fn resume_job(&self, id: JobId) -> Result<(), Refusal> {
        self.run(move |core| core.resume_job(&id)).await
    }

    /// As [`Core::retry`].
    ///
    /// # Errors
    /// As there.
    pub async fn retry(&self, id: JobId, institution: InstitutionName) -> Result<(), Refusal> {
        self.run(move |core| core.retry(&id, institution)).await
    }

    /// As [`Core::create_release`].
    ///
    /// # Errors
    /// As there.
    pub async fn create_release(
        &self,
        references: Vec<SpecialistRef>,
        note: String,
        key: IdempotencyKey,
    ) -> Result<ReleaseManifest, Refusal> {
        self.run(move |core| core.create_release(&references, note, key)).await
    }

    /// As [`Core::stage_backup`].
    ///
    /// # Errors
    /// As there.
    pub async fn stage_backup(&self) -> Result<Staged, Refusal> {
        self.run(Core::stage_backup).await
    }

    /// As [`Core::accept`].
    ///
    /// # Errors
    /// As there.
    pub async fn accept(&self, id: AssignmentId) -> Result<Lease, Refusal> {
        self.run(move |core| core.accept(&id)).await
    }

    /// As [`Core::refuse`].
    ///
    /// # Errors
    /// As there.
    pub async fn refuse(&self, id: AssignmentId, refusal: Refusal) -> Result<(), Refusal> {
        self.run(move |core| core.refuse(&id, refusal)).await
    }

    /// As [`Core::heartbeat`].
    ///
    /// # Errors
    /// As there.
    pub async fn heartbeat(
        &self,
        id: AssignmentId,
        token: LeaseToken,
        progress: Progress,
    ) -> Result<Directive, Refusal> {
        self.run(move |core| core.heartbeat(&id, &token, progress)).await
    }

    /// As [`Core::submit_update`].
    ///
    /// # Errors
    /// As there.
    pub async fn submit_update(&self, submission: UpdateSubmission) -> Result<Timestamp, Refusal> {
        self.run(move |core| core.submit_update(&submission)).await
    }

    /// As [`Core::submit_statistics`].
    ///
    /// # Errors
    /// As there.
    pub async fn submit_statistics(&self, submission: StatisticsSubmission) -> Result<Timestamp, Refusal> {
        self.run(move |core| core.submit_statistics(submission)).await
    }

    /// As [`Core::submit_evaluation`].
    ///
    /// # Errors
    /// As there.
    pub async fn submit_evaluation(&self, submission: EvaluationSubmission) -> Result<Timestamp, Refusal> {
        self.run(move |core| core.submit_evaluation(submission)).await
    }

    /// As [`Core::report_failure`].
    ///
    /// # Errors
    /// As there.
    pub async fn report_failure(
        &self,
        id: AssignmentId,
        token: LeaseToken,
        message: String,
    ) -> Result<(), Refusal> {
        self.run(move |core| core.report_failure(&id, &token, message)).await
    }
}
