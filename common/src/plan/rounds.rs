//! How updates become one: the table `[rounds]` of a plan.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Strategy;
use crate::ids::InstitutionName;

/// Rounds of aggregation; only in jobs that train together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoundsPlan {
    /// How many.
    #[schemars(extend("x-rule" = "1 to 10000"))]
    pub count: u32,
    /// How updates become one.
    pub strategy: Strategy,
    /// How much each update counts. Medians, `trimmed-mean` and `krum` count all alike.
    #[serde(default)]
    pub weighting: Weighting,
    /// Largest share of the whole weight that one institution may have, above 0 and at most 1.
    #[schemars(extend("x-rule" = "1 / `participation.min` to 1"))]
    pub max_share: Option<f64>,
    /// The step from the combined update to the next weights.
    #[serde(default)]
    pub server: ServerPlan,
    /// Asynchronous rounds; absent: all of a round start from the same weights.
    pub asynchronous: Option<Asynchronous>,
}

impl RoundsPlan {
    /// Reads the table by itself, as TOML without its header. [`super::JobSpec::with_rounds`] checks
    /// whether it fits a job.
    ///
    /// # Errors
    /// A sentence with the place.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > super::MAX_PLAN_BYTES {
            return Err(format!("at most {} bytes, found `{}`", super::MAX_PLAN_BYTES, text.len()));
        }
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// So many rounds in which everything but the strategy is the default.
    #[must_use]
    pub fn new(count: u32, strategy: Strategy) -> Self {
        Self {
            count,
            strategy,
            weighting: Weighting::default(),
            max_share: None,
            server: ServerPlan::default(),
            asynchronous: None,
        }
    }
}

/// Buffered asynchronous rounds (FedBuff, Nguyen et al. 2022): a round closes with
/// `participation.max` updates, whoever sends them; who is still at work goes on, and its update
/// counts in a later round, for less.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Asynchronous {
    /// Most rounds that an update may be behind; one that is further behind is refused.
    #[serde(default = "default_staleness")]
    #[schemars(extend("x-rule" = "0 to 1000"))]
    pub max_staleness: u32,
    /// An update that is `s` rounds behind counts `(1 + s)^-exponent` of its weight.
    #[serde(default = "default_exponent")]
    #[schemars(extend("x-rule" = "0 to 10"))]
    pub exponent: f64,
}

const fn default_staleness() -> u32 {
    10
}

const fn default_exponent() -> f64 {
    0.5
}

/// How much each update counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Weighting {
    /// By the samples that it has learned from.
    Samples {
        /// Samples beyond this number do not count.
        cap: Option<u64>,
    },
    /// All alike.
    Equal,
    /// By who sends it.
    Institution {
        /// Weight of each institution; others weigh 1.
        #[schemars(extend("x-rule" = "each above 0, at most 1e6"))]
        weights: BTreeMap<InstitutionName, f64>,
    },
}

impl Default for Weighting {
    fn default() -> Self {
        Self::Samples { cap: None }
    }
}

/// The step from the combined update to the next weights: `next = now + learning_rate * step`, where
/// `step = momentum * last step + (combined - now)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerPlan {
    /// The server's learning rate; 1 takes the combined update as it is.
    #[serde(default = "one")]
    #[schemars(extend("x-rule" = "above 0, at most 100"))]
    pub learning_rate: f64,
    /// How much of the last step is carried into the next.
    #[serde(default)]
    #[schemars(extend("x-rule" = "0 to 0.9999"))]
    pub momentum: f64,
}

impl Default for ServerPlan {
    fn default() -> Self {
        Self { learning_rate: one(), momentum: 0.0 }
    }
}

const fn one() -> f64 {
    1.0
}
