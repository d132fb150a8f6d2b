//! One federation from its first call to the end of its job, determined by one seed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use eosfed_common::digest::Digest;
use eosfed_common::ids::IdempotencyKey;
use eosfed_common::plan::JobKind;
use eosfed_coordinator::storage::{FileBlobs, ready};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use tokio::time::sleep;

use crate::clock::SimClock;
use crate::coordinator::Coordinator;
use crate::disk::{DiskFaults, disk};
use crate::faults::{operate, run_coordinator, start_faults};
use crate::oracle::{Violation, check_invariants, ledger, made};
use crate::plan;
use crate::site::{Behaviour, Planted, Site};
use crate::trainer::Machine;
use crate::world::{World, WorldState};

/// Longest simulated time before the faults end, and after that until the job must be at rest.
const HORIZON: Duration = Duration::from_secs(20 * 86_400);

/// The outcome of a federation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The kind of its job.
    pub kind: JobKind,
    /// How the job ended.
    pub state: String,
    /// Its results: digests of weights, and scores.
    pub made: Vec<String>,
    /// Digest of all events, in order.
    pub trace: Digest,
    /// Rounds completed.
    pub rounds: usize,
    /// Results acknowledged.
    pub receipts: usize,
    /// How often the coordinator was started.
    pub starts: u32,
    /// Simulated time.
    pub took: Duration,
    /// Calls.
    pub calls: u64,
}

/// The faults of a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// No faults.
    NoFaults,
    /// All faults, with honest institutions that take part in each round.
    Faults,
    /// All faults, with some malicious institutions.
    Malicious,
}

/// Runs the federation of a seed in `folder`.
///
/// # Errors
/// The rule that was broken.
pub fn run(seed: u64, scenario: Scenario, folder: &Path) -> Result<Report, Violation> {
    run_with(seed, scenario, folder, None)
}

/// As [`run`], with a mistake in the daemons.
///
/// # Errors
/// The rule that was broken.
pub fn run_with(
    seed: u64,
    scenario: Scenario,
    folder: &Path,
    planted: Option<Planted>,
) -> Result<Report, Violation> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = begin(seed, scenario, folder)?;
        world.lock().planted = planted;
        let mut ended = live(&world).await;
        if !ended {
            // Now the faults end, and the job must end.
            world.lock().end_faults();
            ended = live(&world).await;
        }
        conclude(&world, plan::kind_of(seed), ended, folder)
    })
}

/// Runs until the job has ended. Gives whether it has.
async fn live(world: &World) -> bool {
    tokio::select! {
        biased;
        () = world.done.notified() => {}
        () = sleep(HORIZON) => {}
    }
    let state = world.lock();
    state.has_ended() || state.violation.is_some()
}

fn begin(seed: u64, scenario: Scenario, folder: &Path) -> Result<Arc<World>, Violation> {
    // The plan follows from the seed alone, whatever the faults.
    let mut draw = ChaCha12Rng::seed_from_u64(seed);
    let kind = plan::kind_of(seed);
    let names = plan::names(draw.random_range(2..=plan::most_institutions(kind)));
    let spec = match scenario {
        Scenario::NoFaults | Scenario::Faults => plan::complete(&mut draw, kind, &names),
        Scenario::Malicious => plan::draw(&mut draw, kind, &names),
    };
    let mut rng = ChaCha12Rng::seed_from_u64(seed ^ 0x5eed);
    let faults = scenario != Scenario::NoFaults;
    let deadly = if faults { rng.random_range(30..300) } else { 0 };
    let disk_faults = DiskFaults::new(ChaCha12Rng::seed_from_u64(seed ^ 0xd15c), 0);
    let blobs = folder.join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let store = disk(disk_faults.clone(), &plan::beginning(&names, kind, &FileBlobs::open(&blobs).unwrap()));
    let clock = SimClock::begin();
    let mut coordinator = Coordinator::new(store, blobs, disk_faults.clone(), clock.clone(), seed);
    coordinator.start();
    let key = IdempotencyKey::random(&mut rng);
    let submitted = coordinator.with(|core| ready(core.submit_job(spec, &"admin".parse().unwrap(), key)));
    let id = submitted.unwrap().map_err(|refusal| Violation(refusal.to_string()))?;
    let job = coordinator.core().unwrap().job(&id).unwrap();
    let site = |name| {
        let behaviour = if scenario == Scenario::Malicious {
            behaviour(rng.random_range(0..16))
        } else {
            Behaviour::Honest
        };
        let signature = job.target_of(&name).map(|target| target.signature());
        Site::new(name, behaviour, signature)
    };
    let sites: Vec<_> = names.into_iter().map(site).collect();
    disk_faults.arm(deadly);
    let world = World::new(WorldState::new(coordinator, clock, (id, sites), disk_faults, rng));
    let mut state = world.lock();
    state.set_faults(faults);
    state.withdrawal = state.draw(0..=24 * 3_600_000);
    drop(state);
    start_tasks(&world, folder, faults);
    Ok(world)
}

/// Starts all tasks of a world.
fn start_tasks(world: &Arc<World>, folder: &Path, faults: bool) {
    let count = world.lock().sites.len();
    for index in 0..count {
        let own = folder.join(format!("site-{index}"));
        std::fs::create_dir_all(&own).unwrap();
        tokio::spawn(Machine::new(Arc::clone(world), index, own).live());
    }
    tokio::spawn(run_coordinator(Arc::clone(world)));
    tokio::spawn(operate(Arc::clone(world)));
    if faults {
        start_faults(world);
    }
}

fn behaviour(chance: u32) -> Behaviour {
    match chance {
        0 => Behaviour::SendsNotFinite,
        1 => Behaviour::SendsHuge,
        2 => Behaviour::SendsMisshapen,
        3 => Behaviour::Diverges,
        4 => Behaviour::Withdraws,
        5 | 6 => Behaviour::Unreliable,
        _ => Behaviour::Honest,
    }
}

fn conclude(world: &World, kind: JobKind, ended: bool, folder: &Path) -> Result<Report, Violation> {
    let mut state = world.lock();
    if let Some(violation) = &state.violation {
        return Err(violation.clone());
    }
    state.disk_faults.end();
    state.coordinator.start();
    let core = state.coordinator.core().unwrap();
    let refused = |refusal: eosfed_common::refusal::Refusal| Violation(refusal.to_string());
    let job = core.job(&state.job).map_err(refused)?;
    if !ended {
        return Err(Violation(format!("the job does not end: {:?}", job.state)));
    }
    let history = ready(core.history(&state.job, 0..=u32::MAX)).map_err(refused)?;
    let history: Vec<_> = history.into_iter().map(|(closed, _)| closed).collect();
    ledger(core)?;
    let blobs = FileBlobs::open(&folder.join("blobs")).unwrap();
    check_invariants(core, &job, &history, &state.sites, &blobs)?;
    Ok(Report {
        kind,
        state: job.state.name().to_owned(),
        made: made(core, &job, &history),
        trace: state.trace.clone().finish(),
        rounds: job.closed.iter().filter(|closed| closed.complete).count(),
        receipts: state.sites.iter().map(|site| site.receipts.len()).sum(),
        starts: state.starts,
        took: Duration::from_millis(state.clock.elapsed()),
        calls: state.calls,
    })
}
