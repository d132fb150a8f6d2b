//! What an institution reports of its work beside the weights. Each place that carries a report (the
//! trainer's event, the daemon's journal, the message, the record of a round) embeds the type from here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::card::{BandNormalisation, Energy, InitialFile};
use crate::finite::Finite;
use crate::head::Imagery;

/// What is known of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingReport {
    /// Training samples that the weights have learned from: the weight in an average.
    pub samples: u64,
    /// Validation metrics of the weights, at most [`crate::assignment::MAX_METRICS`].
    pub metrics: BTreeMap<String, Finite>,
    /// The normalisation used, in the order of the model's bands; empty where encoders are frozen.
    pub normalisation: Vec<BandNormalisation>,
    /// Energy spent.
    pub energy: Energy,
    /// What the encoder started from, if that was a file of the institution's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<InitialFile>,
    /// The imagery of the training part, as far as it is all alike: what `predict` shows a head later.
    #[serde(default)]
    pub imagery: Imagery,
}

/// What is known of a frozen specialist on an institution's validation part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationReport {
    /// Validation samples scored.
    pub samples: u64,
    /// Metrics, at most [`crate::assignment::MAX_METRICS`].
    pub metrics: BTreeMap<String, Finite>,
    /// Energy spent.
    pub energy: Energy,
}
