//! The start of a TIFF file that is being written, from its first byte to its pixels: all directories with their
//! values come before the pixels, as in a Cloud Optimized GeoTIFF (TIFF 6.0, section 2; BigTIFF; GDAL's COG driver,
//! "File format details").

use std::collections::BTreeMap;

use tiff::TiffError;
use tiff::encoder::TiffValue;
use tiff::tags::{Tag, Type};

/// The tags whose values grow with an image. They come after all other ones, so that a reader which asks for the first
/// few kilobytes has all directories.
const TABLES: [u16; 2] = [Tag::TileOffsets.to_u16(), Tag::TileByteCounts.to_u16()];

/// The tags of one image.
#[derive(Default)]
pub(super) struct ImageTags(BTreeMap<u16, Entry>);

struct Entry {
    kind: Type,
    count: usize,
    bytes: Vec<u8>,
}

impl ImageTags {
    /// Adds a tag, or gives it another value.
    pub(super) fn put<T: TiffValue>(&mut self, tag: Tag, value: T) {
        let entry = Entry { kind: T::FIELD_TYPE, count: value.count(), bytes: value.data().into_owned() };
        self.0.insert(tag.to_u16(), entry);
    }
}

/// The widths of numbers: classic TIFF has offsets of 4 bytes, BigTIFF of 8.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Classic,
    Big,
}

impl Width {
    /// Numbers as offsets: their tag has one type whatever they are, so that the length of a head does not depend on
    /// them.
    ///
    /// # Errors
    /// If a number needs more than 4 bytes and the file is classic.
    pub(super) fn put(self, tags: &mut ImageTags, tag: Tag, numbers: &[u64]) -> Result<(), TiffError> {
        match self {
            Self::Classic => {
                let numbers: Vec<u32> =
                    numbers.iter().map(|number| u32::try_from(*number)).collect::<Result<_, _>>()?;
                tags.put(tag, &numbers[..]);
            }
            Self::Big => tags.put(tag, numbers),
        }
        Ok(())
    }

    const fn offset(self) -> usize {
        match self {
            Self::Classic => 4,
            Self::Big => 8,
        }
    }

    /// The bytes of an offset or of a number of values.
    fn bytes(self, number: usize) -> Result<Vec<u8>, TiffError> {
        Ok(match self {
            Self::Classic => u32::try_from(number)?.to_ne_bytes().to_vec(),
            Self::Big => u64::try_from(number)?.to_ne_bytes().to_vec(),
        })
    }

    /// The bytes of the number of tags of a directory.
    fn count(self, tags: usize) -> Result<Vec<u8>, TiffError> {
        match self {
            Self::Classic => Ok(u16::try_from(tags)?.to_ne_bytes().to_vec()),
            Self::Big => self.bytes(tags),
        }
    }

    /// The first bytes of a file, but for the offset of the first directory that ends them.
    fn mark(self) -> Vec<u8> {
        let order: &[u8] = if cfg!(target_endian = "little") { b"II" } else { b"MM" };
        let numbers: &[u16] = match self {
            Self::Classic => &[42],
            // The size of an offset, and a reserved number.
            Self::Big => &[43, 8, 0],
        };
        order.iter().copied().chain(numbers.iter().flat_map(|number| number.to_ne_bytes())).collect()
    }
}

/// The start of a file of these images: `ghost`, which readers without a word for it pass over, then the directories in
/// this order, each with its values, then the tables of tiles. Its length does not depend on the numbers in them.
///
/// # Errors
/// If it does not fit the width of the numbers.
pub(super) fn head(images: &[ImageTags], width: Width, ghost: &[u8]) -> Result<Vec<u8>, TiffError> {
    let mut head = width.mark();
    // Where the offset of the next directory belongs.
    let mut next = head.len();
    head.resize(next + width.offset(), 0);
    head.extend(ghost);
    let mut tables = Vec::new();
    for ImageTags(entries) in images {
        let at = end(&mut head);
        put(&mut head, next, &width.bytes(at)?);
        head.extend(width.count(entries.len())?);
        let mut field = head.len();
        let size = 4 + 2 * width.offset();
        next = field + entries.len() * size;
        head.resize(next + width.offset(), 0);
        for (tag, Entry { kind, count, bytes }) in entries {
            put(&mut head, field, &tag.to_ne_bytes());
            put(&mut head, field + 2, &kind.to_u16().to_ne_bytes());
            put(&mut head, field + 4, &width.bytes(*count)?);
            let value = field + 4 + width.offset();
            if bytes.len() <= width.offset() {
                put(&mut head, value, bytes);
            } else if TABLES.contains(tag) {
                tables.push((value, bytes));
            } else {
                append(&mut head, value, bytes, width)?;
            }
            field += size;
        }
    }
    for (value, bytes) in tables {
        append(&mut head, value, bytes, width)?;
    }
    Ok(head)
}

/// Appends the values of a tag, and puts their offset where it belongs.
fn append(head: &mut Vec<u8>, value: usize, bytes: &[u8], width: Width) -> Result<(), TiffError> {
    let at = end(head);
    put(head, value, &width.bytes(at)?);
    head.extend(bytes);
    Ok(())
}

/// Where the next part begins: at an even offset, as TIFF wants it.
fn end(head: &mut Vec<u8>) -> usize {
    head.resize(head.len().next_multiple_of(2), 0);
    head.len()
}

fn put(head: &mut [u8], at: usize, bytes: &[u8]) {
    head[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader asks for the first 16 KiB and has all directories, however many tiles there are.
    #[test]
    fn tables_of_tiles_come_after_all_directories() {
        for width in [Width::Classic, Width::Big] {
            let image = |tiles: u64, first: u64| {
                let mut tags = ImageTags::default();
                tags.put(Tag::ImageWidth, 7_u32);
                tags.put(Tag::GdalNodata, "a text of odd length");
                width.put(&mut tags, Tag::TileOffsets, &(first..first + tiles).collect::<Vec<_>>()).unwrap();
                tags
            };
            let head = |tiles: u64, first: u64| {
                head(&[image(20_000, first), image(tiles, first), image(1, first)], width, b"odd").unwrap()
            };
            let bytes = head(5_000, 0);
            let number = |at: usize| match width {
                Width::Classic => u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap()) as usize,
                Width::Big => u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap()) as usize,
            };
            let wide = width.offset();
            let count = if width == Width::Classic { 2 } else { 8 };
            let mut next = number(width.mark().len());
            for last in [false, false, true] {
                assert!(next.is_multiple_of(2) && next < 500, "{next}");
                let end = next + count + 3 * (4 + 2 * wide);
                next = number(end);
                assert_eq!(next == 0, last);
            }
            assert_eq!(bytes.len(), head(5_000, 1 << 31).len());
            assert_eq!(head(5_001, 0).len() - bytes.len(), wide);
        }
        let mut tags = ImageTags::default();
        assert!(Width::Classic.put(&mut tags, Tag::TileOffsets, &[1 << 32]).is_err());
    }
}
