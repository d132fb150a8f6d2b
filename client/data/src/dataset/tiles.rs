//! Cuts scenes into square tiles: the positions of tiles, and the choice of usable ones.

use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::scene::SceneFiles;
use super::{Dataset, Entry, IGNORE, Source, Target};
use crate::error::DataError;
use crate::raster::Raster;
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
    fn corners(self, width: usize, height: usize) -> Vec<Corner> {
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

impl Dataset {
    /// Tiles with at least one labelled pixel and at least one pixel that has data in every band.
    ///
    /// # Errors
    /// If a part of the scene cannot be read.
    pub(super) fn usable(&self, scene: &SceneFiles, tiling: Tiling) -> Result<Vec<Corner>, DataError> {
        let [width, height] = scene.size;
        let corners = tiling.corners(width, height);
        self.remembered(scene, tiling, || {
            let usable: Vec<bool> = corners
                .par_iter()
                .map(|corner| self.is_usable(scene, *corner, tiling.side))
                .collect::<Result<_, _>>()?;
            Ok(corners.iter().zip(usable).filter(|(_, usable)| *usable).map(|(corner, _)| *corner).collect())
        })
    }

    fn is_usable(&self, scene: &SceneFiles, corner: Corner, side: usize) -> Result<bool, DataError> {
        let Corner { left, top } = corner;
        Ok(labelled(&self.label_of(scene, left, top, side)?)
            && self.has_data(&self.window(scene, left, top, side)?.dates))
    }

    /// Whether any pixel has data in every band of every date.
    fn has_data(&self, dates: &[Raster]) -> bool {
        let nodata = self.config.nodata.map(|value| value as f32);
        let valid = |at: usize| {
            let mut bands = dates.iter().flat_map(|date| (0..date.bands).map(|band| date.band(band)[at]));
            bands.all(|value| value.is_finite() && Some(value) != nodata)
        };
        (0..dates[0].width * dates[0].height).any(valid)
    }
}

/// Whether any pixel has a label.
fn labelled(target: &Target) -> bool {
    match target {
        Target::Mask(mask) => mask.iter().any(|class| *class != IGNORE),
        Target::Values(values) => values.iter().any(|value| value.is_finite()),
        Target::Class(_) | Target::Classes(_) => true,
    }
}
