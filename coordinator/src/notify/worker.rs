//! A receiver's desk: its queue, and the worker that sends one notification after another.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eosfed_common::clock::Timestamp;
use tokio::sync::{Notify, Semaphore};

use super::conditions::Seen;
use super::delivery::{Delivery, Failure};
use super::notification::Notification;
use super::outbox::{Item, Outbox, Source};
use super::receiver::Receiver;
use super::retry::{Pauses, is_given_up};
use crate::engine::Handle;
use crate::metrics::Metrics;

/// What becomes of notifications, in metrics.
pub(super) const OUTCOMES: [&str; 3] = [DELIVERED, FAILED, DROPPED];
const DELIVERED: &str = "delivered";
const FAILED: &str = "failed";
const DROPPED: &str = "dropped";

/// A receiver with its queue.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) receiver: Arc<Receiver>,
    outbox: Mutex<Outbox>,
    /// There may be something to send.
    filled: Notify,
    metrics: Arc<Metrics>,
}

impl Desk {
    pub(super) fn new(receiver: Arc<Receiver>, outbox: Outbox, metrics: Arc<Metrics>) -> Self {
        Self { receiver, outbox: Mutex::new(outbox), filled: Notify::new(), metrics }
    }

    /// The queue. The lock is not held while anything is waited for.
    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the event of number `sequence`; `told` is what operators are told of it.
    pub(super) fn take_event(&self, sequence: u64, told: Option<&Arc<Notification>>) {
        let wanted = told.filter(|one| self.receiver.settings.events.contains(&one.event));
        let dropped = self.outbox().take_event(sequence, wanted.cloned());
        self.note_dropped(dropped);
        self.filled.notify_one();
    }

    /// Takes what a look at the state has seen.
    pub(super) fn look(&self, seen: &Seen, coordinator: &str, now: Timestamp) {
        let new = self.outbox().look(seen);
        for condition in new {
            if !self.receiver.settings.events.contains(&condition.key.event) {
                continue;
            }
            let source = Source::Condition(condition.key.clone());
            let notification = Arc::new(Notification::of_condition(condition, coordinator, now));
            let dropped = self.outbox().push(Item { source, notification });
            self.note_dropped(dropped);
        }
        self.filled.notify_one();
    }

    fn note_dropped(&self, dropped: Option<Item>) {
        let Some(Item { notification, .. }) = dropped else { return };
        self.count(DROPPED);
        tracing::warn!(
            receiver = %self.receiver.name(), id = notification.id, event = notification.event.name(),
            "too many notifications wait for this receiver; the oldest was dropped"
        );
    }

    fn count(&self, outcome: &str) {
        self.metrics.notifications.add([self.receiver.name().as_str(), outcome], 1);
    }

    /// The next notification, once there is one.
    pub(super) async fn next(&self) -> Arc<Notification> {
        loop {
            let next = self.outbox().take();
            match next {
                Some(next) => return next,
                None => self.filled.notified().await,
            }
        }
    }

    /// Sends a notification, until it is delivered or given up.
    pub(super) async fn send(
        &self,
        told: &Notification,
        engine: &Handle,
        parallel: &Semaphore,
        pauses: Pauses,
    ) {
        let delivery = Delivery::from(told);
        let (receiver, id, event) = (self.receiver.name(), &told.id, told.event.name());
        let mut tries = 0;
        loop {
            let tried = {
                let _turn = parallel.acquire().await;
                self.receiver.deliver(&delivery, engine.now()).await
            };
            tries += 1;
            let failure = match tried {
                Ok(said) => {
                    self.count(DELIVERED);
                    tracing::info!(%receiver, id, event, tries, said, "a notification was delivered");
                    return;
                }
                Err(failure) => failure,
            };
            let why = failure.why();
            let old = is_given_up(told.at, engine.now(), self.receiver.settings.retry_for);
            if old || matches!(failure, Failure::Lasting(_)) {
                self.count(FAILED);
                tracing::error!(%receiver, id, event, tries, why, "a notification was given up");
                return;
            }
            let pause = pauses.after(tries);
            tracing::warn!(
                %receiver, id, event, tries, why, again_in_s = pause.as_secs(),
                "a notification could not be delivered; it is tried again"
            );
            tokio::time::sleep(pause).await;
        }
    }
}
