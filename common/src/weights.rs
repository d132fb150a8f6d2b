//! Weights as files: safetensors and nothing else, checked by name, shape, dtype and finiteness
//! on every entry.
//!
//! Not here: which tensors a model has (see [`crate::model`]) and moving bytes between programs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::digest::Digest;
use crate::files::atomically;

/// The tensors a file must hold, no more and no fewer: name to shape. All are 32-bit floats.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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

/// Why a file of weights is refused. Every variant names the file and, where there is one, the tensor.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes are not safetensors.
    #[error("{path}: not a safetensors file: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// A tensor of the signature is absent.
    #[error("{path}: tensor `{tensor}` is missing", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor is not in the signature.
    #[error("{path}: tensor `{tensor}` is not part of this model", path = path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor has another shape than the signature says.
    #[error("{path}: tensor `{tensor}` has shape {found:?}, expected {expected:?}", path = path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape in the signature.
        expected: Vec<usize>,
    },
    /// A tensor is not 32-bit floating point.
    #[error("{path}: tensor `{tensor}` has dtype {found}, expected F32", path = path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The dtype in the file.
        found: String,
    },
    /// A tensor holds NaN or an infinity.
    #[error("{path}: tensor `{tensor}` holds {value} at position {position}", path = path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Index of the first such value in row-major order.
        position: usize,
        /// The value.
        value: f32,
    },
}

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

    /// Checks every tensor against `expected`: names, shapes, dtype and finiteness. The proof of
    /// it is the only way to the values.
    ///
    /// # Errors
    /// The first rule broken, with the tensor's name.
    pub fn check(&self, expected: &Signature) -> Result<CheckedWeights<'_>, WeightsError> {
        let parsed = self.parse()?;
        if let Some(tensor) = parsed.names().into_iter().find(|name| !expected.0.contains_key(*name)) {
            let tensor = tensor.chars().take(120).flat_map(char::escape_default).collect();
            return Err(WeightsError::Unexpected { path: self.path.clone(), tensor });
        }
        self.pick(&parsed, expected)
    }

    /// As [`WeightsFile::check`], but the file may hold other tensors too, which stay unread.
    ///
    /// # Errors
    /// The first rule broken, with the tensor's name.
    pub fn check_part(&self, expected: &Signature) -> Result<CheckedWeights<'_>, WeightsError> {
        self.pick(&self.parse()?, expected)
    }

    fn parse(&self) -> Result<SafeTensors<'_>, WeightsError> {
        let malformed = |reason: safetensors::SafeTensorError| WeightsError::Malformed {
            path: self.path.clone(),
            reason: reason.to_string(),
        };
        SafeTensors::deserialize(&self.map).map_err(malformed)
    }

    fn pick<'a>(
        &'a self,
        parsed: &SafeTensors<'a>,
        expected: &Signature,
    ) -> Result<CheckedWeights<'a>, WeightsError> {
        let mut tensors = BTreeMap::new();
        for (name, shape) in &expected.0 {
            let view = parsed
                .tensor(name)
                .map_err(|_| WeightsError::Missing { path: self.path.clone(), tensor: name.clone() })?;
            self.check_tensor(name, shape, &view)?;
            tensors.insert(name.clone(), Values(view.data()));
        }
        Ok(CheckedWeights { tensors })
    }

    fn check_tensor(&self, name: &str, shape: &[usize], view: &TensorView<'_>) -> Result<(), WeightsError> {
        let (path, tensor) = (self.path.clone(), name.to_owned());
        if view.dtype() != Dtype::F32 {
            return Err(WeightsError::Dtype { path, tensor, found: format!("{:?}", view.dtype()) });
        }
        if view.shape() != shape {
            let found = view.shape().to_vec();
            return Err(WeightsError::Shape { path, tensor, found, expected: shape.to_vec() });
        }
        match Values(view.data()).iter().enumerate().find(|(_, value)| !value.is_finite()) {
            Some((position, value)) => Err(WeightsError::NotFinite { path, tensor, position, value }),
            None => Ok(()),
        }
    }
}

/// The tensors of a signature, all finite. Only [`WeightsFile`]'s checks make one.
#[derive(Debug, Clone)]
pub struct CheckedWeights<'a> {
    tensors: BTreeMap<String, Values<'a>>,
}

impl<'a> CheckedWeights<'a> {
    /// The values of one tensor, row-major.
    ///
    /// # Panics
    /// If `name` is not in the signature that was checked.
    #[must_use]
    pub fn values(&self, name: &str) -> Values<'a> {
        self.tensors[name]
    }

    /// Where in `file`, from which these were checked, each tensor's values begin: bytes from its start.
    #[must_use]
    pub fn offsets(&self, file: &WeightsFile) -> BTreeMap<String, u64> {
        let start = file.map.as_ptr().addr();
        let offset = |values: &Values<'_>| (values.0.as_ptr().addr() - start) as u64;
        self.tensors.iter().map(|(name, values)| (name.clone(), offset(values))).collect()
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

    /// The values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = f32> + '_ {
        self.0.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }
}

