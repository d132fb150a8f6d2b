//! A data set: its samples by key, their division into parts, and loading them.
//!
//! Images are read on demand, in parallel and always in the same order. Of scenes and images that are cut into
//! tiles, windows are read. Which tiles have a label and data is found out once, and remembered in a folder if
//! one is given.

mod access;
mod baseline;
mod baseline_words;
mod choice;
mod chunks;
mod class_groups;
mod contradictions;
mod divide;
mod find;
mod grids;
mod held_back;
mod imagery;
mod index;
mod items;
mod leakage;
mod location;
mod notes;
mod overlap;
mod patterns;
mod place;
mod places;
mod planes;
mod polygons;
mod random_windows;
mod read;
mod readers;
mod rows;
mod scene;
mod stack;
mod statements;
mod strata;
mod table;
mod template;
mod tiles;
mod unlisted;
mod unreadable;
mod usable;
mod valid;
mod window;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use eosfed_common::canonical::digest_of;
use eosfed_common::digest::Digest;
use eosfed_common::head::Imagery;
use eosfed_common::model::{NamedBand, TargetScale, Task};
use find::Found;
use index::TileIndex;
use readers::Readers;
use scene::SceneFiles;
use tiles::Tile;
use unreadable::Unreadable;

pub use valid::Valid;

pub use baseline::baseline_notes;
pub(crate) use choice::choose;
pub use choice::choose_bands;
pub use chunks::Chunks;
pub(crate) use imagery::ImageryRange;
pub(crate) use leakage::EqualPixels;
pub(crate) use notes::{Note, Notes};
use polygons::PolygonFiles;
pub use polygons::PolygonReport;
pub use random_windows::KeptPlace;
use random_windows::RandomWindows;
pub(crate) use read::ReadSample;
pub(crate) use readers::WindowReader;
pub(crate) use rows::{SEPARATOR, Table};
pub(crate) use unlisted::Unlisted;

use crate::bandcheck::{BandReport, BandScaling, PixelSampler, check_bands, check_sampled};
use crate::config::DatasetConfig;
use crate::error::DataError;
use crate::files::are_polygons;
use crate::geotiff::{Numbers, Stated};
use crate::raster::Limits;
use crate::reasons::Skipped;
use crate::sample::{IGNORE, Judged, Sample, Target};
use crate::split::Split;
use crate::survey::{BandSurvey, Surveyed};

/// Samples, and the files that were left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The samples, in the order of their keys.
    pub samples: Vec<Sample>,
    /// What is wrong with each file that was skipped.
    pub skipped: Vec<String>,
    /// Notes about the images, such as resampling.
    pub notes: Vec<String>,
    /// The common properties of the samples.
    pub imagery: Imagery,
}

/// The files of a sample.
#[derive(Debug, Clone)]
struct Item {
    key: String,
    /// The group that it is assigned with, if the split is by class.
    group: Option<String>,
    part: Split,
    /// Longitude and latitude, if an index or a table gives them.
    position: Option<[f64; 2]>,
    /// For each date the images whose bands are stacked.
    images: Vec<Vec<PathBuf>>,
    label: Label,
}

#[derive(Debug, Clone)]
enum Label {
    Class(usize),
    Classes(Vec<bool>),
    Raster(PathBuf),
    /// A file of polygons.
    Polygons(PathBuf),
}

impl Label {
    /// A mask or target raster, or polygons, by the ending of the name.
    fn of_file(path: PathBuf) -> Self {
        if are_polygons(&path) { Self::Polygons(path) } else { Self::Raster(path) }
    }

    /// The file that it is read from.
    fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Raster(path) | Self::Polygons(path) => Some(path),
            Self::Class(_) | Self::Classes(_) => None,
        }
    }
}

enum Source {
    Files { images: Vec<Vec<PathBuf>>, label: Label },
    Tile { scene: Arc<SceneFiles>, tile: Tile },
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
    /// How the numbers of images are read.
    numbers: Numbers,
    /// Which pixels count.
    valid: Valid,
    /// What a catalogue says of the numbers of files.
    stated: BTreeMap<PathBuf, Arc<Stated>>,
    entries: Vec<Entry>,
    /// Files that could not be read when it was opened.
    broken: Skipped,
    /// Samples that could not be read since then.
    unreadable: Unreadable,
    /// Notes about its division into parts.
    notes: Vec<String>,
    /// Random places of training tiles, if it asks for them.
    windows: Option<RandomWindows>,
    /// Opened files of scenes.
    readers: Arc<Readers>,
    /// Files of polygons that have been read.
    polygon_files: PolygonFiles,
    /// What was found in them.
    polygons: Option<PolygonReport>,
    /// The tiles of scenes that can be used.
    index: Mutex<TileIndex>,
}

