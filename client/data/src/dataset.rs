//! A data set: its samples by key, their division into parts, and loading them.
//!
//! Scenes are read once when the data set is opened and kept in memory, bounded by [`Limits`];
//! single images are read when they are asked for, in parallel, in an order that is always the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::config::{DatasetConfig, Layout, SplitBy};
use crate::error::DataError;
use crate::files;
use crate::raster::{Limits, Raster, read_raster};
use crate::split::Split;

/// Mask value of pixels without label or without data.
pub const IGNORE: u8 = 255;

/// Side of a block that the split by location keeps together, in tiles.
const BLOCK: usize = 2;

/// What a sample is labelled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The image's class.
    Class(usize),
    /// The class of each pixel, row-major; [`IGNORE`] where there is none.
    Mask(Vec<u8>),
}

/// One image or tile with its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its name within the data set.
    pub key: String,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Values in the order band, row, column, scaled; NaN in every band where any has no data.
    pub image: Vec<f32>,
    /// Its label.
    pub target: Target,
}

/// Samples and what had to be left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The samples, in the order of their keys.
    pub samples: Vec<Sample>,
    /// What is wrong with each file that was skipped.
    pub skipped: Vec<String>,
}

enum Source {
    Image { image: PathBuf, class: usize },
    Pair { image: PathBuf, mask: PathBuf },
    Tile { scene: Arc<Scene>, left: usize, top: usize, side: usize },
}

struct Scene {
    pixels: Raster,
    mask: Vec<u8>,
}

struct Entry {
    key: String,
    split: Split,
    source: Source,
}

/// An opened data set.
pub struct Dataset {
    path: PathBuf,
    config: DatasetConfig,
    limits: Limits,
    entries: Vec<Entry>,
}

