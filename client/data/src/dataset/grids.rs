//! Checks that the files of one sample lie on one grid. A mask, a band or a date with another position,
//! orientation or reference system can have the right size, but wrong pixels.
//!
//! Files without georeference are usual (a PNG mask beside a GeoTIFF): their sizes alone are compared, and
//! a note says so. The same holds for other parts of the georeference that only one file has.

use std::path::Path;

use super::notes::Note;
use crate::error::DataError;
use crate::georeference::{Agreement, GeoReference, Grid};
use crate::geotiff::{BandName, Baseline};
use crate::raster::Raster;

/// What a file says about its raster.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// Width and height in pixels.
    pub(super) size: [usize; 2],
    pub(super) bands: usize,
    pub(super) reference: Option<GeoReference>,
    /// The processing baseline of the Sentinel-2 product, if the file says it.
    pub(super) baseline: Option<Baseline>,
    /// What it says of each of its bands; empty if it says nothing of any, or if it does not matter.
    pub(super) names: Vec<BandName>,
}

impl Header {
    /// The grid that it lies on.
    pub(super) fn grid(&self) -> Grid {
        Grid::new(self.size[0], self.size[1], self.reference.as_ref())
    }

    /// What it says of each band, also where that is nothing.
    pub(super) fn name_of_each_band(&self) -> Vec<BandName> {
        let mut names = self.names.clone();
        names.resize(self.bands, BandName::default());
        names
    }

    /// In metres, if the file has it.
    pub(super) fn ground_sampling_distance(&self) -> Option<f64> {
        self.reference.as_ref()?.ground_sampling_distance(self.size)
    }
}

/// A raster in memory as the whole of a stack, for images that are not cut.
impl From<&Raster> for Header {
    fn from(raster: &Raster) -> Self {
        Self {
            size: [raster.width, raster.height],
            bands: raster.bands,
            reference: raster.reference.clone(),
            baseline: None,
            names: Vec::new(),
        }
    }
}

/// Which files of a sample are compared.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pair {
    /// Files whose bands are stacked.
    Bands,
    /// Images of two dates.
    Dates,
    /// A mask or target and its image.
    Label,
}

/// The file that the others of a sample are compared with.
pub(super) struct Anchor<'a> {
    pub(super) path: &'a Path,
    pub(super) grid: Grid,
}

impl Anchor<'_> {
    /// Checks that another file lies on the same grid. Adds a note about parts that cannot be compared.
    ///
    /// # Errors
    /// If it does not, with both files and the georeference of each.
    pub(super) fn check(
        &self,
        path: &Path,
        grid: &Grid,
        pair: Pair,
        notes: &mut Vec<Note>,
    ) -> Result<(), DataError> {
        let agreement = self.grid.compared(grid).map_err(|difference| {
            let (general, numbers) = difference.general();
            let reason = difference.sentence(self.path.display());
            DataError::OtherGrid { path: path.to_owned(), reason, general, numbers }
        })?;
        notes.extend(note(agreement, pair).map(|text| Note::of(path, text)));
        Ok(())
    }
}

fn note(agreement: Agreement, pair: Pair) -> Option<String> {
    let files = match pair {
        Pair::Bands => "files whose bands are stacked",
        Pair::Dates => "images of two dates",
        Pair::Label => "masks or targets and their images",
    };
    let reason = match agreement {
        Agreement::Full => return None,
        Agreement::SizeOnly => "only one of two files has a georeference, so only their sizes were compared",
        Agreement::NoGeotransform => {
            "only one of two files has a geotransform, so only sizes and reference systems were compared"
        }
        Agreement::UnknownSystem => {
            "the reference systems of two files are defined in ways that cannot be compared, so only sizes and \
             geotransforms were compared"
        }
    };
    Some(format!("{files}: {reason}"))
}
