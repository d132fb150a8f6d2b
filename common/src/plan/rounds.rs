//! Aggregation of updates: the table `[rounds]` of a plan.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DEFAULT_MAX_SHARE, Strategy};
use crate::ids::InstitutionName;
use crate::toml_text;
use crate::weights::{DEFAULT_TOP_K_SHARE, Encoding, default_top_k_share, is_default_top_k_share};

/// Rounds of aggregation, in jobs of federated training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoundsPlan {
    /// The number of rounds.
    #[schemars(extend("x-rule" = "1 to 10000"))]
    pub count: u32,
    /// The aggregation strategy.
    pub strategy: Strategy,
    /// The weight of each update. Medians, `trimmed-mean` and `krum` give all updates the same weight.
    #[serde(default)]
    pub weighting: Weighting,
    /// Largest share of one institution in the sum of weights, or 1 divided by the number of updates if that
    /// is more. 1 means no limit. Absent in jobs of versions without a default.
    #[serde(default = "default_share")]
    #[schemars(extend("x-rule" = "1 / `participation.min` (at most 0.5) to 1"))]
    pub max_share: Option<f64>,
    /// How updates may be encoded, the preferred first. An institution takes the first one that its policy allows.
    #[serde(default = "plain", skip_serializing_if = "is_plain")]
    #[schemars(extend("x-rule" = format!("1 to {} names, each once", Encoding::ALL.len()), "default" = ["f32"]))]
    pub encodings: Vec<Encoding>,
    /// Share of the values of each tensor that `top-k` and `top-k-bf16` send.
    #[serde(default = "default_top_k_share", skip_serializing_if = "is_default_top_k_share")]
    #[schemars(extend("x-rule" = "0.0001 to 0.5", "default" = DEFAULT_TOP_K_SHARE))]
    pub top_k_share: f64,
    /// The server step from the aggregated update to the next weights.
    #[serde(default)]
    pub server: ServerPlan,
    /// Asynchronous rounds. If absent, all institutions of a round start from the same weights.
    pub asynchronous: Option<Asynchronous>,
}

impl RoundsPlan {
    /// Reads the table by itself, as TOML without its header. [`super::JobSpec::with_rounds`] checks
    /// whether it fits a job.
    ///
    /// # Errors
    /// A sentence with the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > super::MAX_PLAN_BYTES {
            return Err(format!("at most {} bytes, found `{}`", super::MAX_PLAN_BYTES, text.len()));
        }
        toml_text::from_str(text).map_err(|error| error.to_string())
    }

    /// A number of rounds with this strategy and otherwise default settings.
    #[must_use]
    pub fn new(count: u32, strategy: Strategy) -> Self {
        Self {
            count,
            strategy,
            weighting: Weighting::default(),
            max_share: default_share(),
            encodings: plain(),
            top_k_share: DEFAULT_TOP_K_SHARE,
            server: ServerPlan::default(),
            asynchronous: None,
        }
    }

    /// What encodings that send some values only cost with these rounds and this strategy, in sentences.
    pub(super) fn sparse_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let sparse: Vec<_> = self.encodings.iter().filter(|encoding| encoding.is_sparse()).collect();
        if sparse.is_empty() {
            return warnings;
        }
        let names = sparse.iter().map(|encoding| format!("`{encoding}`")).collect::<Vec<_>>().join(", ");
        if matches!(self.strategy, Strategy::Median | Strategy::TrimmedMean { .. }) {
            warnings.push(format!(
                "`rounds.encodings` {names} with `rounds.strategy` `{}`: where most institutions send nothing for a \
                 value, it does not move; `multi-krum` and `geometric-median` go with {names} (docs/robustness.md)",
                self.strategy.name()
            ));
        }
        let sent = self.top_k_share * f64::from(self.count);
        if sent < 1.0 {
            warnings.push(format!(
                "`rounds.encodings` {names} with `rounds.top_k_share` {} and `rounds.count` {}: an institution sends \
                 at most {:.0} % of the values in the whole job; use more rounds, a larger share, or `int8`",
                self.top_k_share,
                self.count,
                100.0 * sent
            ));
        }
        warnings
    }
}

/// Buffered asynchronous rounds (FedBuff, Nguyen et al. 2022): a round closes with `participation.max`
/// updates from any institutions. An institution that is still at work continues, and its update counts in a
/// later round with a lower weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Asynchronous {
    /// Largest staleness of an update in rounds. An update with a larger one is refused.
    #[serde(default = "default_staleness")]
    #[schemars(extend("x-rule" = "0 to 1000"))]
    pub max_staleness: u32,
    /// An update with a staleness of `s` rounds has `(1 + s)^-exponent` of its weight.
    #[serde(default = "default_exponent")]
    #[schemars(extend("x-rule" = "0 to 10"))]
    pub exponent: f64,
}

#[allow(clippy::unnecessary_wraps, reason = "stored jobs without a limit have none")]
const fn default_share() -> Option<f64> {
    Some(DEFAULT_MAX_SHARE)
}

fn plain() -> Vec<Encoding> {
    vec![Encoding::F32]
}

fn is_plain(encodings: &[Encoding]) -> bool {
    encodings == [Encoding::F32]
}

const fn default_staleness() -> u32 {
    10
}

const fn default_exponent() -> f64 {
    0.5
}

/// The weight of each update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Weighting {
    /// By the number of its training samples.
    Samples {
        /// Samples beyond this number do not count.
        cap: Option<u64>,
    },
    /// Equal weights.
    Equal,
    /// By its institution.
    Institution {
        /// Weight of each institution. The default is 1.
        #[schemars(extend("x-rule" = "each above 0, at most 1e6"))]
        weights: BTreeMap<InstitutionName, f64>,
    },
}

impl Default for Weighting {
    fn default() -> Self {
        Self::Samples { cap: None }
    }
}

/// The server step from the aggregated update to the next weights: `next = now + learning_rate * step`, where
/// `step = momentum * last step + (combined - now)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerPlan {
    /// The server's learning rate. With 1, the next weights are the aggregated update.
    #[serde(default = "one")]
    #[schemars(extend("x-rule" = "above 0, at most 100"))]
    pub learning_rate: f64,
    /// The factor of the last step in the next one.
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
