//! Cuts scenes into square tiles: the positions of tiles.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::scene::SceneFiles;
use super::{Entry, Source};
use crate::split::Split;

/// How images are cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiling {
    /// Side of a tile in pixels.
    pub(super) side: usize,
    /// Distance between the corners of neighbouring tiles in pixels.
    pub(super) stride: usize,
}

impl Tiling {
    pub(super) fn new(tile: u32, stride: Option<u32>) -> Self {
        Self { side: tile as usize, stride: stride.unwrap_or(tile) as usize }
    }

    /// Upper left corners of all tiles that lie inside and that some part takes, row by row.
    pub(super) fn corners(self, width: usize, height: usize) -> Vec<Corner> {
        let every = |distance: usize| {
            let along = move |length: usize| (0..(length + 1).saturating_sub(self.side)).step_by(distance);
            along(height).flat_map(move |top| along(width).map(move |left| Corner { top, left }))
        };
        let mut corners: Vec<Corner> = every(self.stride).collect();
        if !self.side.is_multiple_of(self.stride) {
            corners.extend(every(self.side));
            corners.sort_unstable();
            corners.dedup();
        }
        corners
    }

    /// Whether the part takes the tile. Training tiles are `stride` apart. The others are adjacent, so
    /// that no pixel counts twice.
    pub(super) fn takes(self, part: Split, corner: Corner) -> bool {
        let distance = if part == Split::Train { self.stride } else { self.side };
        corner.left.is_multiple_of(distance) && corner.top.is_multiple_of(distance)
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

/// A tile of a scene as a sample.
pub(super) fn tile(
    name: &str,
    split: Split,
    scene: &Arc<SceneFiles>,
    corner: Corner,
    tiling: Tiling,
) -> Entry {
    let Corner { left, top } = corner;
    let source = Source::Tile { scene: Arc::clone(scene), left, top, side: tiling.side };
    Entry { key: key(name, corner), split, source }
}
