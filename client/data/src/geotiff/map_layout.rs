//! What a map is, before it is written.

use std::path::Path;

use crate::error::DataError;
use crate::georeference::GeoReference;

/// Side of a tile of a map in pixels.
pub const MAP_TILE: usize = 256;

/// What the numbers of a map are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MapBand {
    /// Name of the quantity; empty if it has none.
    pub name: String,
    /// Its unit; empty if it has none.
    pub unit: String,
}

/// The kind of a map's pixels.
#[derive(Debug, Clone, PartialEq)]
pub enum MapKind {
    /// Indices of classes, shown in these colours; 255 where there is no data.
    Classes(Vec<[u8; 3]>),
    /// 32-bit floats; NaN where there is no data.
    Values(MapBand),
    /// For each class a band of whole percent, 0 to 100; 255 where there is no data.
    Percents(Vec<String>),
}

impl MapKind {
    /// The value of pixels of bytes without data.
    pub const NO_DATA: u8 = 255;

    /// The value of pixels without data.
    pub(super) fn empty(&self) -> f32 {
        match self {
            Self::Classes(_) | Self::Percents(_) => f32::from(Self::NO_DATA),
            Self::Values(_) => f32::NAN,
        }
    }

    /// Number of bands.
    pub(super) const fn bands(&self) -> usize {
        match self {
            Self::Classes(_) | Self::Values(_) => 1,
            Self::Percents(classes) => classes.len(),
        }
    }

    /// Bytes of a pixel of a band.
    pub(super) const fn bytes(&self) -> usize {
        match self {
            Self::Classes(_) | Self::Percents(_) => 1,
            Self::Values(_) => size_of::<f32>(),
        }
    }

    /// Pixels as they are stored.
    pub(super) fn to_bytes(&self, pixels: &[f32]) -> Vec<u8> {
        match self {
            Self::Classes(_) | Self::Percents(_) => pixels.iter().map(|pixel| *pixel as u8).collect(),
            Self::Values(_) => pixels.iter().flat_map(|value| value.to_ne_bytes()).collect(),
        }
    }

    /// The pixels that are stored so.
    pub(super) fn of_bytes(&self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::Classes(_) | Self::Percents(_) => bytes.iter().copied().map(f32::from).collect(),
            Self::Values(_) => bytes
                .chunks_exact(size_of::<f32>())
                .map(|bytes| f32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
                .collect(),
        }
    }
}

/// A map to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct MapLayout {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// The kind of its pixels.
    pub kind: MapKind,
    /// The georeference.
    pub reference: Option<GeoReference>,
}

impl MapLayout {
    /// Tiles in a row.
    #[must_use]
    pub const fn across(&self) -> usize {
        self.width.div_ceil(MAP_TILE)
    }

    /// Tiles in a column.
    #[must_use]
    pub const fn down(&self) -> usize {
        self.height.div_ceil(MAP_TILE)
    }

    /// Number of tiles, of which each band has its own.
    pub(super) const fn tiles(&self) -> usize {
        self.across() * self.down() * self.kind.bands()
    }

    /// Which of the tiles is the one of a band at a column and row.
    pub(super) const fn tile(&self, band: usize, column: usize, row: usize) -> usize {
        (band * self.down() + row) * self.across() + column
    }

    /// The next smaller copy of it; `None` if a tile holds it.
    pub(super) fn halved(&self) -> Option<Self> {
        (self.width.max(self.height) > MAP_TILE).then(|| Self {
            width: self.width.div_ceil(2),
            height: self.height.div_ceil(2),
            kind: self.kind.clone(),
            // A program takes the place of a copy from its size.
            reference: None,
        })
    }

    /// Most bytes of its tiles. DEFLATE makes incompressible ones a little larger, and each has 8 bytes around it.
    fn packed(&self) -> f64 {
        self.tiles() as f64 * (MAP_TILE * MAP_TILE * self.kind.bytes()) as f64 * 1.001
    }

    /// Most bytes of its tiles and of those of its smaller copies.
    fn with_copies(&self) -> f64 {
        let copies = std::iter::successors(self.halved(), Self::halved);
        self.packed() + copies.map(|copy| copy.packed()).sum::<f64>()
    }

