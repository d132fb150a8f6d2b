//! Views of jobs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use super::round::RoundView;
use crate::assignment::BlobRef;
use crate::card::{BandNormalisation, Energy};
use crate::clock::Timestamp;
use crate::finite::Finite;
use crate::head::{Imagery, StatisticsFrom};
use crate::ids::{InstitutionName, JobId, ReleaseNumber};
use crate::plan::JobSpec;
use crate::scoring::Scoring;

/// The state of a job.
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
    /// The coordinator generates the first weights.
    Preparing,
    /// Institutions are asked or at work.
    Running,
    /// The coordinator aggregates a round's updates.
    Aggregating,
    /// It waits until an operator resumes it.
    Paused,
    /// It has finished.
    Finished,
    /// An operator has cancelled it.
    Cancelled,
}

impl JobState {
    /// Whether it has ended or waits for an operator.
    #[must_use]
    pub const fn is_at_rest(self) -> bool {
        matches!(self, Self::Paused | Self::Finished | Self::Cancelled)
    }
}

/// The view of a job, without its rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// Its state.
    pub state: JobState,
    /// Why it is paused, or who cancelled it.
    pub why: Option<String>,
    /// The job that it was forked from.
    pub origin: Option<Origin>,
    /// The operator who submitted it.
    pub submitted_by: InstitutionName,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Number of rounds, including a statistics round.
    pub rounds: u32,
    /// Number of closed attempts.
    pub closed_rounds: u32,
    /// The normalisation that all institutions use, if it is known.
    pub normalisation: Option<Vec<BandNormalisation>>,
    /// The specialists that it scores, one in each round, as `NAME@VERSION`.
    #[serde(default)]
    pub candidates: Vec<String>,
    /// The specialists that it has produced, as `NAME@VERSION`.
    pub produced: Vec<String>,
    /// The release that it has created.
    pub release: Option<ReleaseNumber>,
    /// The head that it has trained.
    pub trained: Option<TrainedHeadView>,
    /// Energy spent on the updates that count, as far as it was reported.
    #[serde(default)]
    pub energy: Option<Energy>,
    /// The specification of the job.
    pub spec: JobSpec,
}

/// A job with its rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WholeJob {
    /// The job.
    #[serde(flatten)]
    pub job: JobView,
    /// The open round.
    pub current: Option<RoundView>,
    /// The closed attempts, oldest first.
    pub history: Vec<RoundView>,
}

impl WholeJob {
    /// All attempts, oldest first.
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
    /// The step of that round that the new job repeats.
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
    /// The blob that describes it and its release.
    pub document: BlobRef,
    /// Its release.
    pub release: ReleaseNumber,
    /// Its weights.
    pub weights: BlobRef,
    /// The institutions whose imagery it was trained on.
    pub institutions: Vec<InstitutionName>,
    /// Rounds of aggregation.
    pub rounds: u32,
    /// Number of training samples in the last round.
    pub samples: u64,
    /// The common properties of the imagery of all institutions in the last round.
    pub imagery: Imagery,
    /// Moments, unit and range of its bands, of the institutions of the last round that told theirs, pooled. Empty if
    /// they were fewer than the job combines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statistics: Vec<BandNormalisation>,
    /// How many they were. Absent for a head of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics_from: Option<StatisticsFrom>,
    /// Means of the last round's scores, weighted by samples.
    pub metrics: BTreeMap<String, Finite>,
    /// What the scores are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scoring: Option<Scoring>,
    /// Energy spent on its training.
    pub energy: Energy,
}
