//! The one door to the federation. Every change passes it: decided on the present state, stored in
//! one transaction, made visible, and only then acted upon and answered. What the coordinator
//! itself has to compute follows from the stored state, so that a crash at any instant loses
//! nothing that was acknowledged and counts nothing twice.

mod queries;
mod tasks;
mod timer;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use eosfed_common::assignment::{Directive, Lease, Progress, StatisticsSubmission, UpdateSubmission};
use eosfed_common::card::ReleaseManifest;
use eosfed_common::clock::{Clock, Timestamp};
use eosfed_common::ids::{AssignmentId, IdempotencyKey, InstitutionName, JobId, LeaseToken};
use eosfed_common::plan::Plan;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::weights::WeightsFile;
use rand::RngExt as _;
use rand_chacha::ChaCha12Rng;
use tokio::sync::watch;

use crate::domain::job::Event;
use crate::domain::registry::SpecialistRef;
use crate::domain::{Change, Federation, Job, Outcome, ScreenedStatistics, ScreenedUpdate};
use crate::storage::{Blobs, Presence, Store, StoreError};

/// What an operator can choose about the engine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Keep updates after their round, for audits, instead of removing them.
    pub keep_updates: bool,
}

struct Shared {
    store: Box<dyn Store>,
    blobs: Arc<dyn Blobs>,
    clock: Arc<dyn Clock>,
    options: Options,
    state: RwLock<Federation>,
    /// Whoever changes the state holds this; it also guards the only randomness.
    door: Mutex<ChaCha12Rng>,
    revision: watch::Sender<u64>,
    /// Jobs whose task is being computed.
    busy: Mutex<BTreeSet<JobId>>,
}

/// The engine; clones are the same one. Dropping the last ends its timer.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("revision", &*self.0.revision.borrow()).finish_non_exhaustive()
    }
}

/// An invitation, once: its secret is not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Invited {
    /// 64 hexadecimal digits.
    pub secret: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether the institution is enrolled already.
    pub enrolled_before: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A refusal for what should not happen: the caller gets a number that stands in the log.
fn defect(what: &str, error: &dyn fmt::Display) -> Refusal {
    let id = uuid_like();
    tracing::error!(%error, defect = %id, "{what}");
    let message = format!("the coordinator has failed; its log has the cause under `{id}`");
    Refusal::new(Reason::Internal, message)
}

/// A number for the log. Not a secret, and nothing depends on it.
fn uuid_like() -> String {
    format!("{:016x}", rand::rng().random::<u64>())
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::new(
                Reason::StorageFull,
                "the disk of the coordinator is full; nothing was changed, try again later",
            ),
            other => defect("the store has failed", &other),
        }
    }
}

