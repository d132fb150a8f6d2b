//! Files of encoded steps: writing, and checking them against the weights that they start from.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, View};

use super::super::write::serialize;
use super::{Part, moved};
use crate::digest::Digest;
use crate::weights::{CheckedWeights, Signature, StepCode, Verified, WeightsError, WeightsFile};

/// A file of a step, mapped into memory.
#[derive(Debug)]
pub struct StepFile {
    file: WeightsFile,
    code: StepCode,
}

/// Where the bytes of the parts of a tensor begin in a file.
pub type PartOffsets = Vec<usize>;

impl StepFile {
    /// Maps `path`. Nothing is checked yet.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(path: &Path, code: StepCode) -> Result<Self, WeightsError> {
        Ok(Self { file: WeightsFile::open(path)?, code })
    }

    /// The whole file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.file.bytes()
    }

    /// Checks names, dtypes and shapes: where the parts of each tensor of the signature begin.
    ///
    /// # Errors
    /// The first broken rule, with the tensor's name.
    pub fn check_layout(&self, signature: &Signature) -> Result<BTreeMap<String, PartOffsets>, WeightsError> {
        let start = self.bytes().as_ptr().addr();
        let views = self.views(signature)?;
        let offset = |part: &&[u8]| part.as_ptr().addr() - start;
        Ok(views.into_iter().map(|(name, parts)| (name, parts.iter().map(offset).collect())).collect())
    }

    /// Checks everything: names, dtypes, shapes, that each value is one of the encoding, and that each weight
    /// that follows from `base` is finite. One tensor at a time is decoded.
    ///
    /// # Errors
    /// The first broken rule, with the tensor's name.
    pub fn check(&self, signature: &Signature, base: &CheckedWeights<'_>) -> Result<Verified, WeightsError> {
        for (name, parts) in self.views(signature)? {
            let length = signature.0[&name].iter().product();
            let weights = base.values(&name);
            let steps = self.decode(&name, &parts, length)?;
            let weights = weights.iter().zip(&steps).map(|(base, step)| moved(base, *step, &name));
            if let Some((position, value)) = weights.enumerate().find(|(_, value)| !value.is_finite()) {
                let path = self.file.path().to_owned();
                return Err(WeightsError::NotFinite { path, tensor: name, position, value });
            }
        }
        Ok(Verified::by_check())
    }

    fn decode(&self, name: &str, parts: &[&[u8]], length: usize) -> Result<Vec<f64>, WeightsError> {
        self.code.decode(parts, length).map_err(|reason| WeightsError::Step {
            path: self.file.path().to_owned(),
            tensor: name.to_owned(),
            reason,
        })
    }

    fn views(&self, signature: &Signature) -> Result<BTreeMap<String, Vec<&[u8]>>, WeightsError> {
        let views = self.file.views_of(self.code.tensors(signature))?;
        let parts = |(name, shape): (&String, &Vec<usize>)| {
            let parts = self.code.parts(shape.iter().product());
            (name.clone(), parts.iter().map(|part| views[&part.name(name)]).collect())
        };
        Ok(signature.0.iter().map(parts).collect())
    }
}

/// Writes a step atomically and returns the digest of the file. The same step gives the same bytes. `step` gives
/// the values of the tensor with this name; it is asked again for each part, so that one tensor is in memory at
/// a time.
///
/// # Errors
/// A failure to write.
pub fn write_step(
    path: &Path,
    signature: &Signature,
    code: StepCode,
    step: impl Fn(&str) -> Vec<f64>,
) -> Result<Digest, WeightsError> {
    let step = &step;
    let views = signature.0.iter().flat_map(|(name, shape)| {
        let parts = code.parts(shape.iter().product()).into_iter().enumerate();
        parts.map(move |(index, part)| {
            let shape = [part.length];
            (part.name(name), Unwritten { name, part, index, shape, code, step })
        })
    });
    serialize(path, views)
}

/// What encoding a step drops: the step less what the encoding holds of it.
#[must_use]
pub fn residual(code: StepCode, step: &[f64]) -> Vec<f32> {
    let parts = code.encode(step);
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let decoded = code.decode(&parts, step.len()).expect("what was encoded is decoded");
    step.iter().zip(decoded).map(|(step, decoded)| (step - decoded) as f32).collect()
}

/// A part to be written. Its bytes are made when they are written.
struct Unwritten<'a, F> {
    name: &'a str,
    part: Part,
    index: usize,
    shape: [usize; 1],
    code: StepCode,
    step: &'a F,
}

impl<F: Fn(&str) -> Vec<f64>> View for Unwritten<'_, F> {
    fn dtype(&self) -> Dtype {
        self.part.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.code.encode(&(self.step)(self.name)).swap_remove(self.index).into()
    }

    fn data_len(&self) -> usize {
        self.part.bytes()
    }
}
