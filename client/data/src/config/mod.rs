//! `dataset.toml`: an institution's description of its imagery. All broken rules are reported at once.

mod band_scaling;
mod check;
mod file_band;
mod layout;
mod pattern;
mod polygons;
mod reading;
mod unit;
mod valid;

use std::collections::BTreeMap;
use std::path::Path;

use eosfed_common::bands::{BandInfo, Sensor};
use eosfed_common::colour::ClassColours;
use eosfed_common::model::{NamedBand, Task};
use eosfed_common::toml_text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use band_scaling::{OwnScaling, OwnScalings};
pub use file_band::FileBand;
pub(crate) use layout::Cut;
pub use layout::{Layout, OneOrMany, Where, Windows};
pub(crate) use pattern::{BAND, CLASS, Parts, Pattern};
pub(crate) use polygons::one_for_all;
pub use polygons::{OtherValues, PolygonConfig};
pub use reading::Reading;
pub use unit::units_differ;
pub(crate) use valid::ValidRule;

use crate::error::DataError;
use crate::geotiff::{BaselineOffset, Complex, FileScaling, Numbers};

/// How samples are assigned to parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SplitBy {
    /// A digest of the key of each sample, or of each group of samples. Refused for scenes in which
    /// tiles of one part then overlap tiles of another.
    Digest,
    /// The position of a tile in its scene: neighbouring tiles go to one part, and tiles that reach into
    /// another part are left out, so that no two parts share a pixel (scenes). The place of a sample, by its
    /// coordinates in an index or a table or by the georeference of its first image: the ground is divided into
    /// square cells, and the samples of a cell go to one part (everything else).
    Location,
    /// The class of a sample: each class is divided for itself, so that each part has the shares of all classes, to within
    /// one sample of a class; where there are several, the rarest class of a sample counts. Samples are drawn by a digest of
    /// their keys; a new sample may move others (classification and multilabel). Where a `group` is given in a table or a
    /// pattern, whole groups are assigned, so that the shares of the classes come as near as groups allow.
    Class,
    /// Both: the cells of `location` are the groups of `class`. Cells are the largest with which the shares of the classes are
    /// off by at most a tenth, or else those with which they are nearest (classification and multilabel).
    ClassLocation,
}

/// How samples are divided into parts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitConfig {
    /// The method; default: `location` for scenes and where an index or a table has coordinates, `digest` for
    /// everything else.
    pub by: Option<SplitBy>,
    /// Share of the validation part.
    #[schemars(extend("x-rule" = "at least 0 and below 1; with `test`, at most 1"))]
    pub validation: f64,
    /// Share of the test part.
    #[serde(default)]
    #[schemars(extend("x-rule" = "0 to below 1"))]
    pub test: f64,
    /// Another seed gives another division.
    #[serde(default)]
    pub seed: u64,
}

impl SplitBy {
    /// Whether samples are divided by their places.
    pub(crate) const fn uses_places(self) -> bool {
        matches!(self, Self::Location | Self::ClassLocation)
    }
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self { by: None, validation: 0.2, test: 0.0, seed: 0 }
    }
}

