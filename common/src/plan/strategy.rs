//! Strategies of aggregation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumDiscriminants, EnumString, IntoStaticStr, VariantArray};

/// The aggregation strategy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, EnumDiscriminants, JsonSchema)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
#[strum_discriminants(
    name(StrategyName),
    doc = "The name of a strategy in plans, policies and messages.",
    derive(
        PartialOrd,
        Ord,
        Serialize,
        Deserialize,
        Display,
        EnumString,
        IntoStaticStr,
        VariantArray,
        JsonSchema
    ),
    serde(rename_all = "kebab-case"),
    strum(serialize_all = "kebab-case")
)]
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
        /// The factor of the last step in the next one.
        #[serde(default = "default_momentum")]
        momentum: f64,
    },
    /// Adam at the server (Reddi et al. 2021, algorithm 2), with the bias correction of Flower's.
    FedAdam {
        /// The server's learning rate, eta.
        #[serde(default = "default_rate")]
        learning_rate: f64,
        /// The decay rate of the first moment.
        #[serde(default = "default_beta_1")]
        beta_1: f64,
        /// The decay rate of the second moment.
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
        /// The decay rate of the first moment.
        #[serde(default = "default_beta_1")]
        beta_1: f64,
        /// The decay rate of the second moment.
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
        /// The number of attackers that it must withstand.
        byzantine: u32,
    },
    /// The weighted mean of the updates that are closest to their neighbours (Blanchard et al. 2017).
    MultiKrum {
        /// The number of attackers that it must withstand.
        byzantine: u32,
        /// The number of updates that are averaged. Default: all but `byzantine`.
        keep: Option<u32>,
    },
    /// The weighted geometric median, by smoothed Weiszfeld iterations (Pillutla et al. 2022).
    GeometricMedian,
    /// The weighted mean of updates whose step from the round's starting weights is clipped to a bound (Sun
    /// et al. 2019).
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
    /// Its name.
    #[must_use]
    pub fn name(&self) -> StrategyName {
        self.into()
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

    /// Fewest updates for which it is defined, such as Krum's neighbours.
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

    /// Whether an aggregate of at least `min` updates may be the update of one institution, so that what
    /// is published tells of one alone: Krum chooses one, multi-Krum may keep one, and any strategy gives
    /// back a lone update. Medians and `trimmed-mean` mix institutions from one coordinate to the next, so
    /// that no whole update is published, though each of its numbers may be one institution's.
    #[must_use]
    pub fn reveals_individuals(&self, min: u32) -> bool {
        let kept = match self {
            Self::Krum { .. } => 1,
            Self::MultiKrum { byzantine, keep } => keep.unwrap_or_else(|| min.saturating_sub(*byzantine)),
            Self::FedAvg
            | Self::FedProx { .. }
            | Self::FedAvgM { .. }
            | Self::FedAdam { .. }
            | Self::FedYogi { .. }
            | Self::FedAdagrad { .. }
            | Self::Median
            | Self::TrimmedMean { .. }
            | Self::GeometricMedian
            | Self::NormBoundedMean { .. } => min,
        };
        kept <= 1
    }

    /// Whether it is a server optimizer with its own learning rate.
    #[must_use]
    pub const fn is_adaptive(&self) -> bool {
        matches!(self, Self::FedAdam { .. } | Self::FedYogi { .. } | Self::FedAdagrad { .. })
    }

    /// Whether it is a mean, which can combine updates that start from different weights.
    #[must_use]
    pub const fn is_mean(&self) -> bool {
        match self {
            Self::FedAvg
            | Self::FedProx { .. }
            | Self::FedAvgM { .. }
            | Self::FedAdam { .. }
            | Self::FedYogi { .. }
            | Self::FedAdagrad { .. } => true,
            Self::Median
            | Self::TrimmedMean { .. }
            | Self::Krum { .. }
            | Self::MultiKrum { .. }
            | Self::GeometricMedian
            | Self::NormBoundedMean { .. } => false,
        }
    }
}

impl StrategyName {
    /// Whether an aggregate by this strategy may be the update of one institution, whatever its settings
    /// are: Krum chooses one, multi-Krum may keep one. See [`Strategy::reveals_individuals`].
    #[must_use]
    pub const fn may_reveal_individuals(self) -> bool {
        match self {
            Self::Krum | Self::MultiKrum => true,
            Self::FedAvg
            | Self::FedProx
            | Self::FedAvgM
            | Self::FedAdam
            | Self::FedYogi
            | Self::FedAdagrad
            | Self::Median
            | Self::TrimmedMean
            | Self::GeometricMedian
            | Self::NormBoundedMean => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_that_publish_one_update_are_known() {
        let strategy = |text: &str| toml::from_str::<Strategy>(text).unwrap();
        for (text, min, reveals) in [
            ("name = \"krum\"\nbyzantine = 1", 9, true),
            ("name = \"multi-krum\"\nbyzantine = 1\nkeep = 1", 9, true),
            ("name = \"multi-krum\"\nbyzantine = 1\nkeep = 2", 9, false),
            ("name = \"multi-krum\"\nbyzantine = 1", 5, false),
            ("name = \"fed-avg\"", 2, false),
            ("name = \"fed-avg\"", 1, true),
            ("name = \"median\"", 1, true),
            ("name = \"median\"", 3, false),
            ("name = \"trimmed-mean\"\ntrim = 0.2", 3, false),
        ] {
            assert_eq!(strategy(text).reveals_individuals(min), reveals, "{text}, {min}");
            let by_name = strategy(text).name().may_reveal_individuals();
            assert!(by_name || !reveals || min == 1, "{text}: who knows the name only is not deceived");
        }
    }

    #[test]
    fn a_strategy_has_the_same_name_everywhere() {
        for name in StrategyName::VARIANTS {
            let word = name.to_string();
            assert_eq!(word.parse(), Ok(*name));
            assert_eq!(serde_json::to_value(name).unwrap(), word.as_str());
        }
        let found = toml::from_str::<Strategy>("name = \"fed-avg-m\"").unwrap().name();
        assert_eq!((found, StrategyName::VARIANTS.len()), (StrategyName::FedAvgM, 12));
    }
}
