//! The file of decoded samples: a head, the samples one after another, an index with an entry of fixed size for
//! each, and a tail that says where the index is. Numbers are little-endian.
//!
//! An entry has a checksum of its sample and the tail has one of the index, so that what a disk has lost is
//! found. The file appears under its name only when it is whole.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::packed::{Packed, Pixels};
use crate::error::DataError;
use crate::open::open_regular;
use crate::sample::Target;

const HEAD: &[u8; 8] = b"EOSFEDS1";
const ENTRY: usize = 32;
const TAIL: usize = 32;
/// Entries of the index that are held in memory at most: 512 MiB of them.
const MOST_SAMPLES: u64 = 16 << 20;
/// Most bytes of a sample.
const MOST_BYTES: u64 = 2 << 30;

/// Where a sample is, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    offset: u64,
    height: u32,
    width: u32,
    channels: u32,
    /// Classes of a target that is a list of flags.
    classes: u32,
    checksum: u32,
    /// Bytes of a value: 1, 2 or 4.
    value: u8,
    invalid: bool,
    target: u8,
}

const CLASS: u8 = 0;
const CLASSES: u8 = 1;
const MASK: u8 = 2;
const VALUES: u8 = 3;

impl Entry {
    fn bytes(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        for (at, number) in
            [self.height, self.width, self.channels, self.classes, self.checksum].iter().enumerate()
        {
            bytes[8 + at * 4..12 + at * 4].copy_from_slice(&number.to_le_bytes());
        }
        bytes[28..31].copy_from_slice(&[self.value, u8::from(self.invalid), self.target]);
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let entry = Self {
            offset: u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?),
            height: word(8)?,
            width: word(12)?,
            channels: word(16)?,
            classes: word(20)?,
            checksum: word(24)?,
            value: *bytes.get(28)?,
            invalid: *bytes.get(29)? != 0,
            target: *bytes.get(30)?,
        };
        (matches!(entry.value, 1 | 2 | 4) && entry.target <= VALUES).then_some(entry)
    }

    /// Bytes of the values, of the flags of pixels without data, and of the label; none if they are too many.
    fn parts(&self) -> Option<[usize; 3]> {
        let pixels = u64::from(self.height).checked_mul(self.width.into())?;
        let values = pixels.checked_mul(self.channels.into())?.checked_mul(self.value.into())?;
        let invalid = if self.invalid { pixels } else { 0 };
        let target = match self.target {
            CLASS => 8,
            CLASSES => self.classes.into(),
            MASK => pixels,
            _ => pixels.checked_mul(4)?,
        };
        let parts = [values, invalid, target];
        (parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(*part))? <= MOST_BYTES)
            .then(|| parts.map(|part| part as usize))
    }
}

/// The bytes of a sample, and its entry but for the offset.
fn encode(packed: &Packed) -> (Entry, Vec<u8>) {
    let mut bytes = Vec::new();
    let value = match &packed.pixels {
        Pixels::U8(values) => {
            bytes.extend_from_slice(values);
            1
        }
        Pixels::U16(values) => {
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            2
        }
        Pixels::F32(values) => {
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            4
        }
    };
    bytes.extend(packed.invalid.iter().flatten());
    let mut classes = 0;
    let target = match &packed.target {
        Target::Class(class) => {
            bytes.extend_from_slice(&(*class as u64).to_le_bytes());
            CLASS
        }
        Target::Classes(present) => {
            classes = present.len() as u32;
            bytes.extend(present.iter().map(|has| u8::from(*has)));
            CLASSES
        }
        Target::Mask(mask) => {
            bytes.extend_from_slice(mask);
            MASK
        }
        Target::Values(values) => {
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            VALUES
        }
    };
    let entry = Entry {
        offset: 0,
        height: packed.height as u32,
        width: packed.width as u32,
        channels: packed.channels() as u32,
        classes,
        checksum: crc32fast::hash(&bytes),
        value,
        invalid: packed.invalid.is_some(),
        target,
    };
    (entry, bytes)
}

