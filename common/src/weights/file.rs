//! Reading and checking a file of weights.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{Signature, Verified, WeightsError};

/// Values that [`WeightsFile::check_by_reading`] reads at once.
pub const READ_AT_ONCE: usize = 1 << 14;

/// A safetensors file mapped into memory.
#[derive(Debug)]
pub struct WeightsFile {
    path: PathBuf,
    map: Mmap,
}

impl WeightsFile {
    /// Maps `path`. Nothing is checked yet.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let io = |source| WeightsError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        // SAFETY: files given to this type are digest-named blobs or a trainer's finished output,
        // both written under a temporary name and renamed: nobody writes to them any more.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        Ok(Self { path: path.to_owned(), map })
    }

    /// The whole file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Checks every tensor against `expected`: names, shapes, dtype and finiteness. Values can be read only
    /// through the returned proof.
    ///
    /// # Errors
    /// The first broken rule, with the tensor's name.
    pub fn check(&self, expected: &Signature) -> Result<CheckedWeights<'_>, WeightsError> {
        self.finite(self.views_of(floats(expected))?)
    }

    /// As [`WeightsFile::check`], for who keeps no values: they are read from the file piece by piece, since the pages
    /// of a map that were touched count as memory of the process. `see` is shown each piece of at most [`READ_AT_ONCE`]
    /// values that was found in order: the tensor's position in `expected`, the piece's first value, and the values as
    /// they are stored.
    ///
    /// # Errors
    /// The first broken rule, with the tensor's name; errors of reading.
    pub fn check_by_reading(
        &self,
        expected: &Signature,
        mut see: impl FnMut(usize, usize, &[[u8; 4]]),
    ) -> Result<Verified, WeightsError> {
        let io = |source| WeightsError::Io { path: self.path.clone(), source };
        let file = File::open(&self.path).map_err(io)?;
        let mut buffer = vec![[0; 4]; READ_AT_ONCE];
        for (index, (tensor, offset)) in self.check_layout(expected)?.into_iter().enumerate() {
            let length = expected.0[&tensor].iter().product::<usize>();
            for start in (0..length).step_by(READ_AT_ONCE) {
                let piece = &mut buffer[..READ_AT_ONCE.min(length - start)];
                file.read_exact_at(piece.as_flattened_mut(), (offset + 4 * start) as u64).map_err(io)?;
                if let Some((at, value)) = Values(piece.as_flattened()).first_not_finite() {
                    let position = start + at;
                    return Err(WeightsError::NotFinite { path: self.path.clone(), tensor, position, value });
                }
                see(index, start, piece);
            }
        }
        Ok(Verified::by_check())
    }

    /// As [`WeightsFile::check`], but the file may hold other tensors, which are not read.
    ///
    /// # Errors
    /// The first broken rule, with the tensor's name.
    pub fn check_part(&self, expected: &Signature) -> Result<CheckedWeights<'_>, WeightsError> {
        let expected: Expected<'_> = floats(expected).map(one).collect();
        self.finite(self.views(&self.parse()?, &expected)?)
    }

    /// As [`WeightsFile::check`] without the values, so that they are not read: where each tensor's values
    /// begin, in bytes.
    ///
    /// # Errors
    /// The first broken rule, with the tensor's name.
    pub fn check_layout(&self, expected: &Signature) -> Result<BTreeMap<String, usize>, WeightsError> {
        let start = self.map.as_ptr().addr();
        let views = self.views_of(floats(expected))?;
        Ok(views.into_iter().map(|(name, bytes)| (name, bytes.as_ptr().addr() - start)).collect())
    }

    /// The bytes of exactly these tensors, by name, if each has its dtype and shape.
    pub(super) fn views_of<'e>(
        &self,
        expected: impl Iterator<Item = (Cow<'e, str>, Dtype, Cow<'e, [usize]>)>,
    ) -> Result<BTreeMap<String, &[u8]>, WeightsError> {
        let expected: Expected<'_> = expected.map(one).collect();
        let parsed = self.parse()?;
        if let Some(tensor) = parsed.names().into_iter().find(|name| !expected.contains_key(*name)) {
            let tensor = tensor.chars().take(120).flat_map(char::escape_default).collect();
            return Err(WeightsError::Unexpected { path: self.path.clone(), tensor });
        }
        self.views(&parsed, &expected)
    }

    fn parse(&self) -> Result<SafeTensors<'_>, WeightsError> {
        let malformed = |reason: safetensors::SafeTensorError| WeightsError::Malformed {
            path: self.path.clone(),
            reason: reason.to_string(),
        };
        SafeTensors::deserialize(&self.map).map_err(malformed)
    }

    fn views<'a>(
        &'a self,
        parsed: &SafeTensors<'a>,
        expected: &Expected<'_>,
    ) -> Result<BTreeMap<String, &'a [u8]>, WeightsError> {
        let view = |(name, (dtype, shape)): (&Cow<'_, str>, &(Dtype, Cow<'_, [usize]>))| {
            let name = name.as_ref();
            let missing = |_| WeightsError::Missing { path: self.path.clone(), tensor: name.to_owned() };
            let view = parsed.tensor(name).map_err(missing)?;
            self.check_view(name, *dtype, shape, &view)?;
            Ok((name.to_owned(), view.data()))
        };
        expected.iter().map(view).collect()
    }

    fn finite<'a>(&self, tensors: BTreeMap<String, &'a [u8]>) -> Result<CheckedWeights<'a>, WeightsError> {
        let tensors: BTreeMap<_, _> =
            tensors.into_iter().map(|(name, bytes)| (name, Values(bytes))).collect();
        for (name, values) in &tensors {
            if let Some((position, value)) = values.first_not_finite() {
                let path = self.path.clone();
                return Err(WeightsError::NotFinite { path, tensor: name.clone(), position, value });
            }
        }
        Ok(CheckedWeights { tensors })
    }

    fn check_view(
        &self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
        view: &TensorView<'_>,
    ) -> Result<(), WeightsError> {
        let path = self.path.clone();
        let tensor = name.to_owned();
        if view.dtype() != dtype {
            let (found, expected) = (view.dtype().to_string(), dtype.to_string());
            return Err(WeightsError::Dtype { path, tensor, found, expected });
        }
        if view.shape() != shape {
            let found = view.shape().to_vec();
            return Err(WeightsError::Shape { path, tensor, found, expected: shape.to_vec() });
        }
        Ok(())
    }
}

