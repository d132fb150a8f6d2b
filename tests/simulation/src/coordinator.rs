//! The coordinator's machine: it runs an engine, or it is down and has only its disks.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use eosfed_common::ids::{InstitutionName, JobId};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_coordinator::domain::retention::Limits;
use eosfed_coordinator::engine::{Core, Options, TaskOutcome};
use eosfed_coordinator::storage::{STAGING, ready};
use eosfed_testkit::signing;
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;

use crate::clock::SimClock;
use crate::disk::{Died, DiskFaults, SimBlobs, SimStore};
use crate::network::{Answer, Call, carry_out};

/// The machine.
pub struct Coordinator {
    core: Option<Core>,
    store: SimStore,
    folder: PathBuf,
    disk_faults: DiskFaults,
    clock: SimClock,
    starts: u64,
    seed: u64,
}

impl Coordinator {
    /// A machine that is down.
    #[must_use]
    pub fn new(
        store: SimStore,
        folder: PathBuf,
        disk_faults: DiskFaults,
        clock: SimClock,
        seed: u64,
    ) -> Self {
        Self { core: None, store, folder, disk_faults, clock, starts: 0, seed }
    }

    /// The engine, if it is up.
    #[must_use]
    pub fn core(&self) -> Option<&Core> {
        self.core.as_ref()
    }

    /// Starts it, if it is down. It may die during the start, or find its disk full.
    pub fn start(&mut self) {
        if self.core.is_some() {
            return;
        }
        self.starts += 1;
        let rng = ChaCha12Rng::seed_from_u64(self.seed ^ (self.starts << 32));
        // Rounds are kept, so that the oracle can check them.
        let keep = Duration::from_secs(10 * 365 * 86_400);
        let options = Options {
            retention: Limits { keep_for: Some(keep), ..Limits::default() },
            ..Options::new(self.folder.join(STAGING), signing::coordinator().key().clone())
        };
        let blobs = Arc::new(SimBlobs::open(&self.folder, self.disk_faults.clone()));
        let store = Box::new(self.store.clone());
        let clock = Arc::new(self.clock.clone());
        let opened = catch_unwind(AssertUnwindSafe(|| ready(Core::open(store, blobs, clock, rng, options))));
        match opened {
            Ok(Ok(core)) => self.core = Some(core),
            Ok(Err(_)) => {}
            Err(panic) if panic.is::<Died>() => {}
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&mut self) {
        self.core = None;
    }

    /// Makes the engine do something, during which it may die. Gives nothing if it dies or is down.
    pub fn with<T>(&mut self, work: impl FnOnce(&Core) -> T) -> Option<T> {
        let core = self.core.as_ref()?;
        match catch_unwind(AssertUnwindSafe(|| work(core))) {
            Ok(done) => Some(done),
            Err(panic) if panic.is::<Died>() => {
                self.kill();
                None
            }
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Carries out a call. The coordinator is unreachable if it is down or dies during the call.
    ///
    /// # Errors
    /// The engine's refusal, or [`Reason::Unavailable`].
    pub fn call(&mut self, from: &InstitutionName, call: Call) -> Result<Answer, Refusal> {
        self.with(|core| carry_out(core, from, call))
            .unwrap_or_else(|| Err(Refusal::new(Reason::Unavailable, "the coordinator is down")))
    }

    /// Computes a job's task. Gives whether it has to be tried again.
    pub fn perform(&mut self, job: &JobId) -> bool {
        self.with(|core| ready(core.perform(job))) == Some(TaskOutcome::Retry)
    }
}
