//! Mapping a whole scene: overlapping windows, blended where they overlap, written tile by tile.
//!
//! The scene is gone through in panels of bounded width, each from top to bottom, and only the rows
//! that a later window can still change are held. So memory depends on the window and the number of
//! classes, whatever the size of the scene. Windows on the border of two panels are computed twice.

use std::path::PathBuf;

use eosfed_data::{DataError, GeoTiff, Limits, MAP_TILE, MapKind, MapLayout, PutTile, write_map};
use eosfed_plot::{Picture, palette, ramp, save_picture};
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
    /// Side of a window in pixels; a multiple of 32.
    pub window: usize,
    /// Pixels that neighbouring windows share; less than half a window.
    pub overlap: usize,
    /// The map.
    pub output: PathBuf,
    /// A picture of it, at most 1,024 pixels wide and high.
    pub preview: Option<PathBuf>,
}

/// What was mapped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictReport {
    /// The map.
    pub output: PathBuf,
    /// Its width and height in pixels.
    pub size: [usize; 2],
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
/// If the head is not for pixels, the images do not fit it or each other, a file is damaged, or the
/// map cannot be written.
pub fn predict_scene(
    options: &PredictOptions,
    device: Device,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<PredictReport, EnsembleError> {
    let head = Downstream::open(&options.head, options.release.as_deref(), device)?;
    if !head.file.task.is_dense() {
        let reason = format!("a head for pixels is needed to map a scene, found one for {}", head.file.task);
        return Err(EnsembleError::file(&options.head, reason));
    }
    let scene = Scene::open(options, &head)?;
    let classes = head.file.classes.len();
    let kind = match head.file.target {
        Some(_) => MapKind::Values,
        None => MapKind::Classes(palette(classes)),
    };
    let reference = scene.dates[0][0].reference().cloned();
    let layout = MapLayout { width: scene.width, height: scene.height, kind, reference };
    let every = scene.width.max(scene.height).div_ceil(PREVIEW);
    let preview = Preview { every, rows: Vec::new() };
    let mut mapping = Mapping {
        options,
        head: &head,
        scene,
        device,
        counts: vec![0; classes],
        no_data: 0,
        done: 0,
        preview,
    };
    write_map(&options.output, &layout, |put| mapping.run(put, progress))?;
    let windows = mapping.done;
    if let Some(path) = &options.preview {
        save_picture(path, &mapping.preview.picture(&layout.kind))?;
    }
    let named = head.file.classes.iter().cloned().zip(mapping.counts);
    Ok(PredictReport {
        output: options.output.clone(),
        size: [layout.width, layout.height],
        windows,
        no_data: mapping.no_data,
        classes: if head.file.target.is_some() { Vec::new() } else { named.collect() },
    })
}

/// The opened images.
struct Scene {
    dates: Vec<Vec<GeoTiff>>,
    width: usize,
    height: usize,
    /// Positions of the head's bands among the stacked ones.
    positions: Vec<usize>,
}

impl Scene {
    fn open(options: &PredictOptions, head: &Downstream) -> Result<Self, EnsembleError> {
        let first = &options.images[0][0];
        let wanted = head.file.task.dates();
        if options.images.len() != wanted {
            let reason = format!(
                "{} needs images of {wanted} date(s), found `{}`",
                head.file.task,
                options.images.len()
            );
            return Err(EnsembleError::file(first, reason));
        }
        let open = |path: &PathBuf| GeoTiff::open(path, &Limits::default());
        let dates: Vec<Vec<GeoTiff>> = options
            .images
            .iter()
            .map(|stack| stack.iter().map(open).collect())
            .collect::<Result<_, DataError>>()?;
        let (width, height) = (dates[0][0].width(), dates[0][0].height());
        for (stack, paths) in dates.iter().zip(&options.images) {
            let bands: usize = stack.iter().map(GeoTiff::bands).sum();
            if bands != options.bands.len() {
                let reason =
                    format!("the bands {} are declared, found `{bands}` bands", options.bands.join(", "));
                return Err(EnsembleError::file(&paths[0], reason));
            }
            for (file, path) in stack.iter().zip(paths) {
                if (file.width(), file.height()) != (width, height)
                    || file.reference() != dates[0][0].reference()
                {
                    let reason = format!("must lie on the same grid as {}", first.display());
                    return Err(EnsembleError::file(path, reason));
                }
            }
        }
        let position = |band: &String| {
            options.bands.iter().position(|there| there == band).ok_or_else(|| {
                let reason = format!("the head needs band `{band}`; there are {}", options.bands.join(", "));
                EnsembleError::file(first, reason)
            })
        };
        let positions = head.bands().iter().map(position).collect::<Result<_, _>>()?;
        Ok(Self { dates, width, height, positions })
    }
}

/// A scene on its way through a head.
struct Mapping<'a> {
    options: &'a PredictOptions,
    head: &'a Downstream,
    scene: Scene,
    device: Device,
    counts: Vec<u64>,
    no_data: u64,
    done: usize,
    preview: Preview,
}

