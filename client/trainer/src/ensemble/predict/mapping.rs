//! From the outputs of windows to the map: blends them, decides each pixel, and writes complete tiles.

use std::sync::mpsc::Receiver;

use eosfed_common::head::HeadFile;
use eosfed_data::{MAP_TILE, MapKind, MapLayout, PutTile, write_map};

use super::blend::BlendBuffer;
use super::options::PredictOptions;
use super::outputs::PixelOutputs;
use super::plan::Plan;
use super::preview::Preview;
use super::windows::Windows;
use crate::ensemble::error::EnsembleError;

/// Class of pixels without data.
const NO_DATA: f32 = 255.0;

/// What a file of a scene shows.
#[derive(Debug, Clone, Copy)]
enum Shown {
    /// The class or value of each pixel.
    Map,
    /// The probability of its class.
    Confidence,
}

/// What a pixel has become.
#[derive(Debug, Clone, Copy)]
struct Decided {
    /// Its class or value.
    map: f32,
    /// The probability of its class, blended as the classes are; NaN of values and where there is no data.
    confidence: f32,
}

impl Decided {
    const fn shown(self, shown: Shown) -> f32 {
        match shown {
            Shown::Map => self.map,
            Shown::Confidence => self.confidence,
        }
    }
}

/// Outputs of the windows of each forward pass, in the order of the plan.
pub(super) type Computed<'a> = &'a Receiver<Vec<Vec<f32>>>;

/// A map that is being written, and the counts so far.
pub(super) struct MapWriter<'a> {
    pub(super) head: &'a HeadFile,
    pub(super) windows: Windows,
    pub(super) plan: &'a Plan,
    pub(super) preview: Preview,
    /// Pixels of each class.
    pub(super) counts: Vec<u64>,
    /// Pixels without data.
    pub(super) no_data: u64,
}

impl MapWriter<'_> {
    /// Writes the whole map; returns itself with the counts.
    pub(super) fn write(
        mut self,
        options: &PredictOptions,
        layout: &MapLayout,
        computed: Computed<'_>,
    ) -> Result<Self, EnsembleError> {
        let Some(confidence) = options.confidence() else {
            write_map(&options.output, layout, |put| {
                self.fill(options, layout.height, computed, &mut [(Shown::Map, put)])
            })?;
            return Ok(self);
        };
        let values = MapLayout { kind: MapKind::Values, ..layout.clone() };
        // The map is there only once its confidence is.
        write_map(&options.output, layout, |map| {
            write_map(&confidence, &values, |sure| {
                let mut map = |column, row, tile: &[f32]| map(column, row, tile);
                let mut sure = |column, row, tile: &[f32]| sure(column, row, tile);
                let files: &mut [(Shown, PutTile<'_>)] =
                    &mut [(Shown::Map, &mut map), (Shown::Confidence, &mut sure)];
                self.fill(options, layout.height, computed, files)
            })
        })?;
        Ok(self)
    }

    fn fill(
        &mut self,
        options: &PredictOptions,
        height: usize,
        computed: Computed<'_>,
        files: &mut [(Shown, PutTile<'_>)],
    ) -> Result<(), EnsembleError> {
        let plan = self.plan;
        for panel in &plan.panels {
            let channels = PixelOutputs::channels(self.head);
            let mut buffer = BlendBuffer::new(panel.left, panel.width, channels, self.windows, height);
            let mut pending: Vec<Vec<Decided>> = Vec::new();
            for (at, top) in plan.rows.iter().enumerate() {
                for columns in panel.batches() {
                    let outputs = computed.recv().map_err(|_| {
                        EnsembleError::file(&options.output, "the work ended before the map was complete")
                    })?;
                    for (left, outputs) in columns.iter().zip(outputs) {
                        buffer.add(&outputs, *left, *top);
                    }
                }
                let complete = plan.rows.get(at + 1).copied().unwrap_or(height);
                let from = buffer.top;
                let rows_done = self.finish_rows(&mut buffer, complete);
                for (at, row) in rows_done.iter().enumerate() {
                    self.preview.add(from + at, panel.left, row.iter().map(|one| one.map));
                }
                pending.extend(rows_done);
                let first = (buffer.top - pending.len()) / MAP_TILE;
                self.flush(&mut pending, first, panel.left, buffer.top == height, files)?;
            }
        }
        Ok(())
    }

    /// Removes the rows above `until`, which are complete, as classes or values.
    fn finish_rows(&mut self, buffer: &mut BlendBuffer, until: usize) -> Vec<Vec<Decided>> {
        let count = until - buffer.top;
        let rows = buffer.take(count);
        let width = buffer.channels + 1;
        rows.iter().map(|row| row.chunks_exact(width).map(|pixel| self.decide(pixel)).collect()).collect()
    }

    /// The class or value of a pixel from the weighted sums of its outputs and the sum of weights.
    fn decide(&mut self, pixel: &[f32]) -> Decided {
        let sums = &pixel[..pixel.len() - 1];
        let weight = pixel[pixel.len() - 1];
        if weight <= 0.0 {
            self.no_data += 1;
            return Decided { map: self.empty(Shown::Map), confidence: f32::NAN };
        }
        if self.head.target.is_some() {
            return Decided { map: sums[0] / weight, confidence: f32::NAN };
        }
        let best = (0..sums.len()).max_by(|a, b| sums[*a].total_cmp(&sums[*b])).unwrap_or_default();
        self.counts[best] += 1;
        Decided { map: best as f32, confidence: sums[best] / weight }
    }

    /// The value of a file where there is no data.
    const fn empty(&self, shown: Shown) -> f32 {
        match shown {
            Shown::Map if self.head.target.is_none() => NO_DATA,
            Shown::Map | Shown::Confidence => f32::NAN,
        }
    }

    /// Writes complete rows of tiles, and the rest at the end of the scene.
    fn flush(
        &self,
        pending: &mut Vec<Vec<Decided>>,
        mut row: usize,
        panel: usize,
        end: bool,
        files: &mut [(Shown, PutTile<'_>)],
    ) -> Result<(), EnsembleError> {
        while pending.len() >= MAP_TILE || (end && !pending.is_empty()) {
            let rows: Vec<Vec<Decided>> = pending.drain(..MAP_TILE.min(pending.len())).collect();
            for left in (0..rows[0].len()).step_by(MAP_TILE) {
                for (shown, put) in &mut *files {
                    let mut tile = vec![self.empty(*shown); MAP_TILE * MAP_TILE];
                    for (line, cells) in rows.iter().zip(tile.chunks_exact_mut(MAP_TILE)) {
                        let part = line[left..].iter().map(|one| one.shown(*shown));
                        cells.iter_mut().zip(part).for_each(|(cell, value)| *cell = value);
                    }
                    put((panel + left) / MAP_TILE, row, &tile)?;
                }
            }
            row += 1;
        }
        Ok(())
    }
}
