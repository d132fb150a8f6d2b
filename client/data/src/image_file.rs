//! One opened image of which windows are read, whoever decodes it: this crate a GeoTIFF, GDAL what else it reads.

use std::path::Path;

use crate::error::DataError;
use crate::gdal_file::FileKind;
#[cfg(feature = "gdal")]
use crate::gdal_file::GdalFile;
use crate::georeference::{GeoReference, Grid};
use crate::geotiff::{BandName, Baseline, GeoTiff, Numbers, Role};
use crate::raster::{Limits, Raster};

/// An opened image.
pub struct ImageFile(Decoder);

enum Decoder {
    GeoTiff(Box<GeoTiff>),
    #[cfg(feature = "gdal")]
    Gdal(Box<GdalFile>),
}

/// Does the same with a file, whoever decodes it.
macro_rules! each {
    ($decoder:expr, $file:ident => $work:expr) => {
        match $decoder {
            Decoder::GeoTiff($file) => $work,
            #[cfg(feature = "gdal")]
            Decoder::Gdal($file) => $work,
        }
    };
}

impl ImageFile {
    /// Opens an image whose values are its stored numbers. Its size does not matter, only that of what is decoded
    /// together.
    ///
    /// # Errors
    /// As [`GeoTiff::open`], and if it is of a kind that this build does not read.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, DataError> {
        Self::open_as(Role::Image, path, limits, Numbers::default())
    }

    pub(crate) fn open_as(
        role: Role,
        path: &Path,
        limits: &Limits,
        numbers: Numbers,
    ) -> Result<Self, DataError> {
        Self::of_kind(FileKind::of(path)?, role, path, limits, numbers)
    }

    /// Opens an image if windows of it are read: a GeoTIFF, or what GDAL reads.
    pub(crate) fn with_windows(
        role: Role,
        path: &Path,
        limits: &Limits,
        numbers: Numbers,
    ) -> Result<Option<Self>, DataError> {
        let kind = FileKind::of(path)?;
        kind.has_windows().then(|| Self::of_kind(kind, role, path, limits, numbers)).transpose()
    }

    /// Opens an image whose kind is known. What has no windows is refused as no GeoTIFF.
    pub(crate) fn of_kind(
        kind: FileKind,
        role: Role,
        path: &Path,
        limits: &Limits,
        numbers: Numbers,
    ) -> Result<Self, DataError> {
        let decoder = match kind {
            #[cfg(feature = "gdal")]
            FileKind::Gdal(kind) => {
                Decoder::Gdal(Box::new(GdalFile::open(kind, role, path, limits, numbers)?))
            }
            #[cfg(not(feature = "gdal"))]
            FileKind::Gdal(kind) => return Err(kind.refused(path)),
            _ => Decoder::GeoTiff(Box::new(GeoTiff::open_as(role, path, limits, numbers)?)),
        };
        Ok(Self(decoder))
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        each!(&self.0, file => file.width())
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        each!(&self.0, file => file.height())
    }

    /// Number of bands that are read.
    #[must_use]
    pub fn bands(&self) -> usize {
        each!(&self.0, file => file.bands())
    }

    /// What it says of each of its bands; empty if it says nothing of any.
    pub(crate) fn names(&self) -> &[BandName] {
        each!(&self.0, file => file.names())
    }

    /// What it says of each of its bands, also where that is nothing.
    pub(crate) fn name_of_each_band(&self) -> Vec<BandName> {
        let mut names = self.names().to_vec();
        names.resize(self.bands(), BandName::default());
        names
    }

    pub(crate) fn path(&self) -> &Path {
        each!(&self.0, file => file.path())
    }

    /// Reads these of its bands only, in this order; they must be there.
    pub(crate) fn choose(&mut self, bands: &[usize]) {
        each!(&mut self.0, file => file.choose(bands));
    }

    /// The georeference, if the file has one.
    #[must_use]
    pub fn reference(&self) -> Option<&GeoReference> {
        each!(&self.0, file => file.reference())
    }

    /// The grid that it lies on.
    #[must_use]
    pub fn grid(&self) -> Grid {
        Grid::new(self.width(), self.height(), self.reference())
    }

    /// Whether its stored numbers are complex.
    pub(crate) fn is_complex(&self) -> bool {
        match &self.0 {
            Decoder::GeoTiff(file) => file.is_complex(),
            #[cfg(feature = "gdal")]
            Decoder::Gdal(_) => false,
        }
    }

    /// The processing baseline of the Sentinel-2 product, if the file says it.
    pub(crate) fn baseline(&self) -> Option<Baseline> {
        each!(&self.0, file => file.baseline())
    }

    /// The band that says how opaque pixels are, if the file has one that counts as such.
    pub(crate) fn alpha(&self) -> Option<usize> {
        match &self.0 {
            Decoder::GeoTiff(file) => file.alpha(),
            #[cfg(feature = "gdal")]
            Decoder::Gdal(_) => None,
        }
    }

    /// Whether every pixel has data in every band by what the file says of itself.
    pub(crate) fn is_complete(&self) -> bool {
        each!(&self.0, file => file.is_complete())
    }

    /// Width and height in pixels of what is decoded together.
    pub(crate) fn chunk(&self) -> [usize; 2] {
        each!(&self.0, file => file.chunk())
    }

    /// Keeps at most so many bytes of decoded strips and tiles for the next window, and one in any case. GDAL has one limit
    /// for all files.
    pub(crate) fn keep_at_most(&mut self, bytes: usize) {
        match &mut self.0 {
            Decoder::GeoTiff(file) => file.keep_at_most(bytes),
            #[cfg(feature = "gdal")]
            Decoder::Gdal(_) => {}
        }
    }

    /// The whole raster, in memory.
    pub(crate) fn whole(mut self, limits: &Limits) -> Result<Raster, DataError> {
        let [width, height, bands] = [self.width(), self.height(), self.bands()];
        let shape = [width, height, bands].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        limits.check(self.path(), shape[0], shape[1], shape[2])?;
        self.keep_at_most(0);
        let data = self.window(0, 0, width, height)?;
        Ok(Raster { width, height, bands, data, reference: self.reference().cloned() })
    }

    /// The values inside a window, in the order band, row, column. Pixels outside the file, pixels with its value of missing
    /// data and pixels that its mask hides are NaN.
    ///
    /// # Errors
    /// If the file is damaged there.
    pub fn window(
        &mut self,
        left: usize,
        top: usize,
        width: usize,
        height: usize,
    ) -> Result<Vec<f32>, DataError> {
        each!(&mut self.0, file => file.window(left, top, width, height))
    }
}
