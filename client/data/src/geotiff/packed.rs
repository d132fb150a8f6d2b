//! The compressed tiles of a map, in the order in which they come. They wait in a temporary file until the smaller
//! copies of the map, which lie before them in its file, are complete.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::map_layout::{MAP_TILE, MapKind, MapLayout};
use super::map_tags::Places;

/// The tiles that are there so far.
pub(super) struct PackedTiles {
    file: File,
    end: u64,
    /// Those of each band after one another, row by row; a tile of no bytes is not there.
    places: Places,
}

impl PackedTiles {
    /// No tiles, in a folder with room for them.
    ///
    /// # Errors
    /// If nothing can be written there.
    pub(super) fn new(layout: &MapLayout, folder: &Path) -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile_in(folder)?, end: 0, places: Places::unknown(layout.tiles()) })
    }

    /// Adds a tile `[bands, MAP_TILE, MAP_TILE]`.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub(super) fn add(
        &mut self,
        layout: &MapLayout,
        (column, row): (usize, usize),
        pixels: &[f32],
    ) -> io::Result<()> {
        for (band, plane) in pixels.chunks_exact(MAP_TILE * MAP_TILE).enumerate() {
            let packed = pack(&layout.kind, plane)?;
            self.file.write_all_at(&packed, self.end)?;
            let at = layout.tile(band, column, row);
            self.places.offsets[at] = self.end;
            self.places.sizes[at] = packed.len() as u64;
            self.end += packed.len() as u64;
        }
        Ok(())
    }

    /// A tile that was never added.
    pub(super) fn missing(&self) -> Option<usize> {
        self.places.sizes.iter().position(|size| *size == 0)
    }

    /// The compressed bytes of a tile.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub(super) fn get(&self, at: usize) -> io::Result<Vec<u8>> {
        let mut packed = vec![0; self.places.sizes[at] as usize];
        self.file.read_exact_at(&mut packed, self.places.offsets[at])?;
        Ok(packed)
    }
}

/// The compressed bytes of a tile of one band.
///
/// # Errors
/// Of the compressor.
pub(super) fn pack(kind: &MapKind, pixels: &[f32]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&kind.to_bytes(pixels))?;
    encoder.finish()
}
