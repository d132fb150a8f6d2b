//! Which part a sample belongs to: decided by a digest of the seed and the sample's key, so the
//! same data set gives the same division on every machine and in whatever order files are found.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::SplitConfig;

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Learned from.
    Train,
    /// Chooses the best epoch.
    Validation,
    /// Looked at last.
    Test,
}

impl Split {
    /// Every part.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// The part of the sample, or group of samples, named `key`.
    pub(crate) fn of(key: &str, config: &SplitConfig) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(config.seed.to_le_bytes());
        hasher.update(key.as_bytes());
        let digest: [u8; 32] = hasher.finalize().into();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        // 53 bits are all that a double holds exactly.
        let share = (u64::from_le_bytes(first) >> 11) as f64 / (1_u64 << 53) as f64;
        if share < config.test {
            Self::Test
        } else if share < config.test + config.validation {
            Self::Validation
        } else {
            Self::Train
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_kept_and_the_seed_decides() {
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
