//! Weights as files: safetensors and nothing else, checked by name, shape, dtype and finiteness
//! on every entry.
//!
//! Not here: which tensors a model has (see [`crate::model`]) and moving bytes between programs.

mod error;
mod file;
mod signature;
mod write;

#[cfg(test)]
mod tests;

pub use error::WeightsError;
pub use file::{CheckedWeights, Values, WeightsFile};
pub use signature::{Signature, Tensors, Verified};
pub use write::write;
