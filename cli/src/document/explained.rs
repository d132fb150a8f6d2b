//! The document of `eosfed job explain`.

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{InstitutionName, JobId};
use eosfed_common::view::JobState;
use schemars::JsonSchema;
use serde::Serialize;

/// Why a job is where it is.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Explanation {
    /// The job.
    pub(crate) job: JobId,
    /// Its state.
    #[schemars(with = "JobState")]
    pub(crate) state: String,
    /// One sentence: where it is and why.
    pub(crate) summary: String,
    /// The open round, or the one at which it is paused.
    pub(crate) round: Option<ExplainedRound>,
    /// What it waits for or has been stopped by, of each institution concerned.
    pub(crate) institutions: Vec<ExplainedInstitution>,
    /// What would move it, the likeliest first. Commands are in backticks.
    pub(crate) moves: Vec<String>,
}

/// The part of one institution.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct ExplainedInstitution {
    /// Its name.
    pub(crate) institution: InstitutionName,
    /// What it does or has said, in words.
    pub(crate) what: String,
    /// Whether the round waits for it.
    pub(crate) awaited: bool,
    /// Whether `eosfed job retry` asks it again.
    pub(crate) can_be_retried: bool,
}

/// How far a round is.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct ExplainedRound {
    /// Its index in the job, from 0.
    pub(crate) index: u32,
    /// Number of rounds of the job.
    pub(crate) of: u32,
    /// Number of the attempt, from 1.
    pub(crate) attempt: u32,
    /// Results that it needs at least.
    pub(crate) needed: u32,
    /// Results that count.
    pub(crate) counted: u32,
    /// Institutions that were asked.
    pub(crate) asked: u32,
    /// Institutions that have answered, whatever their answer.
    pub(crate) answered: u32,
    /// Institutions that may still give a result.
    pub(crate) waiting: u32,
    /// When it closes at the latest.
    pub(crate) deadline: Timestamp,
}
