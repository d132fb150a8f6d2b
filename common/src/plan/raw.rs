//! A plan as a TOML document: the keys of all kinds of jobs, before the rules of the kind are applied.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EvaluationPlan, Floor, HeadPlan, JobKind, ReleasePolicy, RoundsPlan, StatisticsPlan, Training};
use crate::card::BandNormalisation;
use crate::ids::{DataSetName, InstitutionName, SpecialistName, SpecialistVersion};
use crate::model::{Backbone, TargetScale, Task};

/// The document. It is converted to a [`super::JobSpec`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPlan {
    /// Version of the format.
    #[schemars(extend("x-rule" = "2"))]
    pub version: u32,
    /// The display name.
    #[schemars(extend("x-rule" = "1 to 80 printable characters"))]
    pub name: String,
    /// The kind of job.
    pub kind: JobKind,
    /// Seed of all randomness in the job; default: 0.
    pub seed: Option<u64>,
    /// Licence of the weights that the job produces; default: `unspecified`.
    #[schemars(extend("x-rule" = "1 to 80 printable characters"))]
    pub licence: Option<String>,
    /// When a release is created; default: `manual`.
    #[schemars(extend("x-rule" = "`auto` in one-shot and rounds only"))]
    pub release: Option<ReleasePolicy>,
    /// The network, or what a head predicts.
    #[schemars(extend("x-rule" = "one-shot, rounds, downstream"))]
    pub model: Option<RawModel>,
    /// The specialists.
    #[serde(rename = "specialist", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-rule" = "one-shot: one for each institution; rounds: exactly one"))]
    pub specialists: Vec<RawSpecialist>,
    /// The head.
    #[schemars(extend("x-rule" = "downstream only"))]
    pub head: Option<HeadPlan>,
    /// The specialists to be scored.
    #[schemars(extend("x-rule" = "evaluation only"))]
    pub evaluation: Option<EvaluationPlan>,
    /// The bands to be measured.
    #[schemars(extend("x-rule" = "statistics only"))]
    pub statistics: Option<StatisticsPlan>,
    /// The institutions that take part, and the limits of a round.
    pub participation: RawParticipation,
    /// Rounds of aggregation.
    #[schemars(extend("x-rule" = "rounds, downstream"))]
    pub rounds: Option<RoundsPlan>,
    /// The requirements of admission on updates.
    #[schemars(extend("x-rule" = "not in evaluation or statistics"))]
    pub admission: Option<RawAdmission>,
    /// The source of the normalisation.
    #[schemars(extend("x-rule" = "one-shot, rounds"))]
    pub normalisation: Option<RawNormalisation>,
    /// The training settings.
    #[schemars(extend("x-rule" = "not in evaluation or statistics"))]
    pub training: Option<Training>,
}

/// The table `[model]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawModel {
    /// The encoder of specialists.
    #[schemars(extend("x-rule" = "one-shot, rounds"))]
    pub backbone: Option<Backbone>,
    /// What is predicted.
    pub task: Task,
    /// Names of the classes in the order of their indices.
    pub classes: Vec<String>,
    /// What the output means in the target's units.
    #[schemars(extend("x-rule" = "regression only"))]
    pub target: Option<TargetScale>,
}

/// One of the tables `[[specialist]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSpecialist {
    /// Its name in the registry.
    pub name: SpecialistName,
    /// The institution that trains it.
    #[schemars(extend("x-rule" = "one-shot only"))]
    pub institution: Option<InstitutionName>,
    /// Its input bands.
    pub bands: Vec<String>,
    /// The released specialist whose encoder its training starts from; default: random weights.
    #[schemars(extend("x-rule" = "`NAME@VERSION`, in a release, with the same backbone"))]
    pub start_from: Option<SpecialistVersion>,
}

/// The table `[participation]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawParticipation {
    /// The institutions that are asked. Empty: every enrolled institution.
    #[serde(default)]
    pub institutions: Vec<InstitutionName>,
    /// Fewest results with which a round may close.
    #[schemars(extend("x-rule" = "1 to 100000"))]
    pub min: u32,
    /// Number of results at which it closes at once.
    #[schemars(extend("x-rule" = "at least `min`"))]
    pub max: u32,
    /// Longest duration of one attempt at a round. While too few have answered, it does not run for an institution
    /// that is at work for another job and cannot begin: that one has this time from when it is free.
    #[serde(with = "crate::duration")]
    #[schemars(with = "String", extend("x-rule" = "a duration such as `30m` or `2h`"))]
    pub deadline: Duration,
    /// Attempts at a round before the job pauses.
    #[schemars(extend("x-rule" = "1 to 20; default 3"))]
    pub attempts: Option<u32>,
    /// Number of expired leases after which an institution counts as failed in the round.
    #[schemars(extend("x-rule" = "1 to 20; default 3"))]
    pub lease_expiries: Option<u32>,
    /// The data set that each institution uses, by its name there; default: the only one that has the task, the bands and
    /// the classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-rule" = "a name like those of institutions"))]
    pub dataset: Option<DataSetName>,
}

/// The table `[admission]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAdmission {
    /// Largest ratio of the norm of an update's step to the round's median; default: 5.
    #[schemars(extend("x-rule" = "1 to 1e6; rounds, downstream"))]
    pub norm_factor: Option<f64>,
    /// Most samples that an institution may report; default: 10000000.
    #[schemars(extend("x-rule" = "1 to 1e12"))]
    pub max_samples: Option<u64>,
    /// Whether an update counts only from an institution that has made a data statement; default: false.
    pub require_statement: Option<bool>,
    /// The lowest quality of a specialist.
    #[schemars(extend("x-rule" = "one-shot only"))]
    pub floor: Option<Floor>,
}

/// The table `[normalisation]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RawNormalisation {
    /// Each institution's own training part.
    Local,
    /// A statistics round.
    Federated,
    /// The given values.
    Given {
        /// An entry for each band.
        bands: Vec<BandNormalisation>,
    },
}
