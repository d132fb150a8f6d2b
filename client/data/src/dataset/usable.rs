//! Which tiles of a scene can be used: those with a labelled pixel, and with a pixel that has data in every band, among the
//! pixels that they judge.
//!
//! Files are read in the blocks in which they store pixels, so that none is decoded twice. Masks are read as a
//! whole, since a wrong value in one is an error. Images are read only where their files do not say that every
//! pixel has data, and there only until each tile has one.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::read::Scene;
use super::scene::SceneFiles;
use super::tiles::{Corner, Tiling};
use super::window::Window;
use super::{Dataset, IGNORE, Target};
use crate::error::DataError;
use crate::raster::Raster;
use crate::sample::judged_of;

/// Most values of a block that are in memory at once, where a file stores larger ones.
const MOST_VALUES: usize = 16 << 20;

/// The tiles of a scene.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Usable {
    /// Those that can be used, row by row.
    pub(super) corners: Vec<Corner>,
    /// How many others have a labelled pixel, and one with data, but too few with data.
    pub(super) passed_over: usize,
}

impl Dataset {
    /// Tiles with at least one labelled pixel, and with as many pixels that have data in every band as the data set asks for.
    /// Where an image cannot be read, its tiles count as having data, so that whoever reads them says why.
    ///
    /// # Errors
    /// If a part of the label cannot be read.
    pub(super) fn usable(&self, scene: &SceneFiles, tiling: Tiling) -> Result<Usable, DataError> {
        let [width, height] = scene.size;
        self.remembered(scene, tiling, || {
            let tiles = |corners, share| Tiles::new(corners, tiling, scene.size, share);
            let labelled = self.labelled(scene, tiles(tiling.corners(width, height), 0.0))?.corners;
            Ok(self.with_data(scene, tiles(labelled, self.valid_share())))
        })
    }

    /// The share of the judged pixels of a tile that must have data in every band, and count.
    fn valid_share(&self) -> f64 {
        self.config.min_valid_share.unwrap_or_default()
    }

    /// Whether a tile of a scene that is in memory has what tiles need to be used.
    pub(super) fn is_usable(&self, scene: &SceneFiles, tile: &Scene) -> bool {
        let enough = || {
            let counting = self.counting(&tile.dates);
            let judged = judged_of(tile.judged.as_ref(), &counting, tile.dates[0].width);
            judged.iter().filter(|counts| **counts).count() >= least(self.valid_share(), judged.len())
        };
        known(&tile.target).contains(&true) && (self.complete(scene) || enough())
    }

    /// Whether every pixel of the images has data and counts, without a look at the pixels.
    fn complete(&self, scene: &SceneFiles) -> bool {
        scene.stored.complete && self.valid.positions().is_empty()
    }

    /// A note about tiles of scenes that were passed over.
    pub(super) fn passed_over(&self, count: usize) -> Option<String> {
        let share = self.config.min_valid_share.filter(|_| count > 0)?;
        let judged = if self.config.layout.cut().halo > 0 { "judged " } else { "" };
        Some(format!(
            "{} passed over: less than {share} of their {judged}pixels have data in every band{} (`min_valid_share`)",
            if count == 1 { "1 tile was".to_owned() } else { format!("{count} tiles were") },
            self.valid.said()
        ))
    }

    fn labelled(&self, scene: &SceneFiles, tiles: Tiles) -> Result<Tiles, DataError> {
        if scene.label.file().is_none() {
            return Ok(tiles);
        }
        blocks(scene.size, scene.label_block, 1).par_iter().try_for_each(|block| {
            let Some((window, touched)) = tiles.touching(*block) else { return Ok(()) };
            tiles.mark(touched, window, &known(&self.label_of(scene, window)?));
            Ok::<_, DataError>(())
        })?;
        Ok(tiles.marked())
    }

    fn with_data(&self, scene: &SceneFiles, tiles: Tiles) -> Usable {
        if self.complete(scene) {
            return Usable { corners: tiles.corners, passed_over: 0 };
        }
        let bands = self.config.bands.len() * scene.images.len();
        blocks(scene.size, scene.stored.block, bands).par_iter().for_each(|block| {
            let Some((window, touched)) = tiles.touching(*block) else { return };
            if touched.clone().all(|tile| tiles.is_marked(tile)) {
                return;
            }
            let pixels = self.images_of(scene, window);
            let pixels = pixels.map_or_else(|_| vec![true; window.area()], |dates| self.counting(&dates));
            tiles.mark(touched, window, &pixels);
        });
        let passed_over = tiles.begun();
        Usable { corners: tiles.marked().corners, passed_over }
    }

    /// Whether each pixel has data in every band of every date, and counts.
    fn counting(&self, dates: &[Raster]) -> Vec<bool> {
        let mut all = have_data(dates);
        if let Some(counts) = self.valid.counting(dates) {
            all.iter_mut().zip(counts).for_each(|(all, counts)| *all &= counts);
        }
        all
    }
}

