//! Divides the tiles of scenes into parts that do not overlap on the ground.

use std::sync::Arc;

use super::Dataset;
use super::find::Found;
use super::location::{self, Assignment, Place};
use super::overlap::{Footprint, covered};
use super::scene::SceneFiles;
use super::tiles::{Corner, Tiling, key, tile};
use crate::config::SplitBy;
use crate::error::DataError;
use crate::georeference::Grid;
use crate::split::Split;

/// By how much a footprint is smaller than its tile, as a share of its sides.
const SPARE: f64 = 1e-6;

/// A scene and its name within the data set.
type Named = (String, Arc<SceneFiles>);

/// A tile of one of the scenes, and the part it belongs to.
#[derive(Debug, Clone, Copy)]
struct Placed {
    scene: usize,
    corner: Corner,
    part: Split,
}

impl Dataset {
    /// The usable tiles of the scenes as samples.
    ///
    /// # Errors
    /// If a scene cannot be read, or the data set asks for a split by digest in which parts share pixels.
    pub(super) fn divide(&self, scenes: &[Named], tiling: Tiling) -> Result<Found, DataError> {
        let mut tiles: Vec<(usize, Corner)> = Vec::new();
        let mut passed_over = 0;
        for (at, (_, scene)) in scenes.iter().enumerate() {
            let usable = self.usable(scene, tiling)?;
            passed_over += usable.passed_over;
            tiles.extend(usable.corners.into_iter().map(|tile| (at, tile)));
        }
        let places: Vec<Place<'_>> =
            tiles.iter().map(|(at, corner)| Place { scene: &scenes[*at].0, corner: *corner }).collect();
        let by = self.config.split_by();
        let Assignment { parts, empty } = match by {
            // Tiles are not divided by class, which is refused before.
            SplitBy::Digest | SplitBy::Class | SplitBy::ClassLocation => self.by_digest(&places, tiling),
            SplitBy::Location => location::assign(&places, tiling, &self.config.split),
        };
        let mut placed: Vec<Placed> = tiles
            .into_iter()
            .zip(parts)
            .filter_map(|((scene, corner), part)| part.map(|part| Placed { scene, corner, part }))
            .collect();
        let planes = Planes::new(scenes);
        // Without any tile, the size of the scenes is not the reason.
        let small = empty.iter().filter(|_| !placed.is_empty());
        let mut notes: Vec<String> = small.map(|part| too_small(*part, tiling)).collect();
        notes.extend(self.passed_over(passed_over));
        match by {
            SplitBy::Digest | SplitBy::Class | SplitBy::ClassLocation => {
                self.refuse_overlap(&placed, &planes, tiling)?;
            }
            SplitBy::Location => notes.extend(leave_out_overlap(&mut placed, &planes, tiling)),
        }
        let entries = placed.iter().map(|Placed { scene, corner, part }| {
            let (name, scene) = &scenes[*scene];
            tile(name, *part, scene, *corner, tiling)
        });
        Ok(Found { notes, ..Found::all(entries.collect()) })
    }

    fn by_digest(&self, places: &[Place<'_>], tiling: Tiling) -> Assignment {
        let part = |place: &Place<'_>| {
            let part = Split::of(&key(place.scene, place.corner), &self.config.split);
            tiling.takes(part, place.corner).then_some(part)
        };
        Assignment { parts: places.iter().map(part).collect(), empty: Vec::new() }
    }

    /// Refuses tiles for validation or test that show pixels of training tiles.
    fn refuse_overlap(&self, placed: &[Placed], planes: &Planes, tiling: Tiling) -> Result<(), DataError> {
        let trained = planes.footprints(placed, Split::Train, tiling);
        let found: Vec<String> = HELD_BACK
            .into_iter()
            .filter_map(|part| {
                let held_back = planes.footprints(placed, part, tiling);
                let shared = covered(&held_back, &trained).into_iter().filter(|covered| *covered).count();
                let of = held_back.len();
                (shared > 0).then(|| format!("{shared} of {of} {} tiles", part.name()))
            })
            .collect();
        if found.is_empty() {
            return Ok(());
        }
        let Tiling { side, stride } = tiling;
        let or =
            if stride < side { format!(", or `stride = {side}` under `[layout]`") } else { String::new() };
        let reason = format!(
            "`split.by` must not be `digest` where tiles overlap: {} overlap training tiles (`tile = {side}`, \
             `stride = {stride}`), so the model would be scored on pixels that it has learned from; write \
             `by = \"location\"` under `[split]`{or}",
            found.join(" and "),
        );
        Err(DataError::unfit(&self.path, reason))
    }
}

