//! The engine: the one way to change the federation, and the tasks around it. What is decided and in which
//! order is the affair of [`Core`]; here its calls get a thread of their own, what a change asks to be
//! computed is computed, and time passes.

pub mod core;
pub mod cpu_permits;
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
use rand_chacha::ChaCha12Rng;

use crate::storage::{Blobs, Store, StoreError};

pub use core::{Core, Invited, Queries, Snapshot, TaskOutcome};

/// How long to wait before recording a result again when the store could not take it.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// What an operator can choose about the engine.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long what closed rounds are made of is kept: for audits, and to run or aggregate a round again.
    pub keep_updates_for: Duration,
    /// How long an upload is kept that nobody goes on with.
    pub keep_uploads_for: Duration,
    /// Where snapshots for backups are taken, on the file system of the blobs.
    pub snapshots: PathBuf,
}

impl Options {
    /// The usual choices, with snapshots in this folder.
    #[must_use]
    pub const fn new(snapshots: PathBuf) -> Self {
        Self {
            keep_updates_for: Duration::from_secs(7 * 86_400),
            keep_uploads_for: Duration::from_secs(7 * 86_400),
            snapshots,
        }
    }
}

/// The engine; clones are the same one. Dropping the last ends its timer. Questions to the state in memory
/// are those of [`Queries`]; whatever may wait for a disk or a processor goes through [`Handle::call`].
#[derive(Debug, Clone)]
pub struct Handle(Arc<Core>);

impl Deref for Handle {
    type Target = Queries;

    fn deref(&self) -> &Queries {
        self.0.queries()
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
        let core = on_thread(async move || Core::open(store, blobs, clock, rng, options).await);
        let core = core.await.map_err(|error| StoreError::Backend(error.to_string()))??;
        let handle = Self(Arc::new(core));
        handle.dispatch();
        timer::spawn(&handle);
        Ok(handle)
    }

    /// Runs a call on a thread of its own. It runs to its end even if the caller hangs up.
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

    /// Starts what the changed jobs ask to be computed.
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
                    tracing::error!(job = %id, %error, "a computation has panicked; it is tried again at the next start");
                    break;
                }
            }
        }
        self.dispatch();
    }
}

/// Runs on a thread for blocking work: stores and blobs on disks block, and so does arithmetic.
async fn on_thread<T: Send + 'static>(
    work: impl AsyncFnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(work())).await
}
