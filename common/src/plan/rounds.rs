//! How updates become one: the table `[rounds]` of a plan, and what admission asks beyond
//! well-formed weights.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::InstitutionName;

/// Rounds of aggregation; only in jobs of mode `rounds`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundsPlan {
    /// How many.
    pub count: u32,
    /// How updates become one.
    pub strategy: Strategy,
    /// How much each update counts. Medians, `trimmed-mean` and `krum` count all alike.
    #[serde(default)]
    pub weighting: Weighting,
    /// Largest share of the whole weight that one institution may have, above 0 and at most 1.
    pub max_share: Option<f64>,
    /// The step from the combined update to the next weights.
    #[serde(default)]
    pub server: ServerPlan,
    /// Asynchronous rounds; absent: all of a round start from the same weights.
    pub asynchronous: Option<Asynchronous>,
}

impl RoundsPlan {
    /// Reads the table by itself, as `toml` without its header. What fits a plan is the plan's affair.
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
        let (weighting, server) = (Weighting::default(), ServerPlan::default());
        Self { count, strategy, weighting, max_share: None, server, asynchronous: None }
    }
}

/// Buffered asynchronous rounds (FedBuff, Nguyen et al. 2022): a round closes with
/// `participation.max` updates, whoever sends them; who is still at work goes on, and its update
/// counts in a later round, for less.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asynchronous {
    /// Most rounds that an update may be behind; one that is further behind is refused.
    #[serde(default = "default_staleness")]
    pub max_staleness: u32,
    /// An update that is `s` rounds behind counts `(1 + s)^-exponent` of its weight.
    #[serde(default = "default_exponent")]
    pub exponent: f64,
}

const fn default_staleness() -> u32 {
    10
}

const fn default_exponent() -> f64 {
    0.5
}

/// How updates become one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Strategy {
    /// Weighted mean (McMahan et al. 2017).
    FedAvg,
    /// FedAvg with a proximal term in each client's loss (Li et al. 2020).
    FedProx {
        /// Weight of half the squared distance to the global weights.
        mu: f64,
    },
    /// FedAvg with momentum at the server (Hsu et al. 2019).
    FedAvgM {
        /// How much of the last step is carried into the next.
        #[serde(default = "default_momentum")]
        momentum: f64,
    },
    /// Adam at the server (Reddi et al. 2021, algorithm 2), with the bias correction of Flower's.
    FedAdam {
        /// The server's learning rate, eta.
        #[serde(default = "default_rate")]
        learning_rate: f64,
        /// How much of the first moment is kept.
        #[serde(default = "default_beta_1")]
        beta_1: f64,
        /// How much of the second moment is kept.
        #[serde(default = "default_beta_2")]
        beta_2: f64,
        /// Added to the root of the second moment: the degree of adaptivity.
        #[serde(default = "default_tau")]
        tau: f64,
    },
    /// Yogi at the server (Reddi et al. 2021, algorithm 2).
    FedYogi {
        /// The server's learning rate, eta.
        #[serde(default = "default_yogi_rate")]
        learning_rate: f64,
        /// How much of the first moment is kept.
        #[serde(default = "default_beta_1")]
        beta_1: f64,
        /// How fast the second moment follows.
        #[serde(default = "default_beta_2")]
        beta_2: f64,
        /// Added to the root of the second moment: the degree of adaptivity.
        #[serde(default = "default_yogi_tau")]
        tau: f64,
    },
    /// Adagrad at the server (Reddi et al. 2021, algorithm 2, without a first moment).
    FedAdagrad {
        /// The server's learning rate, eta.
        #[serde(default = "default_rate")]
        learning_rate: f64,
        /// Added to the root of the second moment: the degree of adaptivity.
        #[serde(default = "default_tau")]
        tau: f64,
    },
    /// The median of each coordinate (Yin et al. 2018).
    Median,
    /// The mean of each coordinate without its extremes (Yin et al. 2018).
    TrimmedMean {
        /// The fraction cut off at each end, rounded down to whole updates.
        trim: f64,
    },
    /// The update that is closest to its neighbours (Blanchard et al. 2017).
    Krum {
        /// How many attackers it is to withstand.
        byzantine: u32,
    },
    /// The weighted mean of the updates that are closest to their neighbours (Blanchard et al. 2017).
    MultiKrum {
        /// How many attackers it is to withstand.
        byzantine: u32,
        /// How many updates are averaged; absent: all but `byzantine`.
        keep: Option<u32>,
    },
    /// The weighted geometric median, by smoothed Weiszfeld iterations (Pillutla et al. 2022).
    GeometricMedian,
    /// The weighted mean of updates whose step from the round's starting weights is shortened to a
    /// bound where it is longer (Sun et al. 2019).
    NormBoundedMean {
        /// The bound on the L2 norm of a step.
        bound: f64,
    },
}