/// Whether each pixel has data in every band of every date.
fn have_data(dates: &[Raster]) -> Vec<bool> {
    let mut all = vec![true; dates[0].width * dates[0].height];
    for band in dates.iter().flat_map(|date| (0..date.bands).map(|band| date.band(band))) {
        all.iter_mut().zip(band).for_each(|(all, value)| *all &= value.is_finite());
    }
    all
}

/// Whether each pixel of a raster of labels has one.
fn known(target: &Target) -> Vec<bool> {
    match target {
        Target::Mask(mask) => mask.iter().map(|class| *class != IGNORE).collect(),
        Target::Values(values) => values.iter().map(|value| value.is_finite()).collect(),
        Target::Class(_) | Target::Classes(_) => Vec::new(),
    }
}

/// How many of so many pixels must be found: this share of them, and at least one.
fn least(share: f64, pixels: usize) -> usize {
    (share * pixels as f64).ceil().max(1.0) as usize
}

/// A scene in the blocks in which a file stores it, row by row; blocks of too many values are cut across.
fn blocks([width, height]: [usize; 2], [across, down]: [usize; 2], bands: usize) -> Vec<Window> {
    let across = across.clamp(1, width);
    let down = down.clamp(1, height).min((MOST_VALUES / (across * bands.max(1))).max(1));
    let tops = (0..height).step_by(down);
    let block = |left: usize, top: usize| Window {
        corner: [left, top],
        size: [across.min(width - left), down.min(height - top)],
    };
    tops.flat_map(|top| (0..width).step_by(across).map(move |left| block(left, top))).collect()
}

/// Tiles of a scene, row by row. Those that judge so many of the pixels that are looked for are marked.
struct Tiles {
    corners: Vec<Corner>,
    tiling: Tiling,
    scene: [usize; 2],
    /// Of what a tile judges.
    share: f64,
    /// Pixels of each that have been found, until it is marked.
    found: Vec<AtomicUsize>,
}

impl Tiles {
    fn new(corners: Vec<Corner>, tiling: Tiling, scene: [usize; 2], share: f64) -> Self {
        let found = corners.iter().map(|_| AtomicUsize::new(0)).collect();
        Self { corners, tiling, scene, share, found }
    }

    /// The pixels that a tile judges.
    fn judged(&self, corner: Corner) -> Window {
        self.tiling.judged(corner, self.scene)
    }

    fn least(&self, tile: usize) -> usize {
        least(self.share, self.judged(self.corners[tile]).area())
    }

    fn is_marked(&self, tile: usize) -> bool {
        self.found[tile].load(Ordering::Relaxed) >= self.least(tile)
    }

    /// The marked tiles, none of them marked.
    fn marked(self) -> Self {
        let marked = (0..self.corners.len()).filter(|tile| self.is_marked(*tile));
        let corners = marked.map(|tile| self.corners[tile]).collect();
        Self::new(corners, self.tiling, self.scene, self.share)
    }

    /// How many tiles have a pixel and are not marked.
    fn begun(&self) -> usize {
        let some = |tile: &usize| self.found[*tile].load(Ordering::Relaxed) > 0 && !self.is_marked(*tile);
        (0..self.corners.len()).filter(some).count()
    }

    /// The pixels of a window that a tile judges; none if it judges none.
    fn part(&self, tile: usize, window: Window) -> Option<Window> {
        self.judged(self.corners[tile]).shared(window)
    }

    /// The tiles that judge pixels of a block, and the part of the block in which these pixels are.
    fn touching(&self, block: Window) -> Option<(Window, impl Iterator<Item = usize> + Clone + use<'_>)> {
        // What is judged begins and ends no earlier in a lower row of tiles.
        let first = self.corners.partition_point(|corner| self.judged(*corner).end()[1] <= block.corner[1]);
        let end = self.corners.partition_point(|corner| self.judged(*corner).corner[1] < block.end()[1]);
        let touched = (first..end).filter(move |tile| self.part(*tile, block).is_some());
        let window = touched.clone().filter_map(|tile| self.part(tile, block)).reduce(Window::joined)?;
        Some((window, touched))
    }

    /// Adds the pixels of a window that are true to the tiles that judge them. No pixel may be added twice.
    fn mark(&self, touched: impl Iterator<Item = usize>, window: Window, pixels: &[bool]) {
        for tile in touched.filter(|tile| !self.is_marked(*tile)) {
            let Some(part) = self.part(tile, window) else { continue };
            let [columns, rows] = part.within(window);
            let rows = rows.map(|row| &pixels[row * window.size[0]..][columns.clone()]);
            let found = rows.flatten().filter(|pixel| **pixel).take(self.least(tile)).count();
            self.found[tile].fetch_add(found, Ordering::Relaxed);
        }
    }
}
