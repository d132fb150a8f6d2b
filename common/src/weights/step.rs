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
//! | `top-k-bf16` | `NAME/mask`: U8 `[ceil(n / 8)]`, `NAME/value`: BF16 `[k]` | its value, or 0 |
//!
//! where `k` is the share of the plan times `n`, rounded up. The values of an `int8` block lie from -127 to 127.
//! Bit `i % 8` of byte `i / 8` of a mask, counted from the least significant, says whether it has a value for
//! position `i`: exactly `k` bits are set, none of them beyond `n`, and the values are in the order of positions.
//! The weight is `f32(f64(base) + f64(step))`, and that of a variance (`.var`) at least 0. What an encoding drops
//! is added to the next step of the same site (error feedback: Seide et al. 2014, Karimireddy et al. 2019).

mod codes;
mod file;
mod sparse;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::{BLOCK, Signature, StepCode};
use safetensors::Dtype;

pub use codes::{moved, step_of_bf16, step_of_int8};
pub use file::{PartOffsets, StepFile, residual, write_step};
pub use sparse::{check_mask, positions_in};

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
            Self::TopKBf16 { .. } => {
                let (mask, kept) = (length.div_ceil(8), self.kept(length));
                vec![Part::new("/mask", Dtype::U8, mask), Part::new("/value", Dtype::BF16, kept)]
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
