//! A plan as its TOML says it: every key that any kind of job has, before the rules of the kind.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{EvaluationPlan, Floor, HeadPlan, JobKind, ReleasePolicy, RoundsPlan, Training};
use crate::card::BandNormalisation;
use crate::ids::{InstitutionName, SpecialistName};
use crate::model::{Backbone, TargetScale, Task};

/// The document. [`super::JobSpec`] is what it means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPlan {
    /// Version of the format, [`super::PLAN_VERSION`].
    pub version: u32,
    /// A name for people.
    pub name: String,
    /// What kind of job.
    pub kind: JobKind,
    /// Seed of all randomness in the job.
    pub seed: Option<u64>,
    /// Licence of the weights that the job makes.
    pub licence: Option<String>,
    /// When a release is cut.
    pub release: Option<ReleasePolicy>,
    /// The network, or what a head predicts.
    pub model: Option<RawModel>,
    /// The specialists.
    #[serde(rename = "specialist", default, skip_serializing_if = "Vec::is_empty")]
    pub specialists: Vec<RawSpecialist>,
    /// The head.
    pub head: Option<HeadPlan>,
    /// What is scored.
    pub evaluation: Option<EvaluationPlan>,
    /// Who takes part.
    pub participation: RawParticipation,
    /// Rounds of aggregation.
    pub rounds: Option<RoundsPlan>,
    /// What admission asks of updates.
    pub admission: Option<RawAdmission>,
    /// Where normalisation comes from.
    pub normalisation: Option<RawNormalisation>,
    /// How to train.
    pub training: Option<Training>,
}

/// The table `[model]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawModel {
    /// The encoder of specialists.
    pub backbone: Option<Backbone>,
    /// What is predicted.
    pub task: Task,
    /// Names of the classes in the order of their indices.
    pub classes: Vec<String>,
    /// What the output means in the target's units.
    pub target: Option<TargetScale>,
}

/// One of the tables `[[specialist]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSpecialist {
    /// The name it gets in the registry.
    pub name: SpecialistName,
    /// Who trains it.
    pub institution: Option<InstitutionName>,
    /// Its input bands.
    pub bands: Vec<String>,
}

/// The table `[participation]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawParticipation {
    /// Who is asked; empty: every enrolled institution.
    #[serde(default)]
    pub institutions: Vec<InstitutionName>,
    /// Fewest results with which a round may close.
    pub min: u32,
    /// Number of results at which it closes at once.
    pub max: u32,
    /// Longest duration of one attempt at a round.
    #[serde(with = "crate::duration")]
    pub deadline: Duration,
    /// Tries of a round before the job pauses.
    pub attempts: Option<u32>,
    /// Number of expired leases after which an institution counts as failed in the round.
    pub lease_expiries: Option<u32>,
}

/// The table `[admission]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct RawAdmission {
    /// How much longer than the median an update's step may be.
    pub norm_factor: Option<f64>,
    /// Most samples that an institution may claim.
    pub max_samples: Option<u64>,
    /// The least quality that a specialist must report.
    pub floor: Option<Floor>,
}

/// The table `[normalisation]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RawNormalisation {
    /// Each institution's own training part.
    Local,
    /// A statistics round.
    Federated,
    /// These values.
    Given {
        /// An entry for each band.
        bands: Vec<BandNormalisation>,
    },
}
