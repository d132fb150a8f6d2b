//! The specification of a job: one type for each kind of job, with exactly the fields of that kind.
//!
//! A [`JobSpec`] is made by [`JobSpec::parse`] only, or read back from a store. It satisfies every rule of
//! the plan format, so the code that runs a job does not check it again.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FederatedAdmission, JobKind, OneShotAdmission, RoundsPlan, Training};
use crate::card::BandNormalisation;
use crate::colour::ClassColours;
use crate::ids::{DataSetName, InstitutionName, ReleaseNumber, SpecialistName, SpecialistVersion};
use crate::metric::{in_unit_of_target, quantity};
use crate::model::{Backbone, BandRule, Composition, DecoderChannels, Method, ModelSpec, TargetScale, Task};

/// The specification of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "a job has one; nothing keeps them in bulk")]
pub enum JobSpec {
    /// Each institution trains its own specialist.
    OneShot(OneShotSpec),
    /// Institutions train one specialist together.
    Rounds(RoundsSpec),
    /// Institutions train one head over frozen specialists together.
    Downstream(DownstreamSpec),
    /// Institutions score frozen specialists.
    Evaluation(EvaluationSpec),
    /// Institutions measure their bands.
    Statistics(StatisticsSpec),
}

/// A job in which each institution trains its own specialist to the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneShotSpec {
    /// The display name.
    pub name: String,
    /// Seed of all randomness in the job.
    pub seed: u64,
    /// Licence of the weights that the job produces.
    pub licence: String,
    /// When a release is created.
    pub release: ReleasePolicy,
    /// The common part of the specialists' networks.
    pub network: NetworkPlan,
    /// The specialists, one for each institution.
    pub specialists: Vec<OneShotSpecialist>,
    /// The number of participants, and the deadline.
    pub participation: Participation,
    /// Attempts at the round before the job pauses.
    pub attempts: u32,
    /// The requirements of admission on updates.
    pub admission: OneShotAdmission,
    /// The source of the normalisation.
    pub normalisation: OneShotNormalisation,
    /// The training settings.
    pub training: Training,
}

/// A job in which institutions train one specialist together, in rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoundsSpec {
    /// The display name.
    pub name: String,
    /// Seed of all randomness in the job.
    pub seed: u64,
    /// Licence of the weights that the job produces.
    pub licence: String,
    /// When a release is created.
    pub release: ReleasePolicy,
    /// The network, without its bands.
    pub network: NetworkPlan,
    /// The specialist.
    pub specialist: SharedSpecialist,
    /// The institutions that are asked. Empty: every enrolled institution.
    pub institutions: Vec<InstitutionName>,
    /// The number of participants, and the deadline of a round.
    pub participation: Participation,
    /// Attempts at a round before the job pauses.
    pub attempts: u32,
    /// The source of the normalisation.
    pub normalisation: SharedNormalisation,
    /// How the specialist is trained.
    pub federated: FederatedTraining,
}

/// A job in which institutions train one head over the frozen specialists of a release, in rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DownstreamSpec {
    /// The display name.
    pub name: String,
    /// Seed of all randomness in the job.
    pub seed: u64,
    /// Licence of the weights that the job produces.
    pub licence: String,
    /// What the head predicts.
    pub output: OutputPlan,
    /// The head.
    pub head: HeadPlan,
    /// The institutions that are asked. Empty: every enrolled institution.
    pub institutions: Vec<InstitutionName>,
    /// The number of participants, and the deadline of a round.
    pub participation: Participation,
    /// Attempts at a round before the job pauses.
    pub attempts: u32,
    /// How the head is trained.
    pub federated: FederatedTraining,
}

/// A job in which institutions score frozen specialists, a round for each specialist. A specialist that no
/// institution can score is skipped, so a round has one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationSpec {
    /// The display name.
    pub name: String,
    /// The specialists to be scored.
    pub evaluation: EvaluationPlan,
    /// The institutions that are asked. Empty: every enrolled institution.
    pub institutions: Vec<InstitutionName>,
    /// The number of participants, and the deadline of a round.
    pub participation: Participation,
}

/// A job of one round, in which institutions measure the bands of their imagery. Their moments are pooled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatisticsSpec {
    /// The display name.
    pub name: String,
    /// The bands to be measured.
    pub statistics: StatisticsPlan,
    /// The institutions that are asked. Empty: every enrolled institution.
    pub institutions: Vec<InstitutionName>,
    /// The number of participants, and the deadline of the round.
    pub participation: Participation,
    /// Attempts at the round before the job pauses.
    pub attempts: u32,
}

