//! Smaller copies of a map in the same file, so that programs show a part or the whole of it without reading all
//! of its pixels. Each has half the side of the one before, until one tile holds it. They are kept in temporary
//! files beside the map while it is written: memory does not depend on its size.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::map_layout::{MAP_TILE, MapKind, MapLayout};

/// Side of what a tile becomes.
const HALF: usize = MAP_TILE / 2;

/// A copy of half the side that is being made.
pub(super) struct Overview {
    pub(super) layout: MapLayout,
    file: File,
}

impl Overview {
    /// The next smaller copy of a map, in a folder with room for it; `None` if a tile holds the map.
    ///
    /// # Errors
    /// If nothing can be written there.
    pub(super) fn of(layout: &MapLayout, folder: &Path) -> io::Result<Option<Self>> {
        let Some(layout) = layout.halved() else { return Ok(None) };
        Ok(Some(Self { layout, file: tempfile::tempfile_in(folder)? }))
    }

    /// Adds a tile of the larger one.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub(super) fn add(&self, column: usize, row: usize, pixels: &[f32]) -> io::Result<()> {
        for (band, plane) in pixels.chunks_exact(MAP_TILE * MAP_TILE).enumerate() {
            for y in 0..HALF {
                let pixel = |x: usize| {
                    let at = 2 * y * MAP_TILE + 2 * x;
                    self.joined([at, at + 1, at + MAP_TILE, at + MAP_TILE + 1].map(|at| plane[at]))
                };
                let line: Vec<f32> = (0..HALF).map(pixel).collect();
                let place = self.place(band, column * HALF, row * HALF + y);
                self.file.write_all_at(&self.layout.kind.to_bytes(&line), place)?;
            }
        }
        Ok(())
    }

    /// A tile of one band `[MAP_TILE, MAP_TILE]`, with its empty value outside of the map.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    fn plane(&self, band: usize, column: usize, row: usize) -> io::Result<Vec<f32>> {
        let MapLayout { kind, .. } = &self.layout;
        let (left, top) = (column * MAP_TILE, row * MAP_TILE);
        let width = MAP_TILE.min(self.layout.width - left);
        let mut plane = vec![kind.empty(); MAP_TILE * MAP_TILE];
        let mut line = vec![0; width * kind.bytes()];
        for y in 0..MAP_TILE.min(self.layout.height - top) {
            self.file.read_exact_at(&mut line, self.place(band, left, top + y))?;
            plane[y * MAP_TILE..][..width].copy_from_slice(&kind.of_bytes(&line));
        }
        Ok(plane)
    }

    /// Its tiles of one band after those of the other, row by row.
    ///
    /// # Errors
    /// Like [`Overview::plane`], or what `put` gives.
    pub(super) fn planes(&self, put: &mut dyn FnMut(&[f32]) -> io::Result<()>) -> io::Result<()> {
        for band in 0..self.layout.kind.bands() {
            for row in 0..self.layout.down() {
                for column in 0..self.layout.across() {
                    put(&self.plane(band, column, row)?)?;
                }
            }
        }
        Ok(())
    }

    /// The next smaller copy of this one.
    ///
    /// # Errors
    /// If there is no room for temporary files.
    fn next(&self, folder: &Path) -> io::Result<Option<Self>> {
        let Some(next) = Self::of(&self.layout, folder)? else { return Ok(None) };
        for row in 0..self.layout.down() {
            for column in 0..self.layout.across() {
                let planes = (0..self.layout.kind.bands()).map(|band| self.plane(band, column, row));
                next.add(column, row, &planes.collect::<io::Result<Vec<_>>>()?.concat())?;
            }
        }
        Ok(Some(next))
    }

    fn place(&self, band: usize, x: usize, y: usize) -> u64 {
        let stride = self.layout.across() * MAP_TILE;
        let rows = self.layout.down() * MAP_TILE;
        (((band * rows + y) * stride + x) * self.layout.kind.bytes()) as u64
    }

    /// One pixel for four: their commonest class, or the mean of their values, of those with data.
    pub(super) fn joined(&self, four: [f32; 4]) -> f32 {
        let empty = self.layout.kind.empty();
        let mean = |values: &mut dyn Iterator<Item = f32>| {
            let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
            if count == 0.0 { empty } else { sum / count }
        };
        match self.layout.kind {
            MapKind::Classes(_) => {
                let with_data = || four.iter().copied().filter(|class| *class != empty);
                let times = |class: f32| with_data().filter(|other| *other == class).count();
                // The first of those that are equally common.
                with_data().rev().max_by_key(|class| times(*class)).unwrap_or(empty)
            }
            MapKind::Values(_) => mean(&mut four.into_iter().filter(|value| value.is_finite())),
            MapKind::Percents(_) => mean(&mut four.into_iter().filter(|value| *value != empty)).round(),
        }
    }
}