/// The tensors that a file must hold, by name.
type Expected<'a> = BTreeMap<Cow<'a, str>, (Dtype, Cow<'a, [usize]>)>;

fn one<'a>(
    (name, dtype, shape): (Cow<'a, str>, Dtype, Cow<'a, [usize]>),
) -> (Cow<'a, str>, (Dtype, Cow<'a, [usize]>)) {
    (name, (dtype, shape))
}

fn floats(signature: &Signature) -> impl Iterator<Item = (Cow<'_, str>, Dtype, Cow<'_, [usize]>)> {
    let one = |(name, shape)| (Cow::from(name), Dtype::F32, Cow::from(shape));
    signature.0.iter().map(one)
}

/// The tensors of a signature, all finite. Only [`WeightsFile`]'s checks make one.
#[derive(Debug, Clone)]
pub struct CheckedWeights<'a> {
    tensors: BTreeMap<String, Values<'a>>,
}

impl<'a> CheckedWeights<'a> {
    /// The proof that names, shapes, dtype and finiteness were checked.
    #[must_use]
    pub const fn verified(&self) -> Verified {
        Verified::by_check()
    }

    /// The values of one tensor, row-major.
    ///
    /// # Panics
    /// If `name` is not in the signature that was checked.
    #[must_use]
    pub fn values(&self, name: &str) -> Values<'a> {
        self.tensors[name]
    }
}

/// Little-endian 32-bit floats inside a mapped file, at any alignment.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a>(&'a [u8]);

impl Values<'_> {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len() / 4
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first value that is not finite, and its position.
    fn first_not_finite(&self) -> Option<(usize, f32)> {
        // No early end of this loop: most often there is none, and so it is a loop of vectors.
        let any = self.iter().fold(false, |any, value| any | !value.is_finite());
        any.then(|| self.iter().enumerate().find(|(_, value)| !value.is_finite())).flatten()
    }

    /// The values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = f32> + '_ {
        self.0.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }
}
