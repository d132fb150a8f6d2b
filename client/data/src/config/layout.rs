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
        /// Whether images also lie in folders inside of the folders of the classes.
        #[serde(default, skip_serializing_if = "is_false")]
        deeper: bool,
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
        /// Their masks or target rasters, in the same order; files with polygons (GeoJSON; in a build with GDAL also GeoPackage
        /// and Shapefile), or one such file for all.
        #[serde(alias = "targets")]
        masks: Vec<PathBuf>,
        /// Side of a tile in pixels.
        tile: u32,
        /// Distance between tiles in pixels; at most `tile` without twice `halo`, which is the default.
        stride: Option<u32>,
        /// Pixels at each edge of a tile that the network sees but that are not judged: they have no label, in training as in
        /// scores, and count for no number of classes and no moment. At an edge of the image they are judged. Less than half
        /// of `tile`; default: 0.
        #[serde(default, skip_serializing_if = "is_zero")]
        halo: u32,
        /// Where the training of a specialist reads its tiles: on the grid of `tile` and `stride`, or each at a random place
        /// near it, another one in each epoch. A tile stays on the grid where no place without pixels of validation and test tiles
        /// is found, and where the one that was found has no label or too little data (`min_valid_share`). Everything else
        /// reads the grid. Default: `grid`.
        #[serde(default, skip_serializing_if = "Windows::is_grid")]
        windows: Windows,
    },
    /// Images and masks (or target rasters) of equal file stem in folders (dense tasks).
    Pairs {
        /// Folder of images, relative to `dataset.toml`; of several, the bands are stacked in this order.
        images: OneOrMany,
        /// Folders of images at the later date (change detection).
        after: Option<OneOrMany>,
        /// Folder of masks, of files with polygons (GeoJSON; in a build with GDAL also GeoPackage and Shapefile), or of target
        /// rasters, relative to `dataset.toml`; or one file with polygons for all.
        #[serde(alias = "targets")]
        masks: PathBuf,
        /// Side in pixels of the tiles that the images are cut into; default: whole images.
        tile: Option<u32>,
        /// Distance between tiles in pixels; at most `tile` without twice `halo`, which is the default.
        stride: Option<u32>,
        /// Pixels at each edge of a tile that the network sees but that are not judged: they have no label, in training as in
        /// scores, and count for no number of classes and no moment. At an edge of the image they are judged. Less than half
        /// of `tile`; default: 0.
        #[serde(default, skip_serializing_if = "is_zero")]
        halo: u32,
    },
    /// Files whose paths have named parts, as in `{scene}/{scene}_{band}.tif`: files with equal parts are one sample
    /// (every task but multilabel).
    Pattern {
        /// The folder that patterns begin in, relative to `dataset.toml`.
        #[serde(default)]
        root: PathBuf,
        /// Pattern of the images; with the part `{band}`, one file a band, named like it in `bands` or as the `sensor`
        /// has it. Of several patterns, the bands are stacked in this order, and all have parts of the first. In
        /// classification, the part `{class}` is the class.
        images: OneOrMany,
        /// Patterns of the images at the later date (change detection).
        after: Option<OneOrMany>,
        /// Pattern of the masks, of files with polygons (GeoJSON; in a build with GDAL also GeoPackage and Shapefile), or of
        /// target rasters (dense tasks); or one file with polygons for all.
        #[serde(alias = "targets")]
        masks: Option<String>,
        /// The part whose equal values stay in one part of the data set.
        group: Option<String>,
        /// Side in pixels of the tiles that the images are cut into; default: whole images.
        tile: Option<u32>,
        /// Distance between tiles in pixels; at most `tile` without twice `halo`, which is the default.
        stride: Option<u32>,
        /// Pixels at each edge of a tile that the network sees but that are not judged: they have no label, in training as in
        /// scores, and count for no number of classes and no moment. At an edge of the image they are judged. Less than half
        /// of `tile`; default: 0.
        #[serde(default, skip_serializing_if = "is_zero")]
        halo: u32,
    },
    /// A table with one sample a row: CSV with a header, Parquet (`.parquet`), or a STAC item collection (`.json`,
    /// `.geojson`), whose columns are `id`, the keys of assets, the names of properties, and `lon` and `lat` of the middle
    /// of its box (every task). What an item states about the numbers of its assets, by `raster:bands` or `bands`, counts as if
    /// the files stated it: `scale` and `offset` as `file_scaling` says, `nodata` in any case; a file that states something
    /// else is refused, and so are two items with different `unit`.
    Table {
        /// The file, relative to `dataset.toml`.
        file: PathBuf,
        /// The folder that its paths are relative to; default: the folder of `dataset.toml`.
        #[serde(default)]
        root: PathBuf,
        /// Columns with paths of images; of several, the bands are stacked in this order. A path can also be made of
        /// columns, `s2/{tile}/{patch}_B02.tif`; `{patch-2}` is a column without its last two parts between `_`.
        images: OneOrMany,
        /// Columns with paths of images at the later date (change detection).
        after: Option<OneOrMany>,
        /// Column with the class, the classes joined by `;` or as a list, or the path of the mask, of a file with polygons
        /// (GeoJSON; in a build with GDAL also GeoPackage and Shapefile), or of the target raster; a path can be made of
        /// columns too.
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<String>,
        /// Instead of it, one column a class, in the order of `classes`, with 0 and 1 or shares (multilabel).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        targets: Vec<String>,
        /// From which number on a class of `targets` is present; default: 0.5.
        #[serde(skip_serializing_if = "Option::is_none")]
        threshold: Option<f64>,
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
        /// Distance between tiles in pixels; at most `tile` without twice `halo`, which is the default.
        stride: Option<u32>,
        /// Pixels at each edge of a tile that the network sees but that are not judged: they have no label, in training as in
        /// scores, and count for no number of classes and no moment. At an edge of the image they are judged. Less than half
        /// of `tile`; default: 0.
        #[serde(default, skip_serializing_if = "is_zero")]
        halo: u32,
    },
}

/// How images are cut into tiles. All numbers are pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// Side of a tile; none if images are not cut.
    pub(crate) tile: Option<u32>,
    /// Distance between tiles, if it is said.
    pub(crate) stride: Option<u32>,
    /// Width of the edge that is not judged.
    pub(crate) halo: u32,
}

impl Layout {
    /// How images are cut into tiles.
    #[must_use]
    pub(crate) const fn cut(&self) -> Cut {
        match *self {
            Self::Folders { .. } => Cut { tile: None, stride: None, halo: 0 },
            Self::Scenes { tile, stride, halo, .. } => Cut { tile: Some(tile), stride, halo },
            Self::Pairs { tile, stride, halo, .. }
            | Self::Pattern { tile, stride, halo, .. }
            | Self::Table { tile, stride, halo, .. } => Cut { tile, stride, halo },
        }
    }

    /// Whether the training of a specialist reads tiles at random places.
    #[must_use]
    pub(crate) const fn has_random_windows(&self) -> bool {
        matches!(self, Self::Scenes { windows: Windows::Random, .. })
    }
}

/// Where the training of a specialist reads the tiles of scenes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Windows {
    /// On the grid of `tile` and `stride`.
    #[default]
    Grid,
    /// Each tile at a place that is drawn for each epoch: at most half a tile away from its own in each direction, inside the
    /// scene, and without a pixel that a validation or test tile judges.
    Random,
}

impl Windows {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    const fn is_grid(&self) -> bool {
        matches!(self, Self::Grid)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
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
