//! Rounds that have closed: each a record of its own, written once. What decisions need of them is a
//! summary, kept in memory; the rest is read when somebody asks for it.

use std::collections::BTreeMap;

use eosfed_common::assignment::BlobRef;
use eosfed_common::clock::Timestamp;
use eosfed_common::finite::Finite;
use eosfed_common::ids::{InstitutionName, JobId};
use eosfed_common::report::EvaluationReport;
use serde::{Deserialize, Serialize};

use super::round::{AttemptId, Contribution, ParticipantState, Round, RoundKind};

/// An attempt at a round that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClosedRound {
    /// The job.
    pub job: JobId,
    /// The attempt, as it ended.
    pub round: Round,
    /// When it was over.
    pub at: Timestamp,
    /// Whether enough was submitted.
    pub complete: bool,
    /// The global model that it started from.
    pub base: Option<BlobRef>,
    /// The state of the server optimizer when it started.
    pub optimizer_state: Option<BlobRef>,
}

/// What decisions need of a closed round.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundSummary {
    /// Which attempt at which round.
    pub id: AttemptId,
    /// What it was for.
    pub kind: RoundKind,
    /// When it was over.
    pub at: Timestamp,
    /// Whether enough was submitted.
    pub complete: bool,
    /// The global model that it started from.
    pub base: Option<BlobRef>,
    /// All blobs that it refers to.
    pub blobs: Vec<BlobRef>,
    /// The scores of the specialist that it was about, by institution; only in evaluations.
    pub scores: BTreeMap<InstitutionName, Score>,
}

/// What a specialist scored at an institution.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// When the scores were recorded.
    pub at: Timestamp,
    /// Validation samples scored.
    pub samples: u64,
    /// The scores.
    pub metrics: BTreeMap<String, Finite>,
}

impl ClosedRound {
    /// What decisions need of it.
    #[must_use]
    pub fn summary(&self) -> RoundSummary {
        let Self { job: _, round, at, complete, base, optimizer_state } = self;
        RoundSummary {
            id: round.id(),
            kind: round.kind,
            at: *at,
            complete: *complete,
            base: *base,
            blobs: round.blobs().chain(*base).chain(*optimizer_state).collect(),
            scores: scores(round).collect(),
        }
    }
}

/// The scores that institutions have submitted in a round.
pub(super) fn scores(round: &Round) -> impl Iterator<Item = (InstitutionName, Score)> {
    round.participants.iter().filter_map(|(name, participant)| match &participant.state {
        ParticipantState::Submitted {
            at,
            key: _,
            contribution: Contribution::Evaluation(EvaluationReport { samples, metrics, energy: _ }),
        } => Some((name.clone(), Score { at: *at, samples: *samples, metrics: metrics.clone() })),
        ParticipantState::Submitted { .. }
        | ParticipantState::Offered
        | ParticipantState::Leased { .. }
        | ParticipantState::Refused { .. }
        | ParticipantState::Rejected(_)
        | ParticipantState::Failed { .. } => None,
    })
}
