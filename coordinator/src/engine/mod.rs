//! The engine: the only way to change the federation. [`Core`] makes the decisions and orders them. This
//! module gives its calls threads, starts the tasks that follow from a change, and runs the timer.

pub mod core;
pub mod cpu_permits;
mod follow;
mod timer;

#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use eosfed_common::clock::Clock;
use eosfed_common::ids::JobId;
use eosfed_common::refusal::Refusal;
use eosfed_common::signing::SigningKey;
use eosfed_common::view::{JobProgress, RoundView};
use rand_chacha::ChaCha12Rng;

use crate::domain::retention::Limits;
use crate::domain::round::AttemptId;
use crate::domain::{Job, view};
use crate::metrics::Metrics;
use crate::storage::{Blobs, Store, StoreError};

pub use core::{Core, Invited, Queries, Snapshot, TaskOutcome};

/// Time between two tries to record a result, after the store has failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// The settings of the engine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which closed rounds keep their updates and starting weights, for audits and forks.
    pub retention: Limits,
    /// How long an upload is kept that is not continued.
    pub keep_uploads_for: Duration,
    /// The folder for snapshots, on the file system of the blobs.
    pub snapshots: PathBuf,
    /// Signs cards and releases.
    pub signing_key: SigningKey,
    /// What is measured.
    pub metrics: Arc<Metrics>,
}

impl Options {
    /// The default settings, with snapshots in this folder and this key.
    #[must_use]
    pub fn new(snapshots: PathBuf, signing_key: SigningKey) -> Self {
        Self {
            retention: Limits { keep_for: Some(Duration::from_secs(7 * 86_400)), ..Limits::default() },
            keep_uploads_for: Duration::from_secs(7 * 86_400),
            snapshots,
            signing_key,
            metrics: Arc::default(),
        }
    }
}

/// The engine. Clones share it; dropping the last clone ends its timer. [`Queries`] reads the state in
/// memory. Calls that may wait for a disk or a processor go through [`Handle::call`].
#[derive(Debug, Clone)]
pub struct Handle(Arc<Core>);

impl Deref for Handle {
    type Target = Queries;

    fn deref(&self) -> &Queries {
        self.0.queries()
    }
}

impl Handle {
    /// Opens the federation in `store` and restarts its tasks. Must be called inside a tokio runtime.
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
        let core = on_thread(async move || Core::open(store, blobs, clock, rng, options).await);
        let core = core.await.map_err(|error| StoreError::Backend(error.to_string()))??;
        let handle = Self(Arc::new(core));
        handle.dispatch();
        timer::spawn(&handle);
        Ok(handle)
    }

    /// Runs a call on a thread. It runs to its end even if the caller disconnects.
    ///
    /// # Errors
    /// As the call.
    pub async fn call<T: Send + 'static>(
        &self,
        call: impl AsyncFnOnce(&Core) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let core = Arc::clone(&self.0);
        let done = on_thread(async move || call(&core).await).await;
        self.dispatch();
        done.map_err(|error| core::defect("a call has panicked", &error))?
    }

    /// Up to `most` events of the ledger from this one on, each as its hashed line.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn events(&self, from: u64, most: usize) -> Result<Vec<String>, Refusal> {
        self.call(async move |core: &Core| core.events(from, most).await).await
    }

    /// The place after the newest event of the ledger.
    pub async fn ledger_end(&self) -> u64 {
        let head = self.call(async |core: &Core| Ok(core.ledger_head().await)).await;
        head.ok().flatten().map_or(0, |head| head.sequence + 1)
    }

    /// The view of a closed attempt, with its curves.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn closed_round(&self, id: &JobId, attempt: AttemptId) -> Result<RoundView, Refusal> {
        let id = id.clone();
        let read = async move |core: &Core| core.closed_attempt(&id, attempt).await;
        let (closed, curves) = self.call(read).await?;
        Ok(view::closed_round(&closed, &curves))
    }

    /// The view of the open round of a job, with its curves.
    ///
    /// # Errors
    /// If the curves cannot be read.
    pub async fn open_round(&self, job: &Job) -> Result<Option<RoundView>, Refusal> {
        let Some(round) = job.current().cloned() else { return Ok(None) };
        let curves = self.call(async move |core: &Core| core.curves(&round).await).await?;
        let mut round = view::open_round(job, &curves);
        if let Some(round) = &mut round {
            self.read(|state| state.mark_queued(round));
        }
        Ok(round)
    }

    /// The progress of a job.
    ///
    /// # Errors
    /// If there is no such job.
    pub fn progress(&self, id: &JobId) -> Result<JobProgress, Refusal> {
        self.read(|state| Ok(view::progress(state.job(id)?, |round| state.mark_queued(round))))
    }

    /// Starts the tasks of the changed jobs.
    fn dispatch(&self) {
        for id in self.0.take_changed() {
            if self.with_job(&id, |job| job.task().is_some()) == Ok(true) {
                tokio::spawn(self.clone().compute(id));
            }
        }
    }

    async fn compute(self, id: JobId) {
        loop {
            let core = Arc::clone(&self.0);
            let job = id.clone();
            match on_thread(async move || core.perform(&job).await).await {
                Ok(TaskOutcome::Retry) => tokio::time::sleep(RETRY_INTERVAL).await,
                Ok(TaskOutcome::Nothing | TaskOutcome::Recorded) => break,
                Err(error) => {
                    tracing::error!(job = %id, %error, "a task has panicked; it runs again after the next start");
                    break;
                }
            }
        }
        self.dispatch();
    }
}

/// Runs work on a thread for blocking work: stores and blobs on disks block, and so does arithmetic.
async fn on_thread<T: Send + 'static>(
    work: impl AsyncFnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(work())).await
}
