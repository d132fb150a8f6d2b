//! A file of weights as it is stored, read piece by piece.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use eosfed_common::weights::{Signature, WeightsError, WeightsFile};

use crate::span::Span;
use crate::vectorised::Stored;

/// A file of weights.
#[derive(Debug)]
pub(crate) struct PlainReader {
    pub(crate) path: PathBuf,
    file: File,
    /// Each tensor's name and the offset of its values in bytes, in the order of the signature.
    tensors: Vec<(String, usize)>,
}

impl PlainReader {
    /// Opens a mapped file again, to be read.
    pub(crate) fn of(path: &Path, mapped: &WeightsFile, expected: &Signature) -> Result<Self, WeightsError> {
        let tensors = mapped.check_layout(expected)?.into_iter().collect();
        let file = File::open(path).map_err(|source| WeightsError::Io { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file, tensors })
    }

    /// Reads the values of a span; gives the name of its tensor.
    pub(crate) fn read(&self, span: Span, values: &mut [Stored]) -> Result<&str, WeightsError> {
        let (name, offset) = &self.tensors[span.tensor];
        let read = self.file.read_exact_at(values.as_flattened_mut(), (offset + 4 * span.start) as u64);
        read.map_err(|source| WeightsError::Io { path: self.path.clone(), source })?;
        Ok(name)
    }
}
