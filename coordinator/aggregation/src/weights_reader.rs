//! A file of weights: checked once, then read piece by piece, so that memory does not grow with their number.

use std::path::Path;
use std::sync::Arc;

use eosfed_common::weights::{Signature, StepCode, StepFile, Verified, WeightsError, WeightsFile};

use crate::encoded::EncodedReader;
use crate::plain::PlainReader;
use crate::span::Span;
use crate::vectorised::{Stored, first_not_finite};

/// A file of weights whose names, shapes and dtype were checked. Values are checked where they are read.
///
/// Values are read and not mapped: that takes the same time, and mapped files count as the memory of a
/// process until they are given back.
#[derive(Debug)]
pub struct WeightsReader(Contents);

#[derive(Debug)]
enum Contents {
    Plain(Arc<PlainReader>),
    Encoded(EncodedReader),
}

impl WeightsReader {
    /// Opens a file that was checked before. Its values are not read until they are needed.
    ///
    /// # Errors
    /// As [`WeightsFile::check_layout`].
    pub fn open(path: &Path, expected: &Signature) -> Result<Self, WeightsError> {
        Ok(Self(Contents::Plain(Arc::new(PlainReader::of(path, &WeightsFile::open(path)?, expected)?))))
    }

    /// Opens an encoded step from `base`, as the weights that follow, if both were checked before.
    ///
    /// # Errors
    /// As [`StepFile::check_layout`].
    ///
    /// # Panics
    /// If `base` is an encoded step itself.
    pub fn open_step(
        path: &Path,
        expected: &Signature,
        code: StepCode,
        base: &Self,
    ) -> Result<Self, WeightsError> {
        let Contents::Plain(base) = &base.0 else { unreachable!("rounds start from weights") };
        Ok(Self(Contents::Encoded(EncodedReader::open(path, expected, code, Arc::clone(base))?)))
    }

    /// Opens a file of which nothing is known, and reads all of it.
    ///
    /// # Errors
    /// As [`WeightsFile::check_by_reading`].
    pub fn check(path: &Path, expected: &Signature) -> Result<(Self, Verified), WeightsError> {
        let mapped = WeightsFile::open(path)?;
        let verified = mapped.check_by_reading(expected, |_, _, _| {})?;
        Ok((Self(Contents::Plain(Arc::new(PlainReader::of(path, &mapped, expected)?))), verified))
    }

    /// Opens an encoded step of which nothing is known from the weights in the file `base`, which were checked
    /// before, and reads all of both.
    ///
    /// # Errors
    /// As [`StepFile::check`].
    pub fn check_step(
        path: &Path,
        expected: &Signature,
        code: StepCode,
        base: &Path,
    ) -> Result<(Self, Verified), WeightsError> {
        let start = WeightsFile::open(base)?;
        let verified = StepFile::open(path, code)?.check(expected, &start.check(expected)?)?;
        let base = Self::open(base, expected)?;
        Ok((Self::open_step(path, expected, code, &base)?, verified))
    }

    /// All values of one tensor of the signature with which the file was opened.
    ///
    /// # Errors
    /// Errors of reading; [`WeightsError::NotFinite`], since a disk can damage what was admitted.
    ///
    /// # Panics
    /// If the signature does not have the tensor.
    pub fn tensor(&self, signature: &Signature, name: &str) -> Result<Vec<f32>, WeightsError> {
        let tensor = signature.0.keys().position(|there| there == name).expect("a tensor of the signature");
        let length = signature.0[name].iter().product();
        let mut stored = vec![Stored::default(); length];
        self.read(Span { tensor, start: 0, length }, &mut stored)?;
        Ok(stored.into_iter().map(f32::from_le_bytes).collect())
    }

    /// Reads the values of a span.
    ///
    /// # Errors
    /// Errors of reading; [`WeightsError::NotFinite`], since a disk can damage what was admitted.
    pub(crate) fn read(&self, span: Span, values: &mut [Stored]) -> Result<(), WeightsError> {
        let (path, name) = match &self.0 {
            Contents::Plain(plain) => (&plain.path, plain.read(span, values)?),
            Contents::Encoded(encoded) => (&encoded.path, encoded.read(span, values)?),
        };
        let Some(index) = first_not_finite(values) else { return Ok(()) };
        Err(WeightsError::NotFinite {
            path: path.clone(),
            tensor: name.to_owned(),
            position: span.start + index,
            value: f32::from_le_bytes(values[index]),
        })
    }
}

/// Reads the values of a span in several files, a row for each.
pub(crate) fn read_rows<'a>(
    files: impl ExactSizeIterator<Item = &'a WeightsReader>,
    span: Span,
    rows: &mut Vec<Stored>,
) -> Result<(), WeightsError> {
    rows.resize(files.len() * span.length, Stored::default());
    let mut places = rows.chunks_exact_mut(span.length);
    files.zip(&mut places).try_for_each(|(file, row)| file.read(span, row))
}
