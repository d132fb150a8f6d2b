//! A file of weights: checked once, then read piece by piece, so that memory does not grow with their number.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use eosfed_common::weights::{Signature, Verified, WeightsError, WeightsFile};

/// A file of weights whose names, shapes, dtype and finiteness were checked.
#[derive(Debug)]
pub struct WeightsReader {
    path: PathBuf,
    file: File,
    /// The offset of each tensor's values, in bytes.
    offsets: BTreeMap<String, u64>,
    verified: Verified,
}

impl WeightsReader {
    /// Opens and checks a file. The pages that the check has touched are given back.
    ///
    /// # Errors
    /// As [`WeightsFile::check`].
    pub fn open(path: &Path, expected: &Signature) -> Result<Self, WeightsError> {
        let mapped = WeightsFile::open(path)?;
        let checked = mapped.check(expected)?;
        let verified = checked.verified();
        let offsets = checked.offsets(&mapped);
        drop(mapped);
        let file = File::open(path).map_err(|source| WeightsError::Io { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file, offsets, verified })
    }

    /// The proof that the file was checked.
    #[must_use]
    pub const fn verified(&self) -> Verified {
        self.verified
    }

    /// Reads `values.len()` values of a tensor from element `start` on.
    ///
    /// # Errors
    /// Errors of reading, with the name of the file.
    ///
    /// # Panics
    /// If `name` is not in the signature that was checked.
    pub fn read(&self, name: &str, start: usize, values: &mut [f32]) -> Result<(), WeightsError> {
        let mut bytes = vec![0; values.len() * 4];
        let offset = self.offsets[name] + 4 * start as u64;
        let read = self.file.read_exact_at(&mut bytes, offset);
        read.map_err(|source: io::Error| WeightsError::Io { path: self.path.clone(), source })?;
        for (value, bytes) in values.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *value = f32::from_le_bytes(*bytes);
        }
        Ok(())
    }
}
