//! The parts of a daemon: everything outside of it, as traits and values.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eosfed_common::clock::Clock;
use eosfed_common::model::Backbone;
use eosfed_common::refusal::Refusal;
use eosfed_common::task::{DecodedSamples, DeviceChoice};
use eosfed_common::weights::WeightsError;
use eosfed_transport::keys::KeyError;
use eosfed_transport::meter::Meter;
use rand_chacha::ChaCha12Rng;

use super::disk_space::DiskSpace;
use super::traces::Traces;
use super::watcher::Watcher;
use crate::coordinator::{Coordinator, GrpcCoordinator};
use crate::data_sets::DataSets;
use crate::egress::{DataSetPolicies, PolicySource};
use crate::imagery::{FileImagery, Imagery};
use crate::journal::{Journal, SiteJournal};
use crate::offload::Blocking;
use crate::retry::Backoff;
use crate::site::{Credentials, Site, SiteError};
use crate::site_log::{SiteLog, SiteLogError};
use crate::trainer::{Trainer, TrainerCommand};

/// The kinds of things outside of a daemon.
pub trait Environment: Send + Sync + 'static {
    /// The connection to the coordinator.
    type Coordinator: Coordinator;
    /// The training program.
    type Trainer: Trainer;
    /// The private imagery.
    type Imagery: Imagery;
    /// Where the state is kept.
    type Journal: Journal;
}

/// The real environment: gRPC, a child process, files.
#[derive(Debug)]
pub struct Programs;

impl Environment for Programs {
    type Coordinator = GrpcCoordinator;
    type Trainer = TrainerCommand;
    type Imagery = FileImagery;
    type Journal = SiteJournal;
}

/// The parts of a daemon.
pub struct Parts<E: Environment> {
    /// The coordinator.
    pub coordinator: E::Coordinator,
    /// The training program.
    pub trainer: E::Trainer,
    /// The private imagery.
    pub imagery: E::Imagery,
    /// Where the state is kept.
    pub journal: E::Journal,
    /// The site policy.
    pub policy: Arc<dyn PolicySource>,
    /// The policies of data sets that have one of their own.
    pub data_set_policies: DataSetPolicies,
    /// The free space on the disk of the state folder.
    pub disk: Arc<dyn DiskSpace>,
    /// The state folder.
    pub site: Site,
    /// What was asked, decided and sent.
    pub log: SiteLog,
    /// Who watches the daemon.
    pub watcher: Arc<dyn Watcher>,
    /// The identity of the daemon.
    pub credentials: Credentials,
    /// The meter of sent bytes.
    pub meter: Meter,
    /// Where spans of the work go.
    pub traces: Traces,
    /// The settings of every task.
    pub task: TaskSettings,
    /// The intervals of the daemon.
    pub intervals: Intervals,
    /// Where blocking work runs.
    pub blocking: Blocking,
    /// Its clock, for what is stored, compared with deadlines and shown. It waits on tokio's time.
    pub clock: Arc<dyn Clock>,
    /// Draws keys and waiting times; must be cryptographically secure.
    pub rng: ChaCha12Rng,
    /// Whether to end after one assignment.
    pub once: bool,
}

/// The settings of every task.
#[derive(Debug, Clone)]
pub struct TaskSettings {
    /// The data sets.
    pub dataset: DataSets,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Threads for computing; absent: all processors.
    pub threads: Option<u32>,
    /// Files of timm's, by backbone, that one-shot specialists start from.
    pub pretrained: BTreeMap<Backbone, PathBuf>,
    /// Where decoded samples are kept, if they are.
    pub samples: Option<DecodedSamples>,
    /// Grams of CO2 equivalents of a kilowatt-hour here, if it is known.
    pub carbon_intensity: Option<u32>,
}

/// The intervals of the daemon.
#[derive(Debug, Clone, Copy)]
pub struct Intervals {
    /// Interval of heartbeats.
    pub heartbeat: Duration,
    /// How long the coordinator may delay the answer to a poll.
    pub poll: Duration,
    /// The same while an assignment waits for an approval or for the allowed hours.
    pub postponed_poll: Duration,
    /// The waits between tries.
    pub backoff: Backoff,
    /// How long a change of the policy must last until it counts.
    pub policy_settle: Duration,
    /// How long to wait for a condition of this machine before it is reported.
    pub condition_timeout: Duration,
}

impl Intervals {
    /// The intervals for real use, with the heartbeats of the settings.
    #[must_use]
    pub const fn with_heartbeat(heartbeat: Duration) -> Self {
        Self {
            heartbeat,
            poll: Duration::from_secs(25),
            postponed_poll: Duration::from_secs(5),
            backoff: Backoff { first: Duration::from_secs(1), limit: Duration::from_secs(60) },
            policy_settle: Duration::from_secs(5),
            condition_timeout: Duration::from_secs(30 * 60),
        }
    }
}

/// Why the daemon ended early.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The state folder.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The site log.
    #[error("the site log cannot be written, and nothing is sent until it can: {0}")]
    SiteLog(#[from] SiteLogError),
    /// The coordinator does not accept this client.
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
        /// The system's error.
        source: io::Error,
    },
}

impl DaemonError {
    /// An error about a file.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// Whether more space on the disk would have been enough.
    pub(super) fn is_full_disk(&self) -> bool {
        match self {
            Self::Site(SiteError::Io { source, .. }) | Self::Io { source, .. } => is_full(source),
            Self::Site(
                SiteError::Invalid { .. }
                | SiteError::Locked { .. }
                | SiteError::NotPrivate(_)
                | SiteError::NotOwned(_)
                | SiteError::NotJoined { .. },
            )
            | Self::SiteLog(_)
            | Self::Refused(_)
            | Self::Key(_) => false,
        }
    }
}

/// Why a file of weights cannot be made, in words.
///
/// # Errors
/// A full disk, which is waited for.
pub(super) fn unless_full(error: WeightsError) -> Result<String, DaemonError> {
    let why = error.to_string();
    match error {
        WeightsError::Io { path, source } if is_full(&source) => Err(DaemonError::Io { path, source }),
        _ => Ok(why),
    }
}

/// Whether more space on the disk would have been enough for what has failed.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
