//! The daemon: decisions come from the pure module `step`, what it decides is done here, one thing
//! after another, and each change of state is in the journal before it is acted on.
//!
//! Killed at any instant, it goes on from the journal: a training from the trainer's checkpoint, a
//! finished update with the same idempotency key.

mod heart;
mod room;
mod seek;
pub mod step;
mod stop;
mod submit;
mod train;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eosfed_common::assignment::{Assignment, Work};
use eosfed_common::clock::Clock;
use eosfed_common::ids::{AssignmentId, JobId};
use eosfed_common::model::Backbone;
use eosfed_common::refusal::Refusal;
use eosfed_common::settings::SettingsError;
use eosfed_common::task::DeviceChoice;
use eosfed_common::traffic::ByteCounts;
use eosfed_transport::keys::{KeyAndCertificate, KeyAndRequest, KeyError};
use eosfed_transport::meter::Meter;
use rand_chacha::ChaCha12Rng;

use crate::coordinator::Coordinator;
use crate::policy::Policy;
use crate::retry::Backoff;
use crate::settings::load_policy;
use crate::site::{Credentials, Site, SiteError};
use crate::trainer::{TrainerCommand, reap};
use heart::{Heart, Tracker};
use step::{Action, Ending, Event, Held, resume, step};

pub use step::{Outcome, Process, Scores, State, Update};
pub use stop::{Stop, StopSender, stop};

/// The journal's file name in the state folder.
pub const JOURNAL: &str = "journal.json";

/// Why the daemon ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The state folder.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The site policy.
    #[error(transparent)]
    Policy(#[from] SettingsError),
    /// The coordinator does not want this client.
    #[error("the coordinator refuses this client: {0}; ask its operator")]
    Refused(Refusal),
    /// A new key cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file of an assignment cannot be written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DaemonError {
    /// Whether more room on the disk would have been enough.
    fn is_full_disk(&self) -> bool {
        match self {
            Self::Site(SiteError::Io { source, .. }) | Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Site(
                SiteError::Invalid { .. } | SiteError::Locked { .. } | SiteError::NotJoined { .. },
            )
            | Self::Policy(_)
            | Self::Refused(_)
            | Self::Key(_) => false,
        }
    }
}

/// How long things take at most.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two heartbeats.
    pub heartbeat: Duration,
    /// How long the coordinator may hold back an answer to a poll.
    pub poll: Duration,
    /// Between two looks at work that waits for a person or an hour.
    pub waiting: Duration,
    /// Between tries.
    pub backoff: Backoff,
}

impl Pace {
    /// The pace for real use, with heartbeats as the settings say.
    #[must_use]
    pub const fn with_heartbeat(heartbeat: Duration) -> Self {
        Self {
            heartbeat,
            poll: Duration::from_secs(25),
            waiting: Duration::from_secs(5),
            backoff: Backoff { first: Duration::from_secs(1), limit: Duration::from_secs(60) },
        }
    }
}

/// What a daemon is made of.
pub struct Parts<C> {
    /// Its state folder.
    pub site: Site,
    /// The coordinator.
    pub coordinator: C,
    /// Who it is.
    pub credentials: Credentials,
    /// What it has sent, as its coordinator counts.
    pub meter: Meter,
    /// `dataset.toml`, or the folder it lies in.
    pub dataset: PathBuf,
    /// The training program.
    pub trainer: TrainerCommand,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Threads for computing.
    pub threads: Option<u32>,
    /// Files of timm's, by backbone, that one-shot specialists start from.
    pub pretrained: BTreeMap<Backbone, PathBuf>,
    /// How long things take.
    pub pace: Pace,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    /// Draws keys and waiting times; must be cryptographically secure.
    pub rng: ChaCha12Rng,
    /// Whether to end after one assignment.
    pub once: bool,
}

/// The daemon.
pub struct Daemon<C> {
    parts: Parts<C>,
    stop: Stop,
    state: State,
    tracker: Tracker,
    sent_before: ByteCounts,
    declined: BTreeSet<AssignmentId>,
    waiting: BTreeSet<JobId>,
    done: u32,
}