/// Every n-th pixel of every n-th row of the map.
struct Preview {
    every: usize,
    rows: Vec<Vec<f32>>,
}

impl Preview {
    /// Takes what it shows of a settled row of a panel.
    fn take(&mut self, row: usize, left: usize, values: &[f32]) {
        if !row.is_multiple_of(self.every) {
            return;
        }
        let at = row / self.every;
        if self.rows.len() <= at {
            self.rows.resize(at + 1, Vec::new());
        }
        let first = left.div_ceil(self.every) * self.every - left;
        self.rows[at].extend(values.iter().skip(first).step_by(self.every));
    }

    fn picture(&self, kind: &MapKind) -> Picture {
        const EMPTY: [u8; 3] = [230; 3];
        let values = || self.rows.iter().flatten().copied();
        let finite = || values().filter(|value| value.is_finite());
        let (low, high) = finite().fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(v), high.max(v)));
        let colour = |value: f32| match kind {
            MapKind::Classes(colours) => colours.get(value as usize).copied().unwrap_or(EMPTY),
            MapKind::Values if value.is_nan() => EMPTY,
            MapKind::Values => ramp(f64::from((value - low) / (high - low).max(f32::MIN_POSITIVE))),
        };
        Picture {
            width: self.rows.first().map_or(0, Vec::len) as u32,
            height: self.rows.len() as u32,
            pixels: values().map(colour).collect(),
        }
    }
}

/// The rows of a panel that windows still add to.
struct Rows {
    left: usize,
    width: usize,
    /// The first row held.
    top: usize,
    channels: usize,
    /// For each held row, for each pixel: weighted sums of outputs, and of weights.
    sums: Vec<Vec<f32>>,
}