/// The contents of `dataset.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetConfig {
    /// The name by which the coordinator's operator knows it, if the site policy lets a data statement leave.
    #[schemars(extend("x-rule" = "1 to 80 printable bytes"))]
    pub name: Option<String>,
    /// What the labels are.
    pub task: Task,
    /// The product that the files are of, if it is a known one. Its own names of bands (Landsat 7's `B4`) can
    /// then be used for this system's (`nir08`).
    pub sensor: Option<Sensor>,
    /// Names of the bands in the order of the files; default: the sensor's.
    #[serde(default)]
    #[schemars(extend("x-rule" = "1 to 64 distinct names of letters, digits and `_`, at most 32 long; or `sensor`"))]
    pub bands: Vec<String>,
    /// The bands of the files that `bands` are, if not all of them in their order: by number from 1, by description, or by
    /// wavelength (`665 nm`: the nearest band, at most 10 nm away). Only these are read. Of several files whose bands are
    /// stacked, numbers count through all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-rule" = "one for each of `bands`"))]
    pub file_bands: Vec<FileBand>,
    /// Properties of bands that this system does not know by name.
    #[serde(default)]
    #[schemars(extend("x-rule" = "each about a band of `bands`"))]
    pub band_info: BTreeMap<String, BandInfo>,
    /// Whether it is an error, and not a warning, that bands contradict their pixels, that Sentinel-2 processing baselines
    /// contradict each other or the description, or that parts share ground, files or pixels.
    #[serde(default)]
    pub strict: bool,
    /// Names of the classes in the order of their indices; in regression the target's name alone.
    #[schemars(extend("x-rule" = "as many distinct names as the task allows; one for regression"))]
    pub classes: Vec<String>,
    /// Colours of classes on maps and in pictures, `#rrggbb` by the name of the class. They go with heads that are trained
    /// on this data set by `eosfed-trainer fit`. Classes without one have a colour by the meaning of their names.
    #[serde(default, skip_serializing_if = "ClassColours::is_empty")]
    #[schemars(extend("x-rule" = "`#` and six hexadecimal digits, each about a class of `classes`; not for regression"))]
    pub class_colours: ClassColours,
    /// Value in the mask of each class, in order; default: 0, 1, 2, … Other values are unlabelled.
    #[schemars(extend("x-rule" = "one distinct value a class; only for masks"))]
    pub mask_values: Option<Vec<i64>>,
    /// How polygons become masks, where `layout` names files of them in place of mask rasters: GeoJSON, and in a build with GDAL
    /// GeoPackages and Shapefiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-rule" = "only for segmentation and change detection"))]
    pub polygons: Option<PolygonConfig>,
    /// Which pixels count, by the stored numbers of quality bands: `SCL in [4, 5, 6, 7, 11]`, `QA_PIXEL bits 3-4 == 0 and
    /// CLP < 40`. The bands are of `bands`, and files that have them are not resampled but repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-rule" = "conditions joined by `and`; not beside `nodata` or `baseline_offset = \"remove\"`"))]
    pub valid: Option<String>,
    /// Least share of the pixels of a tile that have data in every band and count by `valid`; tiles with less are passed over, and
    /// counted. Default: one pixel suffices.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-rule" = "above 0, at most 1; only beside `layout.tile`"))]
    pub min_valid_share: Option<f64>,
    /// What complex numbers of images become, as radar processors write them before they are calibrated: the amplitude, or the
    /// amplitude in decibels; default: files with them are refused. `scale` and `offset` are applied to the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complex: Option<Complex>,
    /// Pixels with this value in any band are invalid, besides those that the file declares.
    #[schemars(extend("x-rule" = "beside `complex`, 0 only: an amplitude of 0"))]
    pub nodata: Option<f64>,
    /// Pixels of a target raster with this value have no target, besides those that the file declares.
    #[schemars(extend("x-rule" = "only for regression"))]
    pub target_nodata: Option<f64>,
    /// The unit of the target, for people: it is beside the values of pictures, of scores and of maps, and goes with heads that
    /// are trained on this data set by `eosfed-trainer fit`. In jobs, the plan says it (`model.target.unit`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-rule" = "1 to 64 printable bytes; only for regression"))]
    pub target_unit: Option<String>,
    /// The factor of pixel values.
    #[serde(default = "one")]
    #[schemars(extend("x-rule" = "finite, not 0"))]
    pub scale: f64,
    /// The value that is added after scaling.
    #[serde(default)]
    #[schemars(extend("x-rule" = "finite"))]
    pub offset: f64,
    /// A scale and an offset of single bands, by name, where those of all bands do not fit: radar in dB beside reflectance.
    #[serde(default, skip_serializing_if = "OwnScalings::is_empty")]
    #[schemars(extend("x-rule" = "each about a band of `bands`"))]
    pub band_scaling: OwnScalings,
    /// What is done about a scale and an offset that files, or STAC items, state for their bands; default: such a file is refused,
    /// unless all are equal to `scale` and `offset`, and there is no `band_scaling`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_scaling: Option<FileScaling>,
    /// What is done about the 1,000 by which numbers of Sentinel-2 products are larger since processing baseline 04.00;
    /// default: they are taken as they are, with a warning where files say that they are of such products.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-rule" = "`remove` only without `file_scaling`"))]
    pub baseline_offset: Option<BaselineOffset>,
    /// Largest share of files that may be unreadable and are then skipped by name.
    #[serde(default = "default_corrupt_share")]
    #[schemars(extend("x-rule" = "0 to 1"))]
    pub max_corrupt_share: f64,
    /// Whether symbolic links, and paths in tables, may lead out of the folders of `layout`.
    #[serde(default)]
    pub follow_links: bool,
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
        let mut config: Self = toml_text::from_str(&text).map_err(|error| DataError::file(path, error))?;
        config.name_bands();
        let problems = check::problems(&config);
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(DataError::Config { path: path.to_owned(), problems })
        }
    }

    /// Replaces the sensor's own names by this system's.
    fn name_bands(&mut self) {
        let Some(sensor) = self.sensor else { return };
        if self.bands.is_empty() {
            self.bands = sensor.bands().iter().map(|band| (*band).to_owned()).collect();
        }
        for band in &mut self.bands {
            if let Some(name) = sensor.canonical(band) {
                name.clone_into(band);
            }
        }
    }

    /// This without the colours of classes and the unit of the target, which say nothing of the samples: what was found out
    /// about them stays true when those change.
    #[must_use]
    pub(crate) fn without_looks(&self) -> Self {
        Self { class_colours: ClassColours::default(), target_unit: None, ..self.clone() }
    }

    /// The unit of the target; empty if it has none.
    #[must_use]
    pub fn unit(&self) -> &str {
        self.target_unit.as_deref().unwrap_or_default()
    }

    /// What may be a mistake, as sentences.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.class_colours.warnings("class_colours")
    }

    /// What it says of the numbers of images.
    #[must_use]
    pub fn reading(&self) -> Reading {
        Reading {
            bands: self.bands.clone(),
            band_info: self.band_info.clone(),
            file_bands: self.file_bands.clone(),
            complex: self.complex,
            file_scaling: self.file_scaling,
            baseline_offset: self.baseline_offset,
            valid: self.valid.clone(),
            nodata: self.nodata,
            scale: self.scale,
            offset: self.offset,
            band_scaling: self.band_scaling.clone(),
        }
    }

    /// How the numbers of masks and target rasters are read.
    pub(crate) fn label_numbers(&self) -> Numbers {
        let nodata = self.target_nodata.map(|value| value as f32);
        Numbers { file_scaling: self.file_scaling, nodata, ..Numbers::default() }
    }

    /// How samples are assigned to parts: the declared method, or the default of the layout.
    #[must_use]
    pub fn split_by(&self) -> SplitBy {
        let placed = match &self.layout {
            Layout::Scenes { .. } => true,
            Layout::Folders { index, .. } => index.is_some(),
            Layout::Table { lon, lat, .. } => self.divides() && lon.is_some() && lat.is_some(),
            Layout::Pairs { .. } | Layout::Pattern { .. } => false,
        };
        self.split.by.unwrap_or(if placed { SplitBy::Location } else { SplitBy::Digest })
    }

    /// Whether single samples are divided, and not by a column of a table.
    #[must_use]
    pub(crate) const fn divides(&self) -> bool {
        match &self.layout {
            Layout::Table { split, group, .. } => split.is_none() && group.is_none(),
            Layout::Pattern { group, .. } => group.is_none(),
            Layout::Scenes { .. } | Layout::Folders { .. } | Layout::Pairs { .. } => true,
        }
    }

    /// Whether a column of a table or a part of a pattern names groups of samples, and nothing their parts.
    #[must_use]
    pub(crate) const fn groups(&self) -> bool {
        match &self.layout {
            Layout::Table { split, group, .. } => split.is_none() && group.is_some(),
            Layout::Pattern { group, .. } => group.is_some(),
            Layout::Scenes { .. } | Layout::Folders { .. } | Layout::Pairs { .. } => false,
        }
    }

    /// The bands in the order of the files, with their properties: declared, or known by name.
    #[must_use]
    pub fn named_bands(&self) -> Vec<NamedBand> {
        reading::named_bands(&self.bands, &self.band_info)
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
    fn colours_are_of_classes_and_equal_ones_are_warned_of() {
        let with =
            |colours: &str| load(&GOOD.replace("[layout]", &format!("class_colours = {colours}\n[layout]")));
        let config = with(r##"{ water = "#0000FF", forest = "#0000ff" }"##).unwrap();
        assert_eq!(config.class_colours.of("water"), Some([0, 0, 255]));
        let [warning] = &config.warnings()[..] else { panic!("one warning") };
        assert!(warning.contains("forest, water have the same colour, `#0000ff`"), "{warning}");
        assert_eq!(load(GOOD).unwrap().warnings(), Vec::<String>::new());
        let said = |colours: &str| with(colours).unwrap_err().to_string();
        let unknown = said(r##"{ watr = "#0000ff" }"##);
        for part in ["dataset.toml", "`class_colours`", "forest, water", "found `watr`"] {
            assert!(unknown.contains(part), "{part}: {unknown}");
        }
        let bad = said(r#"{ water = "blue" }"#);
        for part in ["dataset.toml", "class_colours", "six hexadecimal digits, as `#0072b2`", "found `blue`"]
        {
            assert!(bad.contains(part), "{part}: {bad}");
        }
        assert!(said(r##"{ water = "#0000ff", water = "#0000fe" }"##).contains("duplicate key"));
        let regression =
            GOOD.replace("segmentation", "regression").replace("\"forest\", \"water\"", "\"height\"");
        let colours = "class_colours = { height = \"#0000ff\" }\n[layout]";
        let said = load(&regression.replace("[layout]", colours)).unwrap_err().to_string();
        assert!(said.contains("absent for regression"), "{said}");
    }

    #[test]
    fn what_is_known_of_samples_does_not_depend_on_colours_and_units() {
        let plain = load(GOOD).unwrap();
        let coloured = GOOD.replace("[layout]", "class_colours = { water = \"#0000ff\" }\n[layout]");
        assert_eq!(load(&coloured).unwrap().without_looks(), plain);
        let text = serde_json::to_string(&plain).unwrap();
        let new = ["class_colours", "target_unit"];
        assert!(!new.iter().any(|key| text.contains(key)), "as an earlier version writes it: {text}");
        let regression =
            GOOD.replace("segmentation", "regression").replace("\"forest\", \"water\"", "\"height\"");
        let with = |unit: &str| load(&regression.replace("[layout]", &format!("{unit}\n[layout]")));
        let found = with("target_unit = \"t/ha\"").unwrap();
        assert_eq!((found.unit(), found.without_looks()), ("t/ha", with("").unwrap()));
    }

    #[test]
    fn a_unit_can_be_shown_and_is_of_a_target() {
        let with = |task: &str, unit: &str| {
            let text = GOOD.replace("[layout]", &format!("target_unit = \"{unit}\"\n[layout]"));
            load(&text.replace("segmentation", task).replace("\"forest\", \"water\"", "\"height\""))
        };
        for (unit, part) in [("", "1 to 64 bytes"), ("\\u001b[2J", "control characters")] {
            let said = with("regression", unit).unwrap_err().to_string();
            assert!(
                said.contains("dataset.toml") && said.contains("`target_unit`") && said.contains(part),
                "{said}"
            );
        }
        let said = load(&GOOD.replace("[layout]", "target_unit = \"m\"\n[layout]")).unwrap_err().to_string();
        assert!(said.contains("`target_unit` must be absent unless the task is `regression`"), "{said}");
    }

    #[test]
    fn windows_are_of_scenes_and_have_two_places() {
        let with = |text: &str| load(&GOOD.replace("tile = 32", text));
        let found = |text: &str| with(text).unwrap().layout.has_random_windows();
        assert!(found("tile = 32\nwindows = \"random\""));
        assert!(!found("tile = 32\nwindows = \"grid\"") && !found("tile = 32"));
        let plain = with("tile = 32\nwindows = \"grid\"").unwrap();
        let text = serde_json::to_string(&plain).unwrap();
        assert!(!text.contains("windows"), "as an earlier version writes it: {text}");
        for (bad, parts) in [
            ("\"rnd\"", ["unknown variant `rnd`", "`grid`", "`random`"]),
            ("\"\"", ["unknown variant ``", "`grid`", "`random`"]),
            ("true", ["dataset.toml", "boolean `true`", "expected string"]),
            ("[\"random\"]", ["dataset.toml", "sequence", "expected string"]),
        ] {
            let said = with(&format!("tile = 32\nwindows = {bad}")).unwrap_err().to_string();
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
        let pairs =
            GOOD.replace("scenes", "pairs").replace("[\"a.tif\"]", "\"a\"").replace("[\"b.tif\"]", "\"b\"");
        assert!(load(&pairs).is_ok());
        let said =
            load(&pairs.replace("tile = 32", "tile = 32\nwindows = \"random\"")).unwrap_err().to_string();
        assert!(said.contains("dataset.toml") && said.contains("unknown field `windows`"), "{said}");
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
