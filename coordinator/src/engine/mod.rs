//! The one door to the federation. Every change passes it: decided on the present state, stored in
//! one transaction, made visible, and only then acted upon and answered. What the coordinator
//! itself has to compute follows from the stored state, so that a crash at any instant loses
//! nothing that was acknowledged and counts nothing twice.

mod institutions;
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

use eosfed_common::card::ReleaseManifest;
use eosfed_common::clock::{Clock, Timestamp};
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId};
use eosfed_common::plan::Plan;
use eosfed_common::refusal::{Reason, Refusal};
use rand::RngExt as _;
use rand_chacha::ChaCha12Rng;
use tokio::sync::watch;

use crate::domain::job::Event;
use crate::domain::registry::SpecialistRef;
use crate::domain::{Change, Federation, Job, Outcome};
use crate::storage::{Blobs, Store, StoreError};

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
}
