//! Mapping a whole scene: overlapping windows, blended where they overlap, written tile by tile.
//!
//! A head for pixels answers for each pixel of a window, a head for whole patches alike for all of them: then
//! a pixel's class is what the patches that it lies in say on average.
//!
//! The scene is gone through in panels of bounded width, each from top to bottom, and only the rows
//! that a later window can still change are held. So memory depends on the window and the number of
//! classes, whatever the size of the scene. Windows on the border of two panels are computed twice.

mod blend;
mod preview;
mod scene;

use std::path::PathBuf;

use blend::{Rows, starts};
use eosfed_common::head::HeadFile;
use eosfed_common::model::Task;
use eosfed_data::{MAP_TILE, MapKind, MapLayout, PutTile, write_map};
use eosfed_plot::{palette, save_picture};
use preview::Preview;
use scene::Scene;
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::EnsembleError;
use super::downstream::Downstream;
use crate::parameters::to_vec;

/// Width of a panel in pixels; a multiple of the map's tiles.
const PANEL: usize = 8 * MAP_TILE;
/// Class of pixels without data.
const NO_DATA: f32 = 255.0;
/// Most pixels of a preview along one side.
const PREVIEW: usize = 1024;

/// What to map and how.
#[derive(Debug, Clone)]
pub struct PredictOptions {
    /// A trained head.
    pub head: PathBuf,
    /// Its release; `None`: where it was when the head was trained.
    pub release: Option<PathBuf>,
    /// For each date the GeoTIFFs whose bands are stacked; all lie on one grid.
    pub images: Vec<Vec<PathBuf>>,
    /// Names of the stacked bands, in order.
    pub bands: Vec<String>,
    /// What pixel values are multiplied by.
    pub scale: f64,
    /// What is added after scaling.
    pub offset: f64,
    /// Pixels with this value have no data, besides those that the files declare.
    pub nodata: Option<f64>,
    /// Side of a window in pixels; `None`: 256 for a head of pixels. A head of patches needs it said.
    pub window: Option<usize>,
    /// Pixels that neighbouring windows share; `None`: a quarter of the window.
    pub overlap: Option<usize>,
    /// The map.
    pub output: PathBuf,
    /// A picture of it, at most 1,024 pixels wide and high.
    pub preview: Option<PathBuf>,
}

/// How windows lie over a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Windows {
    side: usize,
    overlap: usize,
}

impl Windows {
    /// What a head needs, checked; or a sentence with the rule and the value found.
    fn choose(head: &HeadFile, side: Option<usize>, overlap: Option<usize>) -> Result<Self, String> {
        const USUAL: usize = 256;
        const MOST: usize = 4096;
        let dense = head.task.is_dense();
        if !dense && head.task != Task::Classification {
            return Err(format!(
                "a scene is mapped with a head for pixels or for one class a patch, found one for {}",
                head.task
            ));
        }
        let Some(side) = side.or_else(|| dense.then_some(USUAL)) else {
            return Err("the head gives one class a patch: say with `--window` how many pixels of the scene the side of \
                        a patch is, as in the imagery that the head was trained on"
                .to_owned());
        };
        // What is resized anyway may have any size.
        let step = if head.input_size.is_some() { 1 } else { 32 };
        if !(8..=MOST).contains(&side) || !side.is_multiple_of(step) {
            let multiple = if step == 1 { "" } else { "a multiple of 32 " };
            return Err(format!(
                "a window must be {multiple}between {} and {MOST} pixels wide, found `{side}`",
                step.max(8)
            ));
        }
        let overlap = overlap.unwrap_or(side / 4);
        let (most, words) = if dense {
            ((side - 1) / 2, "less than half the window")
        } else {
            (side - 1, "less than the window")
        };
        if overlap > most {
            return Err(format!("the overlap must be {words}, {side}, found `{overlap}`"));
        }
        Ok(Self { side, overlap })
    }
}

/// What was mapped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictReport {
    /// The map.
    pub output: PathBuf,
    /// Its width and height in pixels.
    pub size: [usize; 2],
    /// Side of a window and what neighbours share, in pixels.
    pub window: [usize; 2],
    /// Windows computed.
    pub windows: usize,
    /// Pixels without data.
    pub no_data: u64,
    /// Pixels of each class, by name; empty for regression.
    pub classes: Vec<(String, u64)>,
}

