//! The lines of lists: what tells entries apart, and nothing that grows with the rounds of a job.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::JobState;
use super::round::{RoundKind, RoundPhase};
use crate::clock::Timestamp;
use crate::ids::{InstitutionName, JobId, ReleaseNumber};
use crate::plan::JobKind;

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// The name of its plan.
    pub name: String,
    /// What kind of work it is.
    pub kind: JobKind,
    /// Where it stands.
    pub state: JobState,
    /// The operator who submitted it.
    pub submitted_by: InstitutionName,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Number of rounds, a statistics round included.
    pub rounds: u32,
    /// Rounds that have closed with what they needed.
    pub complete_rounds: u32,
    /// The round that is open.
    pub current: Option<OpenRoundSummary>,
    /// How many specialists it has made.
    pub specialists: u32,
    /// The release that it has created.
    pub release: Option<ReleaseNumber>,
    /// The release under the head that it has trained.
    pub head_over: Option<ReleaseNumber>,
}

/// An open round in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OpenRoundSummary {
    /// Its index in the job, from 0.
    pub index: u32,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// What it is for.
    pub kind: RoundKind,
    /// How far it is.
    pub phase: RoundPhase,
    /// When it opened.
    pub opened_at: Timestamp,
    /// When it closes at the latest.
    pub deadline: Timestamp,
    /// How many institutions have answered what.
    pub participants: ParticipantCounts,
}

/// How many institutions have answered what in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ParticipantCounts {
    /// Have not answered yet.
    pub offered: u32,
    /// Have accepted and are at work.
    pub working: u32,
    /// Have submitted what counts.
    pub submitted: u32,
    /// Have refused.
    pub refused: u32,
    /// Have submitted what was rejected.
    pub rejected: u32,
    /// Could not do the work.
    pub failed: u32,
}

impl ParticipantCounts {
    /// Everybody who was asked.
    #[must_use]
    pub const fn asked(&self) -> u32 {
        self.offered + self.working + self.submitted + self.refused + self.rejected + self.failed
    }
}

/// A release in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseSummary {
    /// Its number.
    pub number: ReleaseNumber,
    /// When it was created.
    pub created_at: Timestamp,
    /// What changed, in words.
    pub note: String,
    /// How many specialists it has.
    pub specialists: u32,
}
