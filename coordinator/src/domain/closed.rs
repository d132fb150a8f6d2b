//! Closed rounds. Each is a record of its own, which is written once, and again when its weights are given
//! up. A summary with the fields that
//! decisions need is kept in memory; the rest is read on request.

use std::collections::BTreeMap;

use eosfed_common::assignment::BlobRef;
use eosfed_common::clock::Timestamp;
use eosfed_common::finite::Finite;
use eosfed_common::ids::{InstitutionName, JobId};
use eosfed_common::report::EvaluationReport;
use eosfed_common::scoring::Scoring;
use eosfed_common::view::RoundTotals;
use serde::{Deserialize, Serialize};

use super::round::{AttemptId, Contribution, ParticipantState, Round, RoundKind};
use super::totals::totals;

/// A closed attempt at a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClosedRound {
    /// The job.
    pub job: JobId,
    /// The final state of the attempt.
    pub round: Round,
    /// When it closed.
    pub at: Timestamp,
    /// Whether enough results were submitted.
    pub complete: bool,
    /// The global model that it started from.
    pub base: Option<BlobRef>,
    /// The state of the server optimizer when it started.
    pub optimizer_state: Option<BlobRef>,
    /// When its updates and starting weights were given up, unless they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<Timestamp>,
}

/// The fields of a closed round that decisions need.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundSummary {
    /// The round and the attempt.
    pub id: AttemptId,
    /// The kind of the round.
    pub kind: RoundKind,
    /// When it opened.
    pub opened_at: Timestamp,
    /// When it closed.
    pub at: Timestamp,
    /// Whether enough results were submitted.
    pub complete: bool,
    /// What its results add up to.
    pub totals: RoundTotals,
    /// The global model that it started from.
    pub base: Option<BlobRef>,
    /// The state of the server optimizer when it started.
    pub optimizer_state: Option<BlobRef>,
    /// Its updates, and the weights and the optimizer's state that it started from.
    pub blobs: Vec<BlobRef>,
    /// When these were given up, unless they are kept.
    pub pruned: Option<Timestamp>,
    /// The scores of its specialist, by institution. Only in evaluations.
    pub scores: BTreeMap<InstitutionName, Score>,
    /// How much data each institution has reported: pixels of its fullest band in a statistics round,
    /// samples in the first training round, nothing in others.
    pub amounts: BTreeMap<InstitutionName, u64>,
}

/// The scores of a specialist at one institution.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// When the scores were recorded.
    pub at: Timestamp,
    /// Samples scored.
    pub samples: u64,
    /// The scores.
    pub metrics: BTreeMap<String, Finite>,
    /// What the scores are of.
    pub scoring: Option<Scoring>,
}

impl ClosedRound {
    /// Its summary for decisions.
    #[must_use]
    pub fn summary(&self) -> RoundSummary {
        let Self { job: _, round, at, complete, base, optimizer_state, pruned } = self;
        RoundSummary {
            id: round.id(),
            kind: round.kind,
            opened_at: round.opened_at,
            at: *at,
            complete: *complete,
            totals: totals(round),
            base: *base,
            optimizer_state: *optimizer_state,
            blobs: round.blobs().chain(*base).chain(*optimizer_state).collect(),
            pruned: *pruned,
            scores: scores(round).collect(),
            amounts: if *complete { amounts(round) } else { BTreeMap::new() },
        }
    }
}

fn amounts(round: &Round) -> BTreeMap<InstitutionName, u64> {
    let amount = |contribution: &Contribution| match (round.kind, contribution) {
        (RoundKind::Statistics, Contribution::Statistics(bands)) => bands.iter().map(|band| band.count).max(),
        (RoundKind::Train(0), Contribution::Update { report, .. }) => Some(report.samples),
        (RoundKind::Statistics | RoundKind::OneShot | RoundKind::Train(_) | RoundKind::Evaluate(_), _) => {
            None
        }
    };
    let contributions = round.contributions();
    contributions.filter_map(|(name, contribution)| Some((name.clone(), amount(contribution)?))).collect()
}

/// The scores that institutions have submitted in a round.
pub(super) fn scores(round: &Round) -> impl Iterator<Item = (InstitutionName, Score)> {
    round.participants.iter().filter_map(|(name, participant)| match &participant.state {
        ParticipantState::Submitted {
            at,
            key: _,
            contribution: Contribution::Evaluation(EvaluationReport { samples, metrics, scoring, energy: _ }),
        } => {
            let scoring = scoring.as_deref().cloned();
            Some((name.clone(), Score { at: *at, samples: *samples, metrics: metrics.clone(), scoring }))
        }
        ParticipantState::Submitted { .. }
        | ParticipantState::Offered
        | ParticipantState::Leased { .. }
        | ParticipantState::Refused { .. }
        | ParticipantState::Rejected(_)
        | ParticipantState::Failed { .. } => None,
    })
}
