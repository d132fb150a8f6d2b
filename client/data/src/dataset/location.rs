//! The split by location. Scenes are divided into square blocks, each of which goes to one part. A tile
//! that reaches into blocks of several parts is left out, so that no two parts judge one pixel. Of a tile with edges that
//! are not judged, the inner square counts: blocks are of such squares, and begin where the first of them does.
//!
//! Blocks of two tiles by two keep most training tiles that overlap. A part may then stay empty by
//! chance, above all in small scenes: if so, it gets the block with the nearest draw. If there are too
//! few blocks of two tiles, each tile is a block.

use std::collections::BTreeMap;

use super::tiles::{Corner, Tiling};
use crate::config::SplitConfig;
use crate::split::{Split, draw};

/// Side of a block in tiles, in the order in which sizes are tried.
const BLOCK_SIDES: [usize; 2] = [2, 1];

/// Most blocks that are tried for a part that has none. In scenes with many blocks, the first one is
/// sufficient.
const MOST_CANDIDATES: usize = 64;

/// A tile of one of several scenes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The name of the scene, on which the draws of its blocks depend.
    pub(super) scene: &'a str,
    /// The position of the tile in the scene.
    pub(super) corner: Corner,
}

/// The part of each tile, or none for those that are left out, and the parts that have no tile although
/// they should have a share.
pub(super) struct Assignment {
    pub(super) parts: Vec<Option<Split>>,
    pub(super) empty: Vec<Split>,
}

/// Divides tiles by their position.
pub(super) fn assign(tiles: &[Place<'_>], tiling: Tiling, config: &SplitConfig) -> Assignment {
    let mut first = None;
    for tiles_in_block in BLOCK_SIDES {
        let mut blocks = Blocks::new(tiles, tiling, tiling.inner() * tiles_in_block, config);
        blocks.fill_empty_parts(config);
        let assignment = blocks.assignment(config);
        if assignment.empty.is_empty() {
            return assignment;
        }
        first.get_or_insert(assignment);
    }
    first.unwrap_or_else(|| Assignment { parts: Vec::new(), empty: wanted(config).collect() })
}

/// The parts that should have a share.
fn wanted(config: &SplitConfig) -> impl Iterator<Item = Split> {
    Split::ALL.into_iter().filter(|part| !part.interval(config).is_empty())
}

struct Block {
    part: Split,
    /// From 0 to 1; decides the part.
    draw: f64,
    /// Whether an aligned tile lies inside.
    has_tile: bool,
}

/// The scene's name, the column and the row.
type Key<'a> = (&'a str, usize, usize);

struct Blocks<'a> {
    tiles: &'a [Place<'a>],
    tiling: Tiling,
    /// Side of a block in pixels; a multiple of that of an inner square.
    side: usize,
    blocks: BTreeMap<Key<'a>, Block>,
}

impl<'a> Blocks<'a> {
    fn new(tiles: &'a [Place<'a>], tiling: Tiling, side: usize, config: &SplitConfig) -> Self {
        let mut found = Self { tiles, tiling, side, blocks: BTreeMap::new() };
        for tile in tiles {
            let aligned = tiling.takes(Split::Validation, tile.corner);
            for key in found.touched(tile) {
                let (scene, column, row) = key;
                let block = found.blocks.entry(key).or_insert_with(|| {
                    let draw = draw(&format!("{scene}#{column},{row}"), config.seed);
                    Block { part: Split::at(draw, config), draw, has_tile: false }
                });
                block.has_tile |= aligned;
            }
        }
        found
    }

    /// The blocks of the four corners of a tile's inner square. A block is no smaller, so there are no others. The square
    /// begins `halo` pixels after the tile, as blocks do.
    fn touched(&self, tile: &Place<'a>) -> [Key<'a>; 4] {
        let Corner { left, top } = tile.corner;
        let reach = self.tiling.inner() - 1;
        let at = |x: usize, y: usize| (tile.scene, x / self.side, y / self.side);
        [at(left, top), at(left + reach, top), at(left, top + reach), at(left + reach, top + reach)]
    }

    /// The part that all blocks of the tile belong to, if the part takes such tiles.
    fn part(&self, tile: &Place<'a>) -> Option<Split> {
        let touched = self.touched(tile);
        let part = self.blocks[&touched[0]].part;
        let within = touched.iter().all(|key| self.blocks[key].part == part);
        (within && self.tiling.takes(part, tile.corner)).then_some(part)
    }

    fn assignment(&self, config: &SplitConfig) -> Assignment {
        let parts: Vec<_> = self.tiles.iter().map(|tile| self.part(tile)).collect();
        let empty = wanted(config).filter(|part| !parts.contains(&Some(*part))).collect();
        Assignment { parts, empty }
    }

    fn fill_empty_parts(&mut self, config: &SplitConfig) {
        for part in self.assignment(config).empty {
            self.fill(part, config);
        }
    }

    /// Gives the part the block whose draw is nearest to its share and that leaves no other part empty.
    fn fill(&mut self, part: Split, config: &SplitConfig) {
        let before = self.assignment(config).empty.len();
        for key in self.nearest(part, config) {
            let Some(block) = self.blocks.get_mut(&key) else { continue };
            let owner = std::mem::replace(&mut block.part, part);
            if self.assignment(config).empty.len() < before {
                return;
            }
            if let Some(block) = self.blocks.get_mut(&key) {
                block.part = owner;
            }
        }
    }

    /// Blocks with a tile, those first whose draw is nearest to the part's share.
    fn nearest(&self, part: Split, config: &SplitConfig) -> Vec<Key<'a>> {
        let interval = part.interval(config);
        let distance = |draw: f64| (interval.start - draw).max(draw - interval.end);
        let blocks = self.blocks.iter().filter(|(_, block)| block.has_tile);
        let mut candidates: Vec<(f64, Key<'a>)> =
            blocks.map(|(key, block)| (distance(block.draw), *key)).collect();
        candidates.sort_by(|a, b| a.0.total_cmp(&b.0));
        candidates.into_iter().take(MOST_CANDIDATES).map(|(_, key)| key).collect()
    }
}
