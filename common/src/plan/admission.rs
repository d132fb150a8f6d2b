//! The requirements of admission on updates, besides well-formed, finite weights: the table `[admission]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// In one-shot jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneShotAdmission {
    /// Most samples that an institution may report.
    pub max_samples: Option<u64>,
    /// The lowest quality of a specialist.
    pub floor: Option<Floor>,
}

/// In jobs of federated rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FederatedAdmission {
    /// Most samples that an institution may report.
    pub max_samples: Option<u64>,
    /// An update whose step from the round's starting weights is longer than this factor times the round's
    /// median is excluded; this is decided when the round closes with three or more updates.
    pub norm_factor: Option<f64>,
}

/// The bound of a validation metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// The metric's name, such as `miou`. For error metrics such as `rmse`, the bound is an upper one.
    pub metric: String,
    /// The bound.
    pub bound: f64,
}

impl Floor {
    /// Whether a reported value is good enough.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        let lower_is_better = matches!(self.metric.as_str(), "rmse" | "mae" | "loss");
        if lower_is_better { value <= self.bound } else { value >= self.bound }
    }
}
