//! From the outputs of windows to the map: blends them, decides each pixel, and writes complete tiles.

use std::sync::mpsc::Receiver;

use eosfed_common::head::HeadFile;
use eosfed_data::{MAP_TILE, MapBand, MapKind, MapLayout, PutTile, WrittenFile, write_map};

use super::blend::BlendBuffer;
use super::decision::{Counts, Decision, Row, Shown};
use super::options::PredictOptions;
use super::outputs::PixelOutputs;
use super::plan::Plan;
use super::preview::Preview;
use super::windows::Windows;
use crate::ensemble::error::EnsembleError;

/// Outputs of the windows of each forward pass, in the order of the plan.
pub(super) type Computed<'a> = &'a Receiver<Vec<Vec<f32>>>;

/// The file with the probability of each pixel's class, beside this map.
pub(super) fn confidence_layout(map: &MapLayout) -> MapLayout {
    let band = MapBand { name: "probability of the class".to_owned(), unit: String::new() };
    MapLayout { kind: MapKind::Values(band), ..map.clone() }
}

/// A map that is being written, and the counts so far.
pub(super) struct MapWriter<'a> {
    pub(super) head: &'a HeadFile,
    pub(super) decision: Decision,
    pub(super) windows: Windows,
    pub(super) plan: &'a Plan,
    pub(super) preview: Preview,
    /// What the pixels so far have become.
    pub(super) counts: Counts,
}

impl MapWriter<'_> {
    /// Writes the whole map and what is beside it; returns itself with the counts, and the files in the order in which they
    /// are to be kept: the map is the last.
    pub(super) fn write(
        mut self,
        options: &PredictOptions,
        layout: &MapLayout,
        computed: Computed<'_>,
    ) -> Result<(Self, Vec<WrittenFile>), EnsembleError> {
        let shown = self.decision.shown();
        let Some(confidence) = options.confidence() else {
            let map = write_map(&options.output, layout, |put| {
                self.fill(options, layout.height, computed, &mut [(shown, put)])
            })?;
            return Ok((self, vec![map]));
        };
        let values = confidence_layout(layout);
        let mut files = Vec::new();
        let map = write_map(&options.output, layout, |map| {
            files.push(write_map(&confidence, &values, |sure| {
                let mut map = |column, row, tile: &[f32]| map(column, row, tile);
                let mut sure = |column, row, tile: &[f32]| sure(column, row, tile);
                let files: &mut [(Shown, PutTile<'_>)] =
                    &mut [(shown, &mut map), (Shown::Confidence, &mut sure)];
                self.fill(options, layout.height, computed, files)
            })?);
            Ok::<_, EnsembleError>(())
        })?;
        files.push(map);
        Ok((self, files))
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
            let mut pending: Vec<Row> = Vec::new();
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
                    self.preview.add(from + at, panel.left, row.single());
                }
                pending.extend(rows_done);
                let first = (buffer.top - pending.len()) / MAP_TILE;
                self.flush(&mut pending, first, panel.left, buffer.top == height, files)?;
            }
        }
        Ok(())
    }

    /// Removes the rows above `until`, which are complete, and decides their pixels.
    fn finish_rows(&mut self, buffer: &mut BlendBuffer, until: usize) -> Vec<Row> {
        let count = until - buffer.top;
        let rows = buffer.take(count);
        let width = buffer.channels + 1;
        rows.iter().map(|row| self.decision.row(row, width, &mut self.counts)).collect()
    }

    /// Writes complete rows of tiles, and the rest at the end of the scene.
    fn flush(
        &self,
        pending: &mut Vec<Row>,
        mut row: usize,
        panel: usize,
        end: bool,
        files: &mut [(Shown, PutTile<'_>)],
    ) -> Result<(), EnsembleError> {
        while pending.len() >= MAP_TILE || (end && !pending.is_empty()) {
            let rows: Vec<Row> = pending.drain(..MAP_TILE.min(pending.len())).collect();
            for left in (0..rows[0].width()).step_by(MAP_TILE) {
                for (shown, put) in &mut *files {
                    put((panel + left) / MAP_TILE, row, &self.decision.tile(*shown, &rows, left))?;
                }
            }
            row += 1;
        }
        Ok(())
    }
}
