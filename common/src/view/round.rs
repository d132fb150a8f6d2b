//! Rounds, and each institution's part in them, as people see them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::Display;

use crate::assignment::CurvePoint;
use crate::card::Energy;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::finite::Finite;
use crate::ids::InstitutionName;

/// What a round is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoundKind {
    /// The statistics of each band are pooled.
    Statistics,
    /// Each institution trains its own specialist.
    OneShot,
    /// All train one model; the number counts training rounds from 0.
    Train(u32),
    /// All score one of the job's candidates; the number is its index.
    Evaluate(u32),
}

/// How far a round is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RoundPhase {
    /// Fewer institutions than the minimum have accepted.
    Recruiting,
    /// Enough institutions are at work.
    Training,
    /// The coordinator aggregates the updates.
    Aggregating,
    /// The job is paused.
    Paused,
    /// It has closed with what it needed.
    Complete,
    /// It has closed with less than it needed.
    Incomplete,
}

/// One attempt at a round as people see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoundView {
    /// Its index in the job, from 0.
    pub index: u32,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// What it is for.
    pub purpose: RoundKind,
    /// How far it is.
    pub phase: RoundPhase,
    /// When it opened.
    pub opened_at: Timestamp,
    /// When it closes at the latest.
    pub deadline: Timestamp,
    /// When it closed.
    pub closed_at: Option<Timestamp>,
    /// Everybody who was asked.
    pub participants: BTreeMap<InstitutionName, ParticipantView>,
}

/// What an institution has answered in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ParticipantState {
    /// It has not answered yet.
    Offered,
    /// It has accepted and is at work.
    Working,
    /// Its answer counts.
    Submitted,
    /// It has refused.
    Refused,
    /// Its update was rejected and does not count.
    Rejected,
    /// It could not do the work, or its leases expired too often.
    Failed,
}

impl ParticipantState {
    /// Whether an operator can ask the institution again in the open round.
    #[must_use]
    pub const fn can_be_retried(self) -> bool {
        matches!(self, Self::Refused | Self::Rejected | Self::Failed)
    }
}

/// One institution's part in a round as people see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParticipantView {
    /// What it has answered.
    pub state: ParticipantState,
    /// Steps done.
    pub step: u64,
    /// Number of steps; 0 while unknown.
    pub steps: u64,
    /// Why it has refused or failed, or was rejected.
    pub message: Option<String>,
    /// Leases that expired.
    pub lease_expiries: u32,
    /// The newest training loss that it has reported.
    pub loss: Option<Finite>,
    /// Samples that its update has learned from, or that it has scored.
    pub samples: Option<u64>,
    /// Digest of its update, counted or rejected.
    pub weights: Option<Digest>,
    /// Its validation metrics.
    pub metrics: BTreeMap<String, Finite>,
    /// Energy spent.
    pub energy: Option<Energy>,
    /// The L2 norm of its update's step.
    pub norm: Option<Finite>,
    /// Its training curve.
    pub curve: Vec<CurvePoint>,
}