const fn default_momentum() -> f64 {
    0.9
}

const fn default_rate() -> f64 {
    0.1
}

const fn default_yogi_rate() -> f64 {
    0.01
}

const fn default_beta_1() -> f64 {
    0.9
}

const fn default_beta_2() -> f64 {
    0.99
}

const fn default_tau() -> f64 {
    1e-9
}

const fn default_yogi_tau() -> f64 {
    1e-3
}

impl Strategy {
    /// Its name in plans and policies.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::FedAvg => "fed-avg",
            Self::FedProx { .. } => "fed-prox",
            Self::FedAvgM { .. } => "fed-avg-m",
            Self::FedAdam { .. } => "fed-adam",
            Self::FedYogi { .. } => "fed-yogi",
            Self::FedAdagrad { .. } => "fed-adagrad",
            Self::Median => "median",
            Self::TrimmedMean { .. } => "trimmed-mean",
            Self::Krum { .. } => "krum",
            Self::MultiKrum { .. } => "multi-krum",
            Self::GeometricMedian => "geometric-median",
            Self::NormBoundedMean { .. } => "norm-bounded-mean",
        }
    }

    /// The weight of the proximal term in each client's loss.
    #[must_use]
    pub const fn proximal_mu(&self) -> f64 {
        match self {
            Self::FedProx { mu } => *mu,
            Self::FedAvg
            | Self::FedAvgM { .. }
            | Self::FedAdam { .. }
            | Self::FedYogi { .. }
            | Self::FedAdagrad { .. }
            | Self::Median
            | Self::TrimmedMean { .. }
            | Self::Krum { .. }
            | Self::MultiKrum { .. }
            | Self::GeometricMedian
            | Self::NormBoundedMean { .. } => 0.0,
        }
    }

    /// Fewest updates with which it means what it says: Krum's neighbours, a mean of something.
    #[must_use]
    pub const fn fewest(&self) -> u32 {
        match self {
            Self::Krum { byzantine } | Self::MultiKrum { byzantine, .. } => 2 * *byzantine + 3,
            Self::FedAvg
            | Self::FedProx { .. }
            | Self::FedAvgM { .. }
            | Self::FedAdam { .. }
            | Self::FedYogi { .. }
            | Self::FedAdagrad { .. }
            | Self::Median
            | Self::TrimmedMean { .. }
            | Self::GeometricMedian
            | Self::NormBoundedMean { .. } => 1,
        }
    }

    /// Whether it is an optimiser at the server by itself, with a learning rate of its own.
    #[must_use]
    pub const fn is_adaptive(&self) -> bool {
        matches!(self, Self::FedAdam { .. } | Self::FedYogi { .. } | Self::FedAdagrad { .. })
    }
}

/// How much each update counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerPlan {
    /// The server's learning rate; 1 takes the combined update as it is.
    #[serde(default = "one")]
    pub learning_rate: f64,
    /// How much of the last step is carried into the next.
    #[serde(default)]
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

/// What admission asks of an update beyond well-formed, finite weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct AdmissionPlan {
    /// An update whose step from the round's starting weights is longer than this factor times the
    /// median of the round's is set aside; judged when the round closes, with three updates or more.
    pub norm_factor: Option<f64>,
    /// Most samples that an institution may claim.
    pub max_samples: Option<u64>,
    /// The least quality that a specialist must report.
    pub floor: Option<Floor>,
}

/// The least value of a validation metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// The metric's name, such as `miou`; an error metric, such as `rmse`, has a greatest value instead.
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
