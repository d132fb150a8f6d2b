//! The notifier: it follows the ledger and looks at the state, fills the queues and has them sent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use eosfed_common::ledger::Event;
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::desks::{Desks, Waiting};
use super::look::Around;
use super::notification::Notification;
use super::places::Places;
use super::receiver::Receiver;
use super::retry::Pauses;
use super::settings::{NotifySettings, ReceiverName};
use super::worker::{Desk, OUTCOMES};
use crate::engine::Handle;
use crate::metrics::Metrics;

/// The bounds of the work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Most notifications that wait for one receiver.
    pub(super) queue: usize,
    /// Most notifications that are sent at the same time.
    pub(super) parallel: usize,
    /// Pauses between two tries.
    pub(super) pauses: Pauses,
    /// Time between two looks at the state.
    pub(super) look_every: Duration,
}

impl Limits {
    /// The usual ones.
    const USUAL: Self =
        Self { queue: 500, parallel: 4, pauses: Pauses::USUAL, look_every: Duration::from_secs(60) };
}

/// Tells receivers of events.
#[derive(Debug)]
pub struct Notifier {
    receivers: watch::Sender<Vec<Arc<Receiver>>>,
    pub(super) file: PathBuf,
    pub(super) metrics: Arc<Metrics>,
    pub(super) limits: Limits,
}

impl Notifier {
    /// A notifier of these receivers; `file` holds how far each is.
    ///
    /// # Errors
    /// If a receiver cannot be used: a file is missing or open to others, or a command cannot be run.
    pub fn open(settings: &[NotifySettings], file: PathBuf, metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        let receivers = watch::Sender::new(open(settings)?);
        Ok(Self { receivers, file, metrics, limits: Limits::USUAL })
    }

    /// Makes a change of the receivers, which [`Replacement::apply`] carries out.
    ///
    /// # Errors
    /// As [`Notifier::open`].
    pub fn prepare(&self, settings: &[NotifySettings]) -> anyhow::Result<Replacement<'_>> {
        Ok(Replacement { of: self, receivers: open(settings)? })
    }

    /// Notifies, for ever. Other receivers are taken when they are applied: new ones begin, those that are gone
    /// end, and changed ones go on where they were.
    pub async fn run(&self, around: Around) {
        let end = around.engine.ledger_end().await;
        let mut places = Places::read(&self.file);
        let Limits { queue, parallel, .. } = self.limits;
        let desks = Desks::new(self.file.clone(), places.clone(), Arc::clone(&self.metrics), queue);
        let desks = Arc::new(desks);
        self.metrics.observe(Waiting(Arc::clone(&desks)));
        let mut receivers = self.receivers.subscribe();
        let mut office = Office {
            desks: Arc::clone(&desks),
            engine: around.engine.clone(),
            parallel: Arc::new(Semaphore::new(parallel)),
            pauses: self.limits.pauses,
            metrics: Arc::clone(&self.metrics),
            tasks: JoinSet::new(),
            workers: BTreeMap::new(),
        };
        let wanted = receivers.borrow_and_update().clone();
        office.settle(&wanted, &mut places, end).await;
        office.tasks.spawn(follow(Arc::clone(&desks), around.clone(), end));
        office.tasks.spawn(look(desks, around, self.limits.look_every));
        loop {
            tokio::select! {
                Some(ended) = office.tasks.join_next() => note(&ended),
                Ok(()) = receivers.changed() => {
                    let wanted = receivers.borrow_and_update().clone();
                    let end = office.engine.ledger_end().await;
                    // What was removed before begins anew.
                    office.settle(&wanted, &mut Places::default(), end).await;
                    office.desks.save().await;
                }
            }
        }
    }
}

/// Receivers that can be used, and are not yet.
#[derive(Debug)]
pub struct Replacement<'a> {
    of: &'a Notifier,
    receivers: Vec<Arc<Receiver>>,
}

