//! The georeference of a file, in the form that it has in a GeoTIFF. GDAL itself writes it so, into memory, since it knows
//! how every reference system is told in the keys of a GeoTIFF.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use gdal::vsi::get_vsi_mem_file_bytes_owned;
use gdal::{Dataset, DriverManager};

use super::library::{GEOTIFF, call};
use crate::error::DataError;
use crate::georeference::GeoReference;
use crate::geotiff::reference_in;

/// The georeference of an opened file; `None` if it has none.
///
/// # Errors
/// If it cannot be told in the form of a GeoTIFF.
pub(super) fn of(dataset: &Dataset, path: &Path) -> Result<Option<GeoReference>, DataError> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    // Both are errors where there is none.
    let place = dataset.geo_transform().ok();
    let system = dataset.spatial_ref().ok();
    if place.is_none() && system.is_none() {
        return Ok(None);
    }
    let name = format!("/vsimem/eosfed-reference-{}.tif", NUMBER.fetch_add(1, Ordering::Relaxed));
    let written = call(|| {
        let driver = DriverManager::get_driver_by_name(GEOTIFF)?;
        let mut image = driver.create_with_band_type::<u8, _>(&name, 1, 1, 1)?;
        if let Some(system) = &system {
            image.set_spatial_ref(system)?;
        }
        if let Some(place) = &place {
            image.set_geo_transform(place)?;
        }
        image.close()?;
        get_vsi_mem_file_bytes_owned(&name)
    });
    let bytes = written.map_err(|reason| DataError::file(path, format!("its georeference: {reason}")))?;
    reference_in(path, bytes)
}