/// The number of institutions in a round, and its deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Participation {
    /// Fewest results with which a round may close.
    pub min: u32,
    /// Number of results at which it closes at once.
    pub max: u32,
    /// Longest duration of one attempt at a round, such as `30m`.
    #[serde(with = "crate::duration")]
    #[schemars(with = "String")]
    pub deadline: Duration,
    /// Number of expired leases after which an institution counts as failed in the round.
    pub lease_expiries: u32,
    /// The data set that each institution uses, by its name there; absent: the only one that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DataSetName>,
}

/// The federated training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FederatedTraining {
    /// Rounds of aggregation.
    pub rounds: RoundsPlan,
    /// The requirements of admission on updates.
    pub admission: FederatedAdmission,
    /// The training settings of each institution in a round.
    pub training: Training,
}

/// The common part of the networks of a job's specialists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkPlan {
    /// The encoder.
    pub backbone: Backbone,
    /// The prediction of the network.
    pub output: OutputPlan,
}

impl RoundsSpec {
    /// The network of the specialist.
    #[must_use]
    pub fn model(&self) -> ModelSpec {
        self.network.on(&self.specialist.bands)
    }
}

impl OneShotSpec {
    /// The specialist of an institution.
    #[must_use]
    pub fn specialist_of(&self, institution: &InstitutionName) -> Option<&OneShotSpecialist> {
        self.specialists.iter().find(|one| one.institution == *institution)
    }
}

impl NetworkPlan {
    /// The network with these input bands.
    #[must_use]
    pub fn on(&self, bands: &[String]) -> ModelSpec {
        let Self { backbone, output: OutputPlan { task, classes, target } } = self.clone();
        ModelSpec { backbone, task, bands: bands.to_vec(), classes, target }
    }
}

/// What a network or a head predicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputPlan {
    /// The task.
    pub task: Task,
    /// Names of the classes in the order of their indices (regression: the target's name); data sets must use
    /// the same names.
    pub classes: Vec<String>,
    /// What the output means in the target's units; regression only.
    pub target: Option<TargetScale>,
}

/// The specialist of one institution in a one-shot job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneShotSpecialist {
    /// Its name in the registry.
    pub name: SpecialistName,
    /// The institution that trains it.
    pub institution: InstitutionName,
    /// Its input bands, by the names of the institution's data set.
    pub bands: Vec<String>,
    /// The released specialist whose encoder it starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_from: Option<SpecialistVersion>,
}

/// The specialist that institutions train together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SharedSpecialist {
    /// Its name in the registry.
    pub name: SpecialistName,
    /// Its input bands, by the names of the institutions' data sets.
    pub bands: Vec<String>,
    /// The released specialist whose encoder it starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_from: Option<SpecialistVersion>,
}

/// A head over the frozen specialists of a release: the table `[head]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadPlan {
    /// The release. Default: the latest release when the job is submitted.
    pub release: Option<ReleaseNumber>,
    /// The specialists of the release. Empty: all.
    #[serde(default)]
    pub specialists: Vec<SpecialistName>,
    /// Names of the bands of the institutions' data sets that the specialists use.
    pub bands: Vec<String>,
    /// How bands are adapted.
    #[serde(default)]
    pub band_rule: BandRule,
    /// How the head combines the specialists.
    #[serde(default)]
    pub method: Method,
    /// How maps are fused (method `fusion`).
    #[serde(default)]
    pub composition: Composition,
    /// Channels of the decoder, for tasks of pixels (method `fusion`). Default: 128.
    #[serde(default, skip_serializing_if = "DecoderChannels::is_default")]
    pub decoder_channels: DecoderChannels,
    /// Colours of classes on maps, by name and as `#rrggbb`. The others have those of the meaning of their names.
    #[serde(default, skip_serializing_if = "ClassColours::is_empty")]
    pub class_colours: ClassColours,
}

/// Which frozen specialists are scored, a round for each: the table `[evaluation]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationPlan {
    /// Their release. Default: the latest version of each specialist in the registry.
    pub release: Option<ReleaseNumber>,
    /// The specialists. Empty: all.
    #[serde(default)]
    pub specialists: Vec<SpecialistName>,
}

/// The bands to be measured: the table `[statistics]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatisticsPlan {
    /// Names of the bands of the institutions' data sets.
    #[schemars(extend("x-rule" = "1 to 64 distinct names"))]
    pub bands: Vec<String>,
}

/// The source of per-band mean and standard deviation in a one-shot job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OneShotNormalisation {
    /// Each institution's own training part.
    Local,
    /// The plan.
    Given {
        /// An entry for each band of every specialist.
        bands: Vec<BandNormalisation>,
    },
}

/// The source of per-band mean and standard deviation in a job of rounds. All institutions use the same
/// values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SharedNormalisation {
    /// A statistics round before the first training round.
    Federated,
    /// The plan.
    Given {
        /// An entry for each band of the specialist, in the order of its bands.
        bands: Vec<BandNormalisation>,
    },
}

