//! Updates as encoded steps: a file that holds, instead of the weights of an update, its step from the weights
//! that a round started from, in fewer bytes.
//!
//! Like weights, a step is a safetensors file with nothing else in it. For each tensor `NAME` of `n` values of
//! the signature, row-major, it holds
//!
//! | encoding | tensors of the file | the step at position `i` |
//! | --- | --- | --- |
//! | `bf16` | `NAME`: BF16 `[n]` | `NAME[i]` |
//! | `int8` | `NAME`: I8 `[n]`, `NAME/scale`: F32 `[ceil(n / 256)]` | `NAME[i] * scale[i / 256]` |
//! | `top-k` | `NAME/position`: U32 `[k]`, strictly ascending, `NAME/value`: F32 `[k]` | its value, or 0 |
//!
//! where `k` is the share of the plan times `n`, rounded up. The values of an `int8` block lie from -127 to 127.
//! The weight is `f32(f64(base) + f64(step))`, and that of a variance (`.var`) at least 0. What an encoding drops
//! is added to the next step of the same site (error feedback: Seide et al. 2014, Karimireddy et al. 2019).

mod codes;
mod file;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use safetensors::Dtype;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr};

use super::Signature;

pub use codes::{moved, step_of_bf16, step_of_int8};
pub use file::{PartOffsets, StepFile, residual, write_step};

/// Values that share a scale in `int8`.
pub const BLOCK: usize = 256;
/// Largest magnitude of a value of `int8`.
pub const LIMIT: i8 = 127;
/// Share of the values that `top-k` keeps, unless the plan says otherwise.
pub const DEFAULT_TOP_K_SHARE: f64 = 0.01;

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
}

impl Encoding {
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

    /// How it encodes a step. Nothing if it sends weights as they are.
    #[must_use]
    pub const fn code(self, top_k_share: f64) -> Option<StepCode> {
        match self {
            Self::F32 => None,
            Self::Bf16 => Some(StepCode::Bf16),
            Self::Int8 => Some(StepCode::Int8),
            Self::TopK => Some(StepCode::TopK { share: top_k_share }),
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
}

/// One tensor of a file of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    suffix: &'static str,
    dtype: Dtype,
    length: usize,
}

impl Part {
    const fn new(suffix: &'static str, dtype: Dtype, length: usize) -> Self {
        Self { suffix, dtype, length }
    }

    fn name(&self, tensor: &str) -> String {
        format!("{tensor}{}", self.suffix)
    }

    fn bytes(&self) -> usize {
        self.length * self.dtype.bitsize() / 8
    }
}

impl StepCode {
    /// Number of values that are kept of `length`.
    #[must_use]
    pub fn kept(self, length: usize) -> usize {
        match self {
            Self::Bf16 | Self::Int8 => length,
            Self::TopK { share } => ((share * length as f64).ceil() as usize).min(length),
        }
    }

    /// The tensors that hold `length` values, in the order in which codes give their bytes.
    fn parts(self, length: usize) -> Vec<Part> {
        match self {
            Self::Bf16 => vec![Part::new("", Dtype::BF16, length)],
            Self::Int8 => {
                let scales = length.div_ceil(BLOCK);
                vec![Part::new("", Dtype::I8, length), Part::new("/scale", Dtype::F32, scales)]
            }
            Self::TopK { .. } => {
                let kept = self.kept(length);
                vec![Part::new("/position", Dtype::U32, kept), Part::new("/value", Dtype::F32, kept)]
            }
        }
    }

    /// The tensors of a file: name, dtype and shape.
    fn tensors(self, signature: &Signature) -> impl Iterator<Item = (Cow<'_, str>, Dtype, Cow<'_, [usize]>)> {
        signature.0.iter().flat_map(move |(name, shape)| {
            let parts = self.parts(shape.iter().product()).into_iter();
            parts.map(move |part| (Cow::Owned(part.name(name)), part.dtype, Cow::Owned(vec![part.length])))
        })
    }
}
