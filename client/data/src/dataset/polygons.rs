//! Masks from files of polygons: which file is for which image, what was read of it, and how much of it is used.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use eosfed_common::model::Task;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::window::Window;
use super::{Dataset, Label, Source};
use crate::error::DataError;
use crate::files::Fingerprint;
use crate::georeference::Grid;
use crate::polygons::{Polygons, said};

/// Width and height in pixels of what is filled together, where nothing is decoded.
pub(super) const POLYGON_BLOCK: [usize; 2] = [2048; 2];
/// Positions of rings that are kept for the next image, 16 bytes each.
const MOST_KEPT: usize = 40_000_000;
/// Files that are kept.
const MOST_FILES: usize = 1024;
/// Changes when it is counted in another way how much of the polygons is used.
const FORMAT: &str = concat!("eosfed polygons 1 ", env!("CARGO_PKG_VERSION"));

/// How many features of polygon files are used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PolygonReport {
    /// Files that were read.
    pub files: usize,
    /// Their features.
    pub features: u64,
    /// Features whose box meets an image's.
    pub used: u64,
    /// Features that lie outside of all images.
    pub outside: u64,
    /// Features without an area: without a geometry, or with an empty one.
    pub empty: u64,
    /// Features whose value has no class, and whose pixels have no label, by the value; these are counted in the other
    /// numbers too.
    pub other_values: BTreeMap<String, u64>,
}

/// A file for images of one reference system.
type Key = (PathBuf, u16);
/// What was read, once one thread has read it.
type Slot = Arc<OnceLock<Result<Arc<Polygons>, DataError>>>;

/// Files that have been read; those used last are at the end.
#[derive(Default)]
pub(super) struct PolygonFiles(Mutex<VecDeque<(Key, Slot)>>);

impl PolygonFiles {
    /// The polygons of a file, which is read if it is not there.
    fn get(
        &self,
        key: &Key,
        read: impl FnOnce(&Path, u16) -> Result<Polygons, DataError>,
    ) -> Result<Arc<Polygons>, DataError> {
        let slot = self.slot(key);
        let found = slot.get_or_init(|| read(&key.0, key.1).map(Arc::new)).clone();
        self.forget();
        found
    }

    fn slot(&self, key: &Key) -> Slot {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.iter().rposition(|(of, _)| of == key).and_then(|at| all.remove(at));
        let (key, slot) = known.unwrap_or_else(|| (key.clone(), Slot::default()));
        all.push_back((key, Arc::clone(&slot)));
        slot
    }

    fn forget(&self) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let vertices =
            |slot: &Slot| slot.get().and_then(|read| Some(read.as_ref().ok()?.vertices())).unwrap_or(0);
        while all.len() > 1
            && (all.len() > MOST_FILES
                || all.iter().map(|(_, slot)| vertices(slot)).sum::<usize>() > MOST_KEPT)
        {
            all.pop_front();
        }
    }
}

impl Dataset {
    /// The polygons of a file for an image on a grid.
    ///
    /// # Errors
    /// If the data set does not say their classes, the image has no place, or the file cannot be used.
    pub(super) fn polygons_for(
        &self,
        file: &Path,
        image: &Path,
        grid: &Grid,
    ) -> Result<Arc<Polygons>, DataError> {
        let masks = matches!(self.config.task, Task::Segmentation | Task::ChangeDetection);
        let Some(classes) = self.config.polygon_classes().filter(|_| masks) else {
            let reason = if masks {
                "is a file of polygons, so dataset.toml must say in `[polygons]` which `attribute` is the class, found nothing"
            } else {
                "must be a raster: polygons give classes of pixels, and the task is another"
            };
            return Err(DataError::file(file, reason));
        };
        let Some(system) = grid.system_code().filter(|_| grid.is_placed()) else {
            let reason = format!(
                "must have a geotransform and a reference system with an EPSG code, since {} has its mask as polygons, found \
                 none; `gdalwarp -t_srs EPSG:…` writes an image with both",
                file.display()
            );
            return Err(DataError::file(image, reason));
        };
        self.polygon_files
            .get(&(file.to_owned(), system), |file, system| Polygons::read(file, &classes, system))
    }

    /// The mask of a window of an image, whose whole grid is given.
    pub(super) fn polygon_mask(
        &self,
        file: &Path,
        image: &Path,
        grid: &Grid,
        Window { corner, size }: Window,
    ) -> Result<Vec<u8>, DataError> {
        let polygons = self.polygons_for(file, image, grid)?;
        polygons.mask(grid, corner, size).map_err(|reason| DataError::file(image, reason))
    }

    /// Counts the features that lie in images. A file that cannot be read is reported by whoever reads its samples.
    ///
    /// # Errors
    /// If no feature lies in an image, or `[polygons]` is of no use.
    pub(super) fn check_polygons(&mut self) -> Result<(), DataError> {
        let images = self.polygon_images();
        if images.is_empty() {
            let idle = self.config.polygons.is_some();
            let reason = "`[polygons]` must be absent where no mask is a file of polygons (`.geojson`, `.json`, `.gpkg`, `.shp`), found it";
            return if idle { Err(DataError::unfit(&self.path, reason)) } else { Ok(()) };
        }
        let report = self.remembered_polygons(key_of(&images), || self.polygon_report(&images))?;
        self.notes.extend(report.note());
        self.polygons = Some(report);
        Ok(())
    }

