//! The engine, without threads, sleep or sockets. A change is decided on the present state, stored in one
//! transaction and made visible; then its tasks start and the call is answered. Store, blobs, clock and
//! randomness are arguments and no runtime is needed, so a simulation can run this code.

mod backup;
mod history;
mod institutions;
mod ledger;
mod members;
mod operators;
mod queries;
mod storage;
mod tasks;
mod uploads;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use eosfed_common::clock::{Clock, Timestamp};
use eosfed_common::ids::JobId;
use eosfed_common::refusal::{Reason, Refusal};
use rand::RngExt as _;
use rand_chacha::ChaCha12Rng;

use super::Options;
use crate::domain::quota::Quotas;
use crate::domain::{Change, Federation, Transition};
use crate::storage::{BlobError, Blobs, Loaded, Store, StoreError};

pub use backup::Snapshot;
pub use members::Invited;
pub use queries::Queries;
pub use tasks::TaskOutcome;
use tasks::keep_bytes;

/// The engine without threads. Every call takes as long as the disk does.
pub struct Core {
    store: Box<dyn Store>,
    blobs: Arc<dyn Blobs>,
    options: Options,
    queries: Queries,
    /// The write lock. Changes of the state and removals of blobs hold it.
    writer: tokio::sync::Mutex<Writer>,
    /// Jobs that have changed since the last call of `take_changed`.
    changed: Mutex<BTreeSet<JobId>>,
    /// Jobs whose task is being computed.
    busy: Mutex<BTreeSet<JobId>>,
    /// What leases have used up.
    quotas: Mutex<Quotas>,
}

/// Data that only the holder of the write lock uses.
struct Writer {
    /// The only source of randomness.
    rng: ChaCha12Rng,
    ledger: ledger::Ledger,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("queries", &self.queries).finish_non_exhaustive()
    }
}

/// Queries on the state in memory.
impl Deref for Core {
    type Target = Queries;

    fn deref(&self) -> &Queries {
        &self.queries
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A refusal for an internal error. The caller gets a number that is also in the log.
pub(super) fn defect(what: &str, error: &dyn fmt::Display) -> Refusal {
    let id = log_number();
    tracing::error!(%error, defect = %id, "{what}");
    let message = format!("the coordinator has failed; its log has the cause under `{id}`");
    Refusal::new(Reason::Internal, message)
}

/// A number that identifies a log line. It is not a secret.
fn log_number() -> String {
    format!("{:016x}", rand::rng().random::<u64>())
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::new(
                Reason::StorageFull,
                "the disk of the coordinator is full; nothing was changed; try again later",
            ),
            other => defect("the store has failed", &other),
        }
    }
}

/// If a blob cannot be written, the change that it belongs to cannot be stored.
fn of_blob(error: BlobError) -> StoreError {
    match error {
        BlobError::Full => StoreError::Full,
        other => StoreError::Backend(other.to_string()),
    }
}

