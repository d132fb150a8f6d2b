//! Divides the tiles of scenes into parts that do not overlap on the ground.

use super::find::Found;
use super::held_back::HeldBack;
use super::location::{self, Assignment, Place};
use super::planes::{Named, Placed, Planes};
use super::random_windows::RandomWindows;
use super::scene::entry;
use super::tiles::{Corner, Tile, Tiling, key};
use super::{Dataset, Entry};
use crate::config::SplitBy;
use crate::error::DataError;
use crate::split::Split;

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
        let sizes = scenes.iter().map(|(_, scene)| scene.size).collect();
        let mut held_back = HeldBack::new(Planes::new(scenes), sizes, tiling, &placed);
        // Without any tile, the size of the scenes is not the reason.
        let small = empty.iter().filter(|_| !placed.is_empty());
        let mut notes: Vec<String> = small.map(|part| too_small(*part, tiling)).collect();
        notes.extend(self.passed_over(passed_over));
        match by {
            SplitBy::Digest | SplitBy::Class | SplitBy::ClassLocation => {
                self.refuse_overlap(&placed, &held_back, tiling)?;
            }
            SplitBy::Location => notes.extend(leave_out_overlap(&mut placed, &mut held_back)),
        }
        let entries = placed.iter().map(|placed| {
            let (name, scene) = &scenes[placed.scene];
            let tile = Tile { corner: placed.corner, tiling, hidden: held_back.hidden(*placed) };
            entry(name, placed.part, scene, tile)
        });
        let entries: Vec<Entry> = entries.collect();
        let random = self.config.layout.has_random_windows();
        let windows = random.then(|| RandomWindows::new(held_back, &placed, tiling));
        let all =
            placed.iter().zip(&entries).map(|(tile, entry)| (tile.part, entry.key.as_str(), tile.corner));
        notes.extend(windows.as_ref().and_then(|windows| windows.note(all, self.config.split.seed)));
        Ok(Found { notes, windows, ..Found::all(entries) })
    }

    fn by_digest(&self, places: &[Place<'_>], tiling: Tiling) -> Assignment {
        let part = |place: &Place<'_>| {
            let part = Split::of(&key(place.scene, place.corner), &self.config.split);
            tiling.takes(part, place.corner).then_some(part)
        };
        Assignment { parts: places.iter().map(part).collect(), empty: Vec::new() }
    }

    /// Refuses tiles for validation or test that judge pixels of training tiles.
    fn refuse_overlap(
        &self,
        placed: &[Placed],
        held_back: &HeldBack,
        tiling: Tiling,
    ) -> Result<(), DataError> {
        let found: Vec<String> = [Split::Validation, Split::Test]
            .into_iter()
            .filter_map(|part| {
                let [shared, of] = held_back.contested(part, placed);
                (shared > 0).then(|| format!("{shared} of {of} {} tiles", part.name()))
            })
            .collect();
        if found.is_empty() {
            return Ok(());
        }
        let Tiling { side, stride, halo } = tiling;
        let inner = tiling.inner();
        let or =
            if stride < inner { format!(", or `stride = {inner}` under `[layout]`") } else { String::new() };
        let halo = if halo > 0 { format!(", `halo = {halo}`") } else { String::new() };
        let reason = format!(
            "`split.by` must not be `digest` where tiles overlap: {} overlap training tiles (`tile = {side}`, \
             `stride = {stride}`{halo}), so the model would be scored on pixels that it has learned from; write \
             `by = \"location\"` under `[split]`{or}",
            found.join(" and "),
        );
        Err(DataError::unfit(&self.path, reason))
    }
}

/// Leaves out tiles of scenes that overlap on the ground, since the split by location looks at one scene at
/// a time: training tiles that overlap validation or test tiles, and validation tiles that overlap test tiles.
fn leave_out_overlap(placed: &mut Vec<Placed>, held_back: &mut HeldBack) -> Option<String> {
    if !held_back.scenes_overlap() {
        return None;
    }
    let before = placed.len();
    // A validation tile that is left out bars no training tile.
    for part in [Split::Validation, Split::Train] {
        placed.retain(|tile| tile.part != part || !held_back.bars(*tile));
        held_back.hold(placed);
    }
    let left_out = before - placed.len();
    (left_out > 0).then(|| {
        format!(
            "{left_out} of {before} tiles were left out: they show ground that overlapping scenes hold back for \
             validation or test"
        )
    })
}

fn too_small(part: Split, Tiling { side, .. }: Tiling) -> String {
    let part = part.name();
    format!(
        "the {part} part is empty: the scenes are too small to set tiles of {side}x{side} pixels aside for it \
         that overlap no tile of another part; use a smaller `layout.tile`, add a scene, or set its share \
         under `[split]` to 0"
    )
}
