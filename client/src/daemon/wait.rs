//! Waiting: before another try, for a condition of this machine, and for space on the disk.

use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::refusal::Refusal;

use super::environment::{DaemonError, Environment, is_full};
use super::run::{Daemon, Flow};
use super::step::Event;
use super::supervise::Supervised;
use super::watcher::attended;
use crate::condition::{ConditionKind, LocalCondition, give_up_at};
use crate::site_log::SiteLogError;
use crate::state::State;

impl<E: Environment> Daemon<E> {
    /// How long to wait before try `attempt`.
    pub(super) fn delay(&mut self, attempt: u32) -> Duration {
        self.parts.intervals.backoff.delay(attempt, &mut self.parts.rng)
    }

    /// Waits before try `attempt`. Returns whether to continue.
    pub(super) async fn pause(&mut self, attempt: u32) -> bool {
        let delay = self.delay(attempt);
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => false,
            () = attended(&*self.parts.watcher, tokio::time::sleep(delay)) => true,
        }
    }

    /// What a condition means for an assignment in hand: a wait, or, once it has lasted for too long, a
    /// report to the coordinator.
    pub(super) fn blocked(&self, condition: LocalCondition) -> Event {
        let now = self.parts.clock.now();
        let since = self.state.wait().map_or(now, |wait| wait.since);
        let deadline = self.state.held().map_or(Timestamp(u64::MAX), |held| held.assignment.deadline);
        match self.given_up(&condition, since, deadline) {
            Some(refusal) => Event::Failed(refusal),
            None => Event::Blocked(condition),
        }
    }

    /// The report to the coordinator about a condition that has lasted since `since`, if it is due.
    pub(super) fn given_up(
        &self,
        condition: &LocalCondition,
        since: Timestamp,
        deadline: Timestamp,
    ) -> Option<Refusal> {
        let end = give_up_at(since, deadline, self.parts.intervals.condition_timeout);
        (self.parts.clock.now() >= end).then(|| condition.refusal(since))
    }

    /// Waits for a condition of this machine while heartbeats keep the lease.
    pub(super) async fn wait_for_condition(&mut self, tries: u32) -> Result<Flow, DaemonError> {
        let held = self.held();
        let Some(wait) = held.wait.clone() else { return Ok(Flow::Event(Event::WaitOver)) };
        let delay = self.delay(tries);
        let timeout = self.parts.intervals.condition_timeout;
        tracing::warn!(
            assignment = %held.assignment.id,
            since = %wait.since,
            until = %give_up_at(wait.since, held.assignment.deadline, timeout),
            "waiting, next try in {:.1} s: {}",
            delay.as_secs_f64(),
            wait.condition
        );
        let mut heartbeats = self.heartbeats(&held);
        Ok(match self.supervise(&mut heartbeats, tokio::time::sleep(delay)).await? {
            Supervised::Done(()) => Flow::Event(Event::WaitOver),
            // The result may have been recorded already, so only the answer to it decides.
            Supervised::Interrupted(Flow::Event(Event::Stopped(_)))
                if matches!(self.state, State::Submitting { .. }) =>
            {
                if self.pause(tries).await {
                    Flow::Event(Event::WaitOver)
                } else {
                    Flow::Exit
                }
            }
            Supervised::Interrupted(flow) => flow,
        })
    }

    /// Waits until the site log may be writable again, while heartbeats keep the lease. Returns whether to
    /// continue. `status` shows the condition, unless the disk is too full for the journal too.
    pub(super) async fn wait_for_log(
        &mut self,
        error: &SiteLogError,
        attempt: u32,
    ) -> Result<bool, DaemonError> {
        let why = match error {
            SiteLogError::Io { source, .. } if is_full(source) => "this disk is full: ",
            _ => "",
        };
        let message =
            format!("{why}the site log cannot be written, and nothing is sent until it can: {error}");
        let condition = LocalCondition::new(ConditionKind::LogUnwritable, message);
        tracing::warn!("waiting: {condition}");
        match self.apply(Event::Blocked(condition)) {
            Err(error) if !error.is_full_disk() => return Err(error),
            _ => {}
        }
        let _heartbeats = self.state.held().cloned().map(|held| self.heartbeats(&held));
        Ok(self.pause(attempt).await)
    }

    /// Ends the wait for the site log, which was written.
    pub(super) fn log_is_written(&mut self) -> Result<(), DaemonError> {
        if self.state.wait().is_some_and(|wait| wait.condition.kind == ConditionKind::LogUnwritable) {
            let event = if self.state.held().is_some() { Event::Progressed } else { Event::WaitOver };
            drop(self.apply(event)?);
        }
        Ok(())
    }

    /// Logs that the disk is full and waits, while heartbeats keep the lease. Returns whether to continue.
    /// The event of a heartbeat cannot be recorded now; the next heartbeat gives it again.
    pub(super) async fn wait_for_disk(&mut self, error: &DaemonError, attempt: u32) -> bool {
        tracing::warn!(%error, "this disk is full; nothing is lost, and the work waits for space");
        let _heartbeats = self.state.held().cloned().map(|held| self.heartbeats(&held));
        self.pause(attempt).await
    }
}
