//! Weights as files: safetensors and nothing else, checked by name, shape, dtype and finiteness
//! on every entry.
//!
//! The tensors of a model are defined in [`crate::model`].

mod encoding;
mod error;
mod file;
mod signature;
mod step;
mod write;
mod writer;

#[cfg(test)]
mod tests;

pub use encoding::{BLOCK, DEFAULT_TOP_K_SHARE, Encoding, LIMIT, StepCode};
pub(crate) use encoding::{default_top_k_share, is_default_top_k_share};
pub use error::WeightsError;
pub use file::{CheckedWeights, READ_AT_ONCE, Values, WeightsFile};
pub use signature::{Signature, Tensors, Verified};
pub use step::{
    PartOffsets, StepFile, check_mask, moved, positions_in, residual, step_of_bf16, step_of_int8, write_step,
};
pub use write::{write, write_each};
pub use writer::WeightsWriter;

/// Whether a tensor of this name holds variances, which are at least 0.
#[must_use]
pub fn is_variance(tensor: &str) -> bool {
    tensor.ends_with(".var")
}
