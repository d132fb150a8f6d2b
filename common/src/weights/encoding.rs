//! How updates may be encoded. Pure: [`super::StepFile`] reads and writes the files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// Values that share a scale in `int8`.
pub const BLOCK: usize = 256;
/// Largest magnitude of a value of `int8`.
pub const LIMIT: i8 = 127;
/// Share of the values that `top-k` and `top-k-bf16` keep, unless the plan says otherwise.
pub const DEFAULT_TOP_K_SHARE: f64 = 0.01;

/// [`DEFAULT_TOP_K_SHARE`], for fields that are absent where they have it.
pub(crate) const fn default_top_k_share() -> f64 {
    DEFAULT_TOP_K_SHARE
}

/// Whether a field with a share is left out.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
pub(crate) fn is_default_top_k_share(share: &f64) -> bool {
    *share == DEFAULT_TOP_K_SHARE
}

/// How the weights of an update are encoded.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Encoding {
    /// The weights themselves, as 32-bit floats.
    #[default]
    F32,
    /// The step as 16-bit brain floats: half the bytes.
    Bf16,
    /// The step as 8-bit integers in blocks with a scale: about a quarter of the bytes.
    Int8,
    /// The largest values of the step: with a share of 0.01, about a fiftieth of the bytes.
    TopK,
    /// The largest values of the step as 16-bit brain floats, with a bit for each value: with a share of 0.25, about
    /// a sixth of the bytes.
    TopKBf16,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Its name in plans and policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether weights are sent as they are.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        matches!(self, Self::F32)
    }

    /// Whether it sends some values only, by the share of the plan.
    #[must_use]
    pub const fn is_sparse(self) -> bool {
        matches!(self, Self::TopK | Self::TopKBf16)
    }

    /// How it encodes a step. Nothing if it sends weights as they are.
    #[must_use]
    pub const fn code(self, top_k_share: f64) -> Option<StepCode> {
        match self {
            Self::F32 => None,
            Self::Bf16 => Some(StepCode::Bf16),
            Self::Int8 => Some(StepCode::Int8),
            Self::TopK => Some(StepCode::TopK { share: top_k_share }),
            Self::TopKBf16 => Some(StepCode::TopKBf16 { share: top_k_share }),
        }
    }
}

/// How the values of a step are encoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StepCode {
    /// As 16-bit brain floats, rounded to the nearest.
    Bf16,
    /// As integers from -127 to 127, with a scale for each block of [`BLOCK`] values.
    Int8,
    /// The values with the largest magnitudes, with their positions.
    TopK {
        /// The share of them, above 0 and at most 1.
        share: f64,
    },
    /// The same values as 16-bit brain floats, with a mask of their positions.
    TopKBf16 {
        /// The share of them, above 0 and at most 1.
        share: f64,
    },
}

impl StepCode {
    /// Number of values that are kept of `length`.
    #[must_use]
    pub fn kept(self, length: usize) -> usize {
        match self {
            Self::Bf16 | Self::Int8 => length,
            Self::TopK { share } | Self::TopKBf16 { share } => {
                ((share * length as f64).ceil() as usize).min(length)
            }
        }
    }
}