/// How an action has gone.
enum Flow {
    /// Nothing more to say.
    On,
    /// This has happened.
    Event(Event),
    /// The daemon is to end.
    End,
}

impl<C: Coordinator> Daemon<C> {
    /// A daemon that stands where the journal says.
    ///
    /// # Errors
    /// If the journal holds something else.
    pub fn new(parts: Parts<C>, stop: Stop) -> Result<Self, DaemonError> {
        let state = parts.site.read_json(JOURNAL)?.unwrap_or_default();
        let sent_before = parts.site.sent()?;
        let tracker = Tracker::default();
        let (declined, waiting) = (BTreeSet::new(), BTreeSet::new());
        Ok(Self { parts, stop, state, tracker, sent_before, declined, waiting, done: 0 })
    }

    /// Works until told to stop; with `once`, until one assignment has come to its end.
    ///
    /// # Errors
    /// If the state folder cannot be used, or the coordinator does not want this client.
    pub async fn run(mut self) -> Result<(), DaemonError> {
        if let Some(held) = self.state.held() {
            tracing::info!(assignment = %held.assignment.id, phase = self.state.name(), "going on where the journal stands");
        }
        self.sweep()?;
        let mut actions = VecDeque::from(resume(&self.state));
        let (mut result, mut full) = (Ok(()), 0);
        while let Some(action) = actions.pop_front() {
            match self.act(action).await {
                Ok(Some(more)) => {
                    full = if more.is_empty() { full } else { 0 };
                    actions.extend(more);
                }
                Ok(None) => break,
                // The state is still what the journal says: to be gone on from as after a restart.
                Err(error) if error.is_full_disk() => {
                    full += 1;
                    if !self.pause_for_room(&error, full).await {
                        break;
                    }
                    actions = resume(&self.state).into();
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.record_sent_if_room()?;
        result
    }

    /// Performs an action and takes the step that follows; gives what there is to do then, or nothing
    /// when the daemon is to end. What has happened is not forgotten for want of room in the journal.
    async fn act(&mut self, action: Action) -> Result<Option<Vec<Action>>, DaemonError> {
        let event = match self.perform(action).await? {
            Flow::On => return Ok(Some(Vec::new())),
            Flow::End => return Ok(None),
            Flow::Event(event) => event,
        };
        if let Event::TrainerDied(why) = &event {
            tracing::warn!("the trainer died: {why}");
        }
        let mut full = 0;
        loop {
            match self.apply(event.clone()) {
                Err(error) if error.is_full_disk() => {
                    full += 1;
                    if !self.pause_for_room(&error, full).await {
                        return Ok(None);
                    }
                }
                done => return done.map(Some),
            }
        }
    }

    /// Says that the disk is full and waits; says whether to go on.
    async fn pause_for_room(&mut self, error: &DaemonError, attempt: u32) -> bool {
        tracing::warn!(%error, "this disk is full; nothing is lost, and the work goes on once there is room");
        self.pause(attempt).await
    }

    /// Takes the step that an event asks for, journal first. Nothing has happened if that fails.
    fn apply(&mut self, event: Event) -> Result<Vec<Action>, DaemonError> {
        let now = self.parts.clock.now();
        let (state, actions) = step(self.state.clone(), event, now);
        self.parts.site.write_json(JOURNAL, &state)?;
        self.state = state;
        self.record_sent_if_room()?;
        Ok(actions)
    }

    async fn perform(&mut self, action: Action) -> Result<Flow, DaemonError> {
        match action {
            Action::Seek => Box::pin(self.seek()).await,
            Action::Fetch => Box::pin(self.fetch()).await,
            Action::Reap(process) => {
                reap(process).await;
                Ok(Flow::On)
            }
            Action::Train(deaths) => Box::pin(self.train(deaths)).await,
            Action::Measure => Box::pin(self.measure()).await,
            Action::Submit => Box::pin(self.submit()).await,
            Action::Discard(_) => self.sweep().map(|()| Flow::On),
            Action::Tell(ending) => {
                tell(&ending);
                self.done += 1;
                Ok(Flow::On)
            }
            Action::Halt(refusal) => Err(DaemonError::Refused(refusal)),
        }
    }

    /// Removes the folders of assignments that are not in hand.
    fn sweep(&self) -> Result<(), DaemonError> {
        let work = self.parts.site.work();
        let keep = self.state.held().map(|held| self.parts.site.folder(&held.assignment.id));
        let Ok(entries) = std::fs::read_dir(&work) else { return Ok(()) };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if Some(&path) != keep.as_ref() {
                std::fs::remove_dir_all(&path).map_err(|source| DaemonError::Io { path, source })?;
            }
        }
        Ok(())
    }

    fn record_sent(&self) -> Result<(), DaemonError> {
        let sent = self.sent_before.plus(self.parts.meter.sent());
        Ok(self.parts.site.record_sent(&sent)?)
    }

    /// Records what has been sent, unless the disk is full: the next time will do, and what has happened
    /// besides must not be lost for it.
    fn record_sent_if_room(&self) -> Result<(), DaemonError> {
        self.record_sent().or_else(|error| if error.is_full_disk() { Ok(()) } else { Err(error) })
    }

    /// The policy as it stands in its file now, so that a change needs no restart.
    fn policy(&self) -> Result<Policy, DaemonError> {
        Ok(load_policy(&self.parts.site.policy())?)
    }

    /// The assignment in hand; only activities of states that hold one ask.
    fn held(&self) -> Held {
        self.state.held().cloned().expect("actions on an assignment come from states that hold one")
    }

    fn heart(&self, held: &Held) -> Heart {
        let (coordinator, tracker) = (self.parts.coordinator.clone(), self.tracker.clone());
        Heart::start(coordinator, held, tracker, self.parts.pace.heartbeat)
    }

    /// Waits before try `attempt`; says whether to go on.
    async fn pause(&mut self, attempt: u32) -> bool {
        let delay = self.parts.pace.backoff.delay(attempt, &mut self.parts.rng);
        let stop = self.stop.clone();
        tokio::select! {
            () = tokio::time::sleep(delay) => true,
            () = stop.raised() => false,
        }
    }

    /// Asks for a new certificate when less than a third of the old one's time is left. Failing at
    /// it is not the end: there will be more occasions.
    async fn renew_when_due(&mut self) -> Result<(), DaemonError> {
        if !self.parts.credentials.due_for_renewal(self.parts.clock.now()) {
            return Ok(());
        }
        let KeyAndRequest { key_pem, request_pem } =
            KeyAndRequest::generate(self.parts.credentials.institution.as_str())?;
        let issued = match self.parts.coordinator.renew(request_pem).await {
            Ok(issued) => issued,
            Err(refusal) => {
                let until = self.parts.credentials.not_after;
                tracing::warn!(%refusal, %until, "the certificate cannot be renewed now");
                return Ok(());
            }
        };
        let pair = KeyAndCertificate { key_pem, certificate_pem: issued.certificate_pem };
        self.parts.site.replace_identity(&pair, &issued.ca_pem)?;
        self.parts.credentials = self.parts.site.credentials()?;
        if let Err(error) = self.parts.coordinator.replace(&self.parts.credentials) {
            tracing::warn!(%error, "the new certificate cannot be used before a restart");
        }
        tracing::info!(until = %self.parts.credentials.not_after, "the certificate has been renewed");
        Ok(())
    }
}

fn tell(ending: &Ending) {
    match ending {
        Ending::Recorded(at) => {
            tracing::info!(recorded_at = %at, "handed in; the coordinator has recorded it");
        }
        Ending::Dropped(refusal) => tracing::warn!(%refusal, "dropped; the coordinator no longer wants it"),
    }
}

fn describe(assignment: &Assignment) -> String {
    let trainee = &assignment.trainee;
    let kind = match assignment.work {
        Work::Statistics => "statistics",
        Work::Training(_) => "training",
        Work::Evaluation(_) => "evaluation",
    };
    format!("{kind} for `{}`: {}, {}", assignment.job_name, trainee.task(), trainee.bands().join(" "))
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> DaemonError {
    let path = path.to_owned();
    move |source| DaemonError::Io { path, source }
}