impl Handle {
    /// Opens the federation in `store`, gives everybody back the time that the coordinator was
    /// away, and takes up what it was computing. Must be called inside a tokio runtime.
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
        let state = store.load()?;
        let jobs: Vec<_> = state.jobs.keys().cloned().collect();
        let handle = Self(Arc::new(Shared {
            store,
            blobs,
            clock,
            options,
            state: RwLock::new(state),
            door: Mutex::new(rng),
            revision: watch::Sender::new(1),
            busy: Mutex::default(),
        }));
        for id in jobs {
            if handle.job(&id).is_ok_and(|job| !job.has_ended()) {
                let restarted = handle.on_job(id, |job, now| job.apply(Event::Restart, now)).await;
                restarted.map_err(|refusal| StoreError::Backend(refusal.to_string()))?;
            }
        }
        handle.sweep();
        timer::spawn(&handle);
        Ok(handle)
    }

    /// Changes whenever anything does; what has changed is to be looked up.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.revision.subscribe()
    }

    /// The blobs.
    #[must_use]
    pub fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::clone(&self.0.blobs)
    }

    fn read<T>(&self, look: impl FnOnce(&Federation) -> T) -> T {
        look(&self.0.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The door. Runs on a thread of its own, so that a caller who hangs up tears nothing.
    async fn transact<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&Federation, Timestamp, &mut ChaCha12Rng) -> Result<(T, Change), Refusal>
        + Send
        + 'static,
    ) -> Result<T, Refusal> {
        let handle = self.clone();
        let done = tokio::task::spawn_blocking(move || handle.transact_now(decide)).await;
        done.map_err(|error| defect("a transaction has panicked", &error))?
    }

    fn transact_now<T>(
        &self,
        decide: impl FnOnce(&Federation, Timestamp, &mut ChaCha12Rng) -> Result<(T, Change), Refusal>,
    ) -> Result<T, Refusal> {
        let mut rng = lock(&self.0.door);
        let now = self.0.clock.now();
        let (answer, change) = self.read(|state| decide(state, now, &mut rng))?;
        if change.is_empty() {
            return Ok(answer);
        }
        if !change.volatile {
            self.0.store.commit(&change)?;
        }
        let jobs: Vec<_> = change.jobs.iter().map(|job| job.id.clone()).collect();
        self.0.state.write().unwrap_or_else(PoisonError::into_inner).merge(change);
        self.0.revision.send_modify(|revision| *revision += 1);
        drop(rng);
        for job in jobs {
            tasks::dispatch(self, &job);
        }
        Ok(answer)
    }

    /// A transition of one job.
    async fn on_job(
        &self,
        id: JobId,
        change: impl FnOnce(&Job, Timestamp) -> Result<Outcome, Refusal> + Send + 'static,
    ) -> Result<(), Refusal> {
        self.transact(move |state, now, _| {
            let outcome = change(state.job(&id)?, now)?;
            Ok(((), state.settle(outcome, now)?))
        })
        .await
    }

    /// Invites an institution.
    ///
    /// # Errors
    /// If the invitation would be open for no time or for too long.
    pub async fn invite(&self, name: InstitutionName, valid_for: Duration) -> Result<Invited, Refusal> {
        self.transact(move |state, now, rng| {
            let secret = format!("{:032x}{:032x}", rng.random::<u128>(), rng.random::<u128>());
            let (enrolled_before, change) = state.invite(&name, &secret, valid_for, now)?;
            Ok((Invited { secret, expires_at: now.plus(valid_for), enrolled_before }, change))
        })
        .await
    }

    /// Redeems an invitation for a signing request; when this has returned, the request may be
    /// certified.
    ///
    /// # Errors
    /// A reason of the `TOKEN_` family.
    pub async fn redeem(
        &self,
        name: InstitutionName,
        secret: String,
        request_pem: String,
    ) -> Result<(), Refusal> {
        self.transact(move |state, now, _| Ok(((), state.redeem(&name, &secret, &request_pem, now)?))).await
    }

    /// Submits a plan as a job; the same key again gives the same job.
    ///
    /// # Errors
    /// If too few institutions are enrolled.
    pub async fn submit_job(
        &self,
        plan: Plan,
        by: InstitutionName,
        key: IdempotencyKey,
    ) -> Result<JobId, Refusal> {
        self.transact(move |state, now, rng| {
            let free = loop {
                let id = JobId::random(rng);
                if !state.jobs.contains_key(&id) {
                    break id;
                }
            };
            state.submit_job(free, key, plan, &by, now)
        })
        .await
    }

    /// Stops a job for good.
    ///
    /// # Errors
    /// If there is no such job, or it has ended.
    pub async fn cancel_job(&self, id: JobId, by: InstitutionName) -> Result<(), Refusal> {
        self.on_job(id, move |job, now| job.apply(Event::Cancel(by), now)).await
    }

    /// Lets a paused job go on.
    ///
    /// # Errors
    /// If there is no such job, or it is not paused.
    pub async fn resume_job(&self, id: JobId) -> Result<(), Refusal> {
        self.on_job(id, |job, now| job.apply(Event::Resume, now)).await
    }

    /// Cuts a release of these specialists, or of the latest version of all; the same key again
    /// gives the same release.
    ///
    /// # Errors
    /// If a reference names nothing, a name comes twice, or there is nothing to release.
    pub async fn create_release(
        &self,
        references: Vec<SpecialistRef>,
        note: String,
        key: IdempotencyKey,
    ) -> Result<ReleaseManifest, Refusal> {
        self.transact(move |state, now, _| state.create_release(&references, note, key, now)).await
    }

    /// A transition that an institution asks for, with its answer.
    async fn on_assignment<T: Send + 'static>(
        &self,
        id: AssignmentId,
        volatile: bool,
        change: impl FnOnce(&Job, &AssignmentId, Timestamp) -> Result<(Outcome, T), Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.transact(move |state, now, _| {
            let (outcome, answer) = change(state.job(&id.job)?, &id, now)?;
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
        let model = job.model_for(institution).ok_or_else(|| {
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
            ScreenedUpdate::screen(submission, &model, &file)
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
        let model = job.model_for(&id.institution).ok_or_else(|| {
            Refusal::new(Reason::NotFound, format!("institution `{}` was not asked", id.institution))
        })?;
        let screened = ScreenedStatistics::screen(submission, &model)?;
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
