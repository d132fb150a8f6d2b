//! Random places of training tiles: in each epoch, a tile is read at another place near its own on the grid.
//!
//! A place follows from the seed of the epoch and the name of the tile, and from nothing else. So equal seeds give equal
//! places, on any number of threads and after a training was stopped and resumed.

use std::ops::RangeInclusive;

use super::held_back::HeldBack;
use super::planes::Placed;
use super::tiles::{Corner, Tile, Tiling};
use super::{Dataset, Sample, Source};
use crate::split::{Split, draw};

/// Places that are drawn for a tile before it keeps its own. Where one quarter of all is free, 1 of 100 tiles keeps it.
const TRIES: u32 = 16;

/// Most tiles of a trial draw.
const MOST_TRIED: usize = 2000;

/// Why a tile was not read at a random place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptPlace {
    /// Each place that was drawn lies on pixels that validation or test tiles judge.
    NoRoom,
    /// At the place that was drawn, no pixel has a label, or too few have data and count.
    FewPixels,
    /// The files cannot be read there, for this reason.
    Unreadable(String),
}

/// Where training tiles may be.
pub(super) struct RandomWindows {
    side: usize,
    /// The scene of each sample of the data set, in their order.
    scenes: Vec<usize>,
    /// What validation and test tiles judge.
    held_back: HeldBack,
}

impl RandomWindows {
    /// For tiles that have been divided, in the order of the samples.
    pub(super) fn new(held_back: HeldBack, placed: &[Placed], tiling: Tiling) -> Self {
        Self { side: tiling.side, scenes: placed.iter().map(|tile| tile.scene).collect(), held_back }
    }

    /// A place for the tile of this number and name, whose own place on the grid is `own`; none if validation
    /// or test tiles bar it from each that is drawn.
    fn place(&self, sample: usize, name: &str, own: Corner, seed: u64) -> Option<Corner> {
        let scene = self.scenes[sample];
        let [width, height] = self.held_back.size(scene);
        let columns = reach(own.left, self.side, width);
        let rows = reach(own.top, self.side, height);
        let drawn = |attempt: u32| {
            let number = |axis| draw(&format!("{name}#{attempt}{axis}"), seed);
            Corner { top: pick(&rows, number("y")), left: pick(&columns, number("x")) }
        };
        (0..TRIES).map(drawn).find(|corner| !self.held_back.bars(training(scene, *corner)))
    }

    /// A note about training tiles that find no place with this seed. `all` has the part, the name and the place on the grid
    /// of each sample. Of many tiles, some are tried, spread evenly.
    pub(super) fn note<'a>(
        &self,
        all: impl Iterator<Item = (Split, &'a str, Corner)>,
        seed: u64,
    ) -> Option<String> {
        let training: Vec<_> = all.enumerate().filter(|(_, (part, ..))| *part == Split::Train).collect();
        let tried = training.iter().step_by(training.len().div_ceil(MOST_TRIED).max(1));
        let moved = |(sample, (_, name, own)): &(usize, (Split, &str, Corner))| {
            self.place(*sample, name, *own, seed).is_some()
        };
        let moved: Vec<bool> = tried.map(moved).collect();
        let kept = moved.iter().filter(|moved| !**moved).count();
        (kept > 0).then(|| {
            format!(
                "{kept} of {} training tiles kept their place on the grid in a trial draw (`layout.windows`): of {TRIES} \
                 places near it, each lies on pixels that validation or test tiles judge",
                moved.len()
            )
        })
    }
}

/// A training tile at a place.
const fn training(scene: usize, corner: Corner) -> Placed {
    Placed { scene, corner, part: Split::Train }
}

/// Where a tile that begins at `own` may begin, in a scene of this length: at most half a tile away, and inside.
fn reach(own: usize, side: usize, length: usize) -> RangeInclusive<usize> {
    let half = side / 2;
    own.saturating_sub(half)..=(own + half).min(length - side)
}

/// The number of a range at a share of it, from 0 to below 1.
fn pick(range: &RangeInclusive<usize>, share: f64) -> usize {
    let count = range.end() - range.start() + 1;
    (range.start() + (share * count as f64) as usize).min(*range.end())
}

impl Dataset {
    /// Whether a part has its tiles at random places in the training of a specialist.
    pub(crate) fn has_random_windows(&self, part: Split) -> bool {
        part == Split::Train && self.windows.is_some()
    }

