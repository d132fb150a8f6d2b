//! The strips or tiles of a directory: their shape, and where each is in the file.

use std::path::Path;

use tiff::tags::Tag;

use super::accept::{Accepted, Tags};
use super::formats::Codec;
use super::refused::{REWRITE, Refused};
use crate::error::DataError;
use crate::raster::Limits;

/// Strips or tiles.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chunks {
    /// Width of the image in pixels.
    pub(super) width: usize,
    /// Height of the image in pixels.
    pub(super) height: usize,
    /// Width and height of a strip or tile in pixels.
    pub(super) size: [usize; 2],
    pub(super) tiled: bool,
    /// Where each begins in the file.
    offsets: Vec<u64>,
    /// Bytes of each in the file.
    lengths: Vec<u64>,
    /// The beginning that all their JPEG streams share.
    pub(super) jpeg_tables: Vec<u8>,
}

/// Where a strip or tile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It begins there and has so many bytes.
    At(u64, u64),
    /// The file leaves it out, since it has no data.
    LeftOut,
}

impl Chunks {
    /// Those of a directory.
    ///
    /// # Errors
    /// If a tag cannot be read, or the image exceeds the limits of side and bands, or a strip or tile that of
    /// bytes, or a position is missing.
    pub(super) fn read(
        tags: &Tags<'_, '_>,
        accepted: &Accepted,
        path: &Path,
        limits: &Limits,
    ) -> Result<Self, DataError> {
        let refuse = |refused: Refused| DataError::file(path, refused.about(path));
        let one = |tag| tags.one(tag).map_err(refuse);
        let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let needed = |tag: Tag| {
            let absent = || {
                DataError::file(path, format!("tag {} ({tag:?}) must be there; it is damaged", tag.to_u16()))
            };
            one(tag)?.map(narrow).ok_or_else(absent)
        };
        let width = needed(Tag::ImageWidth)?;
        let height = needed(Tag::ImageLength)?;
        limits.check_shape(path, width, height, narrow(accepted.samples as u64))?;
        let tiled = tags.directory.has(Tag::TileOffsets);
        let size = if tiled {
            [needed(Tag::TileWidth)?, needed(Tag::TileLength)?]
        } else {
            [width, one(Tag::RowsPerStrip)?.map_or(height, narrow).min(height)]
        };
        if size.contains(&0) {
            let found =
                format!("a strip or tile must have pixels, found `{}x{}`; it is damaged", size[0], size[1]);
            return Err(DataError::file(path, found));
        }
        let samples = narrow(accepted.samples_in_chunk() as u64);
        limits.check_chunk(path, size, samples, accepted.bytes_in_memory() as u64)?;
        let mut chunks = Self {
            width: width as usize,
            height: height as usize,
            size: size.map(|side| side as usize),
            tiled,
            offsets: Vec::new(),
            lengths: Vec::new(),
            jpeg_tables: Vec::new(),
        };
        chunks.find(tags, accepted, limits).map_err(refuse)?;
        chunks.check(accepted).map_err(refuse)?;
        Ok(chunks)
    }

    /// Strips or tiles in a row of one plane, and in a column.
    pub(super) const fn across_and_down(&self) -> [usize; 2] {
        [self.width.div_ceil(self.size[0]), self.height.div_ceil(self.size[1])]
    }

    /// Strips or tiles of one plane.
    pub(super) const fn in_plane(&self) -> usize {
        let [across, down] = self.across_and_down();
        across * down
    }

    /// Width and height of what a strip or tile stores: tiles reach over the edge of the image, strips do not.
    pub(super) fn stored(&self, at: usize) -> [usize; 2] {
        let [width, height] = self.size;
        if self.tiled {
            return [width, height];
        }
        let row = at % self.in_plane();
        [width, height.min(self.height - row * height)]
    }

    /// Whether it is the last one of its plane.
    pub(super) const fn is_last(&self, at: usize) -> bool {
        (at + 1).is_multiple_of(self.in_plane())
    }

    /// `tile 3`, for sentences.
    pub(super) fn name(&self, at: usize) -> String {
        format!("{} {at}", if self.tiled { "tile" } else { "strip" })
    }

    pub(super) fn place(&self, at: usize) -> Place {
        match (self.offsets[at], self.lengths[at]) {
            (0, 0) => Place::LeftOut,
            (offset, length) => Place::At(offset, length),
        }
    }

