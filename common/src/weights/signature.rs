//! The tensors that a file of weights must hold, and the proof that a file holds them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The tensors a file must hold, no more and no fewer: name to shape. All are 32-bit floats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Signature(pub BTreeMap<String, Vec<usize>>);

impl Signature {
    /// Number of scalars in all tensors.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.0.values().map(|shape| shape.iter().product::<usize>()).sum()
    }

    /// Most bytes that a file with these tensors can need: the values and a generous header.
    #[must_use]
    pub fn max_file_bytes(&self) -> u64 {
        let header: usize = self.0.keys().map(|name| name.len() + 160).sum();
        (self.parameters() * 4 + header + 4096) as u64
    }
}

/// Tensors in memory, by name: row-major values whose shapes a [`Signature`] gives.
pub type Tensors = BTreeMap<String, Vec<f32>>;

/// Proof that a file holds exactly the tensors of a signature, all finite. Only the checks of
/// [`super::WeightsFile`] make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified(());

impl Verified {
    pub(super) const fn by_check() -> Self {
        Self(())
    }
}
