//! The plan: the TOML file that an operator submits as a job.
//!
//! [`Plan::parse`] either returns a plan that keeps every rule of the format, or all problems at
//! once, each with the key, the rule and the value found. What runs a job never checks the plan
//! again.

mod check;
mod rounds;
mod training;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::card::BandNormalisation;
use crate::head::Method;
use crate::ids::{InstitutionName, ReleaseNumber, SpecialistName};
use crate::model::{Backbone, BandRule, Composition, ModelSpec, TargetScale, Task};

pub use rounds::{AdmissionPlan, Asynchronous, Floor, RoundsPlan, ServerPlan, Strategy, Weighting};
pub use training::{Augmentation, ClassWeights, Loss, Precision, Training};

/// The version of the plan format that this release reads.
pub const PLAN_VERSION: u32 = 1;

/// What kind of work a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Train specialists, in one shot or in rounds.
    Specialist,
    /// Train a head over the frozen specialists of a release, in rounds: only what is learned travels.
    Downstream,
    /// Score frozen specialists on the institutions' imagery: only metrics travel.
    Evaluation,
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Specialist => "specialist",
            Self::Downstream => "downstream",
            Self::Evaluation => "evaluation",
        })
    }
}

/// How specialists are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Each institution trains its own specialist to the end and sends its frozen weights.
    OneShot,
    /// Institutions train one specialist together; each sends updates that are aggregated.
    Rounds,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OneShot => "one-shot",
            Self::Rounds => "rounds",
        })
    }
}

/// A specialist that the job makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecialistPlan {
    /// The name it gets in the registry.
    pub name: SpecialistName,
    /// Who trains it; required in one-shot jobs, absent in rounds.
    pub institution: Option<InstitutionName>,
    /// Its input bands, by the names of the institution's data set.
    pub bands: Vec<String>,
}

/// What a job's networks have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPlan {
    /// The encoder of specialists; absent in downstream jobs, whose encoders are the release's.
    pub backbone: Option<Backbone>,
    /// What the head predicts.
    pub task: Task,
    /// Names of the classes in the order of their indices (regression: the target's name); the data
    /// sets must use the same.
    pub classes: Vec<String>,
    /// What the output means in the target's units; regression only.
    pub target: Option<TargetScale>,
}

/// A head over the frozen specialists of a release; only in downstream jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadPlan {
    /// The release; absent: the latest when the job is submitted.
    pub release: Option<ReleaseNumber>,
    /// Which of its specialists; empty: all.
    #[serde(default)]
    pub specialists: Vec<SpecialistName>,
    /// Names of the bands of the institutions' data sets, from which the specialists are fed.
    pub bands: Vec<String>,
    /// How bands are adapted.
    #[serde(default)]
    pub band_rule: BandRule,
    /// How the head comes to its answer.
    #[serde(default)]
    pub method: Method,
    /// How maps are fused (method `fusion`).
    #[serde(default)]
    pub composition: Composition,
}

/// Which frozen specialists are scored, a round for each; only in evaluation jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct EvaluationPlan {
    /// The release that they are of; absent: the latest version of each in the registry.
    pub release: Option<ReleaseNumber>,
    /// Which; empty: all.
    #[serde(default)]
    pub specialists: Vec<SpecialistName>,
}

/// Who takes part in each round, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Participation {
    /// Who is asked; empty: every enrolled institution. In one-shot jobs it follows from the specialists.
    #[serde(default)]
    pub institutions: Vec<InstitutionName>,
    /// Fewest updates with which a round may close.
    pub min: u32,
    /// Updates at which it closes at once.
    pub max: u32,
    /// Longest duration of one attempt at a round, such as `30m`.
    #[serde(with = "crate::duration")]
    pub deadline: Duration,
    /// Attempts at a round before the job pauses.
    #[serde(default = "default_attempts")]
    pub attempts: u32,
}

const fn default_attempts() -> u32 {
    3
}

