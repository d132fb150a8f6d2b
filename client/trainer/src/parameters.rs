//! Named values as libtorch tensors, and back. No other module converts them.
//!
//! `tch`'s own variable store renames duplicates, forgets the order and ignores missing names when it
//! loads. Here the tensors of a model are exactly those of its signature, in the order of their names.

use std::collections::BTreeMap;
use std::path::Path;

use eosfed_common::digest::Digest;
use eosfed_common::weights::{self, Signature, Tensors, WeightsError, WeightsFile};
use tch::{Device, Kind, Tensor};

/// A model's tensors by name.
#[derive(Debug)]
pub struct Parameters {
    signature: Signature,
    tensors: BTreeMap<String, Tensor>,
}

impl Parameters {
    /// Tensors on `device` with these values, which must be those of `signature`.
    #[must_use]
    pub fn new(signature: Signature, values: &Tensors, device: Device) -> Self {
        let tensor = |(name, shape): (&String, &Vec<usize>)| {
            let shape: Vec<i64> = shape.iter().map(|n| *n as i64).collect();
            (name.clone(), Tensor::from_slice(&values[name]).reshape(shape).to_device(device))
        };
        let tensors = signature.0.iter().map(tensor).collect();
        Self { signature, tensors }
    }

    /// These tensors, which are those of `signature`.
    pub(crate) const fn of(signature: Signature, tensors: BTreeMap<String, Tensor>) -> Self {
        Self { signature, tensors }
    }

    /// Reads a file that must hold exactly `signature`.
    ///
    /// # Errors
    /// If the file cannot be read or a tensor is missing, unexpected, misshapen or not finite.
    pub fn load(path: &Path, signature: Signature, device: Device) -> Result<Self, WeightsError> {
        let values = read(path, &signature)?;
        Ok(Self::new(signature, &values, device))
    }

    /// The tensor called `name`.
    ///
    /// # Panics
    /// If the signature has no tensor of this name, which is a bug in the network's code.
    pub fn get(&self, name: &str) -> Tensor {
        let tensor = self.tensors.get(name);
        tensor.unwrap_or_else(|| panic!("the signature has no tensor `{name}`")).shallow_clone()
    }

    /// All tensors in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.tensors.iter()
    }

    /// Makes libtorch record gradients for all tensors.
    #[must_use]
    pub fn trainable(self) -> Self {
        for tensor in self.tensors.values() {
            let _ = tensor.set_requires_grad(true);
        }
        self
    }

    /// A copy of the values in memory.
    #[must_use]
    pub fn values(&self) -> Tensors {
        self.tensors.iter().map(|(name, tensor)| (name.clone(), to_vec(tensor))).collect()
    }

    /// Replaces the values in place.
    pub fn assign(&self, values: &Tensors) {
        let _guard = tch::no_grad_guard();
        for (name, tensor) in &self.tensors {
            tensor.shallow_clone().copy_(&Tensor::from_slice(&values[name]).reshape(tensor.size()));
        }
    }

    /// Writes all tensors as a safetensors file and returns its digest.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<Digest, WeightsError> {
        weights::write(path, &self.signature, &self.values())
    }

    /// Names and shapes.
    #[must_use]
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }
}

/// Reads the values of a file that must hold exactly `signature`.
///
/// # Errors
/// As [`Parameters::load`].
pub fn read(path: &Path, signature: &Signature) -> Result<Tensors, WeightsError> {
    let file = WeightsFile::open(path)?;
    let checked = file.check(signature)?;
    Ok(signature.0.keys().map(|name| (name.clone(), checked.values(name).iter().collect())).collect())
}

/// A tensor's values, row-major.
#[must_use]
pub fn to_vec(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view([-1]);
    Vec::try_from(&flat).expect("a flat float tensor on the processor becomes a vector")
}
