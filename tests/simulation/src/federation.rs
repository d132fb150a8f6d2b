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
use crate::disk::{Trouble, disk};
use crate::oracle::{Violation, judge, ledger, made};
use crate::plan;
use crate::site::{Nature, Planted, Site};
use crate::trainer::Machine;
use crate::weather::{brew, operate, run_coordinator};
use crate::world::{Sphere, World};

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
pub enum Weather {
    /// Nothing goes wrong.
    Calm,
    /// All institutions are honest and take part in each round; everything else goes wrong.
    Storm,
    /// Everything goes wrong, and some institutions are not honest.
    Wild,
}

/// Runs the federation of a seed in `folder`.
///
/// # Errors
/// The rule that was broken.
pub fn run(seed: u64, weather: Weather, folder: &Path) -> Result<Report, Violation> {
    run_with(seed, weather, folder, None)
}

/// As [`run`], with a mistake in the daemons.
///
/// # Errors
/// The rule that was broken.
pub fn run_with(
    seed: u64,
    weather: Weather,
    folder: &Path,
    planted: Option<Planted>,
) -> Result<Report, Violation> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = begin(seed, weather, folder)?;
        world.lock().planted = planted;
        let mut ended = live(&world).await;
        if !ended {
            // Now the faults end, and the job must end.
            world.lock().calm();
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
    let sphere = world.lock();
    sphere.has_ended() || sphere.violation.is_some()
}

fn begin(seed: u64, weather: Weather, folder: &Path) -> Result<Arc<World>, Violation> {
    // The plan follows from the seed alone, whatever the faults.
    let mut draw = ChaCha12Rng::seed_from_u64(seed);
    let kind = plan::kind_of(seed);
    let names = plan::names(draw.random_range(2..=plan::most_institutions(kind)));
    let spec = match weather {
        Weather::Calm | Weather::Storm => plan::complete(&mut draw, kind, &names),
        Weather::Wild => plan::draw(&mut draw, kind, &names),
    };
    let mut rng = ChaCha12Rng::seed_from_u64(seed ^ 0x5eed);
    let rough = weather != Weather::Calm;
    let deadly = if rough { rng.random_range(30..300) } else { 0 };
    let trouble = Trouble::new(ChaCha12Rng::seed_from_u64(seed ^ 0xd15c), 0);
    let blobs = folder.join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let store = disk(trouble.clone(), &plan::beginning(&names, kind, &FileBlobs::open(&blobs).unwrap()));
    let clock = SimClock::begin();
    let mut coordinator = Coordinator::new(store, blobs, trouble.clone(), clock.clone(), seed);
    coordinator.start();
    let key = IdempotencyKey::random(&mut rng);
    let submitted = coordinator.with(|core| ready(core.submit_job(spec, &"admin".parse().unwrap(), key)));
    let id = submitted.unwrap().map_err(|refusal| Violation(refusal.to_string()))?;
    let job = coordinator.core().unwrap().job(&id).unwrap();
    let site = |name| {
        let nature = if weather == Weather::Wild { nature(rng.random_range(0..16)) } else { Nature::Honest };
        let signature = job.target_of(&name).map(|target| target.signature());
        Site::new(name, nature, signature)
    };
    let sites: Vec<_> = names.into_iter().map(site).collect();
    trouble.arm(deadly);
    let world = World::new(Sphere::new(coordinator, clock, (id, sites), trouble, rng));
    let mut sphere = world.lock();
    sphere.set_rough(rough);
    sphere.withdrawal = sphere.draw(0..=24 * 3_600_000);
    drop(sphere);
    inhabit(&world, folder, rough);
    Ok(world)
}

/// Starts all tasks of a world.
fn inhabit(world: &Arc<World>, folder: &Path, rough: bool) {
    let count = world.lock().sites.len();
    for index in 0..count {
        let own = folder.join(format!("site-{index}"));
        std::fs::create_dir_all(&own).unwrap();
        tokio::spawn(Machine::new(Arc::clone(world), index, own).live());
    }
    tokio::spawn(run_coordinator(Arc::clone(world)));
    tokio::spawn(operate(Arc::clone(world)));
    if rough {
        brew(world);
    }
}

fn nature(chance: u32) -> Nature {
    match chance {
        0 => Nature::SendsNotFinite,
        1 => Nature::SendsHuge,
        2 => Nature::SendsMisshapen,
        3 => Nature::Diverges,
        4 => Nature::Withdraws,
        5 | 6 => Nature::Unreliable,
        _ => Nature::Honest,
    }
}

fn conclude(world: &World, kind: JobKind, ended: bool, folder: &Path) -> Result<Report, Violation> {
    let mut sphere = world.lock();
    if let Some(violation) = &sphere.violation {
        return Err(violation.clone());
    }
    sphere.trouble.end();
    sphere.coordinator.start();
    let core = sphere.coordinator.core().unwrap();
    let refused = |refusal: eosfed_common::refusal::Refusal| Violation(refusal.to_string());
    let job = core.job(&sphere.job).map_err(refused)?;
    if !ended {
        return Err(Violation(format!("the job does not end: {:?}", job.state)));
    }
    let history = ready(core.history(&sphere.job, 0..=u32::MAX)).map_err(refused)?;
    let history: Vec<_> = history.into_iter().map(|(closed, _)| closed).collect();
    ledger(core)?;
    let blobs = FileBlobs::open(&folder.join("blobs")).unwrap();
    judge(core, &job, &history, &sphere.sites, &blobs)?;
    Ok(Report {
        kind,
        state: job.state.name().to_owned(),
        made: made(core, &job, &history),
        trace: sphere.trace.clone().finish(),
        rounds: job.closed.iter().filter(|closed| closed.complete).count(),
        receipts: sphere.sites.iter().map(|site| site.receipts.len()).sum(),
        starts: sphere.starts,
        took: Duration::from_millis(sphere.clock.elapsed()),
        calls: sphere.calls,
    })
}
