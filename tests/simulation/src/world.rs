//! The simulated world of the daemons and the coordinator: its network, its time, the record of each
//! institution, and violations.

use std::any::Any;
use std::ops::RangeInclusive;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eosfed_common::digest::Hasher;
use eosfed_common::ids::{InstitutionName, JobId};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_coordinator::domain::Job;
use eosfed_coordinator::engine::Core;
use rand::RngExt as _;
use rand_chacha::ChaCha12Rng;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::clock::SimClock;
use crate::coordinator::Coordinator;
use crate::disk::{Died, DiskFaults};
use crate::network::{Answer, Call, Submission};
use crate::oracle::Violation;
use crate::site::{Behaviour, Planted, Site};

/// Most calls before the faults end, and again after that.
const MOST_CALLS: u64 = 60_000;
/// Longest duration of a call, or of silence, in milliseconds.
const CALL_TIMEOUT: u64 = 30_000;

/// The world, shared by all its tasks.
pub struct World {
    state: Mutex<WorldState>,
    /// Something has changed at the coordinator.
    pub changed: Notify,
    /// The job has ended, an invariant was broken, or there were too many calls.
    pub done: Notify,
}

/// The contents of the world.
pub struct WorldState {
    /// The coordinator's machine.
    pub coordinator: Coordinator,
    /// The coordinator's clock.
    pub clock: SimClock,
    /// The institutions.
    pub sites: Vec<Site>,
    /// The job.
    pub job: JobId,
    /// The faults of the coordinator's disks.
    pub disk_faults: DiskFaults,
    /// The first violation.
    pub violation: Option<Violation>,
    /// How often an operator has resumed the job since the faults began or ended.
    pub resumed: u32,
    /// How often the coordinator was started.
    pub starts: u32,
    /// Calls that were made.
    pub calls: u64,
    /// Number of calls that are allowed before the faults, or the simulation, end.
    pub most_calls: u64,
    /// Digest of all events, in order.
    pub trace: Hasher,
    /// When institutions that withdraw do so.
    pub withdrawal: u64,
    /// The mistake that daemons are given.
    pub planted: Option<Planted>,
    rng: ChaCha12Rng,
    faults: bool,
    told: bool,
}

/// The delivery of a call in the network.
struct Delivery {
    delay: Duration,
    lost: bool,
    /// The network delivers it again, after this delay.
    echo: Option<Duration>,
}

impl World {
    /// A new world.
    #[must_use]
    pub fn new(state: WorldState) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new(), done: Notify::new() })
    }

    /// The contents of the world.
    pub fn lock(&self) -> MutexGuard<'_, WorldState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the coordinator do something. There is no answer if it is down or dies meanwhile.
    pub fn engine<T>(&self, work: impl FnOnce(&Core) -> T) -> Option<T> {
        let mut state = self.lock();
        let done = state.coordinator.with(work);
        let ended = state.has_ended();
        drop(state);
        self.changed.notify_one();
        if ended {
            self.done.notify_one();
        }
        done
    }

    /// Sends a call of an institution and waits for the answer, which may not come.
    ///
    /// # Errors
    /// The coordinator's refusal, or a timeout.
    pub async fn call(self: &Arc<Self>, from: usize, call: Call) -> Result<Answer, Refusal> {
        let delivery = self.lock().delivery();
        sleep(delivery.delay).await;
        let name = self.lock().sites[from].name.clone();
        if delivery.lost {
            self.lock().note(&format!("{name}: {} is lost", call.name()));
            return Err(nothing_came());
        }
        if let Some(later) = delivery.echo {
            tokio::spawn(echo(Arc::clone(self), later, name.clone(), call.clone()));
        }
        let answer = self.deliver(&name, call.clone(), "");
        let mut state = self.lock();
        if state.strikes(12) {
            state.note(&format!("{name}: the answer is lost"));
            return Err(nothing_came());
        }
        let verdict = state.sites[from].answered(&call, &answer);
        verdict.unwrap_or_else(|why| state.fail(why));
        answer
    }

    /// Makes the coordinator carry out a call.
    ///
    /// # Errors
    /// The coordinator's refusal.
    pub fn deliver(&self, from: &InstitutionName, call: Call, how: &str) -> Result<Answer, Refusal> {
        let name = call.name();
        let down = || Err(Refusal::new(Reason::Unavailable, "the coordinator is down"));
        let answer = self.engine(|core| crate::network::carry_out(core, from, call)).unwrap_or_else(down);
        let outcome =
            answer.as_ref().err().map_or_else(|| "ok".to_owned(), |refusal| refusal.reason.to_string());
        let mut state = self.lock();
        state.note(&format!("{from}: {name}{how}: {outcome}"));
        state.calls += 1;
        if state.is_over() {
            self.done.notify_one();
        }
        answer
    }

    /// Kills the calling daemon at random, as a power failure does.
    pub fn maybe_kill_daemon(&self) {
        if self.lock().strikes(60) {
            resume_unwind(Box::new(Died));
        }
    }
}

