//! The heartbeat: a task beside the work that holds the lease, reports progress and hears when to
//! stop. A coordinator out of reach does not disturb the work; what could not be said waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eosfed_common::assignment::{CurvePoint, Directive, MAX_METRICS, MAX_POINTS, Progress};
use eosfed_common::finite::Finite;
use eosfed_common::ids::{AssignmentId, LeaseToken};
use eosfed_common::refusal::Refusal;
use eosfed_transport::wire::Heartbeat;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::step::{Event, Held};
use crate::coordinator::Coordinator;
use crate::retry::{Course, course};

#[derive(Debug, Default)]
struct Unsent {
    step: u64,
    steps: u64,
    points: VecDeque<CurvePoint>,
}

/// How far the work is and which curve points have not been reported; clones share it. Points go out
/// at least once: again when an answer was lost, and a step then tells that it is the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Tracker {
    unsent: Arc<Mutex<Unsent>>,
    /// One report at a time, so that none carries what another is carrying.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Tracker {
    fn lock(&self) -> MutexGuard<'_, Unsent> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets how many steps there are.
    pub(super) fn begin(&self, step: u64, steps: u64) {
        let mut unsent = self.lock();
        (unsent.step, unsent.steps) = (step, steps);
    }

    /// Sets how many steps are done.
    pub(super) fn advance(&self, step: u64) {
        self.lock().step = step;
    }

    /// Adds a point; values that are not finite have no place on the wire.
    pub(super) fn add(&self, step: u64, loss: f64, metrics: BTreeMap<String, f64>) {
        let Some(loss) = Finite::new(loss) else { return };
        let finite = metrics.into_iter().filter_map(|(name, value)| Some((name, Finite::new(value)?)));
        let metrics = finite.take(MAX_METRICS).collect();
        self.lock().points.push_back(CurvePoint { step, loss, metrics });
    }

    /// Forgets an earlier assignment's.
    pub(super) fn clear(&self) {
        *self.lock() = Unsent::default();
    }

    fn has_points(&self) -> bool {
        !self.lock().points.is_empty()
    }

    /// One report, without removing its points.
    fn report(&self) -> Progress {
        let unsent = self.lock();
        let points = unsent.points.iter().take(MAX_POINTS).cloned().collect();
        Progress { step: unsent.step, steps: unsent.steps, points }
    }

    /// Removes the points of a report that has arrived.
    fn sent(&self, points: usize) {
        let mut unsent = self.lock();
        let sent = points.min(unsent.points.len());
        unsent.points.drain(..sent);
    }
}

/// Sends one heartbeat; its points count as sent when the coordinator has answered.
pub(super) async fn beat<C: Coordinator>(
    coordinator: &C,
    id: &AssignmentId,
    token: &LeaseToken,
    tracker: &Tracker,
) -> Result<Directive, Refusal> {
    let _turn = tracker.turn.lock().await;
    let progress = tracker.report();
    let points = progress.points.len();
    let beat = Heartbeat { assignment: id.clone(), token: token.clone(), progress };
    let directive = coordinator.heartbeat(beat).await?;
    tracker.sent(points);
    Ok(directive)
}

/// Sends what points are left.
pub(super) async fn flush<C: Coordinator>(
    coordinator: &C,
    held: &Held,
    tracker: &Tracker,
) -> Result<(), Refusal> {
    while tracker.has_points() {
        if let Directive::Stop(refusal) =
            beat(coordinator, &held.assignment.id, &held.lease.token, tracker).await?
        {
            return Err(refusal);
        }
    }
    Ok(())
}

/// The running heartbeat of one assignment; ends when dropped.
#[derive(Debug)]
pub(super) struct Heart {
    events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

impl Heart {
    /// Beats at once and then every so often.
    pub(super) fn start<C: Coordinator>(
        coordinator: C,
        held: &Held,
        tracker: Tracker,
        every: Duration,
    ) -> Self {
        let (sender, events) = mpsc::channel(4);
        let (id, token) = (held.assignment.id.clone(), held.lease.token.clone());
        let task = tokio::spawn(async move {
            let mut token = token;
            let mut interval = tokio::time::interval(every);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                interval.tick().await;
                let Some(event) = once(&coordinator, &id, &token, &tracker).await else { continue };
                let last = !matches!(event, Event::Leased(_));
                if let Event::Leased(lease) = &event {
                    token = lease.token.clone();
                }
                if sender.send(event).await.is_err() || last {
                    return;
                }
            }
        });
        Self { events, task }
    }

    /// What a heartbeat has brought: a new lease, or the end of the work.
    pub(super) async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn once<C: Coordinator>(
    coordinator: &C,
    id: &AssignmentId,
    token: &LeaseToken,
    tracker: &Tracker,
) -> Option<Event> {
    match beat(coordinator, id, token, tracker).await {
        Ok(Directive::Continue(_)) => None,
        Ok(Directive::Stop(refusal)) => lost(coordinator, id, refusal, Event::Stopped).await,
        Err(refusal) => lost(coordinator, id, refusal, Event::Stopped).await,
    }
}

/// What a refusal means for an assignment in hand: a lease that has run out is asked for again,
/// anything final becomes an event, and what time can heal is nothing.
pub(super) async fn lost<C: Coordinator>(
    coordinator: &C,
    id: &AssignmentId,
    refusal: Refusal,
    end: fn(Refusal) -> Event,
) -> Option<Event> {
    match course(refusal.reason) {
        Course::Retry => {
            tracing::warn!(assignment = %id, %refusal, "the coordinator cannot be told now; the work goes on");
            None
        }
        Course::Halt => Some(Event::Banned(refusal)),
        Course::Abandon => Some(end(refusal)),
        Course::Reaccept => match coordinator.accept(id).await {
            Ok(lease) => Some(Event::Leased(lease)),
            Err(refusal) => match course(refusal.reason) {
                Course::Retry => None,
                Course::Halt => Some(Event::Banned(refusal)),
                Course::Abandon | Course::Reaccept => Some(end(refusal)),
            },
        },
    }
}