/// All copies of a map, from its largest one on.
///
/// # Errors
/// If there is no room for temporary files.
pub(super) fn overviews(first: Overview, folder: &Path) -> io::Result<Vec<Overview>> {
    let mut copies = vec![first];
    while let Some(next) = copies[copies.len() - 1].next(folder)? {
        copies.push(next);
    }
    Ok(copies)
}

#[cfg(test)]
mod tests {
    use super::super::map_layout::MapBand;
    use super::*;

    fn overview(kind: MapKind) -> Overview {
        let layout = MapLayout { width: 300, height: 257, kind, reference: None };
        Overview::of(&layout, &std::env::temp_dir()).unwrap().unwrap()
    }

    #[test]
    fn a_pixel_is_the_commonest_class_or_the_mean_of_what_there_is() {
        let classes = overview(MapKind::Classes(Vec::new()));
        assert_eq!(classes.joined([3.0, 1.0, 1.0, 2.0]), 1.0);
        assert_eq!(classes.joined([255.0, 255.0, 2.0, 255.0]), 2.0, "data go before no data");
        assert_eq!(classes.joined([4.0, 7.0, 7.0, 4.0]), 4.0, "the first of equals");
        assert_eq!(classes.joined([255.0; 4]), 255.0);
        let values = overview(MapKind::Values(MapBand::default()));
        assert_eq!(values.joined([1.0, f32::NAN, 4.0, f32::NAN]), 2.5);
        assert!(values.joined([f32::NAN; 4]).is_nan());
        let percents = overview(MapKind::Percents(vec!["water".to_owned()]));
        assert_eq!(percents.joined([10.0, 11.0, 255.0, 12.0]), 11.0);
        assert_eq!(
            percents.joined([0.0, 1.0, 1.0, 0.0]),
            1.0,
            "rounded, not cut: copies of copies stay the mean"
        );
        assert_eq!(percents.joined([255.0; 4]), 255.0);
    }

    #[test]
    fn a_tile_holds_the_last_copy_and_the_outside_of_a_map_is_empty() {
        let first = overview(MapKind::Classes(Vec::new()));
        assert_eq!((first.layout.width, first.layout.height), (150, 129));
        for (column, row) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            first.add(column, row, &vec![(column + 2 * row) as f32; MAP_TILE * MAP_TILE]).unwrap();
        }
        let tile = first.plane(0, 0, 0).unwrap();
        let at = |x: usize, y: usize| tile[y * MAP_TILE + x];
        assert_eq!([at(127, 127), at(128, 127), at(127, 128), at(149, 128)], [0.0, 1.0, 2.0, 3.0]);
        assert_eq!([at(150, 0), at(0, 129)], [255.0; 2]);
        assert!(first.next(&std::env::temp_dir()).unwrap().is_none());
    }

    #[test]
    fn each_band_has_its_own_copy() {
        let first = overview(MapKind::Percents(vec![String::new(); 3]));
        let plane = MAP_TILE * MAP_TILE;
        for (column, row) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let of_band = |band: usize| vec![(10 * band + column + 2 * row) as f32; plane];
            first.add(column, row, &(0..3).flat_map(of_band).collect::<Vec<_>>()).unwrap();
        }
        for band in 0..3 {
            let tile = first.plane(band, 0, 0).unwrap();
            let at = |x: usize, y: usize| tile[y * MAP_TILE + x] - 10.0 * band as f32;
            assert_eq!([at(127, 127), at(128, 127), at(127, 128), at(149, 128)], [0.0, 1.0, 2.0, 3.0]);
            assert_eq!(tile[150], 255.0);
        }
    }
}
