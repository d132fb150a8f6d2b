//! Weights as files: safetensors and nothing else, checked by name, shape, dtype and finiteness
//! on every entry.
//!
//! The tensors of a model are defined in [`crate::model`].

mod error;
mod file;
mod signature;
mod write;

#[cfg(test)]
mod tests;

pub use error::WeightsError;
pub use file::{CheckedWeights, Values, WeightsFile};
pub use signature::{Signature, Tensors, Verified};
pub use write::{write, write_each};
