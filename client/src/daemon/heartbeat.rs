//! Heartbeats: a task beside the work that renews the lease, reports progress, learns when to stop and
//! notices when the site policy no longer allows the work. A coordinator that cannot be reached does
//! not disturb the work; the reports are kept.

use std::sync::Arc;
use std::time::Duration;

use eosfed_common::assignment::{CurvePoint, Directive, MAX_POINTS, Progress};
use eosfed_common::ids::LeaseToken;
use eosfed_common::refusal::Refusal;
use eosfed_transport::wire::{Heartbeat, message_bytes};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::progress::ProgressTracker;
use super::step::Event;
use crate::budgets::{Budgets, Direction};
use crate::coordinator::Coordinator;
use crate::egress::{EgressGate, Permission, Stage, WorkInHand};
use crate::policy::Egress;
use crate::retry::{Recovery, recovery};
use crate::site_log::{Entry, EntryKind, Record, Sending, SiteLog, SiteLogError};

/// Reports the progress of one assignment; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Reporter<C> {
    coordinator: C,
    gate: EgressGate,
    log: SiteLog,
    budgets: Budgets,
    work: Arc<WorkInHand>,
    progress: ProgressTracker,
    /// One report at a time, so that no two carry the same points.
    turn: Arc<Mutex<()>>,
}

impl<C: Coordinator> Reporter<C> {
    pub(super) fn new(
        coordinator: C,
        gate: EgressGate,
        log: SiteLog,
        budgets: Budgets,
        work: WorkInHand,
        progress: ProgressTracker,
    ) -> Self {
        Self { coordinator, gate, log, budgets, work: Arc::new(work), progress, turn: Arc::default() }
    }

    /// Sends one heartbeat; its points count as sent once the coordinator has answered. Gives their number too.
    async fn heartbeat(&self, token: &LeaseToken) -> Result<(Directive, usize), Refusal> {
        let _turn = self.turn.lock().await;
        let mut heartbeat = Heartbeat {
            assignment: self.work.assignment.id.clone(),
            token: token.clone(),
            progress: self.progress.report(self.may_send_points()),
        };
        if let Err(error) = self.note_sending(&heartbeat) {
            tracing::warn!(%error, "the site log cannot be written; the progress is not sent");
            heartbeat.progress = Progress::default();
        }
        self.count(&mut heartbeat);
        let points = heartbeat.progress.points.len();
        let directive = self.coordinator.heartbeat(heartbeat).await?;
        self.progress.sent(points);
        self.progress.renewed();
        Ok((directive, points))
    }

    /// Counts a heartbeat. If a limit is reached, its progress stays here, and the lease is renewed all the same.
    fn count(&self, heartbeat: &mut Heartbeat) {
        let job = &self.work.assignment.id.job;
        let bytes = |heartbeat: &Heartbeat| message_bytes(heartbeat.clone());
        if heartbeat.progress != Progress::default() {
            let limits = self.gate.limits(Some(&self.work));
            match self.budgets.take(&limits, job, Direction::Up, bytes(heartbeat)) {
                Ok(()) => return,
                Err(why) => tracing::warn!(%why, "the progress is not sent"),
            }
            heartbeat.progress = Progress::default();
        }
        if let Err(error) = self.budgets.count(job, Direction::Up, bytes(heartbeat)) {
            tracing::warn!(%error, "the bytes of a heartbeat are not counted");
        }
    }

