//! The notifier: it follows the ledger and looks at the state, fills the queues and has them sent.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use eosfed_common::ledger::Event;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use super::look::Around;
use super::notification::Notification;
use super::outbox::Outbox;
use super::places::Places;
use super::receiver::Receiver;
use super::retry::Pauses;
use super::settings::NotifySettings;
use super::worker::{Desk, OUTCOMES};
use crate::metrics::{Metrics, Observer, Scrape, table};

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
    pub(super) receivers: Vec<Arc<Receiver>>,
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
        let receivers = settings.iter().map(|one| Receiver::open(one).map(Arc::new));
        Ok(Self {
            receivers: receivers.collect::<anyhow::Result<_>>()?,
            file,
            metrics,
            limits: Limits::USUAL,
        })
    }

    /// Notifies, for ever.
    pub async fn run(&self, around: Around) {
        if self.receivers.is_empty() {
            return std::future::pending().await;
        }
        let desks = Arc::new(self.desks(around.engine.ledger_end().await));
        for (receiver, outcome) in
            self.receivers.iter().flat_map(|one| OUTCOMES.map(|outcome| (one, outcome)))
        {
            // A counter that begins with its first failure shows no increase.
            self.metrics.notifications.add([receiver.name().as_str(), outcome], 0);
        }
        self.metrics.observe(Waiting(Arc::clone(&desks)));
        let parallel = Arc::new(Semaphore::new(self.limits.parallel));
        // Dropping the set ends the tasks.
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(Arc::clone(&desks), around.clone()));
        tasks.spawn(look(Arc::clone(&desks), around.clone(), self.limits.look_every));
        for at in 0..self.receivers.len() {
            let (desks, engine, parallel) =
                (Arc::clone(&desks), around.engine.clone(), Arc::clone(&parallel));
            let pauses = self.limits.pauses;
            tasks.spawn(async move {
                let desk = &desks.desks[at];
                loop {
                    let told = desk.next().await;
                    desk.send(&told, &engine, &parallel, pauses).await;
                    desk.outbox().done();
                    desks.save().await;
                }
            });
        }
        while let Some(Err(error)) = tasks.join_next().await {
            tracing::error!(%error, "a task of the notifications has failed; the others go on");
        }
        std::future::pending::<()>().await;
    }

    fn desks(&self, end: u64) -> Desks {
        let mut places = Places::read(&self.file);
        let desk = |receiver: &Arc<Receiver>| {
            let outbox = Outbox::new(self.limits.queue, places.of(receiver.name(), end));
            Desk::new(Arc::clone(receiver), outbox, Arc::clone(&self.metrics))
        };
        let desks = self.receivers.iter().map(desk).collect();
        Desks { desks, file: self.file.clone(), written: Mutex::default() }
    }
}

/// All receivers with their queues.
#[derive(Debug)]
struct Desks {
    desks: Vec<Desk>,
    file: PathBuf,
    /// What the file has.
    written: Mutex<Option<Places>>,
}

impl Desks {
    /// Writes how far all receivers are, if that has changed.
    async fn save(&self) {
        let mut written = self.written.lock().await;
        let places = self.desks.iter().map(|desk| (desk.receiver.name().clone(), desk.outbox().place()));
        let places = Places { receivers: places.collect() };
        if written.as_ref() == Some(&places) {
            return;
        }
        let (file, to_write) = (self.file.clone(), places.clone());
        let wrote = tokio::task::spawn_blocking(move || to_write.write(&file)).await;
        match wrote.map_err(std::io::Error::other).and_then(|wrote| wrote) {
            Ok(()) => *written = Some(places),
            Err(error) => tracing::warn!(
                file = %self.file.display(), %error,
                "cannot note how far the notifications are; after a restart some are sent again"
            ),
        }
    }
}

/// Follows the ledger, for ever.
async fn follow(desks: Arc<Desks>, around: Around) {
    let from = desks.desks.iter().map(|desk| desk.outbox().next()).min().unwrap_or_default();
    let take = |sequence, line: &str| {
        let told = notification(line, &around).map(Arc::new);
        desks.desks.iter().for_each(|desk| desk.take_event(sequence, told.as_ref()));
    };
    around.engine.follow(from, "notifications", take).await;
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
            Ok(seen) => {
                let now = around.engine.now();
                desks.desks.iter().for_each(|desk| desk.look(&seen, &around.coordinator, now));
            }
            Err(error) => tracing::error!(%error, "the look for conditions has failed"),
        }
        desks.save().await;
        tokio::time::sleep(every).await;
    }
}

/// How many notifications wait.
struct Waiting(Arc<Desks>);

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiting")
    }
}

impl Observer for Waiting {
    fn observe(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        let of = |desk: &Desk| ([desk.receiver.name().to_string()], desk.outbox().len() as f64);
        scrape.gauge(&table::NOTIFICATIONS_WAITING, self.0.desks.iter().map(of))
    }
}
