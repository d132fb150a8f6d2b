//! `dataset.toml`: what an institution says of its imagery. All broken rules are reported at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::DataError;

/// What the labels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One class for each image.
    Classification,
    /// One class for each pixel.
    Segmentation,
}

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Layout {
    /// One folder for each class, named like it (classification).
    Folders {
        /// The folder of folders, relative to `dataset.toml`.
        root: PathBuf,
        /// A table with the columns `file`, `lon` and `lat` (others are ignored), relative to `root`.
        index: Option<PathBuf>,
        /// Only files whose place lies in here; needs `index`.
        #[serde(rename = "where")]
        place: Option<Where>,
    },
    /// Big rasters with a mask each, cut into square tiles (segmentation).
    Scenes {
        /// The rasters, relative to `dataset.toml`.
        images: Vec<PathBuf>,
        /// Their masks, in the same order.
        masks: Vec<PathBuf>,
        /// Side of a tile in pixels.
        tile: u32,
        /// Distance between tiles in pixels; default: `tile`.
        stride: Option<u32>,
    },
    /// Images and masks of equal file stem in two folders (segmentation).
    Pairs {
        /// Folder of images, relative to `dataset.toml`.
        images: PathBuf,
        /// Folder of masks, relative to `dataset.toml`.
        masks: PathBuf,
    },
}

/// A box of longitudes and latitudes in degrees; lower ends belong to it, upper ends do not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Where {
    /// West end.
    #[serde(default = "minus_infinity")]
    pub lon_min: f64,
    /// East end.
    #[serde(default = "infinity")]
    pub lon_max: f64,
    /// South end.
    #[serde(default = "minus_infinity")]
    pub lat_min: f64,
    /// North end.
    #[serde(default = "infinity")]
    pub lat_max: f64,
}

const fn minus_infinity() -> f64 {
    f64::NEG_INFINITY
}

const fn infinity() -> f64 {
    f64::INFINITY
}

impl Where {
    /// Whether a place lies in the box.
    #[must_use]
    pub fn contains(&self, lon: f64, lat: f64) -> bool {
        (self.lon_min..self.lon_max).contains(&lon) && (self.lat_min..self.lat_max).contains(&lat)
    }
}

/// What decides to which part a sample belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum SplitBy {
    /// Each sample by a digest of its key.
    #[default]
    Digest,
    /// Blocks of neighbouring tiles together, so that overlapping tiles never part (scenes).
    Location,
}

/// How samples are divided into parts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitConfig {
    /// What decides.
    #[serde(default)]
    pub by: SplitBy,
    /// Share of the validation part.
    pub validation: f64,
    /// Share of the test part.
    #[serde(default)]
    pub test: f64,
    /// Another seed gives another division.
    #[serde(default)]
    pub seed: u64,
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self { by: SplitBy::Digest, validation: 0.2, test: 0.0, seed: 0 }
    }
}

/// The contents of `dataset.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetConfig {
    /// What the labels are.
    pub task: Task,
    /// Names of the bands in the order of the files.
    pub bands: Vec<String>,
    /// Names of the classes in the order of their indices.
    pub classes: Vec<String>,
    /// Value in the mask of each class, in order; default: 0, 1, 2, … Other values are unlabelled.
    pub mask_values: Option<Vec<i64>>,
    /// Pixels with this value in any band are invalid, besides those that the file declares.
    pub nodata: Option<f64>,
    /// What pixel values are multiplied by.
    #[serde(default = "one")]
    pub scale: f64,
    /// What is added after scaling.
    #[serde(default)]
    pub offset: f64,
    /// Largest share of files that may be unreadable and are then skipped by name.
    #[serde(default = "default_corrupt_share")]
    pub max_corrupt_share: f64,
    /// Where the files are.
    pub layout: Layout,
    /// How samples are divided into parts.
    #[serde(default)]
    pub split: SplitConfig,
}

const fn one() -> f64 {
    1.0
}

const fn default_corrupt_share() -> f64 {
    0.01
}

