//! What jobs have cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::card::Energy;
use crate::ids::InstitutionName;

/// Energy of the results that count, as institutions have reported it. The coordinator's own is not in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EnergyView {
    /// The number of jobs.
    pub jobs: u64,
    /// Of these, have reported energy.
    pub reported: u64,
    /// The energy of all of them; absent while none has reported.
    pub total: Option<Energy>,
    /// A page of what each institution has spent, most first.
    pub institutions: Vec<InstitutionEnergy>,
    /// How many come after the page.
    pub more_institutions: u32,
}

/// What an institution has spent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InstitutionEnergy {
    /// The institution.
    pub institution: InstitutionName,
    /// Its energy in all jobs.
    pub energy: Energy,
    /// The number of these jobs.
    pub jobs: u32,
}
