//! Mapping a scene with a head, panel by panel.
//!
//! The scene is processed in panels of bounded width, each from top to bottom, and only the rows that
//! a later window can still change are kept. So memory depends on the window and the number of
//! classes, not on the size of the scene. Windows on the border of two panels are computed twice.

use eosfed_common::head::HeadFile;
use eosfed_data::{MAP_TILE, PutTile};

use super::blend::{BlendBuffer, window_starts};
use super::options::PredictOptions;
use super::outputs::PixelOutputs;
use super::preview::Preview;
use super::scene::Scene;
use super::windows::Windows;
use crate::ensemble::error::EnsembleError;

/// Width of a panel in pixels; a multiple of the map's tiles.
const PANEL: usize = 8 * MAP_TILE;
/// Class of pixels without data.
const NO_DATA: f32 = 255.0;

/// A scene that is being mapped, and the counts so far.
pub(super) struct SceneMapper<'a> {
    pub(super) options: &'a PredictOptions,
    pub(super) head: &'a HeadFile,
    pub(super) outputs: PixelOutputs<'a>,
    pub(super) scene: Scene,
    pub(super) windows: Windows,
    pub(super) preview: Preview,
    /// Pixels of each class.
    pub(super) counts: Vec<u64>,
    /// Pixels without data.
    pub(super) no_data: u64,
    /// Windows computed.
    pub(super) done: usize,
}

/// One panel: its place, and the left columns of the windows that touch it.
struct Panel {
    left: usize,
    width: usize,
    columns: Vec<usize>,
}

impl SceneMapper<'_> {
    /// Maps the whole scene. `progress` gets the number of windows done, and of all.
    pub(super) fn run(
        &mut self,
        put: PutTile<'_>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(), EnsembleError> {
        let rows = window_starts(self.scene.height, self.windows.height, self.windows.overlap);
        let panels = self.panels();
        let total = panels.iter().map(|panel| panel.columns.len()).sum::<usize>() * rows.len();
        for panel in panels {
            let channels = PixelOutputs::channels(self.head);
            let mut buffer =
                BlendBuffer::new(panel.left, panel.width, channels, self.windows, self.scene.height);
            let mut pending: Vec<Vec<f32>> = Vec::new();
            for (at, top) in rows.iter().enumerate() {
                self.add_windows(&mut buffer, &panel, *top, &mut |done| progress(done, total))?;
                let complete = rows.get(at + 1).copied().unwrap_or(self.scene.height);
                let from = buffer.top;
                let rows_done = self.finish_rows(&mut buffer, complete);
                for (at, row) in rows_done.iter().enumerate() {
                    self.preview.add(from + at, panel.left, row);
                }
                pending.extend(rows_done);
                let first = (buffer.top - pending.len()) / MAP_TILE;
                self.flush(&mut pending, first, panel.left, buffer.top == self.scene.height, put)?;
            }
        }
        Ok(())
    }

    fn panels(&self) -> Vec<Panel> {
        let columns = window_starts(self.scene.width, self.windows.width, self.windows.overlap);
        let panel = |left: usize| {
            let touches = |start: &&usize| **start < left + PANEL && **start + self.windows.width > left;
            let width = PANEL.min(self.scene.width - left);
            Panel { left, width, columns: columns.iter().filter(touches).copied().collect() }
        };
        (0..self.scene.width).step_by(PANEL).map(panel).collect()
    }

    /// Computes the windows of a panel that start at row `top`, a batch at a time.
    fn add_windows(
        &mut self,
        buffer: &mut BlendBuffer,
        panel: &Panel,
        top: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), EnsembleError> {
        for batch in panel.columns.chunks(self.windows.batch) {
            let values: Vec<Vec<f32>> = batch
                .iter()
                .map(|left| self.scene.values(*left, top, self.windows, self.options))
                .collect::<Result<_, _>>()?;
            for (left, outputs) in batch.iter().zip(self.outputs.compute(&values)) {
                buffer.add(&outputs, *left, top);
                self.done += 1;
                progress(self.done);
            }
        }
        Ok(())
    }

    /// Removes the rows above `until`, which are complete, as classes or values.
    fn finish_rows(&mut self, buffer: &mut BlendBuffer, until: usize) -> Vec<Vec<f32>> {
        let count = until - buffer.top;
        let rows = buffer.take(count);
        let width = buffer.channels + 1;
        rows.iter().map(|row| row.chunks_exact(width).map(|pixel| self.decide(pixel)).collect()).collect()
    }

    /// The class or value of a pixel from the weighted sums of its outputs and the sum of weights.
    fn decide(&mut self, pixel: &[f32]) -> f32 {
        let sums = &pixel[..pixel.len() - 1];
        let weight = pixel[pixel.len() - 1];
        if weight <= 0.0 {
            self.no_data += 1;
            return self.empty();
        }
        if self.head.target.is_some() {
            return sums[0] / weight;
        }
        let best = (0..sums.len()).max_by(|a, b| sums[*a].total_cmp(&sums[*b])).unwrap_or_default();
        self.counts[best] += 1;
        best as f32
    }

    /// The map's value where there is no data.
    const fn empty(&self) -> f32 {
        if self.head.target.is_some() { f32::NAN } else { NO_DATA }
    }

    /// Writes complete rows of tiles, and the rest at the end of the scene.
    fn flush(
        &self,
        pending: &mut Vec<Vec<f32>>,
        mut row: usize,
        panel: usize,
        end: bool,
        put: PutTile<'_>,
    ) -> Result<(), EnsembleError> {
        while pending.len() >= MAP_TILE || (end && !pending.is_empty()) {
            let rows: Vec<Vec<f32>> = pending.drain(..MAP_TILE.min(pending.len())).collect();
            for left in (0..rows[0].len()).step_by(MAP_TILE) {
                let mut tile = vec![self.empty(); MAP_TILE * MAP_TILE];
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