impl Core {
    /// Opens the federation in `store` and extends leases and deadlines by the downtime. Records that cannot
    /// be read back are quarantined, and the rest is opened.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn open(
        store: Box<dyn Store>,
        blobs: Arc<dyn Blobs>,
        clock: Arc<dyn Clock>,
        rng: ChaCha12Rng,
        options: Options,
    ) -> Result<Self, StoreError> {
        let Loaded { federation, head, migrated_from, damaged, documents } = store.load().await?;
        let live = federation.jobs.values().filter(|job| !job.has_ended());
        let live: Vec<_> = live.map(|job| job.id.clone()).collect();
        let mut opening = ledger::opening(&federation, head, migrated_from, damaged);
        for (digest, bytes) in documents {
            keep_bytes(&*blobs, &bytes).await.map_err(of_blob)?;
            opening.moved_documents.push(digest);
        }
        let core = Self {
            store,
            blobs,
            options,
            queries: Queries::new(federation, clock),
            writer: tokio::sync::Mutex::new(Writer { rng, ledger: ledger::Ledger::new(head) }),
            changed: Mutex::default(),
            busy: Mutex::default(),
            quotas: Mutex::default(),
        };
        core.store_change(&mut *core.lock_writer().await, opening, core.now()).await?;
        for id in live {
            let restarted = core.transition(&id, Transition::Restart).await;
            restarted.map_err(|refusal| StoreError::Backend(refusal.to_string()))?;
            lock(&core.changed).insert(id);
        }
        Ok(core)
    }

    /// The state in memory.
    #[must_use]
    pub const fn queries(&self) -> &Queries {
        &self.queries
    }

    /// Waits until the write lock was taken, and releases it.
    pub async fn wait_for_writer(&self) {
        drop(self.writer.lock().await);
    }

    /// The blobs.
    #[must_use]
    pub fn blobs(&self) -> &dyn Blobs {
        &*self.blobs
    }

    /// Makes a decision under the write lock and commits it.
    async fn transact<T>(
        &self,
        decide: impl FnOnce(&Federation, Timestamp, &mut ChaCha12Rng) -> Result<(T, Change), Refusal>,
    ) -> Result<T, Refusal> {
        let mut writer = self.lock_writer().await;
        let now = self.now();
        let (answer, change) = self.read(|state| decide(state, now, &mut writer.rng))?;
        self.store_change(&mut writer, change, now).await?;
        Ok(answer)
    }

    /// Stores a change with its events, then makes it visible. The state changes only here.
    async fn store_change(
        &self,
        writer: &mut Writer,
        mut change: Change,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if change.is_empty() {
            return Ok(());
        }
        change.sign(writer.ledger.head(), &self.options.signing_key);
        if change.must_be_stored() {
            for bytes in &change.documents {
                keep_bytes(self.blobs(), bytes).await.map_err(of_blob)?;
            }
            let events = writer.ledger.seal(&change.events, now);
            let began = Instant::now();
            let committed = self.store.commit(&change, &events).await;
            self.options.metrics.commit.observe(began.elapsed().as_secs_f64());
            committed?;
            writer.ledger.committed(&events);
        }
        let changed: Vec<_> = change.jobs.iter().chain(&change.progress).map(|job| job.id.clone()).collect();
        let stored: Vec<_> = change.jobs.iter().map(|job| job.id.clone()).collect();
        self.queries.merge(change);
        // After the change can be read: who takes a job from this set looks at it at once, and it is in the set once.
        lock(&self.changed).extend(changed);
        for id in stored {
            self.end_leases(&id).await;
        }
        Ok(())
    }

    /// Resolves when the engine has let this caller in: no change before it is stuck.
    pub async fn let_in(&self) {
        drop(self.lock_writer().await);
    }

    /// Takes the write lock. How long that took, and when it was, is measured; no decision depends on it.
    async fn lock_writer(&self) -> tokio::sync::MutexGuard<'_, Writer> {
        let asked = Instant::now();
        let writer = self.writer.lock().await;
        let metrics = &self.options.metrics;
        metrics.write_lock_wait.observe(asked.elapsed().as_secs_f64());
        metrics.engine_progress.set(self.now().0 as f64 / 1000.0);
        writer
    }

    /// Applies a transition of one job.
    async fn transition(&self, id: &JobId, transition: Transition) -> Result<(), Refusal> {
        self.transact(|state, now, _| Ok(((), state.apply(id, transition, now)?))).await
    }

    /// The jobs that have changed since the last call.
    pub fn take_changed(&self) -> BTreeSet<JobId> {
        std::mem::take(&mut lock(&self.changed))
    }

    /// Applies `Tick` to each job that is due. Gives whether there was one.
    pub async fn tick(&self) -> bool {
        let now = self.now();
        let mut any = false;
        for (id, _) in self.next_wakeups().into_iter().filter(|(_, at)| *at <= now) {
            match self.transition(&id, Transition::Tick).await {
                Ok(()) => any = true,
                Err(refusal) => {
                    tracing::warn!(job = %id, %refusal, "cannot record the expiry of leases");
                }
            }
        }
        any
    }
}
