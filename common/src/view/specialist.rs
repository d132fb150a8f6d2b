//! What is known of a specialist beside its card.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::finite::Finite;
use crate::ids::{InstitutionName, JobId};

/// The scores of one specialist at one institution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationView {
    /// The institution whose imagery it was scored on.
    pub institution: InstitutionName,
    /// The evaluation job.
    pub job: JobId,
    /// When the scores were recorded.
    pub at: Timestamp,
    /// Validation samples scored.
    pub samples: u64,
    /// The scores by metric.
    pub metrics: BTreeMap<String, Finite>,
}
