//! The directories of a TIFF file (TIFF 6.0, section 2, and BigTIFF).

use std::collections::BTreeMap;
use std::io;

use tiff::tags::{Tag, Type};

use super::source::Source;

/// Most tags of a directory; a real one has a few dozen.
const MOST_TAGS: u64 = 4096;
/// Most bytes of the values of one tag, other than a table of strips or tiles.
const MOST_BYTES: u64 = 1 << 20;

/// The directories of an opened file.
pub(super) struct Directories<'a> {
    file: &'a Source,
    /// Whether the lowest byte of a number comes first.
    pub(super) little: bool,
    /// Bytes of an offset.
    wide: usize,
}

/// The tags of one directory.
pub(super) struct Directory {
    entries: BTreeMap<u16, Entry>,
    /// Where the next directory begins; 0 if there is none.
    pub(super) next: u64,
}

#[derive(PartialEq)]
struct Entry {
    kind: Type,
    count: u64,
    /// The values, or where they begin in the file if they do not fit.
    field: Vec<u8>,
}

impl Directory {
    pub(super) fn has(&self, tag: Tag) -> bool {
        self.entries.contains_key(&tag.to_u16())
    }
}

impl<'a> Directories<'a> {
    /// The file and the position of its first directory.
    ///
    /// # Errors
    /// If it is no TIFF.
    pub(super) fn open(file: &'a Source) -> Result<(Self, u64), String> {
        let other =
            || "it must begin as a TIFF file does: `II` or `MM`, then 42 or 43; it is damaged".to_owned();
        let mut head = [0; 4];
        file.fill(0, &mut head).map_err(|error| error.to_string())?;
        let little = match &head[..2] {
            b"II" => true,
            b"MM" => false,
            _ => return Err(other()),
        };
        let (wide, first) = match number(&head[2..], little) {
            42 => (4, 4),
            // After the size of an offset, which is always 8, and a reserved number.
            43 => (8, 8),
            _ => return Err(other()),
        };
        let found = Self { file, little, wide };
        let first = found.number(first, wide).map_err(|error| error.to_string())?;
        Ok((found, first))
    }

