//! The directories of a TIFF file (TIFF 6.0, section 2, and BigTIFF), read before anything is decoded: the
//! decoder allocates as many values as a tag declares, and reads some files wrongly that can be recognised by
//! their tags.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use tiff::tags::{Tag, Type};

/// Most tags of a directory; a real one has a few dozen.
const MOST_TAGS: u64 = 4096;
/// Most bytes of the values of one tag that are looked at; the decoder takes no more either.
const MOST_BYTES: u64 = 1 << 20;

/// An opened file.
pub(super) struct Directories<'a, R> {
    file: &'a mut R,
    /// Bytes in the file.
    length: u64,
    little: bool,
    /// Bytes of an offset.
    wide: usize,
}

/// The tags of one directory. If a tag occurs twice, the last one counts, as for the decoder.
pub(super) struct Directory {
    entries: BTreeMap<u16, Entry>,
    /// Where the next directory begins; 0 if there is none.
    pub(super) next: u64,
}

struct Entry {
    kind: Type,
    count: u64,
    /// The values, or where they begin in the file if they do not fit.
    field: Vec<u8>,
}

impl<'a, R: Read + Seek> Directories<'a, R> {
    /// The file and the position of its first directory; `None` if it is no TIFF, for which the decoder has
    /// the better message.
    pub(super) fn open(file: &'a mut R, length: u64) -> Option<(Self, u64)> {
        let mut head = [0; 4];
        file.seek(SeekFrom::Start(0)).and_then(|_| file.read_exact(&mut head)).ok()?;
        let little = match &head[..2] {
            b"II" => true,
            b"MM" => false,
            _ => return None,
        };
        let mut found = Self { file, length, little, wide: 4 };
        match if little { head[2] } else { head[3] } {
            42 => {}
            43 => {
                // The size of an offset, always 8, and a reserved number.
                found.number(4).ok()?;
                found.wide = 8;
            }
            _ => return None,
        }
        let first = found.number(found.wide).ok()?;
        Some((found, first))
    }

    /// The directory that begins at an offset.
    ///
    /// # Errors
    /// If it is outside the file or is cut short.
    pub(super) fn read(&mut self, offset: u64) -> io::Result<Directory> {
        self.file.seek(SeekFrom::Start(offset))?;
        let count = self.number(if self.wide == 8 { 8 } else { 2 })?;
        if count > MOST_TAGS {
            let text = format!("a directory may have {MOST_TAGS} tags, found `{count}`");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut entries = BTreeMap::new();
        for _ in 0..count {
            let tag = self.number(2)? as u16;
            let kind = Type::from_u16(self.number(2)? as u16);
            let count = self.number(self.wide)?;
            let mut field = vec![0; self.wide];
            self.file.read_exact(&mut field)?;
            // Entries of unknown types are skipped.
            if let Some(kind) = kind {
                entries.insert(tag, Entry { kind, count, field });
            }
        }
        // Some writers leave out the last number of the file.
        let next = self.number(self.wide).unwrap_or(0);
        Ok(Directory { entries, next })
    }

    /// Checks that the values of each tag fit into the file.
    ///
    /// # Errors
    /// A sentence about the first tag that does not fit.
    pub(super) fn check_lengths(&self, directory: &Directory) -> Result<(), String> {
        let length = self.length;
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
    pub(super) fn numbers(&mut self, directory: &Directory, tag: Tag) -> Result<Option<Vec<u64>>, String> {
        let Some((kind, bytes)) = self.values(directory, tag)? else { return Ok(None) };
        let whole = matches!(
            kind,
            Type::BYTE | Type::SHORT | Type::LONG | Type::LONG8 | Type::IFD | Type::IFD8 | Type::UNDEFINED
        );
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
    pub(super) fn bytes(&mut self, directory: &Directory, tag: Tag) -> Result<Option<Vec<u8>>, String> {
        let Some((kind, bytes)) = self.values(directory, tag)? else { return Ok(None) };
        if size(kind) != 1 {
            return Err(format!("tag {} ({tag:?}) must hold bytes, found type `{kind:?}`", tag.to_u16()));
        }
        Ok(Some(bytes))
    }

    fn values(&mut self, directory: &Directory, tag: Tag) -> Result<Option<(Type, Vec<u8>)>, String> {
        let Some(entry) = directory.entries.get(&tag.to_u16()) else { return Ok(None) };
        let length = entry.bytes();
        if length > MOST_BYTES.min(self.length) {
            let most = MOST_BYTES.min(self.length);
            return Err(format!("tag {} ({tag:?}) may take {most} bytes, found `{length}`", tag.to_u16()));
        }
        let length = length as usize;
        let bytes = if length <= self.wide {
            entry.field[..length].to_vec()
        } else {
            let mut bytes = vec![0; length];
            let offset = number(&entry.field, self.little);
            let read = self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.read_exact(&mut bytes));
            read.map_err(|error| format!("tag {} ({tag:?}) cannot be read: {error}", tag.to_u16()))?;
            bytes
        };
        Ok(Some((entry.kind, bytes)))
    }

    /// The next number of up to 8 bytes.
    fn number(&mut self, bytes: usize) -> io::Result<u64> {
        let mut raw = [0; 8];
        self.file.read_exact(&mut raw[..bytes])?;
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
