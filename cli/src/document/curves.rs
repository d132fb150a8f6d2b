//! The numbers of the picture of `eosfed job plot`.

use eosfed_common::finite::Finite;
use eosfed_common::ids::InstitutionName;
use schemars::JsonSchema;
use serde::Serialize;

/// The numbers of the curves of a job.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct DrawnCurves {
    /// What runs to the right.
    pub(crate) across: CurvesAcross,
    /// The metric of the validation parts. Absent if no institution has told scores of its epochs.
    pub(crate) metric: Option<String>,
    /// The mean training loss over each epoch, of each institution.
    pub(crate) loss: Vec<InstitutionCurve>,
    /// The metric on each institution's own validation part after each epoch: of the weights that it has trained itself,
    /// before they are aggregated.
    pub(crate) validation: Vec<InstitutionCurve>,
    /// For each complete round the mean of the last of those scores, over the institutions whose results count, weighted
    /// by their training samples.
    pub(crate) mean_before_aggregation: Vec<RoundMean>,
    /// For each round the mean of the scores of its aggregate, weighted in the same way. The institutions of the next round
    /// measure them as that begins, so a round has one once the next is complete, and the last round has none.
    pub(crate) mean_after_aggregation: Vec<RoundMean>,
}

/// What runs to the right in a picture of curves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CurvesAcross {
    /// Rounds: at 1, the first round has been trained and its updates are aggregated.
    Rounds,
    /// Optimiser steps of a training without rounds.
    Steps,
}

/// The curve of one institution.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct InstitutionCurve {
    /// The institution.
    pub(crate) institution: InstitutionName,
    /// Its points, round by round.
    pub(crate) rounds: Vec<CurveInRound>,
}

/// A part of a curve that lies in one round.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct CurveInRound {
    /// The round, from 1.
    pub(crate) round: u64,
    /// The number of steps of the institution in the round.
    pub(crate) steps: u64,
    /// The points.
    pub(crate) points: Vec<DrawnPoint>,
}

/// A point of a curve, at the end of an epoch.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct DrawnPoint {
    /// Steps done in this round.
    pub(crate) step: u64,
    /// The value.
    pub(crate) value: Finite,
}

/// A mean over the institutions of a round.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct RoundMean {
    /// The round, from 1.
    pub(crate) round: u64,
    /// How many institutions have told the score.
    pub(crate) institutions: usize,
    /// The mean.
    pub(crate) value: Finite,
}
