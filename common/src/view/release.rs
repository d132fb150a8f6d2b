//! The view of a release.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::card::ReleaseManifest;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::finite::Finite;
use crate::ids::InstitutionName;
use crate::model::Task;
use crate::scoring::ScoredPart;

/// A release, with what was handed in about it since.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseView {
    /// The release.
    #[serde(flatten)]
    pub manifest: ReleaseManifest,
    /// What its specialists contribute to heads over it, by the names of the heads.
    pub ablations: Vec<AblationView>,
}

/// What each specialist of a release contributes to a head over it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AblationView {
    /// The name of the head.
    pub head: String,
    /// What the head predicts.
    pub task: Task,
    /// The part of the labelled samples that was scored.
    pub part: ScoredPart,
    /// The number of samples that were scored.
    pub samples: u64,
    /// The name of the metric.
    pub metric: String,
    /// The unit of the metric, for an error in the units of a target; else empty.
    pub unit: String,
    /// Whether a larger value is better.
    pub larger_is_better: bool,
    /// The score with all specialists that the head has.
    pub all: Finite,
    /// The score without each of them, most useful first.
    pub without: Vec<WithoutView>,
    /// When it was handed in.
    pub recorded_at: Timestamp,
    /// The operator who has handed it in.
    pub recorded_by: InstitutionName,
}

/// The score of a head without one specialist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WithoutView {
    /// The specialist, as `NAME@VERSION`.
    pub specialist: String,
    /// The digest of its weights.
    pub weights: Digest,
    /// The factor of its maps in the head.
    pub selection: Option<Finite>,
    /// The score without it.
    pub score: Finite,
    /// What it contributes: how much better the score is with it than without, in the direction in which the
    /// metric is good. Below zero, the head is better without it.
    pub gain: Finite,
}
