//! The state of the daemon, as its journal holds it: the assignment in hand, the running trainer, the
//! result that is to be submitted. Plain data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eosfed_common::assignment::{Assignment, BandMoments, BlobRef, Lease};
use eosfed_common::clock::Timestamp;
use eosfed_common::finite::Finite;
use eosfed_common::ids::{DataSetName, IdempotencyKey};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::report::{EvaluationReport, TrainingReport};
use eosfed_common::weights::Encoding;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::condition::LocalWait;
use crate::privacy::Mechanism;

/// An assignment whose lease this client holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldAssignment {
    /// The work.
    pub assignment: Assignment,
    /// Proof of holding it.
    pub lease: Lease,
    /// Makes its submission idempotent.
    pub key: IdempotencyKey,
    /// When it was accepted.
    pub since: Timestamp,
    /// The condition of this machine that the work waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<LocalWait>,
    /// The data set that it is for, by its name; absent where the site has one without a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DataSetName>,
}

/// A running trainer, as it can be found again after this daemon was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its process id, which is its group's too.
    pub pid: i32,
    /// When the kernel started it, in clock ticks since boot. A later process with the same id has another
    /// start.
    pub start_ticks: u64,
}

/// A finished training whose weights have passed every check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The weights.
    pub file: PathBuf,
    /// Their digest and size.
    pub weights: BlobRef,
    /// What is known of their training. Its metrics are submitted if the policy allows it at that time.
    pub report: TrainingReport,
    /// Moments, unit and range of the bands that a head was trained on. They are told if the policy allows it when the
    /// update is sent. Empty for a specialist, and in journals of before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statistics: Vec<BandMoments>,
    /// Scores of the weights that the training started from, where these are an average of institutions. They are told
    /// as the metrics of the report are. Empty elsewhere, and in journals of before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub start_metrics: BTreeMap<String, Finite>,
    /// The clipping and noise that they have. Absent: they are as they were trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<Mechanism>,
    /// The encoded step that is sent in place of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoded: Option<EncodedStep>,
}

impl Update {
    /// The file that is sent, and its digest and size.
    #[must_use]
    pub fn sent(&self) -> (&Path, BlobRef) {
        match &self.encoded {
            Some(encoded) => (&encoded.file, encoded.weights),
            None => (&self.file, self.weights),
        }
    }

    /// How that file is encoded.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoded.as_ref().map_or(Encoding::F32, |encoded| encoded.encoding)
    }
}

/// The step of an update, encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncodedStep {
    /// The file.
    pub file: PathBuf,
    /// Its digest and size.
    pub weights: BlobRef,
    /// How it is encoded.
    pub encoding: Encoding,
}

/// What is submitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Weights.
    Update(Box<Update>),
    /// Moments of each band.
    Statistics(Vec<BandMoments>),
    /// Scores of a frozen specialist.
    Scores(EvaluationReport),
    /// The work has failed here for this reason, and will not be repeated.
    Failure(#[serde(deserialize_with = "failure")] Refusal),
    /// Weights that the site policy no longer allows to leave. They are kept here; this is what the
    /// coordinator is told.
    Withheld(Refusal),
}

impl Outcome {
    /// Whether it holds data of the institution, which the site policy decides about.
    #[must_use]
    pub const fn is_result(&self) -> bool {
        match self {
            Self::Update(_) | Self::Statistics(_) | Self::Scores(_) => true,
            Self::Failure(_) | Self::Withheld(_) => false,
        }
    }
}

/// The state of the daemon; the journal holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[serde(tag = "phase", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum State {
    /// Polling for work.
    Idle {
        /// The condition of this machine that keeps it from accepting work that it was offered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wait: Option<LocalWait>,
    },
    /// Downloading the starting weights.
    Fetching {
        /// The assignment.
        held: Box<HeldAssignment>,
    },
    /// The trainer is at work.
    Training {
        /// The assignment.
        held: Box<HeldAssignment>,
        /// How often the trainer has crashed on it.
        #[serde(alias = "deaths")]
        crash_count: u32,
        /// The running trainer, once it runs.
        process: Option<Process>,
    },
    /// Computing statistics.
    #[serde(alias = "measuring")]
    ComputingStatistics {
        /// The assignment.
        held: Box<HeldAssignment>,
    },
    /// Submitting the outcome, until the coordinator has acknowledged it.
    Submitting {
        /// The assignment.
        held: Box<HeldAssignment>,
        /// What is submitted.
        outcome: Outcome,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Idle { wait: None }
    }
}

impl State {
    /// The assignment in hand.
    #[must_use]
    pub fn held(&self) -> Option<&HeldAssignment> {
        match self {
            Self::Idle { .. } => None,
            Self::Fetching { held }
            | Self::Training { held, .. }
            | Self::ComputingStatistics { held }
            | Self::Submitting { held, .. } => Some(held),
        }
    }

    /// The assignment in hand, to be changed.
    pub(crate) fn held_mut(&mut self) -> Option<&mut HeldAssignment> {
        match self {
            Self::Idle { .. } => None,
            Self::Fetching { held }
            | Self::Training { held, .. }
            | Self::ComputingStatistics { held }
            | Self::Submitting { held, .. } => Some(held),
        }
    }

    /// The condition of this machine that is waited for.
    #[must_use]
    pub fn wait(&self) -> Option<&LocalWait> {
        match self {
            Self::Idle { wait } => wait.as_ref(),
            Self::Fetching { held }
            | Self::Training { held, .. }
            | Self::ComputingStatistics { held }
            | Self::Submitting { held, .. } => held.wait.as_ref(),
        }
    }

    /// Its display name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

/// Journals of earlier versions hold a failure's message only.
fn failure<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Refusal, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Recorded {
        Message(String),
        Refusal(Refusal),
    }
    Ok(match Recorded::deserialize(deserializer)? {
        Recorded::Message(message) => Refusal::new(Reason::Internal, message),
        Recorded::Refusal(refusal) => refusal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journals_of_earlier_versions_are_read() {
        let outcome = serde_json::from_str::<Outcome>(r#"{"failure":"no room"}"#).unwrap();
        assert_eq!(outcome, Outcome::Failure(Refusal::new(Reason::Internal, "no room")));
        assert_eq!(serde_json::from_str::<State>(r#"{"phase":"idle"}"#).unwrap(), State::default());
        let held = HeldAssignment {
            assignment: crate::testing::statistics(),
            lease: Lease { token: "0".repeat(32).parse().unwrap(), expires_at: Timestamp(100) },
            key: "1".repeat(32).parse().unwrap(),
            since: Timestamp(7),
            wait: None,
            dataset: None,
        };
        let state = State::Training { held: Box::new(held), crash_count: 1, process: None };
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text.replace("crash_count", "deaths")).unwrap(), state);
        let earlier = text.replace("training_target", "trainee");
        assert_eq!(serde_json::from_str::<State>(&earlier).unwrap(), state);
        let measuring = text.replace("training\"", "measuring\"");
        assert_eq!(serde_json::from_str::<State>(&measuring).unwrap().name(), "computing_statistics");
    }
}