    /// Reads a training tile at a random place, with the values of its files, before they are scaled; or says why it keeps its
    /// place on the grid.
    pub(crate) fn read_elsewhere(
        &self,
        position: u32,
        bands: &[usize],
        seed: u64,
    ) -> Result<Sample, KeptPlace> {
        let position = position as usize;
        let entry = &self.entries[position];
        let (Source::Tile { scene, tile }, Some(windows)) = (&entry.source, &self.windows) else {
            return Err(KeptPlace::NoRoom);
        };
        let corner = windows.place(position, &entry.key, tile.corner, seed).ok_or(KeptPlace::NoRoom)?;
        let unreadable = |error: crate::error::DataError| KeptPlace::Unreadable(error.to_string());
        let hidden = windows.held_back.hidden(training(windows.scenes[position], corner));
        let tile = self.tile(scene, &Tile { corner, hidden, ..*tile }).map_err(unreadable)?;
        if !self.is_usable(scene, &tile) {
            return Err(KeptPlace::FewPixels);
        }
        self.sample(&entry.key, &tile, bands).map_err(unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::planes::Planes;

    const SIDE: usize = 16;

    /// Tiles side by side in a scene, each in a part by chance.
    fn checkerboard(size: [usize; 2], shares: [f64; 2], seed: u64) -> (RandomWindows, Vec<Placed>) {
        let tiling = Tiling { side: SIDE, stride: SIDE, halo: 0 };
        let placed = tiling.corners(size[0], size[1]).into_iter().map(|corner| {
            let drawn = draw(&format!("{corner:?}"), seed);
            let held_back = if drawn < shares[0] { Split::Validation } else { Split::Test };
            let part = if drawn < shares[0] + shares[1] { held_back } else { Split::Train };
            Placed { scene: 0, corner, part }
        });
        let placed: Vec<Placed> = placed.collect();
        (windows(size, &placed, tiling), placed)
    }

    fn windows(size: [usize; 2], placed: &[Placed], tiling: Tiling) -> RandomWindows {
        let held_back = HeldBack::new(Planes::apart(1), vec![size], tiling, placed);
        RandomWindows::new(held_back, placed, tiling)
    }

    fn apart(one: Corner, other: Corner) -> bool {
        one.left.abs_diff(other.left) >= SIDE || one.top.abs_diff(other.top) >= SIDE
    }

    /// The place of each training tile, with its own.
    fn places(windows: &RandomWindows, placed: &[Placed], seed: u64) -> Vec<(Corner, Option<Corner>)> {
        let training = placed.iter().enumerate().filter(|(_, tile)| tile.part == Split::Train);
        let place = |(sample, tile): (usize, &Placed)| {
            (tile.corner, windows.place(sample, &format!("s@{:?}", tile.corner), tile.corner, seed))
        };
        training.map(place).collect()
    }

    #[test]
    fn places_are_near_inside_and_show_nothing_that_is_held_back() {
        for (size, shares, least) in [
            ([200, 137], [0.2, 0.1], 0.8),
            ([160, 160], [0.5, 0.2], 0.2),
            // Less than two tiles across, and down no more than one.
            ([31, 16], [0.0, 0.0], 1.0),
            ([16, 16], [0.0, 0.0], 1.0),
        ] {
            let (mut moved, mut all) = (0, 0);
            for seed in 0..40 {
                let (windows, placed) = checkerboard(size, shares, seed);
                for (own, place) in places(&windows, &placed, seed) {
                    all += 1;
                    let Some(place) = place else { continue };
                    moved += 1;
                    let near = |a: usize, b: usize| a.abs_diff(b) <= SIDE / 2;
                    assert!(near(own.left, place.left) && near(own.top, place.top), "{own:?} {place:?}");
                    assert!(place.left + SIDE <= size[0] && place.top + SIDE <= size[1], "{place:?}");
                    let held_back = placed.iter().filter(|tile| tile.part != Split::Train);
                    assert!(held_back.clone().all(|tile| apart(tile.corner, place)), "{own:?} {place:?}");
                }
            }
            let share = f64::from(moved) / f64::from(all);
            assert!(share >= least, "{size:?}: {share}");
            assert!(shares[0] < 0.5 || share < 0.9, "some have no room: {share}");
        }
    }

    #[test]
    fn places_are_uniform_and_follow_from_the_seed() {
        let (windows, placed) = checkerboard([48, 48], [0.0, 0.0], 0);
        let mut counts = [0_usize; SIDE + 1];
        for seed in 0..4000 {
            let found = places(&windows, &placed, seed);
            assert_eq!(found, places(&windows, &placed, seed));
            counts[found[4].1.unwrap().left - SIDE / 2] += 1;
        }
        // Each of 17 columns in 4,000 draws: 235 of them, and 15 is the standard deviation.
        assert!(counts.iter().all(|count| count.abs_diff(235) < 75), "{counts:?}");
        let differ = |a: u64, b: u64| {
            let pairs = places(&windows, &placed, a).into_iter().zip(places(&windows, &placed, b));
            pairs.filter(|(one, other)| one.1 != other.1).count()
        };
        assert!(differ(1, 2) > 6 && differ(1, 1) == 0, "tiles of two epochs are at other places");
        let alike = places(&windows, &placed, 3).windows(2).all(|pair| {
            let step = |(own, place): (Corner, Option<Corner>)| place.unwrap().left as i64 - own.left as i64;
            step(pair[0]) == step(pair[1])
        });
        assert!(!alike, "tiles do not move together");
    }

    #[test]
    fn tiles_without_room_are_counted_and_of_many_some() {
        let tiling = Tiling { side: SIDE, stride: SIDE, halo: 0 };
        let middle = Corner { top: SIDE, left: SIDE };
        // One tile amid others, so many times.
        let note = |times: usize, part: Split| {
            let around = tiling.corners(48, 48).into_iter().filter(|corner| *corner != middle);
            let around = around.map(|corner| Placed { scene: 0, corner, part });
            let training = Placed { scene: 0, corner: middle, part: Split::Train };
            let placed: Vec<Placed> = around.chain(std::iter::repeat_n(training, times)).collect();
            let windows = windows([48, 48], &placed, tiling);
            windows.note(placed.iter().map(|tile| (tile.part, "s", tile.corner)), 0)
        };
        let said = |times| note(times, Split::Test).unwrap();
        assert!(said(1).starts_with("1 of 1 training tiles kept their place"), "{}", said(1));
        assert!(said(5000).starts_with("1667 of 1667 training tiles"), "{}", said(5000));
        assert_eq!((note(1, Split::Train), note(0, Split::Test)), (None, None));
    }
}
