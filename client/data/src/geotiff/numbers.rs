//! How the stored numbers of a file become its values.

use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::complex::Complex;
use super::metadata::{Baseline, Metadata, UNSCALE};
use super::refused::Refused;
use super::stated::{FileScaling, Stated, scale};
use crate::bandcheck::Scaling;
use crate::error::DataError;
use crate::raster::Raster;

/// What is done about the 1,000 by which numbers of Sentinel-2 products are larger since processing baseline 04.00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BaselineOffset {
    /// 1,000 is subtracted from files of baseline 04.00 and later. Each file has to say its baseline, by the metadata
    /// item `PROCESSING_BASELINE` or by the name of its product in its path.
    Remove,
    /// Numbers are taken as they are, without a warning: all have it, or it was removed before.
    Keep,
}

/// How the numbers of a file are read.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Numbers {
    /// None if a file that states a scale or an offset is refused.
    pub(crate) file_scaling: Option<FileScaling>,
    /// A scale and an offset that files may state, since they are applied later.
    pub(crate) applied_later: Scaling,
    pub(crate) baseline_offset: Option<BaselineOffset>,
    /// What complex numbers become; none if they are refused.
    pub(crate) complex: Option<Complex>,
    /// A number that marks missing pixels, besides the file's own. Of complex numbers, it is compared with the amplitude.
    pub(crate) nodata: Option<f32>,
    /// What a catalogue says of the file.
    pub(crate) stated: Option<Arc<Stated>>,
}

impl Numbers {
    /// As they are stored. This is also for work that reads no pixel.
    pub(crate) const STORED: Self = Self {
        file_scaling: Some(FileScaling::Ignore),
        applied_later: Scaling { scale: 1.0, offset: 0.0 },
        baseline_offset: None,
        complex: Some(Complex::Amplitude),
        nodata: None,
        stated: None,
    };

    /// What is applied to each band of a file that states `own` itself, if a catalogue says something of it.
    fn stated_scaling(&self, own: &[Scaling], bands: usize) -> Option<Result<Vec<Scaling>, String>> {
        // With it, only the baseline counts.
        let remove = self.baseline_offset == Some(BaselineOffset::Remove);
        let stated = self.stated.as_ref().filter(|_| !remove)?;
        Some(stated.scaling(own, bands, self.file_scaling, self.applied_later))
    }

    /// Does to a raster in memory, of a file that says nothing of its numbers, what a catalogue says of it.
    ///
    /// # Errors
    /// If it is unclear what the numbers mean.
    pub(crate) fn apply_stated(&self, raster: &mut Raster) -> Result<(), String> {
        let Some(stated) = &self.stated else { return Ok(()) };
        let scaling = self.stated_scaling(&[], raster.bands).transpose()?.unwrap_or_default();
        if let Some(nodata) = stated.nodata(None, false, raster.bands)? {
            let missing = raster.data.iter_mut().filter(|value| nodata.is_f32(**value));
            missing.for_each(|value| *value = f32::NAN);
        }
        scale(&mut raster.data, raster.width * raster.height, &scaling);
        Ok(())
    }

    /// What is applied to each band of a file with these metadata; nothing if it is empty.
    ///
    /// # Errors
    /// If it is unclear what the numbers mean.
    pub(crate) fn scaling_of_file(
        &self,
        metadata: &Metadata,
        bands: usize,
        path: &Path,
    ) -> Result<Vec<Scaling>, DataError> {
        match self.stated_scaling(&metadata.scaling, bands) {
            Some(scaling) => scaling.map_err(|reason| DataError::file(path, reason)),
            None => {
                self.scaling(metadata, bands).map_err(|refused| DataError::file(path, refused.about(path)))
            }
        }
    }

    /// Makes values of the stored numbers of a window with so many pixels: its own value of missing pixels is NaN, and
    /// each band is scaled.
    pub(crate) fn finish(&self, data: &mut [f32], pixels: usize, scaling: &[Scaling]) {
        if let Some(nodata) = self.nodata {
            data.iter_mut().filter(|value| **value == nodata).for_each(|value| *value = f32::NAN);
        }
        scale(data, pixels, scaling);
    }

    /// What is applied to each band of a file with these metadata, of which no catalogue says anything; nothing if it
    /// is empty.
    ///
    /// # Errors
    /// If it is unclear what the numbers mean.
    fn scaling(&self, metadata: &Metadata, bands: usize) -> Result<Vec<Scaling>, Refused> {
        if self.baseline_offset == Some(BaselineOffset::Remove) {
            return without_offset(metadata.baseline, bands);
        }
        let stated = &metadata.scaling;
        match self.file_scaling {
            Some(FileScaling::Apply) => Ok(stated.clone()),
            Some(FileScaling::Ignore) => Ok(Vec::new()),
            None if stated.iter().all(|scaling| *scaling == self.applied_later) => Ok(Vec::new()),
            None => {
                let at = stated.iter().position(|scaling| *scaling != self.applied_later).unwrap_or_default();
                let Scaling { scale, offset } = stated[at];
                let sentence = format!(
                    "it states a scale of `{scale}` and an offset of `{offset}` for band {} (tag 42112, GDAL_METADATA, of a TIFF), and \
                     it must be clear whether they count; in a data set, write `file_scaling = \"apply\"` or, for the \
                     stored numbers, `file_scaling = \"ignore\"` in dataset.toml, and for a map `predict --file-scaling \
                     apply` or `ignore`",
                    at + 1
                );
                Err(Refused::new(sentence, UNSCALE))
            }
        }
    }
}

fn without_offset(baseline: Option<Baseline>, bands: usize) -> Result<Vec<Scaling>, Refused> {
    match baseline {
        Some(baseline) if baseline.has_offset() => {
            Ok(vec![Scaling { scale: 1.0, offset: -Baseline::OFFSET }; bands])
        }
        Some(_) => Ok(Vec::new()),
        None => {
            let sentence = "its processing baseline must be known where `baseline_offset` is `remove`, by the metadata item \
                            PROCESSING_BASELINE or by the name of its Sentinel-2 product in its path, found neither; the \
                            command adds it, for example for 04.00";
            Err(Refused::new(sentence.to_owned(), "-mo PROCESSING_BASELINE=04.00"))
        }
    }
}