/// Maps a scene. `progress` hears of each window (done, of how many).
///
/// # Errors
/// If the head gives no class or value to map, the images do not fit it or each other, a file is damaged, or the
/// map cannot be written.
pub fn predict_scene(
    options: &PredictOptions,
    device: Device,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<PredictReport, EnsembleError> {
    let head = Downstream::open(&options.head, options.release.as_deref(), device)?;
    let windows = Windows::choose(&head.file, options.window, options.overlap)
        .map_err(|reason| EnsembleError::file(&options.head, reason))?;
    let scene = Scene::open(options, &head)?;
    let classes = head.file.classes.len();
    let kind = match head.file.target {
        Some(_) => MapKind::Values,
        None => MapKind::Classes(palette(classes)),
    };
    let reference = scene.dates[0][0].reference().cloned();
    let layout = MapLayout { width: scene.width, height: scene.height, kind, reference };
    let every = scene.width.max(scene.height).div_ceil(PREVIEW);
    let mut mapping = Mapping {
        options,
        head: &head,
        scene,
        windows,
        device,
        counts: vec![0; classes],
        no_data: 0,
        done: 0,
        preview: Preview::new(every),
    };
    write_map(&options.output, &layout, |put| mapping.run(put, progress))?;
    if let Some(path) = &options.preview {
        save_picture(path, &mapping.preview.picture(&layout.kind))?;
    }
    let named = head.file.classes.iter().cloned().zip(mapping.counts);
    Ok(PredictReport {
        output: options.output.clone(),
        size: [layout.width, layout.height],
        window: [windows.side, windows.overlap],
        windows: mapping.done,
        no_data: mapping.no_data,
        classes: if head.file.target.is_some() { Vec::new() } else { named.collect() },
    })
}

/// A scene on its way through a head.
struct Mapping<'a> {
    options: &'a PredictOptions,
    head: &'a Downstream,
    scene: Scene,
    windows: Windows,
    device: Device,
    counts: Vec<u64>,
    no_data: u64,
    done: usize,
    preview: Preview,
}

