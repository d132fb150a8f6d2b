//! Work beside the heartbeats.

use std::pin::pin;
use std::sync::Arc;

use super::environment::{DaemonError, Environment};
use super::heartbeat::HeartbeatTask;
use super::run::{Daemon, Flow};
use super::step::Event;
use super::watcher::attended;

/// How work beside the heartbeats has ended.
pub(super) enum Supervised<T> {
    /// It is done.
    Done(T),
    /// A heartbeat has ended it, or the daemon was cancelled.
    Interrupted(Flow),
}

impl<E: Environment> Daemon<E> {
    /// Does `work` until it is done, a heartbeat ends it, or the daemon is cancelled. A new lease is recorded,
    /// and the work continues.
    pub(super) async fn supervise<T>(
        &mut self,
        heartbeats: &mut HeartbeatTask,
        work: impl Future<Output = T>,
    ) -> Result<Supervised<T>, DaemonError> {
        let watcher = Arc::clone(&self.parts.watcher);
        let mut work = pin!(attended(&*watcher, work));
        let cancel = self.cancel.clone();
        loop {
            let event = tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(Supervised::Interrupted(Flow::Exit)),
                event = heartbeats.next() => event,
                done = &mut work => return Ok(Supervised::Done(done)),
            };
            match event {
                Event::Leased(lease) => drop(self.apply(Event::Leased(lease))?),
                event => return Ok(Supervised::Interrupted(Flow::Event(event))),
            }
        }
    }
}