impl Dataset {
    /// Opens the data set that a `dataset.toml`, or the folder it lies in, describes.
    ///
    /// # Errors
    /// If the description is wrong, a folder or scene cannot be read, or there are no samples.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, DataError> {
        let path = if path.is_dir() { path.join("dataset.toml") } else { path.to_owned() };
        let config = DatasetConfig::load(&path)?;
        let mut dataset = Self { path, config, limits: *limits, entries: Vec::new() };
        dataset.entries = dataset.find()?;
        if dataset.entries.is_empty() {
            return Err(DataError::unfit(&dataset.path, "the data set has no samples"));
        }
        Ok(dataset)
    }

    /// Where its description lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its description.
    #[must_use]
    pub const fn config(&self) -> &DatasetConfig {
        &self.config
    }

    /// Number of samples in a part.
    #[must_use]
    pub fn len(&self, split: Split) -> usize {
        self.entries.iter().filter(|entry| entry.split == split).count()
    }

    /// Whether a part has no samples.
    #[must_use]
    pub fn is_empty(&self, split: Split) -> bool {
        self.len(split) == 0
    }

    /// Positions of the named bands.
    ///
    /// # Errors
    /// If one is not in the data set; says which are.
    pub fn positions(&self, bands: &[String]) -> Result<Vec<usize>, DataError> {
        let position = |band: &String| {
            self.config.bands.iter().position(|known| known == band).ok_or_else(|| {
                let reason = format!("there is no band `{band}`; there are {}", self.config.bands.join(", "));
                DataError::unfit(&self.path, reason)
            })
        };
        bands.iter().map(position).collect()
    }

    /// Loads a part with the named bands, in parallel. Unreadable files are skipped by name up to
    /// the share that the data set allows.
    ///
    /// # Errors
    /// If a band is missing, the part is empty, or too many files are unreadable.
    pub fn load(&self, split: Split, bands: &[String]) -> Result<Loaded, DataError> {
        let positions = self.positions(bands)?;
        let entries: Vec<_> = self.entries.iter().filter(|entry| entry.split == split).collect();
        if entries.is_empty() {
            return Err(DataError::unfit(&self.path, format!("the {} part has no samples", split.name())));
        }
        let results: Vec<_> = entries.par_iter().map(|entry| self.read(entry, &positions)).collect();
        let (mut samples, mut skipped) = (Vec::with_capacity(results.len()), Vec::new());
        for result in results {
            match result {
                Ok(sample) => samples.push(sample),
                Err(error) => skipped.push(error.to_string()),
            }
        }
        let share = self.config.max_corrupt_share;
        if skipped.len() as f64 > share * entries.len() as f64 || samples.is_empty() {
            let total = entries.len();
            return Err(DataError::TooManyCorrupt { files: skipped, total, share: share.to_string() });
        }
        Ok(Loaded { samples, skipped })
    }

    fn find(&self) -> Result<Vec<Entry>, DataError> {
        let base = self.path.parent().unwrap_or_else(|| Path::new("."));
        match &self.config.layout {
            Layout::Folders { root, index, place } => {
                let root = base.join(root);
                let mut found = files::in_class_folders(&root, &self.config.classes)?;
                if let (Some(index), Some(place)) = (index, place) {
                    let inside = files::placed(&root.join(index), place)?;
                    found
                        .retain(|(path, _)| path.strip_prefix(&root).is_ok_and(|name| inside.contains(name)));
                }
                let entry = |(image, class): (PathBuf, usize)| {
                    let key = image.strip_prefix(&root).unwrap_or(&image).to_string_lossy().into_owned();
                    self.entry(key, Source::Image { image, class })
                };
                Ok(found.into_iter().map(entry).collect())
            }
            Layout::Pairs { images, masks } => {
                let pairs = files::pairs(&base.join(images), &base.join(masks))?;
                let entry = |(image, mask): (PathBuf, PathBuf)| {
                    let key = image.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                    self.entry(key, Source::Pair { image, mask })
                };
                Ok(pairs.into_iter().map(entry).collect())
            }
            Layout::Scenes { images, masks, tile, stride } => {
                let (tile, stride) = (*tile as usize, stride.unwrap_or(*tile) as usize);
                let mut entries = Vec::new();
                for (image, mask) in images.iter().zip(masks) {
                    let scene = Arc::new(self.scene(&base.join(image), &base.join(mask))?);
                    self.tiles(&image.to_string_lossy(), &scene, tile, stride, &mut entries);
                }
                Ok(entries)
            }
        }
    }

    fn entry(&self, key: String, source: Source) -> Entry {
        Entry { split: Split::of(&key, &self.config.split), key, source }
    }

    fn scene(&self, image: &Path, mask: &Path) -> Result<Scene, DataError> {
        let pixels = self.image(image)?;
        let mask = self.mask(mask, image, pixels.width, pixels.height)?;
        Ok(Scene { pixels, mask })
    }

    /// Tiles with at least one labelled pixel. Parts other than the training part get no tiles that
    /// overlap each other, and with the split by location none that overlap another part's.
    fn tiles(&self, name: &str, scene: &Arc<Scene>, side: usize, stride: usize, entries: &mut Vec<Entry>) {
        let Raster { width, height, .. } = scene.pixels;
        for top in (0..(height + 1).saturating_sub(side)).step_by(stride) {
            for left in (0..(width + 1).saturating_sub(side)).step_by(stride) {
                let key = format!("{name}@{left},{top}");
                let Some(split) = self.tile_split(name, &key, left, top, side) else { continue };
                let aligned = left % side == 0 && top % side == 0;
                if !(aligned || split == Split::Train) {
                    continue;
                }
                let labelled = |row: usize| {
                    let start = (top + row) * width + left;
                    scene.mask[start..start + side].iter().any(|class| *class != IGNORE)
                };
                if (0..side).any(labelled) {
                    let source = Source::Tile { scene: Arc::clone(scene), left, top, side };
                    entries.push(Entry { key, split, source });
                }
            }
        }
    }

    fn tile_split(&self, name: &str, key: &str, left: usize, top: usize, side: usize) -> Option<Split> {
        let config = &self.config.split;
        if config.by == SplitBy::Digest {
            return Some(Split::of(key, config));
        }
        let block = side * BLOCK;
        let of = |x: usize, y: usize| Split::of(&format!("{name}#{},{}", x / block, y / block), config);
        let (right, bottom) = (left + side - 1, top + side - 1);
        let split = of(left, top);
        [of(right, top), of(left, bottom), of(right, bottom)]
            .iter()
            .all(|other| *other == split)
            .then_some(split)
    }

    fn read(&self, entry: &Entry, positions: &[usize]) -> Result<Sample, DataError> {
        let (pixels, target) = match &entry.source {
            Source::Image { image, class } => (self.image(image)?, Target::Class(*class)),
            Source::Pair { image, mask } => {
                let pixels = self.image(image)?;
                let mask = self.mask(mask, image, pixels.width, pixels.height)?;
                (pixels, Target::Mask(mask))
            }
            Source::Tile { scene, left, top, side } => {
                let rows = scene.mask.chunks_exact(scene.pixels.width).skip(*top).take(*side);
                let mask = rows.flat_map(|row| &row[*left..left + side]).copied().collect();
                let data = scene.pixels.window(*left, *top, *side, *side);
                let bands = scene.pixels.bands;
                (Raster { width: *side, height: *side, bands, data, reference: None }, Target::Mask(mask))
            }
        };
        Ok(self.sample(entry.key.clone(), &pixels, target, positions))
    }

    /// Selects bands, scales, and marks pixels invalid in any selected band as invalid in all.
    fn sample(&self, key: String, pixels: &Raster, mut target: Target, positions: &[usize]) -> Sample {
        let size = pixels.width * pixels.height;
        let (scale, offset) = (self.config.scale as f32, self.config.offset as f32);
        let nodata = self.config.nodata.map(|value| value as f32);
        let invalid = |value: f32| !value.is_finite() || Some(value) == nodata;
        let bands: Vec<&[f32]> = positions.iter().map(|position| pixels.band(*position)).collect();
        let bad: Vec<bool> = (0..size).map(|at| bands.iter().any(|band| invalid(band[at]))).collect();
        let mut image = Vec::with_capacity(size * bands.len());
        for band in bands {
            let values = band.iter().zip(&bad);
            image.extend(values.map(|(value, bad)| if *bad { f32::NAN } else { value * scale + offset }));
        }
        if let Target::Mask(mask) = &mut target {
            mask.iter_mut().zip(&bad).filter(|(_, bad)| **bad).for_each(|(class, _)| *class = IGNORE);
        }
        Sample { key, height: pixels.height, width: pixels.width, image, target }
    }

    fn image(&self, path: &Path) -> Result<Raster, DataError> {
        let raster = read_raster(path, &self.limits)?;
        if raster.bands != self.config.bands.len() {
            let found =
                format!("the data set declares {} bands, found `{}`", self.config.bands.len(), raster.bands);
            return Err(DataError::file(path, found));
        }
        Ok(raster)
    }

    fn mask(&self, path: &Path, image: &Path, width: usize, height: usize) -> Result<Vec<u8>, DataError> {
        let raster = read_raster(path, &self.limits)?;
        if (raster.width, raster.height, raster.bands) != (width, height, 1) {
            let found = format!(
                "a mask must have one band of {width}x{height} pixels like {}, found `{}` of `{}x{}`",
                image.display(),
                raster.bands,
                raster.width,
                raster.height
            );
            return Err(DataError::file(path, found));
        }
        let classes = self.config.classes.len();
        let mask: Vec<u8> = match &self.config.mask_values {
            Some(values) => {
                let class = |value: f32| values.iter().position(|known| *known as f32 == value);
                raster.data.iter().map(|value| class(*value).map_or(IGNORE, |class| class as u8)).collect()
            }
            None => raster
                .data
                .iter()
                .map(|value| if value.is_finite() { *value as u8 } else { IGNORE })
                .collect(),
        };
        if let Some(class) = mask.iter().find(|class| **class != IGNORE && usize::from(**class) >= classes) {
            let found = format!(
                "mask values must be below the number of classes, {classes}, or 255; found `{class}`"
            );
            return Err(DataError::file(path, found));
        }
        Ok(mask)
    }
}

#[cfg(test)]
mod tests;