fn decode(entry: &Entry, bytes: &[u8]) -> Option<Packed> {
    let [values, invalid, target] = entry.parts()?;
    let (image, rest) = bytes.split_at_checked(values)?;
    let (flags, label) = rest.split_at_checked(invalid)?;
    let float = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let floats = |bytes: &[u8]| bytes.chunks_exact(4).map(float).collect();
    let short = |bytes: &[u8]| u16::from_le_bytes([bytes[0], bytes[1]]);
    let pixels = match entry.value {
        1 => Pixels::U8(image.to_vec()),
        2 => Pixels::U16(image.chunks_exact(2).map(short).collect()),
        _ => Pixels::F32(floats(image)),
    };
    let label = label.get(..target)?;
    let target = match entry.target {
        CLASS => Target::Class(u64::from_le_bytes(label.try_into().ok()?) as usize),
        CLASSES => Target::Classes(label.iter().map(|has| *has != 0).collect()),
        MASK => Target::Mask(label.to_vec()),
        _ => Target::Values(floats(label)),
    };
    Some(Packed {
        height: entry.height as usize,
        width: entry.width as usize,
        pixels,
        invalid: entry.invalid.then(|| flags.to_vec()),
        target,
    })
}

/// Bytes that a sample takes in a file, with its entry.
pub(super) fn size(packed: &Packed) -> u64 {
    let value = match packed.pixels {
        Pixels::U8(_) => 1,
        Pixels::U16(_) => 2,
        Pixels::F32(_) => 4,
    };
    let label = match &packed.target {
        Target::Class(_) => 8,
        Target::Classes(present) => present.len(),
        Target::Mask(mask) => mask.len(),
        Target::Values(values) => values.len() * 4,
    };
    let invalid = packed.invalid.as_ref().map_or(0, Vec::len);
    (packed.pixels.len() * value + invalid + label + ENTRY) as u64
}

/// A file that is being written. It is removed if it is dropped before it is finished.
pub(super) struct Writer {
    file: BufWriter<NamedTempFile>,
    index: Vec<u8>,
    written: u64,
}

impl Writer {
    pub(super) fn new(mut file: NamedTempFile) -> std::io::Result<Self> {
        file.write_all(HEAD)?;
        Ok(Self {
            file: BufWriter::with_capacity(1 << 20, file),
            index: Vec::new(),
            written: HEAD.len() as u64,
        })
    }