impl Mapping<'_> {
    fn run(&mut self, put: PutTile<'_>, progress: &mut dyn FnMut(usize, usize)) -> Result<(), EnsembleError> {
        let Windows { side: window, overlap } = self.windows;
        let (columns, rows) =
            (starts(self.scene.width, window, overlap), starts(self.scene.height, window, overlap));
        let panels: Vec<usize> = (0..self.scene.width).step_by(PANEL).collect();
        let inside = |left: usize, panel: usize| left < panel + PANEL && left + window > panel;
        let total = panels
            .iter()
            .map(|panel| columns.iter().filter(|left| inside(**left, *panel)).count())
            .sum::<usize>()
            * rows.len();
        let outputs = self.channels();
        for panel in panels {
            let width = PANEL.min(self.scene.width - panel);
            let mut held = Rows::new(panel, width, outputs);
            let mut pending: Vec<Vec<f32>> = Vec::new();
            for (at, top) in rows.iter().enumerate() {
                for left in columns.iter().filter(|left| inside(**left, panel)) {
                    let found = self.window(*left, *top)?;
                    held.add(&found, *left, *top, window, (overlap, self.scene.height));
                    self.done += 1;
                    progress(self.done, total);
                }
                let settled = rows.get(at + 1).copied().unwrap_or(self.scene.height);
                let from = held.top;
                let rows_done = self.settle(&mut held, settled);
                for (at, row) in rows_done.iter().enumerate() {
                    self.preview.take(from + at, panel, row);
                }
                pending.extend(rows_done);
                let first = (held.top - pending.len()) / MAP_TILE;
                self.flush(&mut pending, first, panel, held.top == self.scene.height, put)?;
            }
        }
        Ok(())
    }

    /// Numbers that the head gives for each pixel.
    fn channels(&self) -> usize {
        if self.head.file.target.is_some() { 1 } else { self.head.file.classes.len() }
    }

    /// Outputs `[channels, window, window]` of one window; NaN in all where there is no data.
    fn window(&mut self, left: usize, top: usize) -> Result<Vec<f32>, EnsembleError> {
        let side = self.windows.side;
        let size = side * side;
        let values = self.scene.values(left, top, side, self.options)?;
        let missing: Vec<bool> = (0..size)
            .map(|at| values.iter().skip(at).step_by(size).any(|value| !value.is_finite()))
            .collect();
        if missing.iter().all(|missing| *missing) {
            return Ok(vec![f32::NAN; size * self.channels()]);
        }
        let channels = (values.len() / size) as i64;
        let mut images =
            Tensor::from_slice(&values).view([1, channels, side as i64, side as i64]).to_device(self.device);
        if let Some(input) = self.head.file.input_size {
            images = images.upsample_bilinear2d([i64::from(input); 2], false, None, None);
        }
        let mut outputs = self.head.forward(&images);
        if !self.head.file.task.is_dense() {
            // The answer for the patch is that of each of its pixels.
            outputs = outputs.unsqueeze(-1).unsqueeze(-1);
        }
        let outputs = outputs.upsample_bilinear2d([side as i64; 2], false, None, None);
        let outputs = match &self.head.file.target {
            Some(target) => outputs * target.scale + target.offset,
            None => outputs.softmax(1, Kind::Float),
        };
        let mut outputs = to_vec(&outputs);
        for (at, _) in missing.iter().enumerate().filter(|(_, missing)| **missing) {
            outputs.iter_mut().skip(at).step_by(size).for_each(|value| *value = f32::NAN);
        }
        Ok(outputs)
    }

    /// Takes the rows above `until` out as classes or values.
    fn settle(&mut self, held: &mut Rows, until: usize) -> Vec<Vec<f32>> {
        let count = until - held.top;
        let rows = held.take(count);
        rows.iter()
            .map(|row| row.chunks_exact(held.channels + 1).map(|pixel| self.decide(pixel)).collect())
            .collect()
    }

    fn decide(&mut self, pixel: &[f32]) -> f32 {
        let (sums, weight) = (&pixel[..pixel.len() - 1], pixel[pixel.len() - 1]);
        let values = self.head.file.target.is_some();
        if weight <= 0.0 {
            self.no_data += 1;
            return if values { f32::NAN } else { NO_DATA };
        }
        if values {
            return sums[0] / weight;
        }
        let best = (0..sums.len()).max_by(|a, b| sums[*a].total_cmp(&sums[*b])).unwrap_or_default();
        self.counts[best] += 1;
        best as f32
    }

    /// Writes whole rows of tiles, and at the end of the scene what is left.
    fn flush(
        &self,
        pending: &mut Vec<Vec<f32>>,
        mut row: usize,
        panel: usize,
        end: bool,
        put: PutTile<'_>,
    ) -> Result<(), EnsembleError> {
        let empty = if self.head.file.target.is_some() { f32::NAN } else { NO_DATA };
        while pending.len() >= MAP_TILE || (end && !pending.is_empty()) {
            let rows: Vec<Vec<f32>> = pending.drain(..MAP_TILE.min(pending.len())).collect();
            for left in (0..rows[0].len()).step_by(MAP_TILE) {
                let mut tile = vec![empty; MAP_TILE * MAP_TILE];
                for (y, line) in rows.iter().enumerate() {
                    let part = &line[left..(left + MAP_TILE).min(line.len())];
                    tile[y * MAP_TILE..y * MAP_TILE + part.len()].copy_from_slice(part);
                }
                put((panel + left) / MAP_TILE, row, &tile)?;
            }
            row += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(task: &str, input_size: Option<u32>) -> HeadFile {
        let json = serde_json::json!({
            "name": "h", "release": 1, "encoders": [], "task": task, "classes": ["a", "b"], "input_size": input_size,
            "samples": 0, "training": null
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn windows_are_what_the_head_can_take() {
        let choose = |task, input, side, overlap| {
            Windows::choose(&head(task, input), side, overlap).map(|windows| (windows.side, windows.overlap))
        };
        let fails = |found: Result<_, String>, words: &str| {
            let error = found.unwrap_err();
            assert!(error.contains(words), "{error}");
        };
        assert_eq!(choose("segmentation", None, None, None), Ok((256, 64)));
        assert_eq!(choose("segmentation", None, Some(64), Some(31)), Ok((64, 31)));
        fails(choose("segmentation", None, Some(64), Some(32)), "less than half the window, 64, found `32`");
        fails(
            choose("segmentation", None, Some(100), None),
            "a multiple of 32 between 32 and 4096 pixels wide, found `100`",
        );
        // Patches of classes: the side must be said, and may be any where they are resized.
        fails(choose("classification", None, None, None), "`--window`");
        assert_eq!(choose("classification", None, Some(64), Some(56)), Ok((64, 56)));
        assert_eq!(choose("classification", Some(128), Some(120), None), Ok((120, 30)));
        fails(choose("classification", None, Some(120), None), "found `120`");
        fails(choose("classification", None, Some(64), Some(64)), "less than the window, 64, found `64`");
        fails(choose("multilabel", None, Some(64), None), "found one for multilabel");
    }
}
