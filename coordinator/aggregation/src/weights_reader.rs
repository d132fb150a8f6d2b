//! A file of weights: checked once, then read piece by piece, so that memory does not grow with their number.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use eosfed_common::weights::{Signature, Verified, WeightsError, WeightsFile};

use crate::vectorised::{first_not_finite, from_little_endian};

/// A file of weights whose names, shapes and dtype were checked. Values are checked where they are read.
#[derive(Debug)]
pub struct WeightsReader {
    path: PathBuf,
    file: File,
    /// The offset of each tensor's values, in bytes.
    offsets: BTreeMap<String, u64>,
}

impl WeightsReader {
    /// Opens a file that was checked before. Its values are not read until they are needed.
    ///
    /// # Errors
    /// As [`WeightsFile::check_layout`].
    pub fn open(path: &Path, expected: &Signature) -> Result<Self, WeightsError> {
        Self::new(path, WeightsFile::open(path)?.check_layout(expected)?)
    }

    /// Opens a file of which nothing is known, and reads all of it. The pages that the check has touched are
    /// given back.
    ///
    /// # Errors
    /// As [`WeightsFile::check`].
    pub fn check(path: &Path, expected: &Signature) -> Result<(Self, Verified), WeightsError> {
        let mapped = WeightsFile::open(path)?;
        let checked = mapped.check(expected)?;
        let verified = checked.verified();
        Ok((Self::new(path, checked.offsets(&mapped))?, verified))
    }

    fn new(path: &Path, offsets: BTreeMap<String, u64>) -> Result<Self, WeightsError> {
        let file = File::open(path).map_err(|source| WeightsError::Io { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file, offsets })
    }

    /// Reads `values.len()` values of a tensor from element `start` on.
    ///
    /// # Errors
    /// Errors of reading, with the name of the file; [`WeightsError::NotFinite`], since a disk can damage
    /// what was admitted.
    ///
    /// # Panics
    /// If `name` is not in the signature that was checked.
    pub fn read(&self, name: &str, start: usize, values: &mut [f32]) -> Result<(), WeightsError> {
        let offset = self.offsets[name] + 4 * start as u64;
        let read = self.file.read_exact_at(bytemuck::cast_slice_mut(values), offset);
        read.map_err(|source| WeightsError::Io { path: self.path.clone(), source })?;
        from_little_endian(values);
        match first_not_finite(values) {
            None => Ok(()),
            Some(index) => Err(WeightsError::NotFinite {
                path: self.path.clone(),
                tensor: name.to_owned(),
                position: start + index,
                value: values[index],
            }),
        }
    }
}