impl Replacement<'_> {
    /// Replaces the receivers of the notifier.
    pub fn apply(self) {
        self.of.receivers.send_replace(self.receivers);
    }
}

fn open(settings: &[NotifySettings]) -> anyhow::Result<Vec<Arc<Receiver>>> {
    settings.iter().map(|one| Receiver::open(one).map(Arc::new)).collect()
}

/// The tasks of the notifier. Dropping the set ends them.
struct Office {
    desks: Arc<Desks>,
    engine: Handle,
    parallel: Arc<Semaphore>,
    pauses: Pauses,
    metrics: Arc<Metrics>,
    tasks: JoinSet<()>,
    /// Who works at the desk of each receiver.
    workers: BTreeMap<ReceiverName, AbortHandle>,
}

impl Office {
    /// Has exactly these receivers told. Those that have not changed are not disturbed.
    async fn settle(&mut self, wanted: &[Arc<Receiver>], places: &mut Places, end: u64) {
        for name in self.desks.names() {
            if !wanted.iter().any(|one| *one.name() == name) {
                self.end(&name).await;
                let dropped = self.desks.close(&name);
                tracing::info!(receiver = %name, dropped, "a receiver of notifications was removed");
            }
        }
        for receiver in wanted {
            let name = receiver.name();
            let before = self.desks.of(name);
            if before.as_ref().is_some_and(|desk| desk.receiver.is_as(receiver)) {
                continue;
            }
            if before.is_some() {
                self.end(name).await;
                tracing::info!(receiver = %name, "a receiver of notifications has changed, and goes on");
            }
            let desk = self.desks.open(receiver, places, end);
            self.begin(desk);
        }
    }

    fn begin(&mut self, desk: Arc<Desk>) {
        let name = desk.receiver.name().clone();
        // A counter that begins with its first failure shows no increase.
        OUTCOMES.iter().for_each(|outcome| self.metrics.notifications.add([name.as_str(), outcome], 0));
        let (desks, engine, parallel) =
            (Arc::clone(&self.desks), self.engine.clone(), Arc::clone(&self.parallel));
        let pauses = self.pauses;
        let worker = self.tasks.spawn(async move {
            loop {
                let told = desk.next().await;
                desk.send(&told, &engine, &parallel, pauses).await;
                desk.outbox().done();
                desks.save().await;
            }
        });
        self.workers.insert(name, worker);
    }

    /// Ends the work at a desk. What is being sent is cut off.
    async fn end(&mut self, name: &ReceiverName) {
        let Some(worker) = self.workers.remove(name) else { return };
        worker.abort();
        while !worker.is_finished()
            && let Some(ended) = self.tasks.join_next().await
        {
            note(&ended);
        }
    }
}

fn note(ended: &Result<(), JoinError>) {
    if let Err(error) = ended
        && !error.is_cancelled()
    {
        tracing::error!(%error, "a task of the notifications has failed; the others go on");
    }
}

/// Follows the ledger, for ever.
async fn follow(desks: Arc<Desks>, around: Around, end: u64) {
    let take = |sequence, line: &str| desks.take_event(sequence, || notification(line, &around));
    around.engine.follow(desks.next(end), "notifications", take).await;
}

fn notification(line: &str, around: &Around) -> Option<Notification> {
    let event: Event = serde_json::from_str(line).ok()?;
    let name_of = |id: &_| around.engine.with_job(id, |job| job.spec.name().to_owned()).ok();
    Notification::of_event(&event, &around.coordinator, name_of)
}

/// Looks at the state, for ever.
async fn look(desks: Arc<Desks>, around: Around, every: Duration) {
    loop {
        let at = around.clone();
        match tokio::task::spawn_blocking(move || at.look()).await {
            Ok(seen) => desks.look(&seen, &around.coordinator, around.engine.now()),
            Err(error) => tracing::error!(%error, "the look for conditions has failed"),
        }
        desks.save().await;
        tokio::time::sleep(every).await;
    }
}
