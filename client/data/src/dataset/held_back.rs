//! What is held back from the tiles of a part: pixels that tiles of parts after it judge. Validation and test are held back
//! from training, and test from validation.
//!
//! No tile is judged by such a pixel, nor shows it. Where the edge of a tile that is not judged reaches one in its own scene,
//! the pixel is hidden. A tile that shows one in another scene of the same ground must not be there at all, since pixels of
//! two scenes need not lie over each other.

use std::collections::BTreeSet;

use super::overlap::Ground;
use super::planes::{Placed, Planes};
use super::tiles::Tiling;
use super::window::Window;
use crate::split::Split;

/// The tiles of validation and test, found by what they judge.
pub(super) struct HeldBack {
    tiling: Tiling,
    planes: Planes,
    /// Width and height of each scene.
    sizes: Vec<[usize; 2]>,
    tiles: Vec<Placed>,
    /// What they judge.
    ground: Ground,
}

impl HeldBack {
    /// Of tiles that have been divided; `sizes` are those of the scenes.
    pub(super) fn new(planes: Planes, sizes: Vec<[usize; 2]>, tiling: Tiling, placed: &[Placed]) -> Self {
        let planes = if planes.overlap { planes } else { Planes::apart(sizes.len()) };
        let ground = Ground::new(Vec::new(), &[]);
        let mut found = Self { tiling, planes, sizes, tiles: Vec::new(), ground };
        found.hold(placed);
        found
    }

    /// Holds back what these tiles judge, instead of what it held before.
    pub(super) fn hold(&mut self, placed: &[Placed]) {
        self.tiles = placed.iter().filter(|tile| tile.part != Split::Train).copied().collect();
        let judged = self.tiles.iter().map(|tile| self.planes.footprint(tile.scene, self.judged(*tile)));
        let shown =
            placed.iter().map(|tile| self.planes.footprint(tile.scene, self.tiling.shown(tile.corner)));
        self.ground = Ground::new(judged.collect(), &shown.collect::<Vec<_>>());
    }

    /// Whether two scenes cover the same ground.
    pub(super) const fn scenes_overlap(&self) -> bool {
        self.planes.overlap
    }

    /// Width and height of a scene.
    pub(super) fn size(&self, scene: usize) -> [usize; 2] {
        self.sizes[scene]
    }

    /// Whether a tile must not be there: it is judged by a pixel that is held back, or shows one in another scene.
    pub(super) fn bars(&self, tile: Placed) -> bool {
        self.barring(tile).next().is_some()
    }

    /// The pixels of its scene that a tile would show and that are held back from its part.
    pub(super) fn hidden(&self, tile: Placed) -> Vec<Window> {
        if self.tiling.halo == 0 {
            return Vec::new();
        }
        let same = self.met(tile).filter(|at| self.tiles[*at].scene == tile.scene);
        let same: BTreeSet<usize> = same.collect();
        let shown = self.tiling.shown(tile.corner);
        same.into_iter().filter_map(|at| self.judged(self.tiles[at]).shared(shown)).collect()
    }

    /// How many tiles of a part bar a training tile from its place, and how many the part has.
    pub(super) fn contested(&self, part: Split, placed: &[Placed]) -> [usize; 2] {
        let training = placed.iter().filter(|tile| tile.part == Split::Train);
        let barring: BTreeSet<usize> = training.flat_map(|tile| self.barring(*tile)).collect();
        let of_part = |at: &usize| self.tiles[*at].part == part;
        [barring.into_iter().filter(of_part).count(), (0..self.tiles.len()).filter(of_part).count()]
    }

    fn judged(&self, tile: Placed) -> Window {
        self.tiling.judged(tile.corner, self.sizes[tile.scene])
    }

    /// Positions of the tiles that bar one.
    fn barring(&self, tile: Placed) -> impl Iterator<Item = usize> {
        let judged = self.judged(tile);
        self.met(tile).filter(move |at| {
            let other = self.tiles[*at];
            other.scene != tile.scene || self.judged(other).shared(judged).is_some()
        })
    }

    /// Positions of the tiles of parts after its own that judge pixels which a tile shows. One can be named several times.
    fn met(&self, tile: Placed) -> impl Iterator<Item = usize> {
        let shown = self.planes.footprint(tile.scene, self.tiling.shown(tile.corner));
        self.ground.touching(shown).filter(move |at| self.tiles[*at].part > tile.part)
    }
}
