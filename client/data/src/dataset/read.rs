//! From files to samples: bands are stacked, resampled to one grid and scaled, and invalid pixels are
//! marked.

use std::path::{Path, PathBuf};

use eosfed_common::model::Task;

use super::grids::{Anchor, Header, Pair};
use super::notes::Note;
use super::readers::WindowReader;
use super::unlisted::Unlisted;
use super::window::Window;
use super::{Dataset, Entry, IGNORE, Judged, Label, Sample, Source, Target};
use crate::error::DataError;
use crate::geotiff::Numbers;
use crate::raster::Raster;

/// The images of a sample in memory: one raster for each date, and its label.
pub(super) struct Scene {
    pub(super) path: PathBuf,
    pub(super) dates: Vec<Raster>,
    pub(super) target: Target,
    /// What of it is judged; absent if all is.
    pub(super) judged: Option<Judged>,
    pub(super) unlisted: Unlisted,
    pub(super) notes: Vec<Note>,
}

/// A sample, and facts about its images besides their values.
pub(crate) struct ReadSample {
    pub(crate) sample: Sample,
    /// Values of its mask that `mask_values` does not list.
    pub(crate) unlisted: Unlisted,
    /// Notes about what was done to the images.
    pub(crate) notes: Vec<Note>,
    /// In metres, where the files say it.
    pub(crate) ground_sampling_distance: Option<f64>,
}

impl Dataset {
    /// Reads a sample.
    pub(super) fn read(&self, entry: &Entry, positions: &[usize]) -> Result<ReadSample, DataError> {
        let mut read = self.read_stored(entry, positions)?;
        self.scale(&mut read.sample, positions);
        Ok(read)
    }

    /// Scales what a sample has of its files, of the bands at these positions.
    pub(crate) fn scale(&self, sample: &mut Sample, positions: &[usize]) {
        let pixels = sample.width * sample.height;
        self.scaling(positions).apply(&mut sample.image, pixels);
    }

    /// Reads a sample with the values of its files, before they are scaled.
    pub(super) fn read_stored(&self, entry: &Entry, positions: &[usize]) -> Result<ReadSample, DataError> {
        match &entry.source {
            Source::Files { images, label } => {
                let scene = self.scene(images, label)?;
                let sample = self.sample(&entry.key, &scene, positions)?;
                let ground_sampling_distance = scene.ground_sampling_distance();
                let Scene { unlisted, notes, .. } = scene;
                Ok(ReadSample { sample, unlisted, notes, ground_sampling_distance })
            }
            Source::Tile { scene, tile } => {
                let tile = self.tile(scene, tile)?;
                let sample = self.sample(&entry.key, &tile, positions)?;
                let ground_sampling_distance = scene.ground_sampling_distance;
                let Scene { unlisted, notes, .. } = tile;
                Ok(ReadSample { sample, unlisted, notes, ground_sampling_distance })
            }
        }
    }

    /// Opens an image, one of `files` of a scene.
    pub(super) fn open_image(&self, path: &Path, files: usize) -> Result<WindowReader, DataError> {
        let numbers = Numbers { stated: self.stated(path).cloned(), ..self.numbers.clone() };
        WindowReader::open(path, &self.limits, numbers, files)
    }

    /// Opens a mask or target raster.
    pub(super) fn open_label(&self, path: &Path, files: usize) -> Result<WindowReader, DataError> {
        let numbers = Numbers { stated: self.stated(path).cloned(), ..self.config.label_numbers() };
        WindowReader::open_label(path, &self.limits, numbers, self.config.task, files)
    }

    /// Reads all files of a sample and compares their grids.
    fn scene(&self, images: &[Vec<PathBuf>], label: &Label) -> Result<Scene, DataError> {
        let mut notes = Vec::new();
        let mut dates = Vec::with_capacity(images.len());
        let mut stacks = Vec::with_capacity(images.len());
        for paths in images {
            let open = |path: &PathBuf| self.open_image(path, paths.len());
            let mut readers: Vec<WindowReader> = paths.iter().map(open).collect::<Result<_, _>>()?;
            let headers: Vec<Header> = readers.iter().map(WindowReader::header).collect();
            let plan = self.plan(paths, &headers, &mut notes)?;
            plan.choose(&mut readers);
            let rasters = readers.into_iter().map(|reader| reader.into_raster(&self.limits));
            let rasters: Vec<Raster> = rasters.collect::<Result<_, _>>()?;
            stacks.push(plan.clone());
            dates.push(plan.whole(rasters));
        }
        let first = self.same_size(&stacks, images, &mut notes)?;
        let path = &images[0][0];
        let mut unlisted = Unlisted::default();
        let target = match label {
            Label::Class(class) => Target::Class(*class),
            Label::Classes(classes) => Target::Classes(classes.clone()),
            Label::Raster(raster) => self.target(raster, path, &first, &mut notes, &mut unlisted)?,
            Label::Polygons(file) => {
                let whole = Window { corner: [0, 0], size: first.size };
                Target::Mask(self.polygon_mask(file, path, &first.grid(), whole)?)
            }
        };
        Ok(Scene { path: path.clone(), dates, target, judged: None, unlisted, notes })
    }

