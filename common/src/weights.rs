//! Weights as files: safetensors and nothing else, checked by name, shape, dtype and finiteness
//! on every entry, and named by the digest of their bytes.
//!
//! Not here: which tensors a model has (see [`crate::model`]) and moving bytes between programs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use memmap2::Mmap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// SHA-256 of a blob's bytes, written `sha256:<64 hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of a file's contents, read in pieces.
    ///
    /// # Errors
    /// Whatever reading the file gives.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let mut hasher = Hasher::default();
        let mut file = File::open(path)?;
        let mut buffer = vec![0; 128 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher.finish()),
                read => hasher.update(&buffer[..read]),
            }
        }
    }

    /// The 64 hexadecimal digits, without the algorithm's name: a safe file name.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a digest is `sha256:` and 64 lower-case hexadecimal digits")]
pub struct InvalidDigest;

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let digits = text.strip_prefix("sha256:").ok_or(InvalidDigest)?;
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(InvalidDigest);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| InvalidDigest)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

/// A digest under construction.
#[derive(Debug, Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes added.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

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

/// Writes a file that appears whole or not at all: a temporary file beside it, synced, renamed.
///
/// # Errors
/// Whatever the file system gives; the old file, if any, is then untouched.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    atomically(path, |file| file.write_all(bytes))
}

fn atomically(
    path: &Path,
    fill: impl FnOnce(&mut tempfile::NamedTempFile) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    fill(&mut file)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
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

    #[test]
    fn digests_survive_text() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!(digest.to_hex().starts_with("ba7816bf"));
        for bad in ["", "sha256:", "md5:00", &digest.to_string().to_uppercase(), &digest.to_string()[..70]] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
