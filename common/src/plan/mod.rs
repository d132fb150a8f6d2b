//! The plan: the TOML file that an operator submits as a job.
//!
//! ```text
//! TOML --serde--> RawPlan --convert, rules--> JobSpec
//! ```
//!
//! [`JobSpec::parse`] gives either the job, with exactly the fields of its kind, or all problems at once,
//! each with the key, the rule and the value found.

mod admission;
mod convert;
mod kind;
mod offered;
pub mod raw;
mod report;
mod rounds;
mod rules;
mod spec;
mod strategy;
mod training;
mod version1;

use std::fmt;

use crate::counted::counted;
use crate::toml_text;

pub use admission::{
    DEFAULT_MAX_SAMPLES, DEFAULT_MAX_SHARE, DEFAULT_NORM_FACTOR, FederatedAdmission, Floor, MAX_SAMPLES,
    OneShotAdmission,
};
pub use kind::JobKind;
pub use offered::{check_bands, check_input_size, check_model, check_training};
pub use raw::RawPlan;
pub use rounds::{Asynchronous, RoundsPlan, ServerPlan, Weighting};
pub use rules::normalisation::in_order;
pub use spec::{
    DownstreamSpec, EvaluationPlan, EvaluationSpec, FederatedTraining, HeadPlan, JobSpec, NetworkPlan,
    OneShotNormalisation, OneShotSpec, OneShotSpecialist, OutputPlan, Participation, ReleasePolicy,
    RoundsSpec, SharedNormalisation, SharedSpecialist, StatisticsPlan, StatisticsSpec,
};
pub use strategy::{Strategy, StrategyName};
pub use training::{Augmentation, ClassWeights, Loss, Precision, Training};
pub use version1::Change;

/// The version of the plan format that this software reads.
pub const PLAN_VERSION: u32 = 2;
/// Longest plan accepted, in bytes.
pub const MAX_PLAN_BYTES: usize = 64 * 1024;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, such as `training.epochs` or `specialist[1].bands`.
    pub key: String,
    /// The rule.
    pub rule: String,
    /// The value found.
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
    /// It is not TOML, or has an unknown key or a value of the wrong type. The message has the line.
    #[error("{0}")]
    Syntax(String),
    /// A plan of version 1, and the lines to change.
    #[error("the plan is of version 1, and this software reads version {PLAN_VERSION}; change these lines:{}", listing(.0))]
    Version1(Vec<Change>),
    /// It breaks rules. Every broken rule is listed.
    #[error("{} in the plan:{}", counted(.0.len(), "problem"), listing(.0))]
    Rules(Vec<Problem>),
    /// The text is too long.
    #[error("a plan may have at most {MAX_PLAN_BYTES} bytes, found `{0}`")]
    TooLong(usize),
    /// The job has no table `[rounds]` that could be replaced.
    #[error("{0} jobs have no `rounds` to replace; only `rounds` and `downstream` jobs have them")]
    NoRounds(JobKind),
}

fn listing<T: fmt::Display>(entries: &[T]) -> String {
    entries.iter().map(|entry| format!("\n  - {entry}")).collect()
}

impl RawPlan {
    /// Reads the document, without the rules of its kind.
    ///
    /// # Errors
    /// A syntax error with its line, or a plan of version 1 with the lines to change.
    pub fn read(text: &str) -> Result<Self, PlanError> {
        if text.len() > MAX_PLAN_BYTES {
            return Err(PlanError::TooLong(text.len()));
        }
        let syntax = |error: toml::de::Error| PlanError::Syntax(error.to_string());
        let table = toml_text::from_str(text).map_err(syntax)?;
        match version1::changes(&table, text) {
            Some(changes) => Err(PlanError::Version1(changes)),
            None => toml_text::from_str(text).map_err(syntax),
        }
    }
}

impl JobSpec {
    /// Reads a plan.
    ///
    /// # Errors
    /// As [`RawPlan::read`], or every broken rule.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        convert::convert(RawPlan::read(text)?).map_err(PlanError::Rules)
    }

    /// The same job with another table `[rounds]`.
    ///
    /// # Errors
    /// Every rule that the table breaks in this job, or that its kind has no such table.
    pub fn with_rounds(&self, rounds: RoundsPlan) -> Result<Self, PlanError> {
        match convert::with_rounds(self, rounds) {
            Some(changed) => changed.map_err(PlanError::Rules),
            None => Err(PlanError::NoRounds(self.kind())),
        }
    }
}

#[cfg(test)]
mod tests;
