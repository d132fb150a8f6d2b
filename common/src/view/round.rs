//! Views of rounds and of the institutions in them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::Display;

use crate::assignment::CurvePoint;
use crate::card::Energy;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::finite::Finite;
use crate::ids::{InstitutionName, JobId};
use crate::scoring::Scoring;
use crate::time_spent::TimeSpent;
use crate::weights::Encoding;

/// The kind of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoundKind {
    /// The statistics of each band are pooled.
    Statistics,
    /// Each institution trains its own specialist.
    OneShot,
    /// Institutions train one model jointly. The number counts training rounds from 0.
    Train(u32),
    /// Institutions score one of the job's candidates. The number is its index.
    Evaluate(u32),
}

/// The phase of a round.
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
    /// It has closed with enough results.
    Complete,
    /// It has closed with too few results.
    Incomplete,
}

/// The view of one attempt at a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoundView {
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
    /// When it ends at the latest, as things stand: its deadline, or, with too few results, the own deadlines of
    /// institutions that were at work for other jobs.
    pub deadline: Timestamp,
    /// When it closed.
    pub closed_at: Option<Timestamp>,
    /// What its results add up to.
    #[serde(default)]
    pub totals: RoundTotals,
    /// All institutions that were asked.
    pub participants: BTreeMap<InstitutionName, ParticipantView>,
}

/// What the results of a round that count add up to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RoundTotals {
    /// The number of institutions in each status.
    pub participants: ParticipantCounts,
    /// Number of training samples, or of scored samples.
    pub samples: u64,
    /// Means of the scores, weighted by samples. Those of single classes are left out.
    pub metrics: BTreeMap<String, Finite>,
    /// Means of the scores of the weights that the round started from, on the validation parts of the institutions that
    /// have told them, weighted by training samples. They are of the average of the round before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub start_metrics: BTreeMap<String, Finite>,
    /// Energy spent, as far as it was reported.
    pub energy: Option<Energy>,
    /// What the time was spent on by the institution to which the round cost most beside its steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<TimeSpent>,
}

/// One attempt at a round in a list, without its institutions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoundSummary {
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
    /// When it closed.
    pub closed_at: Option<Timestamp>,
    /// What its results add up to.
    pub totals: RoundTotals,
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

/// The status of an institution in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ParticipantState {
    /// It has not answered yet.
    Offered,
    /// It has accepted and is at work.
    Working,
    /// Its result counts.
    Submitted,
    /// It has declined.
    Refused,
    /// Its update was rejected and does not count.
    Rejected,
    /// Its work failed, or its leases expired too often.
    Failed,
}

impl ParticipantState {
    /// Whether an operator can repeat the offer to the institution in the open round.
    #[must_use]
    pub const fn can_be_retried(self) -> bool {
        matches!(self, Self::Refused | Self::Rejected | Self::Failed)
    }
}

/// The view of one institution in a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParticipantView {
    /// Its status.
    pub state: ParticipantState,
    /// Steps done.
    pub step: u64,
    /// Number of steps; 0 while unknown.
    pub steps: u64,
    /// Why it has declined or failed, or was rejected.
    pub message: Option<String>,
    /// The number of its expired leases.
    pub lease_expiries: u32,
    /// The last reported training loss.
    pub loss: Option<Finite>,
    /// Number of training samples of its update, or of scored samples.
    pub samples: Option<u64>,
    /// Digest of its update, counted or rejected.
    pub weights: Option<Digest>,
    /// Its scores.
    pub metrics: BTreeMap<String, Finite>,
    /// What its scores are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scoring: Option<Scoring>,
    /// Scores of the weights that it started from, on its validation part: of the average of the round before. Empty in
    /// the first round, and where it has not told them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub start_metrics: BTreeMap<String, Finite>,
    /// Energy spent.
    pub energy: Option<Energy>,
    /// What the time of its training was spent on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<TimeSpent>,
    /// The L2 norm of its update's step.
    pub norm: Option<Finite>,
    /// How its update was encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// The job that it is at work for, while it has not answered here: it is queued behind that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_behind: Option<JobId>,
    /// When its time for this round ends, if that is later than for the others: while it is at work for another job
    /// and has not begun here, its time does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_deadline: Option<Timestamp>,
    /// Its training curve.
    pub curve: Vec<CurvePoint>,
}

impl ParticipantView {
    /// Its state in a word: `queued` while it is at work for another job.
    #[must_use]
    pub fn shown_state(&self) -> String {
        if self.queued_behind.is_some() { "queued".to_owned() } else { self.state.to_string() }
    }

    /// Why it has declined or failed, was rejected, or is queued.
    #[must_use]
    pub fn says(&self) -> Option<String> {
        let until = self.own_deadline.map(|at| format!("; it has until {at} here"));
        let until = until.unwrap_or_default();
        let queued = self.queued_behind.as_ref().map(|job| format!("at work for {job}{until}"));
        self.message.clone().or(queued)
    }
}
