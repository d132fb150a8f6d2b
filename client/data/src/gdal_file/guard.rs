//! What this crate looks at before GDAL opens a file: whether it is whole, and leads nowhere else.

use std::path::Path;
#[cfg(feature = "gdal")]
use std::path::PathBuf;

use super::kinds::GdalKind;
use super::{classic, hdf4, hdf5, zarr};
use crate::error::DataError;

/// Checks a file of a kind. A VRT has a check of its own, since it names other files; what is not looked at here, the library
/// finds damaged itself.
///
/// # Errors
/// If the file was cut short, says what is not read, or leads elsewhere.
pub(super) fn check(kind: GdalKind, path: &Path) -> Result<(), DataError> {
    match kind {
        GdalKind::NetCdfClassic => classic::check(path),
        GdalKind::Hdf4 => hdf4::check(path),
        GdalKind::NetCdf | GdalKind::Hdf5 => hdf5::check(path),
        GdalKind::Zarr => zarr::check(path),
        GdalKind::Jpeg2000 | GdalKind::Vrt | GdalKind::Envi | GdalKind::Safe => Ok(()),
    }
}

/// The file itself, wherever links lead: the library would take some other names for addresses.
///
/// # Errors
/// If it is not there, or its name is such a one.
#[cfg(feature = "gdal")]
pub(super) fn place(path: &Path) -> Result<PathBuf, DataError> {
    let place = path.canonicalize().map_err(|error| DataError::file(path, error))?;
    if place.starts_with("/vsi") || place.as_os_str().as_encoded_bytes().starts_with(b"/vsi") {
        let reason = "must not begin with `/vsi`, which GDAL takes for a file system of its own; move it";
        return Err(DataError::file(path, reason));
    }
    Ok(place)
}