impl WorldState {
    /// The contents of a new world.
    #[must_use]
    pub fn new(
        coordinator: Coordinator,
        clock: SimClock,
        (job, sites): (JobId, Vec<Site>),
        disk_faults: DiskFaults,
        rng: ChaCha12Rng,
    ) -> Self {
        Self {
            coordinator,
            clock,
            sites,
            job,
            disk_faults,
            violation: None,
            resumed: 0,
            starts: 1,
            calls: 0,
            most_calls: MOST_CALLS,
            trace: Hasher::default(),
            withdrawal: u64::MAX,
            planted: None,
            rng,
            faults: false,
            told: std::env::var_os("EOSFED_TRACE").is_some(),
        }
    }

    /// Turns faults on or off.
    pub fn set_faults(&mut self, faults: bool) {
        self.faults = faults;
    }

    /// Whether faults are on.
    #[must_use]
    pub const fn has_faults(&self) -> bool {
        self.faults
    }

    /// Ends all faults.
    pub fn end_faults(&mut self) {
        self.note("the scenario clears up");
        self.faults = false;
        self.clock.set_skew(0);
        self.disk_faults.end();
        self.resumed = 0;
        self.most_calls = self.calls + MOST_CALLS;
    }

    /// A line in the trace.
    pub fn note(&mut self, what: &str) {
        let at = self.clock.elapsed();
        self.trace.update(format!("{at} {what}\n").as_bytes());
        if self.told {
            eprintln!("{:>10} {}", at / 1000, what.chars().take(180).collect::<String>());
        }
    }

    /// Records a violation.
    pub fn fail(&mut self, why: String) {
        self.note(&why);
        self.violation.get_or_insert(Violation(why));
    }

    /// A number that follows from the seed.
    pub fn draw(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.rng.random_range(range)
    }

    /// The randomness.
    pub const fn rng(&mut self) -> &mut ChaCha12Rng {
        &mut self.rng
    }

    /// Whether a fault with probability 1/`times` occurs.
    pub fn strikes(&mut self, times: u32) -> bool {
        self.faults && self.rng.random_ratio(1, times)
    }

    /// A right clock.
    #[must_use]
    pub fn right_clock(&self) -> SimClock {
        self.clock.right()
    }

    /// An institution.
    pub fn site_mut(&mut self, index: usize) -> &mut Site {
        &mut self.sites[index]
    }

    /// Whether the site policy of an institution no longer lets anything leave.
    #[must_use]
    pub fn withdrawn(&self, index: usize) -> bool {
        self.sites[index].behaviour == Behaviour::Withdraws && self.clock.elapsed() >= self.withdrawal
    }

    /// Records that data of an institution leave.
    pub fn leaves(&mut self, index: usize) {
        if self.withdrawn(index) {
            let name = self.sites[index].name.clone();
            self.fail(format!("{name} sends a result that its site policy does not let leave"));
        }
    }

    /// Records that an institution submits.
    pub fn sends(&mut self, index: usize, submission: &Submission) {
        self.leaves(index);
        let verdict = self.sites[index].submits(submission);
        verdict.unwrap_or_else(|why| self.fail(why));
    }

    /// Records that an institution starts its trainer.
    pub fn starts_trainer(&mut self, index: usize) {
        let verdict = self.sites[index].starts_trainer();
        verdict.unwrap_or_else(|why| self.fail(why));
    }

    /// Whether the job has ended, if the coordinator is up.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.coordinator.core().is_some_and(|core| core.with_job(&self.job, Job::has_ended) == Ok(true))
    }

    /// Whether the simulation can end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.violation.is_some() || self.calls >= self.most_calls
    }

    fn delivery(&mut self) -> Delivery {
        let lost = self.strikes(12);
        let slow = lost || self.strikes(12);
        let delay = self.rng.random_range(1..=if slow { CALL_TIMEOUT } else { 200 });
        let echo = self.strikes(12).then(|| self.rng.random_range(1..20 * 60_000));
        Delivery { delay: Duration::from_millis(delay), lost, echo: echo.map(Duration::from_millis) }
    }
}

/// Delivers a call again.
async fn echo(world: Arc<World>, later: Duration, from: InstitutionName, call: Call) {
    sleep(later).await;
    let _ = world.deliver(&from, call, ", once more");
}

/// The refusal for a missing answer.
fn nothing_came() -> Refusal {
    Refusal::new(Reason::Unavailable, "no answer came")
}

/// The message of a panic.
#[must_use]
pub fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word").to_owned()
}
