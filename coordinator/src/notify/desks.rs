//! The desks of all receivers, and how far each is.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use eosfed_common::clock::Timestamp;
use tokio::sync::Mutex;

use super::conditions::Seen;
use super::notification::Notification;
use super::outbox::Outbox;
use super::places::Places;
use super::receiver::Receiver;
use super::settings::ReceiverName;
use super::worker::Desk;
use crate::metrics::{Metrics, Observer, Scrape, table};

/// All receivers with their queues. The lock of the list is not held while anything is waited for; who fills
/// queues holds it, so that a queue that goes on at another desk misses nothing.
#[derive(Debug)]
pub(super) struct Desks {
    list: RwLock<Vec<Arc<Desk>>>,
    file: PathBuf,
    /// What the file has.
    written: Mutex<Places>,
    metrics: Arc<Metrics>,
    /// Most notifications that wait for one receiver.
    limit: usize,
}

impl Desks {
    /// No desks yet; `file`, which has these places, holds how far each is.
    pub(super) fn new(file: PathBuf, written: Places, metrics: Arc<Metrics>, limit: usize) -> Self {
        Self { list: RwLock::default(), file, written: Mutex::new(written), metrics, limit }
    }

    fn list(&self) -> Vec<Arc<Desk>> {
        self.list.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The desk of a receiver.
    pub(super) fn of(&self, name: &ReceiverName) -> Option<Arc<Desk>> {
        self.list().into_iter().find(|desk| desk.receiver.name() == name)
    }

    /// The names of all receivers.
    pub(super) fn names(&self) -> Vec<ReceiverName> {
        self.list().iter().map(|desk| desk.receiver.name().clone()).collect()
    }

    /// Gives a receiver a desk. It goes on where the one with the same name is, which nobody may work at any
    /// more, or where the places say, in a ledger that ends at `end`.
    pub(super) fn open(&self, receiver: &Arc<Receiver>, places: &mut Places, end: u64) -> Arc<Desk> {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        let before = list.iter().position(|desk| desk.receiver.name() == receiver.name());
        let outbox = match before.map(|at| list.swap_remove(at)) {
            Some(desk) => desk.outbox().handed_over(|event| receiver.settings.events.contains(&event)),
            None => Outbox::new(self.limit, places.of(receiver.name(), end)),
        };
        let desk = Arc::new(Desk::new(Arc::clone(receiver), outbox, Arc::clone(&self.metrics)));
        list.push(Arc::clone(&desk));
        desk
    }

    /// Removes the desk of a receiver, with what waits there. Gives how many notifications that were.
    pub(super) fn close(&self, name: &ReceiverName) -> usize {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        let at = list.iter().position(|desk| desk.receiver.name() == name);
        at.map_or(0, |at| list.swap_remove(at).outbox().len())
    }

    /// Gives each the event of number `sequence`; `read` says what operators are told of it.
    pub(super) fn take_event(&self, sequence: u64, read: impl FnOnce() -> Option<Notification>) {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        if list.is_empty() {
            return;
        }
        let told = read().map(Arc::new);
        list.iter().for_each(|desk| desk.take_event(sequence, told.as_ref()));
    }

    /// Gives each what a look at the state has seen.
    pub(super) fn look(&self, seen: &Seen, coordinator: &str, now: Timestamp) {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.iter().for_each(|desk| desk.look(seen, coordinator, now));
    }

    /// The first event that one of them may not have taken, in a ledger that ends at `end`.
    pub(super) fn next(&self, end: u64) -> u64 {
        self.list().iter().map(|desk| desk.outbox().next()).min().unwrap_or(end)
    }

    /// Writes how far all receivers are, if that has changed.
    pub(super) async fn save(&self) {
        let mut written = self.written.lock().await;
        let list = self.list();
        let places = list.iter().map(|desk| (desk.receiver.name().clone(), desk.outbox().place()));
        let places = Places { receivers: places.collect() };
        if *written == places {
            return;
        }
        let (file, to_write) = (self.file.clone(), places.clone());
        let wrote = tokio::task::spawn_blocking(move || to_write.write(&file)).await;
        match wrote.map_err(std::io::Error::other).and_then(|wrote| wrote) {
            Ok(()) => *written = places,
            Err(error) => tracing::warn!(
                file = %self.file.display(), %error,
                "cannot note how far the notifications are; after a restart some are sent again"
            ),
        }
    }
}

/// How many notifications wait.
pub(super) struct Waiting(pub(super) Arc<Desks>);

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiting")
    }
}

impl Observer for Waiting {
    fn observe(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        let list = self.0.list();
        let of = |desk: &Arc<Desk>| ([desk.receiver.name().to_string()], desk.outbox().len() as f64);
        scrape.gauge(&table::NOTIFICATIONS_WAITING, list.iter().map(of))
    }
}
