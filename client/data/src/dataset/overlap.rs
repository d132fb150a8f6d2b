//! Checks whether tiles share ground: tiles for scores must not overlap training tiles.

use std::collections::HashMap;

/// The square that a tile covers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Footprint {
    /// Coordinates can be compared within one plane only.
    pub(super) plane: usize,
    /// Smallest coordinates.
    pub(super) low: [f64; 2],
    /// Largest coordinates.
    pub(super) high: [f64; 2],
}

impl Footprint {
    fn overlaps(&self, other: &Self) -> bool {
        self.plane == other.plane
            && (0..2).all(|axis| self.low[axis] < other.high[axis] && other.low[axis] < self.high[axis])
    }

    fn length(&self, axis: usize) -> f64 {
        self.high[axis] - self.low[axis]
    }
}

/// For each of `tiles`, whether any of `others` covers a part of it. Tiles that only touch do not overlap.
pub(super) fn covered(tiles: &[Footprint], others: &[Footprint]) -> Vec<bool> {
    covering(tiles, others, |_, _| true).iter().map(Option::is_some).collect()
}

/// For each of `tiles`, the first of `others` that covers a part of it and of which `certain` is sure, by their positions.
pub(super) fn covering(
    tiles: &[Footprint],
    others: &[Footprint],
    certain: impl Fn(usize, usize) -> bool,
) -> Vec<Option<usize>> {
    let grid = Grid::new(tiles, others);
    let mut covering = vec![None; tiles.len()];
    for (number, other) in others.iter().enumerate() {
        for cell in grid.cells(other) {
            for at in grid.tiles.get(&cell).into_iter().flatten() {
                if covering[*at].is_none() && tiles[*at].overlaps(other) && certain(*at, number) {
                    covering[*at] = Some(number);
                }
            }
        }
    }
    covering
}

/// Tiles, found by the ground that they cover.
pub(super) struct Ground {
    tiles: Vec<Footprint>,
    grid: Grid,
}

impl Ground {
    /// Of these tiles. Others are compared with them, which is fast for those that are no larger than `others`.
    pub(super) fn new(tiles: Vec<Footprint>, others: &[Footprint]) -> Self {
        let grid = Grid::new(&tiles, others);
        Self { tiles, grid }
    }

    /// Positions of the tiles that cover a part of this one. One can be named several times.
    pub(super) fn touching(&self, other: Footprint) -> impl Iterator<Item = usize> {
        let near = self.grid.cells(&other).into_iter().filter_map(|cell| self.grid.tiles.get(&cell));
        near.flatten().copied().filter(move |at| self.tiles[*at].overlaps(&other))
    }
}

type Cell = (usize, i64, i64);

/// Positions of tiles by the cells that they touch, so that only neighbours are compared.
struct Grid {
    /// The size of a cell in each plane: that of the largest tile, which touches at most four.
    cell: HashMap<usize, [f64; 2]>,
    tiles: HashMap<Cell, Vec<usize>>,
}

impl Grid {
    fn new(tiles: &[Footprint], others: &[Footprint]) -> Self {
        let mut grid = Self { cell: HashMap::new(), tiles: HashMap::new() };
        for tile in tiles.iter().chain(others) {
            let cell = grid.cell.entry(tile.plane).or_insert([f64::MIN_POSITIVE; 2]);
            *cell = [0, 1].map(|axis| cell[axis].max(tile.length(axis)));
        }
        for (at, tile) in tiles.iter().enumerate() {
            for cell in grid.cells(tile) {
                grid.tiles.entry(cell).or_default().push(at);
            }
        }
        grid
    }

    fn cells(&self, tile: &Footprint) -> Vec<Cell> {
        let Some(size) = self.cell.get(&tile.plane) else { return Vec::new() };
        let along = |axis: usize| {
            let at = |coordinate: f64| (coordinate / size[axis]).floor() as i64;
            at(tile.low[axis])..=at(tile.high[axis])
        };
        along(0).flat_map(|x| along(1).map(move |y| (tile.plane, x, y))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(plane: usize, x: f64, y: f64, side: f64) -> Footprint {
        Footprint { plane, low: [x, y], high: [x + side, y + side] }
    }

    #[test]
    fn squares_that_share_an_area_overlap_and_those_that_touch_do_not() {
        let tiles = [square(0, 0.0, 0.0, 8.0), square(0, 8.0, 0.0, 8.0), square(1, 0.0, 0.0, 8.0)];
        assert_eq!(covered(&tiles, &[square(0, -3.0, -3.0, 8.0)]), [true, false, false]);
        assert_eq!(covered(&tiles, &[square(0, 4.0, -4.0, 8.0)]), [true, true, false]);
        assert_eq!(covered(&tiles, &[square(0, 0.0, 8.0, 8.0), square(0, 16.0, 0.0, 8.0)]), [false; 3]);
        assert_eq!(covered(&tiles, &[square(1, -3.0, -3.0, 30.0)]), [false, false, true]);
        assert_eq!(covered(&tiles, &[square(2, 0.0, 0.0, 8.0)]), [false; 3]);
    }
}
