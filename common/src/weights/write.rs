//! Writing a file of weights.

use std::borrow::Cow;
use std::fmt::Display;
use std::io;
use std::path::Path;

use safetensors::{Dtype, View};

use super::{Signature, Tensors, WeightsError};
use crate::digest::Digest;
use crate::files::{atomically, digest};

/// Writes `tensors` atomically as safetensors and returns the digest of the file. The same tensors give the
/// same bytes.
///
/// # Errors
/// A tensor of the signature that is missing or of the wrong size, or a failure to write.
pub fn write(path: &Path, signature: &Signature, tensors: &Tensors) -> Result<Digest, WeightsError> {
    for (name, shape) in &signature.0 {
        let missing = || WeightsError::Missing { path: path.to_owned(), tensor: name.clone() };
        let found = tensors.get(name).ok_or_else(missing)?.len();
        if found != shape.iter().product::<usize>() {
            let path = path.to_owned();
            let tensor = name.clone();
            let expected = shape.clone();
            return Err(WeightsError::Shape { path, tensor, found: vec![found], expected });
        }
    }
    write_each(path, signature, |name| Cow::Borrowed(tensors[name].as_slice()))
}

/// As [`write()`], with each tensor computed when it is written, so that one is in memory at a time, as values and
/// as bytes. `values` gives as many values as the shape of the tensor with this name has.
///
/// # Errors
/// A failure to write.
pub fn write_each<'a>(
    path: &Path,
    signature: &'a Signature,
    values: impl Fn(&str) -> Cow<'a, [f32]>,
) -> Result<Digest, WeightsError> {
    let one =
        |(name, shape): (&'a String, &'a Vec<usize>)| (name, Unwritten { name, shape, values: &values });
    serialize(path, signature.0.iter().map(one))
}

/// Writes these tensors atomically as safetensors and returns the digest of the file.
pub(super) fn serialize<S: AsRef<str> + Ord + Display, V: View>(
    path: &Path,
    views: impl IntoIterator<Item = (S, V)>,
) -> Result<Digest, WeightsError> {
    let io = |source| WeightsError::Io { path: path.to_owned(), source };
    atomically(path, |file| match safetensors::serialize_to_file(views, None, file.path()) {
        Ok(()) => Ok(()),
        Err(safetensors::SafeTensorError::IoError(error)) => Err(error),
        Err(other) => Err(io::Error::other(other)),
    })
    .and_then(|()| digest(path))
    .map_err(io)
}

/// A tensor to be written. Its values and bytes are made when they are written.
struct Unwritten<'a, 'f, F> {
    name: &'a str,
    shape: &'a [usize],
    values: &'f F,
}

impl<'a, F: Fn(&str) -> Cow<'a, [f32]>> View for Unwritten<'a, '_, F> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        (self.values)(self.name).iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * 4
    }
}
