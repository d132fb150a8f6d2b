//! The ground that tiles of scenes cover, in coordinates that can be compared.

use std::sync::Arc;

use super::overlap::{Footprint, covered};
use super::scene::SceneFiles;
use super::tiles::Corner;
use super::window::Window;
use crate::georeference::Grid;
use crate::split::Split;

/// By how much a footprint is smaller than its tile, as a share of its sides.
const SPARE: f64 = 1e-6;

/// A scene and its name within the data set.
pub(super) type Named = (String, Arc<SceneFiles>);

/// A tile of one of the scenes, and the part it belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub(super) scene: usize,
    pub(super) corner: Corner,
    pub(super) part: Split,
}

/// The plane of each scene. Scenes of one reference system share a plane; each of the others has its
/// own.
pub(super) struct Planes {
    /// The plane of each scene, and its grid if the plane's coordinates are those of a reference system.
    scenes: Vec<(usize, Option<Grid>)>,
    /// Whether two scenes cover the same ground.
    pub(super) overlap: bool,
}

impl Planes {
    /// For scenes of which no two cover the same ground: each has its own plane, in pixels.
    pub(super) fn apart(scenes: usize) -> Self {
        Self { scenes: (0..scenes).map(|at| (at, None)).collect(), overlap: false }
    }

    /// Of these scenes, by their georeference.
    pub(super) fn new(scenes: &[Named]) -> Self {
        let grids: Vec<Grid> = scenes.iter().map(|(_, scene)| scene.grid.clone()).collect();
        let plane = |(at, grid): (usize, &Grid)| {
            let shared = grids.iter().position(|other| other.shares_coordinates(grid));
            (shared.unwrap_or(at), shared.map(|_| grid.clone()))
        };
        let mut planes = Self { scenes: grids.iter().enumerate().map(plane).collect(), overlap: false };
        let whole = |grid: &Grid| Window { corner: [0, 0], size: grid.size() };
        let whole: Vec<Footprint> =
            grids.iter().enumerate().map(|(at, grid)| planes.footprint(at, whole(grid))).collect();
        planes.overlap = whole
            .iter()
            .enumerate()
            .any(|(at, scene)| whole[..at].iter().any(|other| covered(&[*scene], &[*other])[0]));
        planes
    }

    /// Of a window of a scene.
    pub(super) fn footprint(&self, scene: usize, window: Window) -> Footprint {
        let [[left, top], [right, bottom]] =
            [window.corner, window.end()].map(|corner| corner.map(|pixel| pixel as f64));
        let (plane, grid) = &self.scenes[scene];
        let [low, high] = grid
            .as_ref()
            .and_then(|grid| grid.bounds([left, top, right, bottom]))
            .unwrap_or([[left, top], [right, bottom]]);
        // Neighbouring tiles touch; rounding must not make them overlap.
        let spare = [0, 1].map(|axis| (high[axis] - low[axis]) * SPARE);
        Footprint {
            plane: *plane,
            low: [0, 1].map(|axis| low[axis] + spare[axis]),
            high: [0, 1].map(|axis| high[axis] - spare[axis]),
        }
    }
}
