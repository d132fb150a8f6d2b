//! The requirements of admission on updates, besides well-formed, finite weights: the table `[admission]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metric::{Better, Metric};

/// Most samples that an institution can report; a larger number is not plausible.
pub const MAX_SAMPLES: u64 = 1_000_000_000_000;
/// Most samples that an institution may report, unless the plan says otherwise: ten times the largest
/// labelled collections of remote-sensing tiles. An institution with more asks for a plan that says so.
pub const DEFAULT_MAX_SAMPLES: u64 = 10_000_000;
/// How much longer than the round's median a step may be, unless the plan says otherwise. Honest steps
/// differ with the number of steps of optimisation and with the imagery, seldom by as much; an update
/// that is multiplied to outvote the others has to be multiplied by about the number of institutions.
pub const DEFAULT_NORM_FACTOR: f64 = 5.0;
/// Largest share of one institution in the weight of an aggregate, unless the plan says otherwise. So no
/// one outweighs all others together. Where fewer than two count, one has everything; of two, each has a
/// half; three that claim alike are below it.
pub const DEFAULT_MAX_SHARE: f64 = 0.5;

/// In one-shot jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneShotAdmission {
    /// Most samples that an institution may report; absent in jobs of versions without a default.
    pub max_samples: Option<u64>,
    /// Whether an update counts only from an institution that has made a data statement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_statement: bool,
    /// The lowest quality of a specialist.
    pub floor: Option<Floor>,
}

/// In jobs of federated rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FederatedAdmission {
    /// Most samples that an institution may report; absent in jobs of versions without a default.
    pub max_samples: Option<u64>,
    /// Whether an update counts only from an institution that has made a data statement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_statement: bool,
    /// An update whose step from the round's starting weights is longer than this factor times the
    /// round's median is excluded; decided when the round closes, with three updates or more. Absent in jobs of versions
    /// without a default.
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
    /// Fewest other institutions whose evaluations decide whether a specialist stays in releases.
    #[serde(default = "default_quorum")]
    #[schemars(extend("x-rule" = "1 to 1000"))]
    pub quorum: u32,
    /// Fewest samples on which an evaluation must rest to be one of them.
    #[serde(default = "default_evaluated")]
    #[schemars(extend("x-rule" = "1 to 1e12"))]
    pub min_samples: u64,
}

/// With one evaluator, one institution would decide about another's specialist.
const fn default_quorum() -> u32 {
    2
}

/// The error of a share of ten samples is about 0.15; of fewer, a score says next to nothing.
const fn default_evaluated() -> u64 {
    10
}

impl Floor {
    /// Whether a reported value is good enough.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        match Metric::named(&self.metric).map_or(Better::Larger, |metric| metric.better) {
            Better::Larger => value >= self.bound,
            Better::Smaller => value <= self.bound,
        }
    }
}