    /// Selects bands, and marks pixels invalid in any selected band as invalid in all.
    pub(super) fn sample(&self, key: &str, scene: &Scene, positions: &[usize]) -> Result<Sample, DataError> {
        let Raster { width, height, .. } = scene.dates[0];
        let size = width * height;
        let bands: Vec<&[f32]> =
            scene.dates.iter().flat_map(|date| positions.iter().map(|band| date.band(*band))).collect();
        let counts = self.valid.counting(&scene.dates);
        let hidden = |at: usize| counts.as_ref().is_some_and(|counts| !counts[at]);
        let lacking = |at: usize| bands.iter().any(|band| !band[at].is_finite());
        let bad: Vec<bool> = (0..size).map(|at| lacking(at) || hidden(at)).collect();
        if bad.iter().all(|bad| *bad) {
            let found = format!(
                "`{key}` must have at least one pixel with data in every band{}, found none",
                self.valid.said()
            );
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
        let judged = scene.judged.clone();
        Ok(Sample { key: key.to_owned(), height, width, image, target, judged })
    }

    fn target(
        &self,
        path: &Path,
        image: &Path,
        first: &Header,
        notes: &mut Vec<Note>,
        unlisted: &mut Unlisted,
    ) -> Result<Target, DataError> {
        let reader = self.open_label(path, 1)?;
        self.check_label(path, &reader.header(), image, first, notes)?;
        self.to_target(path, reader.into_raster(&self.limits)?.data, unlisted)
    }

    /// Compares a mask or target raster with the image that it belongs to.
    pub(super) fn check_label(
        &self,
        path: &Path,
        found: &Header,
        image: &Path,
        first: &Header,
        notes: &mut Vec<Note>,
    ) -> Result<(), DataError> {
        if (found.size, found.bands) != (first.size, 1) {
            let found = format!(
                "a mask or target must have one band of {}x{} pixels like {}, found `{}` of `{}x{}`",
                first.size[0],
                first.size[1],
                image.display(),
                found.bands,
                found.size[0],
                found.size[1]
            );
            return Err(DataError::file(path, found));
        }
        let anchor = Anchor { path: image, grid: first.grid() };
        anchor.check(path, &found.grid(), Pair::Label, notes)
    }

    /// Values of a mask or target raster as a label. Values of a mask that are not listed are added to `unlisted`.
    pub(super) fn to_target(
        &self,
        path: &Path,
        values: Vec<f32>,
        unlisted: &mut Unlisted,
    ) -> Result<Target, DataError> {
        match self.config.task {
            Task::Regression => Ok(Target::Values(values)),
            Task::Segmentation | Task::ChangeDetection | Task::Classification | Task::Multilabel => {
                self.mask(path, &values, unlisted).map(Target::Mask)
            }
        }
    }

    fn mask(&self, path: &Path, values: &[f32], unlisted: &mut Unlisted) -> Result<Vec<u8>, DataError> {
        let classes = self.config.classes.len();
        if let Some(known) = &self.config.mask_values {
            let class = |value: &f32| {
                let class = known.iter().position(|known| *known as f32 == *value);
                class.map_or_else(
                    || {
                        unlisted.add(*value);
                        IGNORE
                    },
                    |class| class as u8,
                )
            };
            return Ok(values.iter().map(class).collect());
        }
        let ignored = |value: f32| !value.is_finite() || value == f32::from(IGNORE);
        let is_class = |value: f32| value >= 0.0 && value.fract() == 0.0 && (value as usize) < classes;
        if let Some(bad) = values.iter().find(|value| !ignored(**value) && !is_class(**value)) {
            let found = format!(
                "mask values must be whole numbers below the number of classes, {classes}, or 255; found `{bad}`"
            );
            return Err(DataError::file(path, found));
        }
        let class = |value: &f32| {
            if ignored(*value) {
                unlisted.add(*value);
                IGNORE
            } else {
                *value as u8
            }
        };
        Ok(values.iter().map(class).collect())
    }
}

impl Scene {
    /// In metres, if the file has it.
    fn ground_sampling_distance(&self) -> Option<f64> {
        let Raster { width, height, reference, .. } = &self.dates[0];
        reference.as_ref()?.ground_sampling_distance([*width, *height])
    }
}
