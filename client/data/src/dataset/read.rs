//! From files to samples: bands are stacked, resampled to one grid and scaled, and invalid pixels are
//! marked.

use std::path::{Path, PathBuf};

use eosfed_common::model::Task;

use super::grids::{Anchor, Pair};
use super::{Dataset, Entry, IGNORE, Label, Sample, Scene, Source, Target};
use crate::error::DataError;
use crate::raster::Raster;
use crate::read::{read_labels, read_raster};

/// A sample, and facts about its images besides their values.
pub(crate) struct ReadSample {
    pub(crate) sample: Sample,
    /// Notes about what was done to the images.
    pub(crate) notes: Vec<String>,
    /// In metres, where the files say it.
    pub(crate) ground_sampling_distance: Option<f64>,
}

impl Dataset {
    /// Reads a sample.
    pub(super) fn read(&self, entry: &Entry, positions: &[usize]) -> Result<ReadSample, DataError> {
        let mut read = self.read_stored(entry, positions)?;
        self.scale(&mut read.sample.image);
        Ok(read)
    }

    /// Scales values of the files in place. Pixels without data, which are NaN, stay so.
    pub(crate) fn scale(&self, values: &mut [f32]) {
        let scale = self.config.scale as f32;
        let offset = self.config.offset as f32;
        values.iter_mut().for_each(|value| *value = *value * scale + offset);
    }

    /// Reads a sample with the values of its files, before they are scaled.
    pub(super) fn read_stored(&self, entry: &Entry, positions: &[usize]) -> Result<ReadSample, DataError> {
        match &entry.source {
            Source::Files { images, label } => {
                let scene = self.scene(images, label)?;
                let sample = self.sample(&entry.key, &scene, positions)?;
                let ground_sampling_distance = scene.ground_sampling_distance();
                Ok(ReadSample { sample, notes: scene.notes, ground_sampling_distance })
            }
            Source::Tile { scene, left, top, side } => {
                let tile = scene.tile(*left, *top, *side);
                let sample = self.sample(&entry.key, &tile, positions)?;
                let ground_sampling_distance = scene.ground_sampling_distance();
                Ok(ReadSample { sample, notes: tile.notes, ground_sampling_distance })
            }
        }
    }

    /// Reads all files of a sample or scene and compares their grids.
    pub(super) fn scene(&self, images: &[Vec<PathBuf>], label: &Label) -> Result<Scene, DataError> {
        let mut notes = Vec::new();
        let dates: Vec<Raster> =
            images.iter().map(|stack| self.stack(stack, &mut notes)).collect::<Result<_, _>>()?;
        let first = &dates[0];
        let path = &images[0][0];
        for (date, stack) in dates.iter().zip(images) {
            if (date.width, date.height) != (first.width, first.height) {
                let found = format!(
                    "both dates must have one size, {}x{} like {}; found `{}x{}`",
                    first.width,
                    first.height,
                    path.display(),
                    date.width,
                    date.height
                );
                return Err(DataError::file(&stack[0], found));
            }
        }
        let anchor = Anchor { path, grid: first.grid() };
        for (date, stack) in dates.iter().zip(images).skip(1) {
            anchor.check(&stack[0], &date.grid(), Pair::Dates, &mut notes)?;
        }
        let target = match label {
            Label::Class(class) => Target::Class(*class),
            Label::Classes(classes) => Target::Classes(classes.clone()),
            Label::Raster(raster) => self.target(raster, &anchor, first, &mut notes)?,
        };
        let mut files: Vec<PathBuf> = images.iter().flatten().cloned().collect();
        if let Label::Raster(raster) = label {
            files.push(raster.clone());
        }
        Ok(Scene { path: path.clone(), files, dates, target, notes })
    }

    /// The bands of several files as one raster on the finest of their grids.
    fn stack(&self, paths: &[PathBuf], notes: &mut Vec<String>) -> Result<Raster, DataError> {
        let rasters: Vec<Raster> =
            paths.iter().map(|path| read_raster(path, &self.limits)).collect::<Result<_, _>>()?;
        let bands: usize = rasters.iter().map(|raster| raster.bands).sum();
        let declared = self.config.bands.len();
        if bands != declared {
            let each: Vec<_> = rasters.iter().map(|raster| raster.bands.to_string()).collect();
            let found = format!("the data set declares {declared} bands, found `{}`", each.join(" + "));
            return Err(DataError::file(&paths[0], found));
        }
        let finest = finest(&rasters);
        let Raster { width, height, .. } = rasters[finest];
        let anchor = Anchor { path: &paths[finest], grid: rasters[finest].grid() };
        let reference = rasters[finest].reference.clone();
        let mut stacked = Raster { width, height, bands, data: Vec::new(), reference };
        for (raster, path) in rasters.into_iter().zip(paths) {
            let grid = raster.grid();
            let w = raster.width;
            let h = raster.height;
            // Images of another shape show another area, not another resolution.
            if (w * height).abs_diff(width * h) > width.max(height) {
                let found = format!("must have the shape of {width}x{height} pixels, found `{w}x{h}`");
                return Err(DataError::file(path, found));
            }
            anchor.check(path, &grid, Pair::Bands, notes)?;
            if (w, h) == (width, height) {
                stacked.data.extend(raster.data);
                continue;
            }
            notes.push(format!(
                "images of {w}x{h} pixels were resampled to the finest, {width}x{height} (bilinear)"
            ));
            let covered = anchor.grid.pixels_of(&grid);
            stacked.data.extend(raster.resampled(width, height, covered).data);
        }
        Ok(stacked)
    }

