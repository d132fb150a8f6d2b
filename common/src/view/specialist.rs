//! The view of a specialist.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::card::Card;
use crate::clock::Timestamp;
use crate::finite::Finite;
use crate::ids::{InstitutionName, JobId};
use crate::scoring::Scoring;

/// A specialist: its card, scores and exclusion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpecialistView {
    /// Its card.
    #[serde(flatten)]
    pub card: Card,
    /// Its scores at institutions, the newest of each, oldest first.
    pub evaluations: Vec<EvaluationView>,
    /// Why it is excluded from releases, if it is.
    pub excluded: Option<String>,
}

/// The scores of one specialist at one institution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EvaluationView {
    /// The institution whose imagery it was scored on.
    pub institution: InstitutionName,
    /// The evaluation job.
    pub job: JobId,
    /// When the scores were recorded.
    pub at: Timestamp,
    /// Samples scored.
    pub samples: u64,
    /// The scores by metric.
    pub metrics: BTreeMap<String, Finite>,
    /// What the scores are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scoring: Option<Scoring>,
}