/// The parts that are not used for training.
const HELD_BACK: [Split; 2] = [Split::Validation, Split::Test];

/// Leaves out tiles of scenes that overlap on the ground, since the split by location looks at one scene at
/// a time: training tiles that overlap validation or test tiles, and validation tiles that overlap test tiles.
fn leave_out_overlap(placed: &mut Vec<Placed>, planes: &Planes, tiling: Tiling) -> Option<String> {
    if !planes.overlap {
        return None;
    }
    let before = placed.len();
    for (part, before_it) in [(Split::Validation, &HELD_BACK[1..]), (Split::Train, &HELD_BACK[..])] {
        let kept = before_it.iter().flat_map(|other| planes.footprints(placed, *other, tiling));
        let kept: Vec<Footprint> = kept.collect();
        let mut covered = covered(&planes.footprints(placed, part, tiling), &kept).into_iter();
        placed.retain(|tile| tile.part != part || !covered.next().unwrap_or_default());
    }
    let left_out = before - placed.len();
    (left_out > 0).then(|| {
        format!(
            "{left_out} of {before} tiles were left out: they show ground that overlapping scenes hold back for \
             validation or test"
        )
    })
}

/// The plane of each scene. Scenes of one reference system share a plane; each of the others has its
/// own.
struct Planes {
    /// The plane of each scene, and its grid if the plane's coordinates are those of a reference system.
    scenes: Vec<(usize, Option<Grid>)>,
    /// Whether two scenes cover the same ground.
    overlap: bool,
}

impl Planes {
    fn new(scenes: &[Named]) -> Self {
        let grids: Vec<Grid> = scenes.iter().map(|(_, scene)| scene.grid.clone()).collect();
        let plane = |(at, grid): (usize, &Grid)| {
            let shared = grids.iter().position(|other| other.shares_coordinates(grid));
            (shared.unwrap_or(at), shared.map(|_| grid.clone()))
        };
        let mut planes = Self { scenes: grids.iter().enumerate().map(plane).collect(), overlap: false };
        let whole: Vec<Footprint> =
            grids.iter().enumerate().map(|(at, grid)| planes.footprint(at, [[0, 0], grid.size()])).collect();
        planes.overlap = whole
            .iter()
            .enumerate()
            .any(|(at, scene)| whole[..at].iter().any(|other| covered(&[*scene], &[*other])[0]));
        planes
    }

    /// Of the tiles of a part, in their order.
    fn footprints(&self, placed: &[Placed], part: Split, tiling: Tiling) -> Vec<Footprint> {
        let of = |tile: &Placed| {
            let Corner { left, top } = tile.corner;
            self.footprint(tile.scene, [[left, top], [left + tiling.side, top + tiling.side]])
        };
        placed.iter().filter(|tile| tile.part == part).map(of).collect()
    }

    /// Of a window: its first pixel and the one after its last, across and down.
    fn footprint(&self, scene: usize, window: [[usize; 2]; 2]) -> Footprint {
        let [[left, top], [right, bottom]] = window.map(|corner| corner.map(|pixel| pixel as f64));
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

fn too_small(part: Split, Tiling { side, .. }: Tiling) -> String {
    let part = part.name();
    format!(
        "the {part} part is empty: the scenes are too small to set tiles of {side}x{side} pixels aside for it \
         that overlap no tile of another part; use a smaller `layout.tile`, add a scene, or set its share \
         under `[split]` to 0"
    )
}