    /// Checks that the places of its tiles, which are in memory until the end, do not take more than a few hundred megabytes.
    ///
    /// # Errors
    /// If there are too many, with the number.
    pub fn check(&self, path: &Path) -> Result<(), DataError> {
        /// A map of classes with the largest sides has half as many.
        const MOST_TILES: usize = 1 << 25;
        let tiles = self.tiles();
        if tiles > MOST_TILES {
            let reason = format!(
                "a map may have {MOST_TILES} tiles of {MAP_TILE}x{MAP_TILE} pixels, all bands together, found `{tiles}`; cut the \
                 scene into parts, as `gdal_translate -srcwin LEFT TOP WIDTH HEIGHT` does"
            );
            return Err(DataError::file(path, reason));
        }
        Ok(())
    }

    /// Whether the file may be larger than the 4 GiB that TIFF's 32-bit offsets reach.
    pub(super) fn is_big(&self) -> bool {
        /// What of the 4 GiB is left for tables.
        const ROOM: f64 = 16e6;
        self.with_copies() + ROOM > f64::from(u32::MAX)
    }

    /// Most bytes that the disk of the map must have while it is written: the file, and beside it its tiles in the order
    /// in which they were made. It is what pixels take that cannot be compressed; most maps need much less.
    #[must_use]
    pub fn room(&self) -> u64 {
        (self.with_copies() + self.packed()) as u64
    }

    /// Least bytes that the disk must have: its smaller copies, which are not compressed until they are complete, beside tiles
    /// that DEFLATE has made as small as it can.
    #[must_use]
    pub fn least_room(&self) -> u64 {
        /// DEFLATE has at best two bits for 258 bytes (RFC 1951).
        const SMALLEST: f64 = 1.0 / 1032.0;
        let raw = |map: &Self| (map.tiles() * MAP_TILE * MAP_TILE * map.kind.bytes()) as f64;
        // Each tile gives a quarter of its pixels to the next copy.
        let larger =
            std::iter::successors(Some(self.clone()), Self::halved).filter(|map| map.halved().is_some());
        (raw(self) * SMALLEST + larger.map(|map| raw(&map) / 4.0).sum::<f64>()) as u64
    }
}

/// Takes one tile: its column and row among the tiles, and its pixels `[bands, MAP_TILE, MAP_TILE]`.
pub type PutTile<'a> = &'a mut dyn FnMut(usize, usize, &[f32]) -> Result<(), DataError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_may_not_fit_32_bit_offsets_is_big() {
        let map = |side: usize, kind| MapLayout { width: side, height: side, kind, reference: None };
        let values = || MapKind::Values(MapBand::default());
        let percents = |classes: usize| MapKind::Percents(vec![String::new(); classes]);
        assert!(!map(25_000, values()).is_big() && map(30_000, values()).is_big());
        assert!(!map(50_000, MapKind::Classes(Vec::new())).is_big());
        assert!(map(60_000, MapKind::Classes(Vec::new())).is_big());
        assert!(!map(10_000, percents(19)).is_big() && map(10_000, percents(43)).is_big());
    }

    #[test]
    fn a_map_whose_tiles_would_fill_memory_is_refused() {
        let map = |classes: usize| {
            let kind = MapKind::Percents(vec![String::new(); classes]);
            MapLayout { width: 1_000_000, height: 1_000_000, kind, reference: None }.check(Path::new("m.tif"))
        };
        assert_eq!(map(2), Ok(()));
        let said = map(255).unwrap_err().to_string();
        let tiles = 255 * 3907_usize.pow(2);
        assert!(said.starts_with("m.tif: a map may have 33554432 tiles"), "{said}");
        assert!(said.contains(&format!("found `{tiles}`; cut the scene into parts")), "{said}");
    }

    #[test]
    fn room_is_for_the_file_and_a_copy_of_its_largest_image() {
        // 4 tiles and the one of the only smaller copy, and the 4 again.
        let map = MapLayout { width: 257, height: 512, kind: MapKind::Classes(Vec::new()), reference: None };
        assert_eq!(map.halved().map(|copy| (copy.width, copy.height)), Some((129, 256)));
        assert_eq!(map.room(), (9.0 * 65_536.0 * 1.001) as u64);
        let floats = MapLayout { kind: MapKind::Values(MapBand::default()), ..map };
        assert_eq!(floats.room(), (9.0 * 4.0 * 65_536.0 * 1.001) as u64);
        // The copy is made of the 4 tiles.
        assert_eq!(floats.least_room(), (4 * 65_536 + 4 * 4 * 65_536 / 1032) as u64);
        let one = MapLayout { width: 256, height: 1, ..floats };
        assert_eq!((one.room(), one.least_room()), (2 * (4 * 65_536 + 262), 4 * 65_536 / 1032));
    }
}