impl DatasetConfig {
    /// Reads and checks `dataset.toml`.
    ///
    /// # Errors
    /// If it cannot be read, is not TOML of this form, or breaks rules (all are listed).
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let text = std::fs::read_to_string(path).map_err(|error| DataError::file(path, error))?;
        let config: Self = toml::from_str(&text).map_err(|error| DataError::file(path, error))?;
        let problems = config.problems();
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(DataError::Config { path: path.to_owned(), problems })
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut rule = |holds: bool, key: &str, rule: &str, found: String| {
            if !holds {
                problems.push(format!("`{key}` must be {rule}, found `{found}`"));
            }
        };
        let distinct = |list: &[String]| list.iter().collect::<BTreeSet<_>>().len() == list.len();
        let is_band = |name: &String| {
            (1..=32).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        rule((1..=64).contains(&self.bands.len()), "bands", "1 to 64 names", self.bands.len().to_string());
        let bad = self.bands.iter().find(|name| !is_band(name));
        rule(bad.is_none(), "bands", "of letters, digits and `_`, at most 32", format!("{bad:?}"));
        rule(distinct(&self.bands), "bands", "without repetition", self.bands.join(", "));
        rule(
            (2..=254).contains(&self.classes.len()),
            "classes",
            "2 to 254 names",
            self.classes.len().to_string(),
        );
        rule(distinct(&self.classes), "classes", "without repetition", self.classes.join(", "));
        if let Some(values) = &self.mask_values {
            let as_many = format!("{} values, one a class", self.classes.len());
            rule(values.len() == self.classes.len(), "mask_values", &as_many, values.len().to_string());
            let unique: BTreeSet<_> = values.iter().collect();
            rule(unique.len() == values.len(), "mask_values", "without repetition", format!("{values:?}"));
        }
        rule(
            self.scale.is_finite() && self.scale != 0.0,
            "scale",
            "a number other than 0",
            self.scale.to_string(),
        );
        rule(self.offset.is_finite(), "offset", "a finite number", self.offset.to_string());
        let share = self.max_corrupt_share;
        rule((0.0..=1.0).contains(&share), "max_corrupt_share", "between 0 and 1", share.to_string());
        let SplitConfig { by, validation, test, seed: _ } = self.split;
        rule(
            (0.0..1.0).contains(&validation),
            "split.validation",
            "at least 0 and below 1",
            validation.to_string(),
        );
        rule((0.0..=1.0).contains(&test), "split.test", "between 0 and 1", test.to_string());
        rule(validation + test <= 1.0, "split", "at most 1 in all", (validation + test).to_string());
        let scenes = matches!(self.layout, Layout::Scenes { .. });
        rule(
            by == SplitBy::Digest || scenes,
            "split.by",
            "`digest` unless the layout is `scenes`",
            "location".into(),
        );
        match &self.layout {
            Layout::Folders { index, place, root: _ } => {
                let task = format!("{:?}", self.task);
                rule(self.task == Task::Classification, "task", "`classification` for folders", task);
                rule(
                    place.is_none() || index.is_some(),
                    "layout.index",
                    "given beside `where`",
                    "nothing".into(),
                );
            }
            Layout::Scenes { images, masks, tile, stride } => {
                rule(
                    self.task == Task::Segmentation,
                    "task",
                    "`segmentation` for scenes",
                    format!("{:?}", self.task),
                );
                rule(!images.is_empty(), "layout.images", "at least one file", "none".into());
                let as_many = format!("{} files, one an image", images.len());
                rule(images.len() == masks.len(), "layout.masks", &as_many, masks.len().to_string());
                rule((8..=4096).contains(tile), "layout.tile", "between 8 and 4096", tile.to_string());
                let stride = stride.unwrap_or(*tile);
                rule(
                    (1..=*tile).contains(&stride),
                    "layout.stride",
                    "between 1 and `tile`",
                    stride.to_string(),
                );
            }
            Layout::Pairs { .. } => {
                rule(
                    self.task == Task::Segmentation,
                    "task",
                    "`segmentation` for pairs",
                    format!("{:?}", self.task),
                );
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<DatasetConfig, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dataset.toml");
        std::fs::write(&path, text).unwrap();
        DatasetConfig::load(&path)
    }

    const GOOD: &str = r#"
        task = "segmentation"
        bands = ["red", "nir"]
        classes = ["forest", "water"]
        [layout]
        kind = "scenes"
        images = ["a.tif"]
        masks = ["b.tif"]
        tile = 32
    "#;

    #[test]
    fn all_mistakes_are_reported_at_once() {
        assert!(load(GOOD).is_ok());
        let bad =
            GOOD.replace("\"nir\"", "\"red\"").replace("tile = 32", "tile = 4").replace("\"b.tif\"", "");
        let DataError::Config { problems, .. } = load(&bad).unwrap_err() else {
            panic!("a list of problems")
        };
        assert_eq!(problems.len(), 3, "{problems:#?}");
        assert!(problems[2].contains("`layout.tile`") && problems[2].contains("`4`"), "{problems:#?}");
    }

    #[test]
    fn tasks_and_layouts_must_fit_and_unknown_keys_are_refused() {
        assert!(load(&GOOD.replace("segmentation", "classification")).is_err());
        assert!(
            load(&GOOD.replace("tile = 32", "tile = 32\ntiel = 3")).unwrap_err().to_string().contains("tiel")
        );
        assert!(load(&format!("{GOOD}\n[split]\nvalidation = 0.8\ntest = 0.5")).is_err());
    }
}
