//! Faults of the coordinator's machine, and actions of operators and attackers, each at random times.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use eosfed_common::clock::Clock as _;
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId, LeaseToken};
use eosfed_coordinator::domain::JobState;
use eosfed_coordinator::domain::job::JobAction;
use eosfed_coordinator::storage::ready;
use tokio::time::sleep;

use crate::network::{Answer, Call, Submission};
use crate::world::{World, WorldState};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// A random time in the next hours.
const SOON: RangeInclusive<u64> = MINUTE..=4 * HOUR;
/// How often a paused job is resumed before its operator cancels it.
const MAX_RESUMES: u32 = 6;

/// The next action of the coordinator's machine.
enum Next {
    /// It is down, and starts after this time.
    Start(Duration),
    /// Tasks to compute, and how long to wait for the next point in time.
    Work(Vec<JobId>, Duration),
}

/// The coordinator's machine: it is started if it is down, computes tasks and runs the timer.
pub async fn run_coordinator(world: Arc<World>) {
    loop {
        match next(&world) {
            Next::Start(after) => {
                sleep(after).await;
                let mut state = world.lock();
                state.starts += 1;
                state.coordinator.start();
                state.note("the coordinator starts");
            }
            Next::Work(tasks, wait) => {
                for job in tasks {
                    tokio::spawn(compute(Arc::clone(&world), job));
                }
                tokio::select! {
                    biased;
                    () = world.changed.notified() => {}
                    () = sleep(wait) => {
                        world.engine(|core| ready(core.tick()));
                        world.lock().note("tick");
                    }
                }
            }
        }
    }
}

fn next(world: &World) -> Next {
    let mut state = world.lock();
    let looked = state.coordinator.with(|core| {
        let changed = core.take_changed().into_iter();
        let tasks: Vec<_> =
            changed.filter(|id| core.with_job(id, |job| job.task().is_some()) == Ok(true)).collect();
        (tasks, core.next_wakeups().into_values().min())
    });
    let Some((tasks, at)) = looked else {
        let longest = if state.has_faults() { 30 * MINUTE } else { 2000 };
        return Next::Start(Duration::from_millis(state.draw(1000..=longest)));
    };
    let day = Duration::from_millis(24 * HOUR);
    let wait = at.map_or(day, |at| at.since(state.clock.now()).max(Duration::from_secs(1)));
    Next::Work(tasks, wait)
}

/// Computes the task of a job, until the result is recorded.
async fn compute(world: Arc<World>, job: JobId) {
    loop {
        let after = world.lock().draw(10..=30_000);
        sleep(Duration::from_millis(after)).await;
        world.lock().note("compute");
        let again = world.lock().coordinator.perform(&job);
        // The changes and the end of the job are checked.
        world.engine(|_| ());
        if !again {
            return;
        }
    }
}

/// Starts all faults.
pub fn start_faults(world: &Arc<World>) {
    again_and_again(world, SOON, |state| {
        state.note("the coordinator is killed");
        state.coordinator.kill();
    });
    again_and_again(world, SOON, |state| {
        let swept = state.coordinator.with(|core| ready(core.sweep()));
        state.note(&format!("swept {swept:?}"));
    });
    again_and_again(world, SOON, |state| {
        let by = i64::try_from(state.draw(0..=2 * HOUR)).unwrap_or_default() - 3_600_000;
        state.clock.set_skew(by);
        state.note("the clock jumps");
    });
    again_and_again(world, MINUTE..=HOUR / 2, attack);
    tokio::spawn(fill_disk(Arc::clone(world)));
}

/// Repeats an action at this interval until the faults end.
fn again_and_again(
    world: &Arc<World>,
    every: RangeInclusive<u64>,
    mut what: impl FnMut(&mut WorldState) + Send + 'static,
) {
    let world = Arc::clone(world);
    tokio::spawn(async move {
        loop {
            let after = world.lock().draw(every.clone());
            sleep(Duration::from_millis(after)).await;
            let mut state = world.lock();
            if !state.has_faults() {
                return;
            }
            what(&mut state);
            drop(state);
            world.changed.notify_one();
        }
    });
}

async fn fill_disk(world: Arc<World>) {
    for full in [true, false].into_iter().cycle() {
        let after = world.lock().draw(if full { SOON } else { 1000..=20 * MINUTE });
        sleep(Duration::from_millis(after)).await;
        let mut state = world.lock();
        if !state.has_faults() {
            return;
        }
        state.note(if full { "the disk is full" } else { "the disk has room" });
        state.disk_faults.fill(full);
    }
}

/// An operator: it resumes a paused job several times, then cancels it. It sometimes pauses a job or repeats
/// an offer.
pub async fn operate(world: Arc<World>) {
    loop {
        let after = world.lock().draw(10 * MINUTE..=3 * HOUR);
        sleep(Duration::from_millis(after)).await;
        act(&mut world.lock());
        world.engine(|_| ());
    }
}

fn act(state: &mut WorldState) {
    let id = state.job.clone();
    let resumed = state.resumed;
    let faults = state.has_faults();
    let choice = state.draw(0..=5);
    let count = state.sites.len() as u64;
    let index = usize::try_from(state.draw(0..=count - 1)).unwrap_or_default();
    let institution = state.sites[index].name.clone();
    let admin: InstitutionName = "admin".parse().unwrap();
    let done = state.coordinator.with(|core| {
        let action = core.with_job(&id, |job| match (&job.state, choice) {
            (JobState::Paused { .. }, _) if resumed < MAX_RESUMES => Some(JobAction::Resume),
            (JobState::Paused { .. }, _) => Some(JobAction::Cancel),
            (JobState::Collecting(_), 0) if faults => Some(JobAction::Pause),
            (JobState::Collecting(_), 1 | 2) => Some(JobAction::Retry(institution)),
            _ => None,
        });
        let action = action.unwrap()?;
        let resumes = action == JobAction::Resume;
        Some(ready(core.control_job(&id, action, admin)).map(|()| resumes))
    });
    let done = done.flatten();
    state.note(&format!("operator: {:?}", done.as_ref().map(Result::is_ok)));
    state.resumed += u32::from(done == Some(Ok(true)));
}

/// One institution uses an invalid lease: a made-up token, or its token with the update of another
/// institution.
fn attack(state: &mut WorldState) {
    let count = state.sites.len();
    let from = usize::try_from(state.draw(0..=count as u64 - 1)).unwrap_or_default();
    let name = state.sites[from].name.clone();
    let token = LeaseToken::random(state.rng());
    let Ok(Answer::Offers(offers)) = state.coordinator.call(&name, Call::Poll) else { return };
    let Some(offer) = offers.into_iter().next() else { return };
    let stolen = state.sites[(from + 1) % count].sent.values().next_back().cloned();
    let call = match stolen {
        Some(Submission::Update(mut update)) => {
            update.assignment = offer.id;
            update.token = token;
            update.key = IdempotencyKey::random(state.rng());
            update.report.samples = 5;
            Call::Submit(Box::new(Submission::Update(update)))
        }
        Some(Submission::Statistics(_) | Submission::Scores(_)) | None => {
            Call::Fail(offer.id, token, "it was never tried".to_owned())
        }
    };
    let answer = state.coordinator.call(&name, call);
    state.note(&format!("attack: {}", answer.is_ok()));
}
