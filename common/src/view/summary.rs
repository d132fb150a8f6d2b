//! The entries of lists. They have no fields that grow with the rounds of a job.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::JobState;
use super::round::{ParticipantCounts, RoundKind, RoundPhase};
use crate::card::{Card, Energy, TrainingMode};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::finite::Finite;
use crate::ids::{InstitutionName, JobId, ReleaseNumber, SpecialistName};
use crate::model::{Backbone, Task};
use crate::plan::JobKind;

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// The name of its plan.
    pub name: String,
    /// Its kind.
    pub kind: JobKind,
    /// Its state.
    pub state: JobState,
    /// The operator who submitted it.
    pub submitted_by: InstitutionName,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Number of rounds, including a statistics round.
    pub rounds: u32,
    /// Number of complete rounds.
    pub complete_rounds: u32,
    /// The open round.
    pub current: Option<OpenRoundSummary>,
    /// Number of specialists that it has produced.
    pub specialists: u32,
    /// The release that it has created.
    pub release: Option<ReleaseNumber>,
    /// The release of the head that it has trained.
    pub head_over: Option<ReleaseNumber>,
    /// Energy spent on the updates that count, as far as it was reported.
    #[serde(default)]
    pub energy: Option<Energy>,
}

/// An open round in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OpenRoundSummary {
    /// Its index in the job, from 0.
    pub index: u32,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Its kind.
    pub kind: RoundKind,
    /// Its phase.
    pub phase: RoundPhase,
    /// When it opened.
    pub opened_at: Timestamp,
    /// Its deadline.
    pub deadline: Timestamp,
    /// The number of institutions in each status.
    pub participants: ParticipantCounts,
}

/// A specialist in a list. Its card has the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpecialistSummary {
    /// Its name in the registry.
    pub name: SpecialistName,
    /// Its version.
    pub version: u32,
    /// Digest of the weights file.
    pub weights: Digest,
    /// Size of the weights file in bytes.
    pub weights_bytes: u64,
    /// Its encoder.
    pub backbone: Backbone,
    /// What it predicts.
    pub task: Task,
    /// Names of its input bands, in order.
    pub bands: Vec<String>,
    /// Number of its classes; 1 in regression.
    pub classes: u32,
    /// The job that made it.
    pub job: JobId,
    /// How it was trained.
    pub mode: TrainingMode,
    /// Number of institutions whose imagery it has learned from.
    pub institutions: u32,
    /// Rounds of aggregation; 0 for one-shot.
    pub rounds: u32,
    /// Training samples, summed over institutions.
    pub samples: u64,
    /// The main metric of its task on the institutions' own validation parts, if it is known.
    pub metric: Option<MainMetric>,
    /// When it was frozen.
    pub frozen_at: Timestamp,
    /// The newest release that has it, if one has.
    pub release: Option<ReleaseNumber>,
    /// Whether it is excluded from new releases; `eosfed specialist show` gives the reason.
    pub excluded: bool,
}

/// The metric that says most of a specialist for a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MainMetric {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Finite,
}

impl SpecialistSummary {
    /// The summary of a card, with what became of the specialist since.
    #[must_use]
    pub fn new(card: &Card, release: Option<ReleaseNumber>, excluded: bool) -> Self {
        let Card { name, version, weights, weights_bytes, model, provenance, metrics, .. } = card;
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let metric = model.task.main_metric();
        Self {
            name: name.clone(),
            version: *version,
            weights: *weights,
            weights_bytes: *weights_bytes,
            backbone: model.backbone,
            task: model.task,
            bands: model.bands.clone(),
            classes: count(model.classes.len()),
            job: provenance.job.clone(),
            mode: provenance.mode,
            institutions: count(provenance.institutions.len()),
            rounds: provenance.rounds,
            samples: provenance.samples,
            metric: metrics.get(metric).map(|value| MainMetric { name: metric.to_owned(), value: *value }),
            frozen_at: provenance.frozen_at,
            release,
            excluded,
        }
    }
}

/// A release in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseSummary {
    /// Its number.
    pub number: ReleaseNumber,
    /// When it was created.
    pub created_at: Timestamp,
    /// A description of what changed.
    pub note: String,
    /// The number of its specialists.
    pub specialists: u32,
}
