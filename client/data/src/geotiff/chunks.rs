//! The positions of strips or tiles in a file, and the masks inside a file.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom};

use tiff::tags::Tag;

use super::accept::{Accepted, REWRITE, Refused};
use super::directory::{Directories, Directory};

/// The marker at the end of the shared JPEG tables and of every stream.
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
/// Most directories of a file that are looked through for a mask.
const MOST_DIRECTORIES: usize = 10_000;
/// The bit of NewSubfileType that says that a directory is a mask.
const MASK: u64 = 4;
const TRANSPARENCY_MASK: u64 = 4;
/// Keeps the pixels and drops the mask. To keep the mask, `gdalwarp` writes it into the pixels.
const DROP_MASK: &str = "-mask none";

/// Strips or tiles.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Chunks {
    /// Where each begins in the file.
    pub(super) offsets: Vec<u64>,
    /// Bytes of each in the file.
    pub(super) lengths: Vec<u64>,
    /// The beginning that all their JPEG streams share.
    pub(super) jpeg_tables: Option<Vec<u8>>,
    pub(super) tiled: bool,
}

impl Chunks {
    /// Those of the first directory.
    ///
    /// # Errors
    /// If a tag cannot be read.
    pub(super) fn read<R: Read + Seek>(
        file: &mut Directories<'_, R>,
        directory: &Directory,
    ) -> Result<Self, Refused> {
        let mut list = |tag| file.numbers(directory, tag).map_err(|text| Refused::new(text, REWRITE));
        let tiles = list(Tag::TileOffsets)?;
        let tiled = tiles.is_some();
        let offsets = match tiles {
            Some(offsets) => Some(offsets),
            None => list(Tag::StripOffsets)?,
        };
        let lengths = list(if tiled { Tag::TileByteCounts } else { Tag::StripByteCounts })?;
        let jpeg_tables = file.bytes(directory, Tag::JPEGTables);
        Ok(Self {
            offsets: offsets.unwrap_or_default(),
            lengths: lengths.unwrap_or_default(),
            jpeg_tables: jpeg_tables.map_err(|text| Refused::new(text, REWRITE))?,
            tiled,
        })
    }

    /// A whole JPEG stream: the tables that all streams share, and the stream's own part.
    ///
    /// # Errors
    /// If the stream is longer than `most` or the file ends before it.
    pub(super) fn jpeg_stream(
        &self,
        chunk: usize,
        file: &mut (impl Read + Seek),
        most: u64,
    ) -> Result<Vec<u8>, String> {
        let place = self.offsets.get(chunk).zip(self.lengths.get(chunk));
        let (offset, length) = place.ok_or("it is not in the file")?;
        if *length > most {
            return Err(format!("a JPEG stream may take {most} bytes, found `{length}`"));
        }
        let tables = self.jpeg_tables.as_deref().unwrap_or_default();
        let mut stream = tables.strip_suffix(&END_OF_IMAGE).unwrap_or(tables).to_vec();
        let mut own = Vec::new();
        file.seek(SeekFrom::Start(*offset))
            .and_then(|_| file.take(*length).read_to_end(&mut own))
            .map_err(|error| error.to_string())?;
        stream.extend_from_slice(if stream.is_empty() { &own } else { own.get(2..).unwrap_or_default() });
        Ok(stream)
    }

    /// Checks that every strip or tile is there. `needed` gives the decoded bytes of each. A file may leave
    /// out those without data, and the decoder then reads the beginning of the file instead.
    ///
    /// # Errors
    /// The first that is missing, or that is not compressed and shorter than its pixels.
    pub(super) fn check(&self, accepted: &Accepted, needed: impl Fn(usize) -> u64) -> Result<(), Refused> {
        let (offset_tag, length_tag) = if self.tiled {
            ("324 (TileOffsets)", "325 (TileByteCounts)")
        } else {
            ("273 (StripOffsets)", "279 (StripByteCounts)")
        };
        let what = if self.tiled { "tile" } else { "strip" };
        // The length of a single strip that is not compressed follows from the image; some writers omit it.
        let follows = !accepted.is_compressed() && self.offsets.len() == 1 && !self.tiled;
        for (at, (offset, length)) in self.offsets.iter().zip(&self.lengths).enumerate() {
            let missing = *offset == 0 || (*length == 0 && !follows);
            if missing {
                let (tag, value) = if *length == 0 { (length_tag, length) } else { (offset_tag, offset) };
                let sentence =
                    format!("tag {tag} must not be 0, found `{value}` for {what} {at}: the file is sparse");
                return Err(Refused::new(sentence, REWRITE));
            }
            let wanted = needed(at);
            if !accepted.is_compressed() && *length < wanted && !follows {
                let sentence = format!(
                    "tag {length_tag} must say at least {wanted} bytes for {what} {at}, which is not compressed, found \
                     `{length}`"
                );
                return Err(Refused::new(sentence, REWRITE));
            }
        }
        Ok(())
    }
}

/// Checks that no directory of the file is a mask: the pixels that it hides would count as data.
/// Directories after one that cannot be read are not checked, since other programs do not find them either.
///
/// # Errors
/// The first mask.
pub(super) fn refuse_masks<R: Read + Seek>(
    file: &mut Directories<'_, R>,
    first: &Directory,
) -> Result<(), Refused> {
    let nested = file.numbers(first, Tag::SubIfd).ok().flatten().unwrap_or_default();
    let mut waiting: Vec<u64> = nested.into_iter().take(MOST_DIRECTORIES).collect();
    waiting.push(first.next);
    let mut seen = BTreeSet::from([0]);
    while let Some(offset) = waiting.pop() {
        if !seen.insert(offset) {
            continue;
        }
        if seen.len() > MOST_DIRECTORIES {
            let sentence = format!("a file may have {MOST_DIRECTORIES} directories, found more");
            return Err(Refused::new(sentence, REWRITE));
        }
        let Ok(directory) = file.read(offset) else { continue };
        let mut value =
            |tag| file.numbers(&directory, tag).ok().flatten().and_then(|list| list.first().copied());
        let kind = value(Tag::NewSubfileType).unwrap_or(0);
        if kind & MASK != 0 || value(Tag::PhotometricInterpretation) == Some(TRANSPARENCY_MASK) {
            let sentence = format!(
                "tag 254 (NewSubfileType) of directory {} must not say that it is a mask, since what the mask hides would \
                 count as data, found `{kind}` (`gdalwarp -dstnodata VALUE` keeps it as missing pixels, the command drops it)",
                seen.len()
            );
            return Err(Refused::new(sentence, DROP_MASK));
        }
        waiting.push(directory.next);
    }
    Ok(())
}
