//! The reports of institutions about their work, without weights. The trainer's event, the daemon's journal,
//! the message and the record of a round embed these types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::card::{BandNormalisation, Energy, InitialFile};
use crate::finite::Finite;
use crate::head::Imagery;
use crate::scoring::Scoring;
use crate::time_spent::TimeSpent;
use crate::weights::Encoding;

/// The report of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingReport {
    /// Number of training samples, which is the weight in an average.
    pub samples: u64,
    /// Scores of the weights, at most [`crate::assignment::MAX_METRICS`].
    pub metrics: BTreeMap<String, Finite>,
    /// What the scores are of; absent without any, and from programs of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scoring: Option<Box<Scoring>>,
    /// The normalisation used, in the order of the model's bands. Empty if encoders are frozen.
    pub normalisation: Vec<BandNormalisation>,
    /// Energy spent.
    pub energy: Energy,
    /// The file that the encoder started from, if the institution had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<InitialFile>,
    /// The properties that all imagery of the training part shares. `predict` uses them for a head.
    #[serde(default)]
    pub imagery: Imagery,
    /// How the file of the update is encoded.
    #[serde(default, skip_serializing_if = "Encoding::is_plain")]
    pub encoding: Encoding,
    /// What its time was spent on; absent from programs of before, and where that may not leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Box<TimeSpent>>,
}

/// The report of an evaluation of a frozen specialist on an institution's test part, or where it has none on its
/// validation part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationReport {
    /// Samples scored.
    pub samples: u64,
    /// Metrics, at most [`crate::assignment::MAX_METRICS`].
    pub metrics: BTreeMap<String, Finite>,
    /// What the scores are of; absent from programs of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scoring: Option<Box<Scoring>>,
    /// Energy spent.
    pub energy: Energy,
}