    /// The directory that begins at an offset.
    ///
    /// # Errors
    /// If it is outside the file, is cut short, or says two things by one tag.
    pub(super) fn read(&self, offset: u64) -> io::Result<Directory> {
        let wide = if self.wide == 8 { 8 } else { 2 };
        let count = self.number(offset, wide)?;
        if count > MOST_TAGS {
            let text = format!("a directory may have {MOST_TAGS} tags, found `{count}`");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let begin = offset + wide as u64;
        let size = 4 + 2 * self.wide;
        let raw = self.file.bytes(begin, count * size as u64)?;
        let mut entries = BTreeMap::new();
        for entry in raw.chunks_exact(size) {
            let tag = number(&entry[..2], self.little) as u16;
            let count = number(&entry[4..4 + self.wide], self.little);
            // Entries of unknown types are skipped.
            if let Some(kind) = Type::from_u16(number(&entry[2..4], self.little) as u16) {
                let entry = Entry { kind, count, field: entry[4 + self.wide..].to_vec() };
                // libtiff takes the first one, others the last.
                if entries.get(&tag).is_some_and(|other| *other != entry) {
                    let text =
                        format!("a directory must have each tag once, found tag {tag} with two values");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
                entries.insert(tag, entry);
            }
        }
        // Some writers leave out the last number of the file.
        let next = self.number(begin + raw.len() as u64, self.wide).unwrap_or(0);
        Ok(Directory { entries, next })
    }

    /// Checks that the values of each tag fit into the file.
    ///
    /// # Errors
    /// A sentence about the first tag that does not fit.
    pub(super) fn check_lengths(&self, directory: &Directory) -> Result<(), String> {
        let length = self.file.length();
        match directory.entries.iter().find(|(_, entry)| entry.bytes() > length) {
            None => Ok(()),
            Some((tag, Entry { count, .. })) => Err(format!(
                "tag {tag} of its header must fit into its {length} bytes, found `{count}` values; it is damaged"
            )),
        }
    }

    /// The whole numbers of a tag; `None` if the directory has no such tag.
    ///
    /// # Errors
    /// A sentence if the tag holds something else, or more than is looked at.
    pub(super) fn numbers(&self, directory: &Directory, tag: Tag) -> Result<Option<Vec<u64>>, String> {
        self.many_numbers(directory, tag, MOST_BYTES)
    }

    /// As [`Self::numbers`], of at most so many bytes.
    ///
    /// # Errors
    /// As [`Self::numbers`].
    pub(super) fn many_numbers(
        &self,
        directory: &Directory,
        tag: Tag,
        most: u64,
    ) -> Result<Option<Vec<u64>>, String> {
        let Some((kind, bytes)) = self.values(directory, tag, most)? else { return Ok(None) };
        let whole =
            matches!(kind, Type::BYTE | Type::SHORT | Type::LONG | Type::LONG8 | Type::IFD | Type::IFD8);
        if !whole {
            return Err(format!(
                "tag {} ({tag:?}) must hold whole numbers, found type `{kind:?}`",
                tag.to_u16()
            ));
        }
        let numbers = bytes.chunks_exact(size(kind)).map(|raw| number(raw, self.little));
        Ok(Some(numbers.collect()))
    }

    /// The bytes of a tag that holds text or a block of bytes.
    ///
    /// # Errors
    /// As [`Self::numbers`].
    pub(super) fn bytes(&self, directory: &Directory, tag: Tag) -> Result<Option<Vec<u8>>, String> {
        let Some((kind, bytes)) = self.values(directory, tag, MOST_BYTES)? else { return Ok(None) };
        if size(kind) != 1 {
            return Err(format!("tag {} ({tag:?}) must hold bytes, found type `{kind:?}`", tag.to_u16()));
        }
        Ok(Some(bytes))
    }

    /// The floats of a tag; none if there is no such tag or it holds something else.
    pub(super) fn floats(&self, directory: &Directory, tag: Tag) -> Vec<f64> {
        let Ok(Some((kind, bytes))) = self.values(directory, tag, MOST_BYTES) else { return Vec::new() };
        let raw = bytes.chunks_exact(size(kind)).map(|raw| number(raw, self.little));
        match kind {
            Type::DOUBLE => raw.map(f64::from_bits).collect(),
            Type::FLOAT => raw.map(|bits| f32::from_bits(bits as u32).into()).collect(),
            _ => Vec::new(),
        }
    }

    fn values(&self, directory: &Directory, tag: Tag, most: u64) -> Result<Option<(Type, Vec<u8>)>, String> {
        let Some(entry) = directory.entries.get(&tag.to_u16()) else { return Ok(None) };
        let length = entry.bytes();
        if length > most.min(self.file.length()) {
            let most = most.min(self.file.length());
            return Err(format!("tag {} ({tag:?}) may take {most} bytes, found `{length}`", tag.to_u16()));
        }
        if length <= self.wide as u64 {
            return Ok(Some((entry.kind, entry.field[..length as usize].to_vec())));
        }
        let offset = number(&entry.field, self.little);
        let bytes = self.file.bytes(offset, length);
        let bytes =
            bytes.map_err(|error| format!("tag {} ({tag:?}) cannot be read: {error}", tag.to_u16()))?;
        Ok(Some((entry.kind, bytes)))
    }

    /// The number of up to 8 bytes at an offset.
    fn number(&self, offset: u64, bytes: usize) -> io::Result<u64> {
        let mut raw = [0; 8];
        self.file.fill(offset, &mut raw[..bytes])?;
        Ok(number(&raw[..bytes], self.little))
    }
}

impl Entry {
    /// Bytes of all its values.
    fn bytes(&self) -> u64 {
        self.count.saturating_mul(size(self.kind) as u64)
    }
}

fn number(raw: &[u8], little: bool) -> u64 {
    let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    if little { raw.iter().rev().fold(0, add) } else { raw.iter().fold(0, add) }
}

/// Bytes of a value of this type (TIFF 6.0, section 2, and BigTIFF).
const fn size(kind: Type) -> usize {
    match kind {
        Type::SHORT | Type::SSHORT => 2,
        Type::LONG | Type::SLONG | Type::FLOAT | Type::IFD => 4,
        Type::RATIONAL | Type::SRATIONAL | Type::DOUBLE | Type::LONG8 | Type::SLONG8 | Type::IFD8 => 8,
        _ => 1,
    }
}
