//! How images are read where no `dataset.toml` describes them: the same words, with the same rules.

use std::collections::BTreeMap;
use std::path::Path;

use eosfed_common::bands::BandInfo;
use eosfed_common::model::NamedBand;

use super::FileBand;
use super::band_scaling::{OwnScalings, of_bands};
use crate::bandcheck::{BandScaling, Scaling};
use crate::error::DataError;
use crate::geotiff::{BaselineOffset, Complex, FileScaling, Numbers, Role};
use crate::image_file::ImageFile;
use crate::raster::Limits;

/// What is said of the numbers of images. Each word means what it means in `dataset.toml` ([`DatasetConfig`]).
///
/// [`DatasetConfig`]: super::DatasetConfig
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Names of the bands in the order of the files.
    pub bands: Vec<String>,
    /// Properties of bands that this system does not know by name.
    pub band_info: BTreeMap<String, BandInfo>,
    /// The bands of the files that `bands` are; empty: all of them in their order.
    pub file_bands: Vec<FileBand>,
    /// What complex numbers become; `None`: files with them are refused.
    pub complex: Option<Complex>,
    /// What is done about a scale and an offset that files state for their bands; `None`: such a file is refused, unless
    /// all are equal to `scale` and `offset`.
    pub file_scaling: Option<FileScaling>,
    /// What is done about the 1,000 by which numbers of Sentinel-2 products are larger since processing baseline 04.00.
    pub baseline_offset: Option<BaselineOffset>,
    /// Which pixels count, by the stored numbers of quality bands.
    pub valid: Option<String>,
    /// Value of pixels without data, besides the one that the files declare.
    pub nodata: Option<f64>,
    /// Factor that pixel values are multiplied by.
    pub scale: f64,
    /// Number that is added after scaling.
    pub offset: f64,
    /// A scale and an offset of single bands, in place of those of all.
    pub band_scaling: OwnScalings,
}

impl Reading {
    /// Numbers of these bands as they are stored, in the order of the files.
    #[must_use]
    pub const fn stored(bands: Vec<String>) -> Self {
        Self {
            bands,
            band_info: BTreeMap::new(),
            file_bands: Vec::new(),
            complex: None,
            file_scaling: None,
            baseline_offset: None,
            valid: None,
            nodata: None,
            scale: 1.0,
            offset: 0.0,
            band_scaling: OwnScalings::new(),
        }
    }

    /// Opens one of the images.
    ///
    /// # Errors
    /// As [`ImageFile::open`], and if the file does not say what is to be applied.
    pub fn open(&self, path: &Path, limits: &Limits) -> Result<ImageFile, DataError> {
        ImageFile::open_as(Role::Image, path, limits, self.numbers())
    }

    /// What is done to the values of each of `bands` in the files.
    #[must_use]
    pub fn scaling(&self, bands: &[String]) -> BandScaling {
        of_bands(bands, self.common_scaling(), &self.band_scaling)
    }

    /// What is done to bands that have nothing of their own.
    const fn common_scaling(&self) -> Scaling {
        Scaling { scale: self.scale, offset: self.offset }
    }

    /// A scale and an offset that files may state for any of their bands, since just that is done to all of them.
    fn applied_to_all(&self) -> Scaling {
        if self.band_scaling.is_empty() { self.common_scaling() } else { Scaling::default() }
    }

    /// The bands in the order of the files, with their properties: declared, or known by name.
    #[must_use]
    pub fn named_bands(&self) -> Vec<NamedBand> {
        named_bands(&self.bands, &self.band_info)
    }

    /// How the numbers of images are read.
    pub(crate) fn numbers(&self) -> Numbers {
        Numbers {
            file_scaling: self.file_scaling,
            applied_later: self.applied_to_all(),
            baseline_offset: self.baseline_offset,
            complex: self.complex,
            nodata: self.nodata.map(|value| value as f32),
            stated: None,
        }
    }
}

/// Bands with their properties: declared, or known by name.
pub(super) fn named_bands(bands: &[String], declared: &BTreeMap<String, BandInfo>) -> Vec<NamedBand> {
    let named = |name: &String| match declared.get(name) {
        Some(info) => NamedBand { name: name.clone(), info: info.clone() },
        None => NamedBand::of(name),
    };
    bands.iter().map(named).collect()
}