    /// Selects bands, and marks pixels invalid in any selected band as invalid in all.
    fn sample(&self, key: &str, scene: &Scene, positions: &[usize]) -> Result<Sample, DataError> {
        let Raster { width, height, .. } = scene.dates[0];
        let size = width * height;
        let nodata = self.config.nodata.map(|value| value as f32);
        let invalid = |value: f32| !value.is_finite() || Some(value) == nodata;
        let bands: Vec<&[f32]> =
            scene.dates.iter().flat_map(|date| positions.iter().map(|band| date.band(*band))).collect();
        let bad: Vec<bool> = (0..size).map(|at| bands.iter().any(|band| invalid(band[at]))).collect();
        if bad.iter().all(|bad| *bad) {
            let found = format!("`{key}` must have at least one pixel with data in every band, found none");
            return Err(DataError::file(&scene.path, found));
        }
        let mut image = Vec::with_capacity(size * bands.len());
        for band in bands {
            let values = band.iter().zip(&bad);
            image.extend(values.map(|(value, bad)| if *bad { f32::NAN } else { *value }));
        }
        let mut target = scene.target.clone();
        let bad = || bad.iter().enumerate().filter(|(_, bad)| **bad).map(|(at, _)| at);
        match &mut target {
            Target::Mask(mask) => bad().for_each(|at| mask[at] = IGNORE),
            Target::Values(values) => bad().for_each(|at| values[at] = f32::NAN),
            Target::Class(_) | Target::Classes(_) => {}
        }
        Ok(Sample { key: key.to_owned(), height, width, image, target })
    }

    fn target(
        &self,
        path: &Path,
        anchor: &Anchor<'_>,
        image: &Raster,
        notes: &mut Vec<String>,
    ) -> Result<Target, DataError> {
        let Raster { width, height, .. } = *image;
        // The target of a regression is the shown value; the index of a colour is not a quantity.
        let read = if self.config.task == Task::Regression { read_raster } else { read_labels };
        let raster = read(path, &self.limits)?;
        if (raster.width, raster.height, raster.bands) != (width, height, 1) {
            let found = format!(
                "a mask or target must have one band of {width}x{height} pixels like {}, found `{}` of `{}x{}`",
                anchor.path.display(),
                raster.bands,
                raster.width,
                raster.height
            );
            return Err(DataError::file(path, found));
        }
        anchor.check(path, &raster.grid(), Pair::Label, notes)?;
        match self.config.task {
            Task::Regression => {
                let nodata = self.config.target_nodata.map(|value| value as f32);
                let value = |value: f32| if Some(value) == nodata { f32::NAN } else { value };
                Ok(Target::Values(raster.data.into_iter().map(value).collect()))
            }
            Task::Segmentation | Task::ChangeDetection | Task::Classification | Task::Multilabel => {
                self.mask(path, &raster.data).map(Target::Mask)
            }
        }
    }

    fn mask(&self, path: &Path, values: &[f32]) -> Result<Vec<u8>, DataError> {
        let classes = self.config.classes.len();
        if let Some(known) = &self.config.mask_values {
            let class = |value: &f32| known.iter().position(|known| *known as f32 == *value);
            return Ok(values.iter().map(|value| class(value).map_or(IGNORE, |class| class as u8)).collect());
        }
        let ignored = |value: f32| !value.is_finite() || value == f32::from(IGNORE);
        let is_class = |value: f32| value >= 0.0 && value.fract() == 0.0 && (value as usize) < classes;
        if let Some(bad) = values.iter().find(|value| !ignored(**value) && !is_class(**value)) {
            let found = format!(
                "mask values must be whole numbers below the number of classes, {classes}, or 255; found `{bad}`"
            );
            return Err(DataError::file(path, found));
        }
        Ok(values.iter().map(|value| if ignored(*value) { IGNORE } else { *value as u8 }).collect())
    }
}

/// Position of the raster with most pixels; of several, the first with a georeference.
fn finest(rasters: &[Raster]) -> usize {
    let rank = |at: &usize| {
        let raster = &rasters[*at];
        (raster.width * raster.height, raster.reference.is_some())
    };
    // `max_by` returns the last of several maxima, so the order is reversed.
    (0..rasters.len()).rev().max_by_key(rank).unwrap_or_default()
}

impl Scene {
    /// In metres, if the file has it.
    fn ground_sampling_distance(&self) -> Option<f64> {
        self.dates[0].reference.as_ref()?.ground_sampling_distance()
    }

    /// The square as a scene of its own.
    fn tile(&self, left: usize, top: usize, side: usize) -> Self {
        let width = self.dates[0].width;
        let dates = self.dates.iter().map(|date| Raster {
            width: side,
            height: side,
            bands: date.bands,
            data: date.window(left, top, side, side),
            reference: None,
        });
        let target = match &self.target {
            Target::Mask(mask) => Target::Mask(square(mask, width, left, top, side)),
            Target::Values(values) => Target::Values(square(values, width, left, top, side)),
            other @ (Target::Class(_) | Target::Classes(_)) => other.clone(),
        };
        let files = Vec::new();
        Self { path: self.path.clone(), files, dates: dates.collect(), target, notes: self.notes.clone() }
    }
}

fn square<T: Copy>(values: &[T], width: usize, left: usize, top: usize, side: usize) -> Vec<T> {
    values.chunks_exact(width).skip(top).take(side).flat_map(|row| &row[left..left + side]).copied().collect()
}
