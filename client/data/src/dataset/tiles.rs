//! Cuts scenes into square tiles: where tiles are, and which of their pixels are judged.

use serde::{Deserialize, Serialize};

use super::window::Window;
use crate::config::Cut;
use crate::split::Split;

/// How images are cut. All numbers are pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiling {
    /// Side of a tile.
    pub(super) side: usize,
    /// Distance between the corners of neighbouring tiles.
    pub(super) stride: usize,
    /// Width of the edge of a tile that is not judged, where it is no edge of the scene. Less than half of the side.
    pub(super) halo: usize,
}

impl Tiling {
    /// As a layout says it; none if it does not cut images.
    pub(super) fn new(Cut { tile, stride, halo }: Cut) -> Option<Self> {
        let [side, halo] = [tile?, halo].map(|pixels| pixels as usize);
        Some(Self { side, stride: stride.map_or(side - 2 * halo, |stride| stride as usize), halo })
    }

    /// Side of what is judged of a tile that touches no edge of its scene.
    pub(super) const fn inner(self) -> usize {
        self.side - 2 * self.halo
    }

    /// Upper left corners of all tiles that lie inside and that some part takes, row by row.
    pub(super) fn corners(self, width: usize, height: usize) -> Vec<Corner> {
        let every = |distance: usize| {
            let along = move |length: usize| (0..(length + 1).saturating_sub(self.side)).step_by(distance);
            along(height).flat_map(move |top| along(width).map(move |left| Corner { top, left }))
        };
        let mut corners: Vec<Corner> = every(self.stride).collect();
        if !self.inner().is_multiple_of(self.stride) {
            corners.extend(every(self.inner()));
            corners.sort_unstable();
            corners.dedup();
        }
        corners
    }

    /// Whether the part takes the tile. Training tiles are `stride` apart. What is judged of the others is adjacent, so that
    /// no pixel counts twice.
    pub(super) fn takes(self, part: Split, corner: Corner) -> bool {
        let distance = if part == Split::Train { self.stride } else { self.inner() };
        corner.left.is_multiple_of(distance) && corner.top.is_multiple_of(distance)
    }

    /// The pixels that a tile shows.
    pub(super) const fn shown(self, Corner { top, left }: Corner) -> Window {
        Window { corner: [left, top], size: [self.side; 2] }
    }

    /// The pixels of a tile that are judged, in a scene of this width and height: no edge but those of the scene. So what is
    /// judged of two tiles overlaps where their inner squares do, and nowhere else: an edge of the scene is reached by tiles
    /// of one place across it only.
    pub(super) fn judged(self, corner: Corner, scene: [usize; 2]) -> Window {
        let shown = self.shown(corner);
        let from = shown.corner.map(|first| if first == 0 { 0 } else { first + self.halo });
        let to = [0, 1].map(|axis| {
            let end = shown.end()[axis];
            if end == scene[axis] { end } else { end - self.halo }
        });
        Window { corner: from, size: [0, 1].map(|axis| to[axis] - from[axis]) }
    }
}

/// The upper left pixel of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Corner {
    pub(super) top: usize,
    pub(super) left: usize,
}

/// A tile's name within the data set.
pub(super) fn key(scene: &str, Corner { left, top }: Corner) -> String {
    format!("{scene}@{left},{top}")
}

/// A tile of a scene.
pub(super) struct Tile {
    pub(super) corner: Corner,
    pub(super) tiling: Tiling,
    /// Pixels of the scene that it must not show, since a part that is held back from its own judges them.
    pub(super) hidden: Vec<Window>,
}