impl Mapping<'_> {
    fn run(&mut self, put: PutTile<'_>, progress: &mut dyn FnMut(usize, usize)) -> Result<(), EnsembleError> {
        let (window, overlap) = (self.options.window, self.options.overlap);
        let (columns, rows) =
            (starts(self.scene.width, window, overlap), starts(self.scene.height, window, overlap));
        let panels: Vec<usize> = (0..self.scene.width).step_by(PANEL).collect();
        let inside = |left: usize, panel: usize| left < panel + PANEL && left + window > panel;
        let total = panels
            .iter()
            .map(|panel| columns.iter().filter(|left| inside(**left, *panel)).count())
            .sum::<usize>()
            * rows.len();
        let outputs = if self.head.file.target.is_some() { 1 } else { self.head.file.classes.len() };
        for panel in panels {
            let width = PANEL.min(self.scene.width - panel);
            let mut held = Rows { left: panel, width, top: 0, channels: outputs, sums: Vec::new() };
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

    /// Outputs `[channels, window, window]` of one window; NaN in all where there is no data.
    fn window(&mut self, left: usize, top: usize) -> Result<Vec<f32>, EnsembleError> {
        let side = self.options.window;
        let (scale, offset) = (self.options.scale as f32, self.options.offset as f32);
        let nodata = self.options.nodata.map(|value| value as f32);
        let size = side * side;
        let mut values = Vec::with_capacity(size * self.scene.positions.len() * self.scene.dates.len());
        for stack in &mut self.scene.dates {
            let mut bands = Vec::new();
            for file in stack {
                bands.extend(file.window(left, top, side, side)?);
            }
            for position in &self.scene.positions {
                let band = &bands[position * size..(position + 1) * size];
                let value =
                    |value: &f32| if Some(*value) == nodata { f32::NAN } else { value * scale + offset };
                values.extend(band.iter().map(value));
            }
        }
        let missing: Vec<bool> = (0..size)
            .map(|at| values.iter().skip(at).step_by(size).any(|value| !value.is_finite()))
            .collect();
        let channels = (values.len() / size) as i64;
        let mut images =
            Tensor::from_slice(&values).view([1, channels, side as i64, side as i64]).to_device(self.device);
        if let Some(input) = self.head.file.input_size {
            images = images.upsample_bilinear2d([i64::from(input); 2], false, None, None);
        }
        let outputs = self.head.forward(&images);
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
        held.top = until;
        let rows: Vec<Vec<f32>> = held.sums.drain(..count).collect();
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

impl Rows {
    /// Adds a window's outputs, weighed by how far a pixel lies from the window's border.
    fn add(
        &mut self,
        outputs: &[f32],
        left: usize,
        top: usize,
        side: usize,
        (overlap, height): (usize, usize),
    ) {
        let width = self.channels + 1;
        while self.sums.len() < (top + side).min(height) - self.top {
            self.sums.push(vec![0.0; self.width * width]);
        }
        let ramp = |at: usize| (at + 1).min(side - at).min(overlap + 1) as f32;
        for y in 0..side.min(height - top) {
            let row = &mut self.sums[top + y - self.top];
            let (from, to) = (left.max(self.left), (left + side).min(self.left + self.width));
            for x in from..to {
                let at = y * side + (x - left);
                if outputs[at].is_nan() {
                    continue;
                }
                let weight = ramp(y) * ramp(x - left);
                let pixel = &mut row[(x - self.left) * width..(x - self.left + 1) * width];
                let values = outputs[at..].iter().step_by(side * side);
                pixel
                    .iter_mut()
                    .zip(values)
                    .take(self.channels)
                    .for_each(|(sum, value)| *sum += weight * value);
                pixel[self.channels] += weight;
            }
        }
    }
}

/// Where windows start along one side: evenly, the last one flush with the end.
fn starts(length: usize, window: usize, overlap: usize) -> Vec<usize> {
    let last = length.saturating_sub(window);
    let mut starts: Vec<usize> = (0..last).step_by(window - overlap).collect();
    starts.push(last);
    starts
}

/// Checks the numbers of a command line.
///
/// # Errors
/// A sentence with the rule and the value found.
pub fn check_window(window: usize, overlap: usize) -> Result<(), String> {
    if !(32..=4096).contains(&window) || !window.is_multiple_of(32) {
        return Err(format!(
            "a window must be a multiple of 32 between 32 and 4096 pixels wide, found `{window}`"
        ));
    }
    if overlap * 2 >= window {
        return Err(format!("the overlap must be less than half the window, {window}, found `{overlap}`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_a_side_and_never_leave_it() {
        assert_eq!(starts(100, 64, 16), [0, 36]);
        assert_eq!(starts(64, 64, 16), [0]);
        assert_eq!(starts(20, 64, 16), [0]);
        assert_eq!(starts(160, 64, 16), [0, 48, 96]);
        assert!(
            check_window(100, 0).is_err() && check_window(64, 32).is_err() && check_window(64, 31).is_ok()
        );
    }
}
