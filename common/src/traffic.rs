//! Bytes sent, by kind. Institutions can use them to check that no imagery leaves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes sent, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ByteCounts {
    /// Chunks of weights.
    pub weights: u64,
    /// Progress, metrics, statistics, scores and reports of failure.
    pub metrics: u64,
    /// Everything else: greetings, polls, acceptances and refusals.
    pub control: u64,
}

impl ByteCounts {
    /// The sum by kind.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            weights: self.weights + other.weights,
            metrics: self.metrics + other.metrics,
            control: self.control + other.control,
        }
    }
}