/// When a release is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleasePolicy {
    /// When the operator creates it.
    #[default]
    Manual,
    /// When the job finishes. It contains the specialists of the latest release and the new ones.
    Auto,
}

impl JobSpec {
    /// This spec, for a job whose specialists wait for the operator to create a release.
    #[must_use]
    pub fn with_manual_release(mut self) -> Self {
        match &mut self {
            Self::OneShot(spec) => spec.release = ReleasePolicy::Manual,
            Self::Rounds(spec) => spec.release = ReleasePolicy::Manual,
            Self::Downstream(_) | Self::Evaluation(_) | Self::Statistics(_) => {}
        }
        self
    }

    /// The kind of job.
    #[must_use]
    pub const fn kind(&self) -> JobKind {
        match self {
            Self::OneShot(_) => JobKind::OneShot,
            Self::Rounds(_) => JobKind::Rounds,
            Self::Downstream(_) => JobKind::Downstream,
            Self::Evaluation(_) => JobKind::Evaluation,
            Self::Statistics(_) => JobKind::Statistics,
        }
    }

    /// The job's display name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::OneShot(spec) => &spec.name,
            Self::Rounds(spec) => &spec.name,
            Self::Downstream(spec) => &spec.name,
            Self::Evaluation(spec) => &spec.name,
            Self::Statistics(spec) => &spec.name,
        }
    }

    /// The number of institutions in a round, and its deadline.
    #[must_use]
    pub const fn participation(&self) -> &Participation {
        match self {
            Self::OneShot(spec) => &spec.participation,
            Self::Rounds(spec) => &spec.participation,
            Self::Downstream(spec) => &spec.participation,
            Self::Evaluation(spec) => &spec.participation,
            Self::Statistics(spec) => &spec.participation,
        }
    }

    /// Attempts at a round before the job pauses.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        match self {
            Self::OneShot(spec) => spec.attempts,
            Self::Rounds(spec) => spec.attempts,
            Self::Downstream(spec) => spec.attempts,
            Self::Evaluation(_) => 1,
            Self::Statistics(spec) => spec.attempts,
        }
    }

    /// The institutions that are asked to take part, in no order. `None`: every enrolled institution.
    #[must_use]
    pub fn institutions(&self) -> Option<Vec<InstitutionName>> {
        let named = match self {
            Self::OneShot(spec) => {
                return Some(spec.specialists.iter().map(|one| one.institution.clone()).collect());
            }
            Self::Rounds(spec) => &spec.institutions,
            Self::Downstream(spec) => &spec.institutions,
            Self::Evaluation(spec) => &spec.institutions,
            Self::Statistics(spec) => &spec.institutions,
        };
        Some(named.clone()).filter(|named| !named.is_empty())
    }

    /// Fewest institutions whose results are combined in the job's result.
    #[must_use]
    pub const fn min_institutions(&self) -> u32 {
        match self {
            Self::OneShot(_) => 1,
            Self::Rounds(_) | Self::Downstream(_) | Self::Evaluation(_) | Self::Statistics(_) => {
                self.participation().min
            }
        }
    }

    /// Warnings about a plan that breaks no rule: sentences, each with its key.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(FederatedTraining { rounds, .. }) = self.federated()
            && rounds.strategy.reveals_individuals(self.min_institutions())
        {
            warnings.push(format!(
                "`rounds.strategy` `{}` with `participation.min` {} may publish the update of one institution as \
                 it is; institutions whose policy sets `min_institutions` above 1 may refuse such a job",
                rounds.strategy.name(),
                self.min_institutions()
            ));
        }
        warnings
            .extend(self.federated().map(|training| training.rounds.sparse_warnings()).unwrap_or_default());
        if let Self::Downstream(spec) = self {
            warnings.extend(spec.head.class_colours.warnings("head.class_colours"));
        }
        warnings
    }

    /// The name of one of the job's metrics as charts have it: with the unit of the target where it is in that.
    #[must_use]
    pub fn quantity(&self, metric: &str) -> String {
        let output = match self {
            Self::OneShot(spec) => Some(&spec.network.output),
            Self::Rounds(spec) => Some(&spec.network.output),
            Self::Downstream(spec) => Some(&spec.output),
            Self::Evaluation(_) | Self::Statistics(_) => None,
        };
        let target = output.and_then(|output| output.target.as_ref()).filter(|_| in_unit_of_target(metric));
        quantity(metric, target.map_or("", |target| target.unit.as_str()))
    }

    /// The federated training, in the kinds of jobs that have it.
    #[must_use]
    pub const fn federated(&self) -> Option<&FederatedTraining> {
        match self {
            Self::Rounds(spec) => Some(&spec.federated),
            Self::Downstream(spec) => Some(&spec.federated),
            Self::OneShot(_) | Self::Evaluation(_) | Self::Statistics(_) => None,
        }
    }
}
