//! Writing a file of weights piece by piece, so that none of its tensors has to be in memory.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::{Signature, WeightsError};

/// A file of weights that is being written: values at their places, in any order and by several threads. Complete, it
/// has the bytes that [`write()`](super::write()) gives for the same values.
///
/// The file appears under its name at once, with 0 for what was not written yet. So the path is a temporary one, which
/// is moved to where it belongs when all is written.
#[derive(Debug)]
pub struct WeightsWriter {
    path: PathBuf,
    file: File,
    /// Where the values of each tensor begin and how many they are, in the order of the signature.
    tensors: Vec<(u64, usize)>,
}

impl WeightsWriter {
    /// Begins the file `path`, with what it holds replaced.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(path: &Path, signature: &Signature) -> Result<Self, WeightsError> {
        let io = |source| WeightsError::Io { path: path.to_owned(), source };
        let places = places(signature);
        let header = header(signature, &places).map_err(io)?;
        let begin = (LENGTH + header.len()) as u64;
        let tensors = places.into_iter().map(|(offset, length)| (begin + offset as u64, length)).collect();
        let mut file = File::create(path).map_err(io)?;
        file.write_all(&(header.len() as u64).to_le_bytes()).map_err(io)?;
        file.write_all(&header).map_err(io)?;
        file.set_len(begin + 4 * signature.parameters() as u64).map_err(io)?;
        Ok(Self { path: path.to_owned(), file, tensors })
    }

    /// Writes values of the tensor with this position in the signature, from the value `start` on.
    ///
    /// # Errors
    /// If they cannot be written.
    ///
    /// # Panics
    /// If the tensor has no such values.
    pub fn write(&self, tensor: usize, start: usize, values: &[f32]) -> Result<(), WeightsError> {
        let (begin, length) = self.tensors[tensor];
        assert!(start + values.len() <= length, "values {start} and {} more of {length}", values.len());
        let mut bytes = Vec::with_capacity(4 * values.len().min(AT_ONCE));
        for (index, values) in values.chunks(AT_ONCE).enumerate() {
            bytes.clear();
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            let offset = begin + 4 * (start + index * AT_ONCE) as u64;
            let written = self.file.write_all_at(&bytes, offset);
            written.map_err(|source| WeightsError::Io { path: self.path.clone(), source })?;
        }
        Ok(())
    }
}

/// Bytes of the length of the header.
const LENGTH: usize = 8;
/// Values that are written at once.
const AT_ONCE: usize = 1 << 14;

/// Each tensor's offset after the header in bytes, and its number of values. Names are in order and all dtypes are the
/// same, so this is the order in which safetensors stores tensors.
fn places(signature: &Signature) -> Vec<(usize, usize)> {
    let mut end = 0;
    let place = |shape: &Vec<usize>| {
        let length = shape.iter().product::<usize>();
        end += 4 * length;
        (end - 4 * length, length)
    };
    signature.0.values().map(place).collect()
}

fn header(signature: &Signature, places: &[(usize, usize)]) -> io::Result<Vec<u8>> {
    let info = |((name, shape), (begin, length)): ((&String, &Vec<usize>), &(usize, usize))| {
        let data_offsets = (*begin, begin + 4 * length);
        (name.clone(), TensorInfo { dtype: Dtype::F32, shape: shape.clone(), data_offsets })
    };
    let infos = signature.0.iter().zip(places).map(info).collect();
    let metadata = Metadata::new(None, infos).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&metadata)?;
    header.resize(header.len().next_multiple_of(LENGTH), b' ');
    Ok(header)
}
