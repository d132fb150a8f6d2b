//! Where the files of a data set are.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Layout {
    /// One folder for each class, named like it (classification).
    Folders {
        /// The folder of folders, relative to `dataset.toml`.
        root: PathBuf,
        /// A table with the columns `file`, `lon` and `lat` (others are ignored), relative to `root`. With it,
        /// samples are split by place.
        index: Option<PathBuf>,
        /// Only files whose position is in this box; needs `index`.
        #[serde(rename = "where")]
        place: Option<Where>,
    },
    /// Big rasters with a mask (or target raster) each, cut into square tiles (dense tasks).
    Scenes {
        /// The rasters, relative to `dataset.toml`.
        images: Vec<PathBuf>,
        /// The same areas at the later date, in the same order (change detection).
        #[serde(default)]
        after: Vec<PathBuf>,
        /// Their masks or target rasters, in the same order.
        #[serde(alias = "targets")]
        masks: Vec<PathBuf>,
        /// Side of a tile in pixels.
        tile: u32,
        /// Distance between tiles in pixels; default: `tile`.
        stride: Option<u32>,
    },
    /// Images and masks (or target rasters) of equal file stem in folders (dense tasks).
    Pairs {
        /// Folder of images, relative to `dataset.toml`; of several, the bands are stacked in this order.
        images: OneOrMany,
        /// Folders of images at the later date (change detection).
        after: Option<OneOrMany>,
        /// Folder of masks or target rasters, relative to `dataset.toml`.
        #[serde(alias = "targets")]
        masks: PathBuf,
        /// Side in pixels of the tiles that the images are cut into; default: whole images.
        tile: Option<u32>,
        /// Distance between tiles in pixels; default: `tile`.
        stride: Option<u32>,
    },
    /// A CSV file with a header, one sample a line (every task).
    Table {
        /// The CSV file, relative to `dataset.toml`.
        file: PathBuf,
        /// The folder that its paths are relative to; default: the folder of `dataset.toml`.
        #[serde(default)]
        root: PathBuf,
        /// Columns with paths of images; of several, the bands are stacked in this order.
        images: OneOrMany,
        /// Columns with paths of images at the later date (change detection).
        after: Option<OneOrMany>,
        /// Column with the class, the classes joined by `;`, or the path of the mask or target raster.
        target: String,
        /// Column with `train`, `validation` or `test`; default: the division by `[split]`.
        split: Option<String>,
        /// Column whose equal values stay in one part (for several images of one place).
        group: Option<String>,
        /// Column with the longitude in degrees of a sample; with `lat`, samples are split by place.
        #[serde(skip_serializing_if = "Option::is_none")]
        lon: Option<String>,
        /// Column with its latitude.
        #[serde(skip_serializing_if = "Option::is_none")]
        lat: Option<String>,
        /// Side in pixels of the tiles that the images are cut into; default: whole images.
        tile: Option<u32>,
        /// Distance between tiles in pixels; default: `tile`.
        stride: Option<u32>,
    },
}

/// One path or word, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// `"a"`
    One(String),
    /// `["a", "b"]`
    Many(Vec<String>),
}

impl OneOrMany {
    /// As a list.
    #[must_use]
    pub fn list(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// A box of longitudes and latitudes in degrees; lower ends belong to it, upper ends do not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Whether a position is in the box.
    #[must_use]
    pub fn contains(&self, lon: f64, lat: f64) -> bool {
        (self.lon_min..self.lon_max).contains(&lon) && (self.lat_min..self.lat_max).contains(&lat)
    }
}
