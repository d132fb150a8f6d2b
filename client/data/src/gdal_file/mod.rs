//! Files that GDAL reads and this crate does not decode itself: JPEG 2000, VRT, netCDF, HDF4, HDF5, Zarr and ENVI. A build
//! with the feature `gdal` reads them; any other build refuses them by name.
//!
//! A GeoTIFF, PNG or JPEG file is never given to GDAL, also where it is refused: each of them has one reader.

mod classic;
mod guard;
mod hdf4;
mod hdf5;
mod kinds;
#[cfg(feature = "gdal")]
mod library;
#[cfg(feature = "gdal")]
mod numbers;
#[cfg(feature = "gdal")]
mod opened;
#[cfg(feature = "gdal")]
mod reference;
#[cfg(feature = "gdal")]
mod vectors;
mod vrt;
mod zarr;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::DataError;
use crate::geotiff::{REWRITE, conversion};
pub(crate) use kinds::{
    FileKind, GdalKind, VectorFact, has_gdal_ending, has_known_ending, is_image_folder, vectors_of,
};
use kinds::{KINDS, VECTORS};
#[cfg(feature = "gdal")]
pub(crate) use opened::GdalFile;
#[cfg(feature = "gdal")]
pub(crate) use vectors::{Shapes, each_shape};

/// What reads such files, for sentences.
#[cfg(not(feature = "gdal"))]
const BUILD: &str = "a build with the feature `gdal`";

/// A kind of file that is read through GDAL, or refused.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GdalFormat {
    /// The name of the kind.
    pub name: String,
    /// GDAL's names of the drivers that read it; none if it is refused in any build.
    pub drivers: Vec<String>,
    /// Endings by which files of a data set are found.
    pub endings: Vec<String>,
    /// Whether this build reads it, with the library of this machine.
    pub read: bool,
    /// What this build or the library lacks; null if it is read, or refused in any build.
    pub lacking: Option<String>,
    /// What is read of it, or why it is not read in any build.
    pub note: String,
    /// What a data set takes from it.
    pub content: Content,
}

/// What a data set takes from a kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// The pixels of images, masks and target rasters.
    Pixels,
    /// Polygons as labels.
    Polygons,
}

/// What this build reads through GDAL.
pub(crate) fn gdal_formats() -> Vec<GdalFormat> {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let format = |content, name: &str, drivers: &[&str], endings: &[&str], note: &str| {
        let lacking = lacking(drivers);
        GdalFormat {
            name: name.to_owned(),
            drivers: owned(drivers),
            endings: owned(endings),
            read: !drivers.is_empty() && lacking.is_none(),
            lacking: lacking.map(|reason| format!("it is read {reason}")),
            note: note.to_owned(),
            content,
        }
    };
    let images =
        KINDS.iter().map(|fact| format(Content::Pixels, fact.name, fact.drivers, fact.endings, fact.note));
    let vectors = VECTORS
        .iter()
        .map(|fact| format(Content::Polygons, fact.name, &[fact.driver], &[fact.ending], fact.note));
    images.chain(vectors).collect()
}

/// The version of the library; `None` in a build without it.
pub(crate) fn gdal_version() -> Option<String> {
    #[cfg(feature = "gdal")]
    let version = Some(library::version());
    #[cfg(not(feature = "gdal"))]
    let version = None;
    version
}

/// What a build that reads a kind has, and this one has not: `with …`. `None` if nothing lacks, or if no build reads it.
fn lacking(drivers: &[&str]) -> Option<String> {
    #[cfg(feature = "gdal")]
    let lacking = drivers.iter().find_map(|driver| library::lacking(driver));
    #[cfg(not(feature = "gdal"))]
    let lacking = (!drivers.is_empty()).then(|| format!("with {BUILD}"));
    lacking
}

impl VectorFact {
    /// What a build that reads such a file has, and this one has not: `with …`. `None` if this one reads it.
    pub(crate) fn lacking(&self) -> Option<String> {
        lacking(&[self.driver])
    }
}

impl GdalKind {
    /// Checks that this build reads a file of this kind.
    ///
    /// # Errors
    /// If it does not; then with what to do.
    #[cfg(feature = "gdal")]
    fn check_read(self, path: &Path) -> Result<(), DataError> {
        let fact = self.fact();
        let read = !fact.drivers.is_empty() && lacking(fact.drivers).is_none();
        if read { Ok(()) } else { Err(self.refused(path)) }
    }

    /// Refuses a file of this kind, which this build does not read.
    pub(crate) fn refused(self, path: &Path) -> DataError {
        let fact = self.fact();
        let name = fact.name;
        let remedy = conversion(REWRITE, path);
        let sentence = match lacking(fact.drivers) {
            Some(lacking) => format!("its kind, {name}, is read {lacking}; use one, or {remedy}"),
            None => format!("its kind, {name}, is not read: {}; {remedy}", fact.note),
        };
        DataError::file(path, sentence)
    }
}

/// Checks what this crate decides itself about a file before GDAL opens it; a build without GDAL decides the same. Gives
/// the files that it names, for a VRT.
///
/// # Errors
/// If it is of none of these kinds, was cut short, leads elsewhere, or says what is not read.
pub fn check_before_gdal(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    match FileKind::of(path)? {
        FileKind::Gdal(GdalKind::Vrt) => {
            let sources = vrt::sources(path)?;
            Ok(sources.into_iter().map(|(_, source)| source.place().to_owned()).collect())
        }
        FileKind::Gdal(kind) => guard::check(kind, path).map(|()| Vec::new()),
        _ => Err(DataError::file(path, "must be of a kind that GDAL reads, found another")),
    }
}

/// The files besides a file of a data set itself that decide which pixels or polygons it has. They are looked for by its
/// ending, and those of a file that cannot be read are none.
pub(crate) fn parts(path: &Path) -> Vec<PathBuf> {
    if vectors_of(path).is_some() {
        return kinds::beside_vectors(path);
    }
    if !has_gdal_ending(path) {
        return Vec::new();
    }
    match FileKind::of(path) {
        Ok(FileKind::Gdal(GdalKind::Vrt)) => vrt::parts(path),
        Ok(FileKind::Gdal(GdalKind::Zarr)) => zarr::parts(path),
        Ok(FileKind::Gdal(GdalKind::Envi)) => kinds::envi_header(path).into_iter().collect(),
        _ => Vec::new(),
    }
}
