//! Options and report of a map.

use std::path::PathBuf;

use eosfed_data::Reading;
use serde::Serialize;

use super::scale::Scale;
use crate::ensemble::error::EnsembleError;

/// What to map, and how.
#[derive(Debug, Clone)]
pub struct PredictOptions {
    /// Folder of a trained head.
    pub head: PathBuf,
    /// Folder of its release; `None`: the folder that the head was trained with.
    pub release: Option<PathBuf>,
    /// For each date the GeoTIFFs whose bands are stacked. All files have one grid.
    pub images: Vec<Vec<PathBuf>>,
    /// The stacked bands, and how their numbers are read.
    pub reading: Reading,
    /// Side of a window in pixels; `None`: the size of the tiles that the head learned from.
    pub window: Option<usize>,
    /// Pixels that neighbouring windows share; `None`: a quarter of the window.
    pub overlap: Option<usize>,
    /// Whether a scene that is unlike the imagery of the training is refused.
    pub strict: bool,
    /// The map.
    pub output: PathBuf,
    /// A picture of the map, at most 1,024 pixels wide and high.
    pub preview: Option<PathBuf>,
    /// Whether a second file gets the probability of each pixel's class.
    pub confidence: bool,
}

impl PredictOptions {
    /// Checks what is said of the files before any of them is opened.
    ///
    /// # Errors
    /// With each rule of `dataset.toml` that it breaks.
    pub(super) fn check(&self) -> Result<(), EnsembleError> {
        let broken = self.reading.broken_rules();
        if broken.is_empty() { Ok(()) } else { Err(EnsembleError::Reading(broken.join("; "))) }
    }

    /// The file with the probability of each pixel's class, beside the map: `map.tif` has `map.confidence.tif`.
    #[must_use]
    pub fn confidence(&self) -> Option<PathBuf> {
        self.confidence.then(|| self.output.with_extension("confidence.tif"))
    }
}

/// Result of mapping a scene.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictReport {
    /// The map.
    pub output: PathBuf,
    /// The file with the probability of each pixel's class.
    pub confidence: Option<PathBuf>,
    /// Its width and height in pixels.
    pub size: [usize; 2],
    /// Width of a window, and overlap of neighbouring windows, in pixels.
    pub window: [usize; 2],
    /// Height of a window in pixels. It differs from the width where the tiles of the training were
    /// not square.
    pub window_height: usize,
    /// Number of windows.
    pub windows: usize,
    /// How the scene compares with the imagery that the head learned from.
    pub scale: Scale,
    /// Reasons not to trust the map, as sentences.
    pub warnings: Vec<String>,
    /// Number of pixels without data, also those that `valid` excludes.
    pub no_data: u64,
    /// Number of pixels that `valid` excludes; absent without that rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_valid: Option<u64>,
    /// Number of pixels of each class, by name; empty for regression. Where several classes can be true of a pixel, it
    /// counts for each.
    pub classes: Vec<(String, u64)>,
    /// What a pixel must reach to count for a class, where several can be true.
    pub several: Option<Several>,
    /// Area of a pixel; absent if the scene does not state it. In degrees, it is that in the middle of the scene.
    pub pixel_square_metres: Option<f64>,
}

/// How pixels are counted where several classes can be true of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Several {
    /// The least probability of a class that is true, in percent.
    pub threshold_percent: u8,
    /// Number of pixels of which no class is true.
    pub none: u64,
}
