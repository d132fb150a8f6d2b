//! Smaller copies of a map in the same file, so that programs show a part or the whole of it without reading all
//! of its pixels. Each has half the side of the one before, until one tile holds it. They are kept in temporary
//! files while a map is written: memory does not depend on its size.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::map_layout::{MAP_TILE, MapKind, MapLayout, PutTile};
use crate::error::DataError;

/// Bytes of a pixel in the temporary file.
const BYTES: usize = size_of::<f32>();
/// Side of what a tile becomes.
const HALF: usize = MAP_TILE / 2;

/// A copy of half the side that is being made.
pub(super) struct Overview {
    pub(super) layout: MapLayout,
    file: File,
}

impl Overview {
    /// The next smaller copy of a map; `None` if a tile holds it.
    ///
    /// # Errors
    /// If there is no room for temporary files.
    pub(super) fn of(layout: &MapLayout) -> io::Result<Option<Self>> {
        if layout.width.max(layout.height) <= MAP_TILE {
            return Ok(None);
        }
        let (width, height) = (layout.width.div_ceil(2), layout.height.div_ceil(2));
        // A program takes the place of a copy from its size.
        let layout = MapLayout { width, height, reference: None, ..layout.clone() };
        Ok(Some(Self { layout, file: tempfile::tempfile()? }))
    }

    /// Adds a tile of the larger one.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub(super) fn add(&self, column: usize, row: usize, pixels: &[f32]) -> io::Result<()> {
        for y in 0..HALF {
            let line: Vec<u8> = (0..HALF)
                .flat_map(|x| {
                    let at = 2 * y * MAP_TILE + 2 * x;
                    let four = [at, at + 1, at + MAP_TILE, at + MAP_TILE + 1].map(|at| pixels[at]);
                    self.joined(four).to_ne_bytes()
                })
                .collect();
            self.file.write_all_at(&line, self.place(column * HALF, row * HALF + y))?;
        }
        Ok(())
    }

    /// A tile of it, with its empty value outside of the map.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub(super) fn tile(&self, column: usize, row: usize) -> io::Result<Vec<f32>> {
        let (left, top) = (column * MAP_TILE, row * MAP_TILE);
        let width = MAP_TILE.min(self.layout.width - left);
        let mut tile = vec![self.empty(); MAP_TILE * MAP_TILE];
        let mut line = vec![0; width * BYTES];
        for y in 0..MAP_TILE.min(self.layout.height - top) {
            self.file.read_exact_at(&mut line, self.place(left, top + y))?;
            let values = line
                .chunks_exact(BYTES)
                .map(|bytes| f32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
            tile[y * MAP_TILE..][..width].iter_mut().zip(values).for_each(|(pixel, value)| *pixel = value);
        }
        Ok(tile)
    }

    /// Gives all of its tiles. The inner result is that of `put`.
    ///
    /// # Errors
    /// Like [`Overview::tile`].
    pub(super) fn tiles(&self, put: PutTile<'_>) -> io::Result<Result<(), DataError>> {
        for row in 0..self.layout.down() {
            for column in 0..self.layout.across() {
                if let Err(error) = put(column, row, &self.tile(column, row)?) {
                    return Ok(Err(error));
                }
            }
        }
        Ok(Ok(()))
    }

    fn place(&self, x: usize, y: usize) -> u64 {
        let stride = self.layout.across() * MAP_TILE;
        ((y * stride + x) * BYTES) as u64
    }

    const fn empty(&self) -> f32 {
        match self.layout.kind {
            MapKind::Classes(_) => 255.0,
            MapKind::Values => f32::NAN,
        }
    }

    /// One pixel for four: their commonest class, or the mean of their values, of those with data.
    fn joined(&self, four: [f32; 4]) -> f32 {
        match self.layout.kind {
            MapKind::Classes(_) => {
                let with_data = || four.iter().copied().filter(|class| *class != self.empty());
                let times = |class: f32| with_data().filter(|other| *other == class).count();
                // The first of those that are equally common.
                with_data().rev().max_by_key(|class| times(*class)).unwrap_or_else(|| self.empty())
            }
            MapKind::Values => {
                let with_data = || four.iter().copied().filter(|value| value.is_finite());
                let count = with_data().count();
                if count == 0 { self.empty() } else { with_data().sum::<f32>() / count as f32 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overview(kind: MapKind) -> Overview {
        let layout = MapLayout { width: 300, height: 257, kind, reference: None };
        Overview::of(&layout).unwrap().unwrap()
    }

    #[test]
    fn a_pixel_is_the_commonest_class_or_the_mean_of_what_there_is() {
        let classes = overview(MapKind::Classes(Vec::new()));
        assert_eq!(classes.joined([3.0, 1.0, 1.0, 2.0]), 1.0);
        assert_eq!(classes.joined([255.0, 255.0, 2.0, 255.0]), 2.0, "data go before no data");
        assert_eq!(classes.joined([4.0, 7.0, 7.0, 4.0]), 4.0, "the first of equals");
        assert_eq!(classes.joined([255.0; 4]), 255.0);
        let values = overview(MapKind::Values);
        assert_eq!(values.joined([1.0, f32::NAN, 4.0, f32::NAN]), 2.5);
        assert!(values.joined([f32::NAN; 4]).is_nan());
    }

    #[test]
    fn a_tile_holds_the_last_copy_and_the_outside_of_a_map_is_empty() {
        let first = overview(MapKind::Classes(Vec::new()));
        assert_eq!((first.layout.width, first.layout.height), (150, 129));
        for (column, row) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            first.add(column, row, &vec![(column + 2 * row) as f32; MAP_TILE * MAP_TILE]).unwrap();
        }
        let tile = first.tile(0, 0).unwrap();
        let at = |x: usize, y: usize| tile[y * MAP_TILE + x];
        assert_eq!([at(127, 127), at(128, 127), at(127, 128), at(149, 128)], [0.0, 1.0, 2.0, 3.0]);
        assert_eq!([at(150, 0), at(0, 129)], [255.0; 2]);
        assert!(Overview::of(&first.layout).unwrap().is_none());
    }
}
