//! Jobs as people see them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use super::round::RoundView;
use crate::assignment::BlobRef;
use crate::card::{BandNormalisation, Energy};
use crate::clock::Timestamp;
use crate::finite::Finite;
use crate::head::Imagery;
use crate::ids::{InstitutionName, JobId, ReleaseNumber};
use crate::plan::JobSpec;

/// Where a job stands.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum JobState {
    /// The coordinator computes what the first round starts from.
    Preparing,
    /// Institutions are asked, or at work.
    Running,
    /// The coordinator aggregates a round's updates.
    Aggregating,
    /// Nothing happens until an operator resumes it.
    Paused,
    /// It is complete.
    Finished,
    /// An operator has ended it.
    Cancelled,
}

impl JobState {
    /// Whether nothing more happens without an operator.
    #[must_use]
    pub const fn is_at_rest(self) -> bool {
        matches!(self, Self::Paused | Self::Finished | Self::Cancelled)
    }
}

/// A job as people see it, without its rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// Where it stands.
    pub state: JobState,
    /// Why it is paused, or who has cancelled it.
    pub why: Option<String>,
    /// The job that it was forked from.
    pub origin: Option<Origin>,
    /// The operator who submitted it.
    pub submitted_by: InstitutionName,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Number of rounds, a statistics round included.
    pub rounds: u32,
    /// Attempts at rounds that have closed.
    pub closed_rounds: u32,
    /// Normalisation that all use, once it is known.
    pub normalisation: Option<Vec<BandNormalisation>>,
    /// Specialists scored, a round each, as `NAME@VERSION`.
    #[serde(default)]
    pub candidates: Vec<String>,
    /// Specialists made, as `NAME@VERSION`.
    pub produced: Vec<String>,
    /// The release created.
    pub release: Option<ReleaseNumber>,
    /// The head trained.
    pub trained: Option<TrainedHeadView>,
    /// What it is to do.
    pub spec: JobSpec,
}

/// A job with its rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WholeJob {
    /// The job.
    #[serde(flatten)]
    pub job: JobView,
    /// The round that is open.
    pub current: Option<RoundView>,
    /// Attempts at rounds that have closed, oldest first.
    pub history: Vec<RoundView>,
}

impl WholeJob {
    /// All attempts at rounds, oldest first.
    pub fn rounds(&self) -> impl Iterator<Item = &RoundView> {
        self.history.iter().chain(&self.current)
    }
}

/// The job and the round that a job was forked from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The job.
    pub job: JobId,
    /// Index of its round, from 0.
    pub round: u32,
    /// The step of that round which the new job repeats.
    pub step: ForkStep,
}

/// The step of a round at which a forked job starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForkStep {
    /// Institutions train the round again, from the weights that it started from.
    Train,
    /// The round's kept updates are aggregated by another strategy.
    Aggregate,
}

/// The head that a downstream job has trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrainedHeadView {
    /// The blob that describes it and the release under it.
    pub document: BlobRef,
    /// That release.
    pub release: ReleaseNumber,
    /// Its weights.
    pub weights: BlobRef,
    /// The institutions whose imagery it has learned from.
    pub institutions: Vec<InstitutionName>,
    /// Rounds of aggregation.
    pub rounds: u32,
    /// Samples that it learned from in the last round.
    pub samples: u64,
    /// What the imagery of all institutions in the last round has in common.
    pub imagery: Imagery,
    /// Means of the last round's validation metrics, weighted by samples.
    pub metrics: BTreeMap<String, Finite>,
    /// Energy spent on its training.
    pub energy: Energy,
}