    /// Counts the features that lie in these images, whose heads are read.
    fn polygon_report(&self, images: &[PolygonImage<'_>]) -> Result<PolygonReport, DataError> {
        let files: Mutex<BTreeMap<&Path, Marked>> = Mutex::default();
        let failed: Vec<DataError> =
            images.par_iter().filter_map(|image| self.mark(image, &files).err()).collect();
        let files = files.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let (true, Some(error)) = (files.is_empty(), failed.into_iter().next()) {
            return Err(error);
        }
        let mut report = PolygonReport { files: files.len(), ..PolygonReport::default() };
        files.values().for_each(|marked| marked.add_to(&mut report));
        if report.used == 0 {
            let reason = format!(
                "polygons must lie in the images, found none of {} features of {} that does; compare the coordinates and the \
                 reference systems of both by `ogrinfo -al -so` and `gdalinfo`",
                report.features,
                named(files.keys())
            );
            return Err(DataError::unfit(&self.path, reason));
        }
        Ok(report)
    }

    /// Each image whose mask is a file of polygons; of tiles of one scene the first.
    fn polygon_images(&self) -> Vec<PolygonImage<'_>> {
        let mut last = None;
        let mut found = Vec::new();
        for entry in &self.entries {
            let (label, images, grid) = match &entry.source {
                Source::Files { images, label } => (label, images, None),
                Source::Tile { scene, .. } => {
                    let of = Some(Arc::as_ptr(scene));
                    if std::mem::replace(&mut last, of) == of {
                        continue;
                    }
                    (&scene.label, &scene.images, Some(&scene.grid))
                }
            };
            if let Label::Polygons(file) = label {
                found.push(PolygonImage { file, images, label, grid });
            }
        }
        found
    }

    /// Marks the features that an image uses.
    fn mark<'a>(
        &self,
        image: &PolygonImage<'a>,
        files: &Mutex<BTreeMap<&'a Path, Marked>>,
    ) -> Result<(), DataError> {
        let path = &image.images[0][0];
        let grid = match image.grid {
            Some(grid) => grid.clone(),
            None => self.scene_files(image.images, image.label)?.grid,
        };
        let polygons = self.polygons_for(image.file, path, &grid)?;
        let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
        let marked = files.entry(image.file).or_insert_with(|| Marked {
            used: vec![false; polygons.features()],
            empty: polygons.empty() as u64,
            others: polygons.others().to_vec(),
        });
        polygons.mark_used(&grid, &mut marked.used).map_err(|reason| DataError::file(path, reason))
    }
}

/// An image whose mask is a file of polygons.
struct PolygonImage<'a> {
    file: &'a Path,
    images: &'a [Vec<PathBuf>],
    label: &'a Label,
    /// If it is known.
    grid: Option<&'a Grid>,
}

/// A digest of the files that decide how much of the polygons is used.
fn key_of(images: &[PolygonImage<'_>]) -> String {
    let mut fingerprint = Fingerprint::new(FORMAT);
    for image in images {
        for file in image.images.iter().flatten().map(PathBuf::as_path).chain([image.file]) {
            fingerprint.add_file(file);
        }
    }
    fingerprint.finish().to_hex()
}

/// The features of a file.
struct Marked {
    /// Whether each lies in an image.
    used: Vec<bool>,
    empty: u64,
    others: Vec<(String, u64)>,
}

impl Marked {
    fn add_to(&self, report: &mut PolygonReport) {
        let used = self.used.iter().filter(|used| **used).count() as u64;
        let features = self.used.len() as u64;
        report.features += features;
        report.used += used;
        report.empty += self.empty;
        report.outside += features - used - self.empty;
        for (value, count) in &self.others {
            *report.other_values.entry(value.clone()).or_default() += count;
        }
    }
}

impl PolygonReport {
    /// A sentence about features that give no label.
    fn note(&self) -> Option<String> {
        let outside = (self.outside > 0).then(|| format!("{} lie outside of all images", self.outside));
        let empty = (self.empty > 0).then(|| format!("{} have no area", self.empty));
        let others: Vec<(String, u64)> = self.other_values.clone().into_iter().collect();
        let others = (!others.is_empty())
            .then(|| format!("these have no class and their pixels no label: {}", said(&others)));
        let parts: Vec<String> = outside.into_iter().chain(empty).chain(others).collect();
        (!parts.is_empty())
            .then(|| format!("of {} features of polygons, {}", self.features, parts.join("; ")))
    }
}

/// The first files by name.
fn named<'a>(files: impl ExactSizeIterator<Item = &'a &'a Path>) -> String {
    const NAMED: usize = 3;
    let more = files.len().saturating_sub(NAMED);
    let rest = (more > 0).then(|| format!("{more} more"));
    files.take(NAMED).map(|file| file.display().to_string()).chain(rest).collect::<Vec<_>>().join(", ")
}
