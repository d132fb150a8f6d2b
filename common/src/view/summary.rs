//! The entries of lists. They have no fields that grow with the rounds of a job.

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

/// The number of institutions in each status in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ParticipantCounts {
    /// Have not answered yet.
    pub offered: u32,
    /// Have accepted and are at work.
    pub working: u32,
    /// Have submitted a result that counts.
    pub submitted: u32,
    /// Have declined.
    pub refused: u32,
    /// Have submitted a result that was rejected.
    pub rejected: u32,
    /// Have failed.
    pub failed: u32,
}

impl ParticipantCounts {
    /// All institutions that were asked.
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
    /// A description of what changed.
    pub note: String,
    /// The number of its specialists.
    pub specialists: u32,
}