    /// Writes down what a heartbeat tells of the work.
    fn note_sending(&self, heartbeat: &Heartbeat) -> Result<(), SiteLogError> {
        let Progress { steps, points, .. } = &heartbeat.progress;
        if *steps > 0 {
            self.record(Record::Progress, None, "steps done and in all, with each heartbeat".to_owned())?;
        }
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(()) };
        let what = format!("{} points of the curve, of steps {} to {}", points.len(), first.step, last.step);
        self.record(Record::Curve, Some(message_bytes(heartbeat.clone())), what)
    }

    fn record(&self, record: Record, bytes: Option<u64>, what: String) -> Result<(), SiteLogError> {
        let words = vec![Egress::Metrics.name().to_owned()];
        let kind = EntryKind::Sending(Sending { record, what, bytes, weights: None, words });
        self.log.record_once(Entry::of(&self.work.assignment.id, kind))
    }

    /// Whether the policy allows points to be sent now. It drops those that it forbids.
    fn may_send_points(&self) -> bool {
        match self.gate.metrics(&self.work) {
            Permission::Allowed => true,
            Permission::Held(_) => false,
            Permission::Denied(_) => {
                self.progress.discard_points();
                false
            }
        }
    }

    /// How many points the update may bring.
    pub(super) fn kept_for_update(&self) -> usize {
        if self.progress.may_come_with_update() { MAX_POINTS } else { 0 }
    }

    /// The points that the update brings, at most as many as were kept for it.
    pub(super) fn of_update(&self, kept: usize) -> Vec<CurvePoint> {
        if kept > 0 { self.progress.report(true).points } else { Vec::new() }
    }

    /// Notes that an update has brought so many points.
    pub(super) fn brought(&self, points: usize) {
        self.progress.sent(points);
    }

    /// Sends the points that are left but for so many, as far as the site log can be written.
    ///
    /// # Errors
    /// The coordinator's refusal.
    pub(super) async fn flush(&self, token: &LeaseToken, kept: usize) -> Result<(), Refusal> {
        while self.progress.unsent() > kept && self.may_send_points() {
            match self.heartbeat(token).await? {
                (Directive::Stop(refusal), _) => return Err(refusal),
                (Directive::Continue(_), 0) => return Ok(()),
                (Directive::Continue(_), _) => {}
            }
        }
        Ok(())
    }

    /// The policy's objection to the work.
    fn policy_objection(&self) -> Option<Event> {
        match self.gate.result(&self.work) {
            Permission::Denied(refusal) if self.work.stage != Stage::Failed => {
                Some(Event::PolicyDenied(refusal))
            }
            _ => None,
        }
    }

    /// What one heartbeat, or the policy, means for the work.
    async fn once(&self, token: &LeaseToken) -> Option<Event> {
        if let Some(objection) = self.policy_objection() {
            return Some(objection);
        }
        match self.heartbeat(token).await {
            Ok((Directive::Continue(_), _)) => None,
            Ok((Directive::Stop(refusal), _)) => {
                after_refusal(&self.coordinator, &self.work, refusal, Event::Stopped).await
            }
            Err(refusal) => {
                self.note_failure(&refusal);
                after_refusal(&self.coordinator, &self.work, refusal, Event::Stopped).await
            }
        }
    }

    /// Notes a call to which the coordinator has not answered.
    pub(super) fn note_failure(&self, refusal: &Refusal) {
        if recovery(refusal.reason) == Recovery::Retry {
            self.progress.lose_contact();
        }
    }

    /// When the next heartbeat is due: an interval after the lease was renewed, at once if that is not known.
    fn due(&self, interval: Duration) -> Instant {
        self.progress.last_renewal().map_or_else(Instant::now, |at| at + interval)
    }
}

/// The running heartbeats of one assignment; they end when this is dropped.
#[derive(Debug)]
pub(super) struct HeartbeatTask {
    events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

impl HeartbeatTask {
    /// Looks at the policy at once, and sends one every `interval` from when the lease was last renewed: an
    /// acceptance and the heartbeats of an earlier activity count.
    pub(super) fn start<C: Coordinator>(
        reporter: Reporter<C>,
        mut token: LeaseToken,
        interval: Duration,
    ) -> Self {
        let (sender, events) = mpsc::channel(4);
        let task = tokio::spawn(async move {
            let mut interval = tokio::time::interval_at(reporter.due(interval), interval);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            if let Some(objection) = reporter.policy_objection() {
                drop(sender.send(objection).await);
                return;
            }
            loop {
                interval.tick().await;
                let Some(event) = reporter.once(&token).await else { continue };
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

    /// The event of a heartbeat: a new lease, or the end of the work.
    pub(super) async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

impl Drop for HeartbeatTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a refusal means for an assignment in hand. An expired lease is requested again, a final refusal
/// becomes an event, and a transient refusal means nothing.
pub(super) async fn after_refusal<C: Coordinator>(
    coordinator: &C,
    work: &WorkInHand,
    refusal: Refusal,
    end: fn(Refusal) -> Event,
) -> Option<Event> {
    let id = &work.assignment.id;
    match recovery(refusal.reason) {
        Recovery::Retry => {
            tracing::warn!(assignment = %id, %refusal, "the coordinator cannot be reached; the work continues");
            None
        }
        Recovery::Halt => Some(Event::Banned(refusal)),
        Recovery::Abandon => Some(end(refusal)),
        Recovery::Reaccept => match coordinator.accept(id).await {
            Ok(lease) => Some(Event::Leased(lease)),
            Err(refusal) => match recovery(refusal.reason) {
                Recovery::Retry => None,
                Recovery::Halt => Some(Event::Banned(refusal)),
                Recovery::Abandon | Recovery::Reaccept => Some(end(refusal)),
            },
        },
    }
}
