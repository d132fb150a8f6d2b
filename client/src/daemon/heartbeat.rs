//! Heartbeats: a task beside the work that renews the lease, reports progress, learns when to stop and
//! notices when the site policy no longer allows the work. A coordinator that cannot be reached does
//! not disturb the work; the reports are kept.

use std::sync::Arc;
use std::time::Duration;

use eosfed_common::assignment::Directive;
use eosfed_common::ids::LeaseToken;
use eosfed_common::refusal::Refusal;
use eosfed_transport::wire::Heartbeat;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::progress::ProgressTracker;
use super::step::Event;
use crate::coordinator::Coordinator;
use crate::egress::{EgressGate, Permission, Stage, WorkInHand};
use crate::retry::{Recovery, recovery};

/// Reports the progress of one assignment; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Reporter<C> {
    coordinator: C,
    gate: EgressGate,
    work: Arc<WorkInHand>,
    progress: ProgressTracker,
    /// One report at a time, so that no two carry the same points.
    turn: Arc<Mutex<()>>,
}

impl<C: Coordinator> Reporter<C> {
    pub(super) fn new(coordinator: C, gate: EgressGate, work: WorkInHand, progress: ProgressTracker) -> Self {
        Self { coordinator, gate, work: Arc::new(work), progress, turn: Arc::default() }
    }

    /// Sends one heartbeat; its points count as sent once the coordinator has answered.
    async fn heartbeat(&self, token: &LeaseToken) -> Result<Directive, Refusal> {
        let _turn = self.turn.lock().await;
        let progress = self.progress.report(self.may_send_points());
        let points = progress.points.len();
        let heartbeat =
            Heartbeat { assignment: self.work.assignment.id.clone(), token: token.clone(), progress };
        let directive = self.coordinator.heartbeat(heartbeat).await?;
        self.progress.sent(points);
        Ok(directive)
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

    /// Sends the points that are left.
    ///
    /// # Errors
    /// The coordinator's refusal.
    pub(super) async fn flush(&self, token: &LeaseToken) -> Result<(), Refusal> {
        while self.progress.has_points() && self.may_send_points() {
            if let Directive::Stop(refusal) = self.heartbeat(token).await? {
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// What one heartbeat, or the policy, means for the work.
    async fn once(&self, token: &LeaseToken) -> Option<Event> {
        if self.work.stage != Stage::Failed
            && let Permission::Denied(refusal) = self.gate.result(&self.work)
        {
            return Some(Event::PolicyDenied(refusal));
        }
        match self.heartbeat(token).await {
            Ok(Directive::Continue(_)) => None,
            Ok(Directive::Stop(refusal)) | Err(refusal) => {
                after_refusal(&self.coordinator, &self.work, refusal, Event::Stopped).await
            }
        }
    }
}

/// The running heartbeats of one assignment; they end when this is dropped.
#[derive(Debug)]
pub(super) struct HeartbeatTask {
    events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

impl HeartbeatTask {
    /// Sends one at once and then one every `interval`.
    pub(super) fn start<C: Coordinator>(
        reporter: Reporter<C>,
        mut token: LeaseToken,
        interval: Duration,
    ) -> Self {
        let (sender, events) = mpsc::channel(4);
        let task = tokio::spawn(async move {
            let mut interval = tokio::time::interval(interval);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
