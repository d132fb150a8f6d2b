//! Dividing the tiles of scenes into parts of which none shows ground that another part shows.

use std::sync::Arc;

use super::find::Found;
use super::location::{self, Assignment, Place};
use super::overlap::{Footprint, covered};
use super::tiles::{Corner, Tiling, key, tile};
use super::{Dataset, Scene};
use crate::config::SplitBy;
use crate::error::DataError;
use crate::split::Split;

/// A scene and its name within the data set.
type Named = (String, Arc<Scene>);

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
    /// If the data set asks for a split by digest in which parts share pixels.
    pub(super) fn divide(&self, scenes: &[Named], tiling: Tiling) -> Result<Found, DataError> {
        let tiles: Vec<(usize, Corner)> = scenes
            .iter()
            .enumerate()
            .flat_map(|(at, (_, scene))| self.usable(scene, tiling).into_iter().map(move |tile| (at, tile)))
            .collect();
        let places: Vec<Place<'_>> =
            tiles.iter().map(|(at, corner)| Place { scene: &scenes[*at].0, corner: *corner }).collect();
        let by = self.config.split_by();
        let Assignment { parts, empty } = match by {
            SplitBy::Digest => self.by_digest(&places, tiling),
            SplitBy::Location => location::assign(&places, tiling, &self.config.split),
        };
        let placed: Vec<Placed> = tiles
            .into_iter()
            .zip(parts)
            .filter_map(|((scene, corner), part)| part.map(|part| Placed { scene, corner, part }))
            .collect();
        if by == SplitBy::Digest {
            self.refuse_overlap(&placed, tiling)?;
        }
        let entries = placed.iter().map(|Placed { scene, corner, part }| {
            let (name, scene) = &scenes[*scene];
            tile(name, *part, scene, *corner, tiling)
        });
        let note = |part: &Split| too_small(*part, tiling);
        Ok(Found { notes: empty.iter().map(note).collect(), ..Found::all(entries.collect()) })
    }

    fn by_digest(&self, places: &[Place<'_>], tiling: Tiling) -> Assignment {
        let part = |place: &Place<'_>| {
            let part = Split::of(&key(place.scene, place.corner), &self.config.split);
            tiling.takes(part, place.corner).then_some(part)
        };
        Assignment { parts: places.iter().map(part).collect(), empty: Vec::new() }
    }

    /// Refuses tiles for validation or test that show pixels of training tiles.
    fn refuse_overlap(&self, placed: &[Placed], tiling: Tiling) -> Result<(), DataError> {
        let footprints = |part: Split| -> Vec<Footprint> {
            placed.iter().filter(|tile| tile.part == part).map(|tile| footprint(tile, tiling)).collect()
        };
        let trained = footprints(Split::Train);
        let found: Vec<String> = [Split::Validation, Split::Test]
            .into_iter()
            .filter_map(|part| {
                let held_back = footprints(part);
                let shared = covered(&held_back, &trained).into_iter().filter(|covered| *covered).count();
                let of = held_back.len();
                (shared > 0).then(|| format!("{shared} of {of} {} tiles", part.name()))
            })
            .collect();
        if found.is_empty() {
            return Ok(());
        }
        let Tiling { side, stride } = tiling;
        let reason = format!(
            "`split.by` must not be `digest` where tiles overlap: {} overlap training tiles (`tile = {side}`, \
             `stride = {stride}`), so the model would be scored on pixels that it has learned from; write \
             `by = \"location\"` under `[split]`, or `stride = {side}` under `[layout]`",
            found.join(" and "),
        );
        Err(DataError::unfit(&self.path, reason))
    }
}

fn footprint(tile: &Placed, tiling: Tiling) -> Footprint {
    let Corner { left, top } = tile.corner;
    let low = [left as f64, top as f64];
    Footprint { plane: tile.scene, low, high: low.map(|edge| edge + tiling.side as f64) }
}

fn too_small(part: Split, Tiling { side, .. }: Tiling) -> String {
    let part = part.name();
    format!(
        "the {part} part is empty: the scenes are too small to set tiles of {side}x{side} pixels aside for it \
         that overlap no tile of another part; use a smaller `layout.tile`, add a scene, or set its share \
         under `[split]` to 0"
    )
}