/// Tensors in memory, by name: row-major values whose shapes a [`Signature`] gives.
pub type Tensors = BTreeMap<String, Vec<f32>>;

/// Writes `tensors` as safetensors and returns the digest of the file. The same tensors give the
/// same bytes. The file appears whole or not at all.
///
/// # Errors
/// A tensor of the signature that is missing or of the wrong size, or a failure to write.
pub fn write(path: &Path, signature: &Signature, tensors: &Tensors) -> Result<Digest, WeightsError> {
    for (name, shape) in &signature.0 {
        let missing = || WeightsError::Missing { path: path.to_owned(), tensor: name.clone() };
        let found = tensors.get(name).ok_or_else(missing)?.len();
        if found != shape.iter().product::<usize>() {
            let (path, tensor, expected) = (path.to_owned(), name.clone(), shape.clone());
            return Err(WeightsError::Shape { path, tensor, found: vec![found], expected });
        }
    }
    let views = signature.0.iter().map(|(name, shape)| (name, Unwritten { shape, values: &tensors[name] }));
    let io = |source| WeightsError::Io { path: path.to_owned(), source };
    atomically(path, |file| match safetensors::serialize_to_file(views, None, file.path()) {
        Ok(()) => Ok(()),
        Err(safetensors::SafeTensorError::IoError(error)) => Err(error),
        Err(other) => Err(io::Error::other(other)),
    })
    .and_then(|()| Digest::of_file(path))
    .map_err(io)
}

/// A tensor on its way into a file: its bytes are made when their turn has come.
struct Unwritten<'a> {
    shape: &'a [usize],
    values: &'a [f32],
}

impl safetensors::View for Unwritten<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    fn data_len(&self) -> usize {
        self.values.len() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature() -> Signature {
        Signature([("a.bias".to_owned(), vec![2]), ("a.weight".to_owned(), vec![2, 3])].into())
    }

    fn tensors() -> Tensors {
        [("a.bias".to_owned(), vec![1.0, -2.0]), ("a.weight".to_owned(), vec![0.5; 6])].into()
    }

    fn file(tensors: &Tensors, signature: &Signature) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        write(&path, signature, tensors).unwrap();
        (folder, path)
    }

    #[test]
    fn what_is_written_is_read_and_has_the_digest_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let digest = write(&path, &signature(), &tensors()).unwrap();
        assert_eq!(digest, Digest::of_file(&path).unwrap());
        let file = WeightsFile::open(&path).unwrap();
        let checked = file.check(&signature()).unwrap();
        assert_eq!(checked.values("a.bias").iter().collect::<Vec<_>>(), [1.0, -2.0]);
        assert_eq!(write(&path, &signature(), &tensors()).unwrap(), digest);
    }

    #[test]
    fn values_that_are_not_finite_are_named() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut tensors = tensors();
            tensors.get_mut("a.weight").unwrap()[4] = bad;
            let (_folder, path) = file(&tensors, &signature());
            let error = WeightsFile::open(&path).unwrap().check(&signature()).unwrap_err().to_string();
            assert!(error.contains("`a.weight`") && error.contains("position 4"), "{error}");
        }
    }

    #[test]
    fn missing_extra_and_reshaped_tensors_are_named() {
        let (_folder, path) = file(&tensors(), &signature());
        let opened = WeightsFile::open(&path).unwrap();
        let check = |expected: Signature| opened.check(&expected).unwrap_err().to_string();
        let mut more = signature();
        more.0.insert("b".to_owned(), vec![1]);
        assert!(check(more).contains("`b` is missing"));
        let mut fewer = signature();
        fewer.0.remove("a.bias");
        assert!(check(fewer).contains("`a.bias` is not part"));
        let mut other = signature();
        other.0.insert("a.weight".to_owned(), vec![3, 2]);
        assert!(check(other).contains("shape [2, 3], expected [3, 2]"));
    }

    #[test]
    fn truncated_and_random_bytes_are_refused() {
        let (folder, path) = file(&tensors(), &signature());
        let whole = std::fs::read(&path).unwrap();
        for length in [1, 7, 8, 20, whole.len() - 1] {
            let cut = folder.path().join("cut");
            std::fs::write(&cut, &whole[..length]).unwrap();
            assert!(WeightsFile::open(&cut).unwrap().check(&signature()).is_err(), "{length}");
        }
        let huge = folder.path().join("huge");
        std::fs::write(&huge, [0xff; 64]).unwrap();
        assert!(WeightsFile::open(&huge).unwrap().check(&signature()).is_err());
    }
}