/// Where per-band mean and standard deviation come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Normalisation {
    /// Each institution's own training part. The default; not for rounds.
    #[default]
    Local,
    /// A statistics round before the first training round; only for rounds.
    Federated,
    /// These values.
    Given {
        /// One entry for each band of every specialist.
        bands: Vec<BandNormalisation>,
    },
}

/// When a release is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum ReleasePolicy {
    /// By the operator.
    #[default]
    Manual,
    /// When the job ends: the latest release's specialists and the new ones.
    Auto,
}

/// A job, as submitted. Keeps every rule of the format; made only by [`Plan::parse`] or by
/// deserialising a stored one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of the format: 1.
    pub version: u32,
    /// A name for people.
    pub name: String,
    /// What kind of work.
    pub kind: JobKind,
    /// How specialists are trained.
    pub mode: Mode,
    /// Seed of all randomness in the job.
    #[serde(default)]
    pub seed: u64,
    /// Licence of the weights that the job makes.
    #[serde(default = "default_licence")]
    pub licence: String,
    /// When a release is cut.
    #[serde(default)]
    pub release: ReleasePolicy,
    /// What the job's networks have in common; absent in evaluation jobs.
    pub model: Option<ModelPlan>,
    /// The specialists: one for each institution (one-shot), exactly one (rounds), none in other jobs.
    #[serde(rename = "specialist", default)]
    pub specialists: Vec<SpecialistPlan>,
    /// The head; only in downstream jobs.
    pub head: Option<HeadPlan>,
    /// What is scored; only in evaluation jobs.
    pub evaluation: Option<EvaluationPlan>,
    /// Who takes part.
    pub participation: Participation,
    /// Rounds of aggregation.
    pub rounds: Option<RoundsPlan>,
    /// What admission asks of updates.
    #[serde(default)]
    pub admission: AdmissionPlan,
    /// Where normalisation comes from.
    #[serde(default)]
    pub normalisation: Normalisation,
    /// How to train; absent in evaluation jobs.
    pub training: Option<Training>,
}

fn default_licence() -> String {
    "unspecified".to_owned()
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where in the file, such as `training.epochs` or `specialist[1].bands`.
    pub key: String,
    /// The rule.
    pub rule: String,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` must be {}, found `{}`", self.key, self.rule, self.found)
    }
}

/// Why a text is not a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Not TOML, an unknown key, or a value of the wrong type. Says where.
    #[error("{0}")]
    Syntax(String),
    /// Rules are broken: all of them.
    #[error("{} problem(s) in the plan:{}", .0.len(), listing(.0))]
    Rules(Vec<Problem>),
    /// The text is longer than any plan needs to be.
    #[error("a plan may have at most {MAX_PLAN_BYTES} bytes, found `{0}`")]
    TooLong(usize),
}

fn listing(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  - {problem}")).collect()
}

/// Longest plan accepted, in bytes.
pub const MAX_PLAN_BYTES: usize = 64 * 1024;

impl Plan {
    /// Reads and checks a plan.
    ///
    /// # Errors
    /// A syntax error with its place, or every broken rule.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        if text.len() > MAX_PLAN_BYTES {
            return Err(PlanError::TooLong(text.len()));
        }
        let plan: Self = toml::from_str(text).map_err(|error| PlanError::Syntax(error.to_string()))?;
        let problems = check::problems(&plan);
        if problems.is_empty() { Ok(plan) } else { Err(PlanError::Rules(problems)) }
    }

    /// The network of one of the plan's specialists; only jobs for specialists have any.
    #[must_use]
    pub fn model_of(&self, specialist: &SpecialistPlan) -> Option<ModelSpec> {
        let ModelPlan { backbone, task, classes, target } = self.model.clone()?;
        Some(ModelSpec { backbone: backbone?, task, bands: specialist.bands.clone(), classes, target })
    }

    /// Number of training rounds: the plan's for rounds, 1 for one-shot. Of no meaning in evaluation jobs.
    #[must_use]
    pub fn training_rounds(&self) -> u32 {
        self.rounds.as_ref().map_or(1, |rounds| rounds.count)
    }
}