/// The file that describes a data set, of its path or its folder's.
#[must_use]
pub fn description(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("dataset.toml") } else { path.to_owned() }
}

impl Dataset {
    /// Opens the data set that a `dataset.toml`, or its folder, describes.
    ///
    /// # Errors
    /// If the description is wrong, a folder or scene cannot be read, or there are no samples.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, DataError> {
        Self::open_with(path, limits, None)
    }

    /// As [`Dataset::open`]. What had to be found out about scenes by reading their pixels is remembered in
    /// `folder`, so that no pixel is read the next time.
    ///
    /// # Errors
    /// Like [`Dataset::open`].
    pub fn open_with(path: &Path, limits: &Limits, folder: Option<&Path>) -> Result<Self, DataError> {
        let path = description(path);
        let config = DatasetConfig::load(&path)?;
        let reading = config.reading();
        let mut dataset = Self {
            path,
            config,
            numbers: reading.numbers(),
            valid: Valid::new(&reading),
            stated: BTreeMap::new(),
            limits: *limits,
            entries: Vec::new(),
            broken: Skipped::default(),
            unreadable: Unreadable::default(),
            notes: Vec::new(),
            windows: None,
            readers: Arc::default(),
            polygon_files: PolygonFiles::default(),
            polygons: None,
            index: Mutex::new(TileIndex::default()),
        };
        let remembered = folder.map(|folder| dataset.index_file(folder));
        if let Some(file) = &remembered {
            dataset.index = Mutex::new(TileIndex::read(file));
        }
        let Found { entries, broken, notes, windows } = dataset.find()?;
        dataset.unreadable = Unreadable::new(entries.len(), broken.groups());
        dataset.entries = entries;
        dataset.broken = broken;
        dataset.notes = notes;
        dataset.windows = windows;
        let checked = dataset.check();
        if let Some(file) = &remembered {
            dataset.index.get_mut().unwrap_or_else(PoisonError::into_inner).write(file);
        }
        checked?;
        Ok(dataset)
    }

    /// Checks the samples that were found together.
    fn check(&mut self) -> Result<(), DataError> {
        self.check_contradictions()?;
        if self.entries.is_empty() {
            return Err(self.without_samples());
        }
        self.check_polygons()
    }

    fn without_samples(&self) -> DataError {
        let polygons = "the data set has no samples: no pixel has both data and a label; compare the coordinates of polygons \
                        and images by `ogrinfo -al -so` and `gdalinfo`";
        let reason = if self.config.polygons.is_some() { polygons } else { "the data set has no samples" };
        let all: Vec<&str> = std::iter::once(reason).chain(self.notes.iter().map(String::as_str)).collect();
        DataError::unfit(&self.path, all.join("; "))
    }

    /// The path of its description.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of its description, from which its files are named.
    pub(crate) fn root(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Its description.
    #[must_use]
    pub const fn config(&self) -> &DatasetConfig {
        &self.config
    }

    /// What was found in its files of polygons, if it has any.
    #[must_use]
    pub const fn polygons(&self) -> Option<&PolygonReport> {
        self.polygons.as_ref()
    }

    /// Notes about its division into parts.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
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

    /// The part that scores are of: the test part, or where there is none the validation part.
    #[must_use]
    pub fn scored_part(&self) -> Split {
        if self.is_empty(Split::Test) { Split::Validation } else { Split::Test }
    }

    /// Digest of its description but the colours of classes, and of the keys of its samples, each with its part: whoever has the data set
    /// can compute it, and it differs when a sample comes, goes or moves to another part.
    #[must_use]
    pub fn inventory(&self) -> Digest {
        let samples: Vec<_> =
            self.entries.iter().map(|entry| (entry.split.name(), entry.key.as_str())).collect();
        digest_of(&(self.config.without_looks(), samples))
    }

    /// Width and height of the first sample of a part whose files can be opened; the trainer compares all of them.
    /// No pixel of a tile or of a GeoTIFF is read.
    #[must_use]
    pub fn first_size(&self, split: Split) -> Option<[usize; 2]> {
        let part = self.entries.iter().filter(|entry| entry.split == split);
        part.filter_map(|entry| match &entry.source {
            Source::Tile { tile, .. } => Some([tile.tiling.side; 2]),
            Source::Files { images, label } => Some(self.scene_files(images, label).ok()?.size),
        })
        .next()
    }

    /// Positions of the named bands.
    ///
    /// # Errors
    /// If one is not in the data set. The error lists those that are.
    pub fn positions(&self, bands: &[String]) -> Result<Vec<usize>, DataError> {
        let position = |band: &String| {
            self.config.bands.iter().position(|known| known == band).ok_or_else(|| {
                let reason = format!("there is no band `{band}`; there are {}", self.config.bands.join(", "));
                DataError::unfit(&self.path, reason)
            })
        };
        bands.iter().map(position).collect()
    }

    /// Checks that a model for `task` and `classes` can learn its labels.
    ///
    /// # Errors
    /// If the task or the classes differ, with both values.
    pub fn serves(&self, task: Task, classes: &[String]) -> Result<(), DataError> {
        if self.config.task != task {
            let reason = format!("its task must be `{task}`, found `{}`", self.config.task);
            return Err(DataError::unfit(&self.path, reason));
        }
        if self.config.classes != classes {
            let wanted = classes.join(", ");
            let found = self.config.classes.join(", ");
            let reason = format!("its classes must be `{wanted}` in this order, found `{found}`");
            return Err(DataError::unfit(&self.path, reason));
        }
        Ok(())
    }

    /// Checks that its targets are in the unit of a model's. Gives a note if only one of them states it.
    ///
    /// # Errors
    /// If the units differ, with both.
    pub fn serves_unit(&self, target: Option<&TargetScale>) -> Result<Option<String>, DataError> {
        let compared = target.map_or(Ok(None), |target| self.config.compare_unit(&target.unit));
        compared.map_err(|reason| DataError::unfit(&self.path, reason))
    }

    /// Checks the named bands against the pixels of `samples`, and returns the objections as sentences. A
    /// model trains on bands in a wrong order without an error, and predicts badly.
    ///
    /// # Errors
    /// If the pixels contradict the names and the data set is `strict`.
    pub fn check_bands(&self, bands: &[String], samples: &[Sample]) -> Result<BandReport, DataError> {
        self.not_contradicted(check_bands(&self.declared(bands)?, self.config.scaling(bands), samples))
    }

    /// As [`Dataset::check_bands`], of pixels that were taken already.
    ///
    /// # Errors
    /// Like [`Dataset::check_bands`].
    pub(crate) fn check_sampled(
        &self,
        bands: &[String],
        sampler: PixelSampler,
    ) -> Result<BandReport, DataError> {
        self.not_contradicted(check_sampled(&self.declared(bands)?, &self.config.scaling(bands), sampler))
    }

    /// Looks at the bands of a part.
    ///
    /// # Errors
    /// If a band is not in the data set.
    pub fn survey(&self, part: Split, bands: &[String]) -> Result<BandSurvey, DataError> {
        Ok(BandSurvey::new(self.declared(bands)?, self.len(part).saturating_mul(self.dates())))
    }

    /// What was found in bands of this data set.
    ///
    /// # Errors
    /// Like [`Dataset::check_bands`].
    pub fn surveyed(&self, survey: BandSurvey) -> Result<Surveyed, DataError> {
        let bands = survey.names();
        let Surveyed { statistics, report } = survey.finish(&self.config.scaling(&bands));
        Ok(Surveyed { statistics, report: self.not_contradicted(report)? })
    }

    fn declared(&self, bands: &[String]) -> Result<Vec<NamedBand>, DataError> {
        let all = self.config.named_bands();
        Ok(self.positions(bands)?.into_iter().map(|at| all[at].clone()).collect())
    }

    /// What is done to the files' values of the bands at these positions.
    pub(crate) fn scaling(&self, positions: &[usize]) -> BandScaling {
        let bands: Vec<String> = positions.iter().map(|at| self.config.bands[*at].clone()).collect();
        self.config.scaling(&bands)
    }

    fn not_contradicted(&self, report: BandReport) -> Result<BandReport, DataError> {
        let wrong: Vec<String> = report.contradictions().map(ToString::to_string).collect();
        if self.config.strict && !wrong.is_empty() {
            return Err(DataError::Bands { path: self.path.clone(), findings: wrong });
        }
        Ok(report)
    }

    /// Loads a part with the named bands, in parallel. Unreadable files are skipped by name up to
    /// the share that the data set allows.
    ///
    /// # Errors
    /// If a band is missing, the part is empty, or too many files are unreadable.
    pub fn load(&self, split: Split, bands: &[String]) -> Result<Loaded, DataError> {
        let mut chunks = self.chunks(split, bands, usize::MAX)?;
        let mut samples = Vec::new();
        for chunk in &mut chunks {
            samples.extend(chunk?);
        }
        Ok(Loaded {
            samples,
            skipped: chunks.skipped().to_vec(),
            notes: chunks.notes(),
            imagery: chunks.imagery(),
        })
    }

    /// As [`Dataset::load`], but at most `size` samples at a time.
    ///
    /// # Errors
    /// If a band is missing or the part is empty.
    pub fn chunks(&self, split: Split, bands: &[String], size: usize) -> Result<Chunks<'_>, DataError> {
        Chunks::new(self, split, bands, size)
    }

    /// Number of files and tiles of all parts, readable or not.
    pub(crate) fn files(&self) -> usize {
        self.entries.len() + self.broken.said().len()
    }
}

#[cfg(test)]
mod tests;
