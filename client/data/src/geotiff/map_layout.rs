//! What a map is, before it is written.

use crate::error::DataError;
use crate::georeference::GeoReference;

/// Side of a tile of a map in pixels.
pub const MAP_TILE: usize = 256;

/// The kind of a map's pixels.
#[derive(Debug, Clone, PartialEq)]
pub enum MapKind {
    /// Indices of classes, shown in these colours; 255 where there is no data.
    Classes(Vec<[u8; 3]>),
    /// 32-bit floats; NaN where there is no data.
    Values,
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
}

/// Takes one tile: its column and row among the tiles, and its [`MAP_TILE`] squared pixels, row-major.
pub type PutTile<'a> = &'a mut dyn FnMut(usize, usize, &[f32]) -> Result<(), DataError>;