    pub(super) fn add(&mut self, packed: &Packed) -> std::io::Result<()> {
        let (entry, bytes) = encode(packed);
        self.index.extend_from_slice(&Entry { offset: self.written, ..entry }.bytes());
        self.file.write_all(&bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Bytes of the file if it were finished now.
    pub(super) fn bytes(&self) -> u64 {
        self.written + (self.index.len() + TAIL) as u64
    }

    /// Gives the file its name.
    pub(super) fn finish(mut self, path: &Path) -> std::io::Result<()> {
        self.file.write_all(&self.index)?;
        let mut tail = Vec::with_capacity(TAIL);
        tail.extend_from_slice(&self.written.to_le_bytes());
        tail.extend_from_slice(&((self.index.len() / ENTRY) as u64).to_le_bytes());
        tail.extend_from_slice(&crc32fast::hash(&self.index).to_le_bytes());
        tail.extend_from_slice(&[0; 4]);
        tail.extend_from_slice(HEAD);
        self.file.write_all(&tail)?;
        let file = self.file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// An opened file of decoded samples.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    file: File,
    index: Vec<u8>,
}

impl Reader {
    /// Opens a file and checks its index.
    ///
    /// # Errors
    /// If it is not there, or not a whole file of samples.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let file = open_regular(path)?;
        let fail = |error: std::io::Error| DataError::file(path, error);
        let damaged = || DataError::file(path, "is not a whole file of decoded samples");
        let length = file.metadata().map_err(fail)?.len();
        let tail_at = length.checked_sub(TAIL as u64).ok_or_else(damaged)?;
        let mut tail = [0; TAIL];
        file.read_exact_at(&mut tail, tail_at).map_err(fail)?;
        let word = |at: usize| tail[at..at + 8].try_into().map(u64::from_le_bytes).unwrap_or_default();
        let start = word(0);
        let samples = word(8);
        let fits = samples <= MOST_SAMPLES && start.checked_add(samples * ENTRY as u64) == Some(tail_at);
        if &tail[24..] != HEAD || !fits {
            return Err(damaged());
        }
        let mut index = vec![0; samples as usize * ENTRY];
        file.read_exact_at(&mut index, start).map_err(fail)?;
        if crc32fast::hash(&index).to_le_bytes() != tail[16..20] {
            return Err(damaged());
        }
        Ok(Self { path: path.to_owned(), file, index })
    }

    /// Number of samples.
    pub(super) fn len(&self) -> usize {
        self.index.len() / ENTRY
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, to set the time of its last use.
    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Reads a sample.
    ///
    /// # Errors
    /// If it cannot be read or is not what was written.
    pub(super) fn read(&self, at: usize) -> Result<Packed, DataError> {
        let damaged = || DataError::file(&self.path, format!("decoded sample {at} is damaged"));
        let entry =
            self.index.get(at * ENTRY..(at + 1) * ENTRY).and_then(Entry::parse).ok_or_else(damaged)?;
        let length = entry.parts().ok_or_else(damaged)?.iter().sum();
        let mut bytes = vec![0; length];
        self.file
            .read_exact_at(&mut bytes, entry.offset)
            .map_err(|error| DataError::file(&self.path, error))?;
        if crc32fast::hash(&bytes) != entry.checksum {
            return Err(damaged());
        }
        decode(&entry, &bytes).ok_or_else(damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Packed> {
        let packed = |pixels, invalid, target| Packed { height: 1, width: 2, pixels, invalid, target };
        vec![
            packed(Pixels::U8(vec![0, 255, 7, 9]), None, Target::Class(3)),
            packed(Pixels::U16(vec![0, 65_535]), Some(vec![1, 0]), Target::Mask(vec![255, 4])),
            packed(Pixels::F32(vec![-0.5, 1e9]), None, Target::Values(vec![0.25, -7.0])),
            packed(Pixels::U8(vec![1, 2]), None, Target::Classes(vec![true, false, true])),
        ]
    }

    fn written(folder: &Path) -> PathBuf {
        let path = folder.join("x.samples");
        let mut writer = Writer::new(NamedTempFile::new_in(folder).unwrap()).unwrap();
        samples().iter().for_each(|sample| writer.add(sample).unwrap());
        let bytes = writer.bytes();
        assert!(!path.exists(), "an unfinished file has no name");
        writer.finish(&path).unwrap();
        assert_eq!(path.metadata().unwrap().len(), bytes);
        let each: u64 = samples().iter().map(size).sum();
        assert_eq!(bytes, each + (HEAD.len() + TAIL) as u64);
        path
    }

    #[test]
    fn samples_come_back_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let reader = Reader::open(&written(folder.path())).unwrap();
        assert_eq!(reader.len(), 4);
        for at in [3, 0, 2, 1] {
            assert_eq!(reader.read(at).unwrap(), samples()[at]);
        }
        assert!(reader.read(4).is_err());
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(Reader::open(&path).is_err(), "{length} bytes");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            std::fs::write(&path, &bytes).unwrap();
            let Ok(reader) = Reader::open(&path) else { continue };
            let found: Vec<_> = (0..4).filter_map(|sample| reader.read(sample).ok()).collect();
            // The head, and the tail's padding, say nothing about samples.
            let silent = at < HEAD.len() || (whole.len() - 12..whole.len() - 8).contains(&at);
            assert!(silent || found.len() < 4, "a changed byte {at} went unseen");
            assert!(found.iter().all(|sample| samples().contains(sample)));
        }
    }
}