    /// Bytes of the pixels of a strip or tile as they are stored without compression.
    pub(super) fn bytes(&self, at: usize, accepted: &Accepted) -> usize {
        let [width, height] = self.stored(at);
        (width * accepted.samples_in_chunk() * accepted.bits).div_ceil(8) * height
    }

    const fn tags(&self) -> [Tag; 2] {
        if self.tiled {
            [Tag::TileOffsets, Tag::TileByteCounts]
        } else {
            [Tag::StripOffsets, Tag::StripByteCounts]
        }
    }

    /// Reads the tables of offsets and lengths.
    fn find(&mut self, tags: &Tags<'_, '_>, accepted: &Accepted, limits: &Limits) -> Result<(), Refused> {
        let planes = if accepted.planar { accepted.samples } else { 1 };
        let count = self.in_plane().saturating_mul(planes);
        // Two numbers of 8 bytes in memory for each.
        let most = limits.bytes / 16;
        if count as u64 > most {
            let sentence = format!("an image may have {most} strips or tiles, found `{count}`");
            return Err(Refused::new(sentence, "-co TILED=YES -co COMPRESS=DEFLATE"));
        }
        let whole = |text| Refused::new(text, REWRITE);
        let table = |tag: Tag| {
            // A value takes up to 8 bytes; more values than needed are looked at as little as possible.
            let found =
                tags.file.many_numbers(tags.directory, tag, (count as u64).saturating_mul(8).max(1 << 20));
            let found = found.map_err(whole)?.unwrap_or_default();
            if found.len() < count {
                let sentence = format!(
                    "tag {} ({tag:?}) must hold {count} numbers, found `{}`",
                    tag.to_u16(),
                    found.len()
                );
                return Err(Refused::new(sentence, REWRITE));
            }
            Ok(found)
        };
        let [offsets, lengths] = self.tags();
        self.offsets = table(offsets)?;
        self.lengths = match table(lengths) {
            // The length of a single strip that is not compressed follows from the image; some writers omit it.
            Err(_) if self.follows(accepted) && !tags.directory.has(lengths) => vec![0],
            table => table?,
        };
        self.offsets.truncate(count);
        self.lengths.truncate(count);
        // GDAL writes an empty tag into sparse files.
        if accepted.codec == Codec::Jpeg && tags.directory.has(Tag::JPEGTables) {
            let found = tags.file.bytes(tags.directory, Tag::JPEGTables);
            self.jpeg_tables = found.map_err(whole)?.unwrap_or_default();
        }
        Ok(())
    }

    /// Whether the length of the only strip follows from the image.
    fn follows(&self, accepted: &Accepted) -> bool {
        accepted.codec == Codec::None && self.offsets.len() == 1 && !self.tiled
    }

    /// Checks that every strip or tile is there or left out as a whole, and gives those without compression their
    /// own length.
    ///
    /// # Errors
    /// The first that has an offset or a length only, or that is not compressed and shorter than its pixels.
    fn check(&mut self, accepted: &Accepted) -> Result<(), Refused> {
        let follows = self.follows(accepted);
        for at in 0..self.offsets.len() {
            let [offset, length] = [self.offsets[at], self.lengths[at]];
            if [offset, length] == [0, 0] {
                continue;
            }
            let needed = self.bytes(at, accepted) as u64;
            if offset == 0 || (length == 0 && !follows) {
                let [offsets, lengths] = self.tags();
                let tag = if length == 0 { lengths } else { offsets };
                let sentence = format!(
                    "tag {} ({tag:?}) must not be 0 unless the offset and the length of a {} are 0, found offset `{offset}` and \
                     length `{length}` of {}",
                    tag.to_u16(),
                    if self.tiled { "tile" } else { "strip" },
                    self.name(at)
                );
                return Err(Refused::new(sentence, REWRITE));
            }
            if accepted.codec == Codec::None {
                if length < needed && !follows {
                    let [_, tag] = self.tags();
                    let sentence = format!(
                        "tag {} ({tag:?}) must say at least {needed} bytes for {}, which is not compressed, found `{length}`",
                        tag.to_u16(),
                        self.name(at)
                    );
                    return Err(Refused::new(sentence, REWRITE));
                }
                self.lengths[at] = needed;
            }
        }
        Ok(())
    }
}
