//! The parts of a data set. A digest of the seed and of a sample's key decides, so the same data set is
//! divided in the same way on every machine and for any order of its files.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};

use crate::config::SplitConfig;

/// A part of a data set.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumCount,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Split {
    /// For training.
    Train,
    /// Chooses the best epoch.
    Validation,
    /// For the final score.
    Test,
}

impl Split {
    /// Every part.
    pub const ALL: [Self; Self::COUNT] = *Self::VARIANTS.as_array().expect("as many as there are variants");

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The part of the sample, or group of samples, named `key`.
    pub(crate) fn of(key: &str, config: &SplitConfig) -> Self {
        Self::at(draw(key, config.seed), config)
    }

    /// The part that a number from 0 to 1 falls into.
    pub(crate) fn at(draw: f64, config: &SplitConfig) -> Self {
        Self::ALL.into_iter().find(|part| part.interval(config).contains(&draw)).unwrap_or(Self::Train)
    }

    /// The numbers from 0 to 1 that belong to the part; as wide as the part's share.
    pub(crate) fn interval(self, config: &SplitConfig) -> Range<f64> {
        let trained = config.test + config.validation;
        match self {
            Self::Test => 0.0..config.test,
            Self::Validation => config.test..trained,
            Self::Train => trained..1.0,
        }
    }
}

/// A number from 0 to 1 that follows from a key and a seed.
pub(crate) fn draw(key: &str, seed: u64) -> f64 {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update(key.as_bytes());
    let digest: [u8; 32] = hasher.finalize().into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    // A double holds 53 bits exactly.
    (u64::from_le_bytes(first) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_kept_and_the_division_follows_from_the_seed() {
        let config = SplitConfig { validation: 0.2, test: 0.3, ..SplitConfig::default() };
        let parts: Vec<Split> = (0..4000).map(|i| Split::of(&format!("tile-{i}"), &config)).collect();
        let share = |part| parts.iter().filter(|p| **p == part).count() as f64 / 4000.0;
        assert!((share(Split::Test) - 0.3).abs() < 0.03, "{}", share(Split::Test));
        assert!((share(Split::Validation) - 0.2).abs() < 0.03, "{}", share(Split::Validation));
        let again: Vec<Split> = (0..4000).map(|i| Split::of(&format!("tile-{i}"), &config)).collect();
        assert_eq!(parts, again);
        let other = SplitConfig { seed: 1, ..config };
        assert!((0..4000).any(|i| Split::of(&format!("tile-{i}"), &other) != parts[i]));
    }
}
