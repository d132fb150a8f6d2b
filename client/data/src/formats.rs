//! What this build reads, as `data formats` prints it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::gdal_file::{GdalFormat, gdal_formats, gdal_version};
use crate::geotiff::{Format, tiff_formats};
use crate::raster::Limits;

/// What this build reads.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Formats {
    /// Kinds of files that it decodes itself.
    pub files: Vec<String>,
    /// Compressions of GeoTIFF.
    pub compressions: Vec<Format>,
    /// What the numbers of GeoTIFF are.
    pub numbers: Vec<Format>,
    /// What the bands of GeoTIFF mean.
    pub photometric: Vec<Format>,
    /// Kinds of files that GDAL decodes, or that are refused: of images, and of polygons as labels.
    pub gdal: Vec<GdalFormat>,
    /// The version of GDAL; null in a build without the feature `gdal`.
    pub gdal_version: Option<String>,
    /// Limits of one file.
    pub limits: FormatLimits,
}

/// Limits of one file.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FormatLimits {
    /// Width and height in pixels.
    pub side: u32,
    /// Bands.
    pub bands: u32,
    /// Bytes of a file that is read whole, of 4 for each number, and of a strip or tile.
    pub bytes: u64,
}

const FILES: [&str; 4] = [
    "GeoTIFF and BigTIFF: strips or tiles, interleaved or planar, also with the mask inside the file; windows are read",
    "PNG: read whole",
    "JPEG: 1, 3 or 4 components of 8 bits, read whole, not as masks",
    "GeoJSON: polygons as labels, read whole",
];

/// What this build reads, from the tables by which files are accepted.
#[must_use]
pub fn formats(limits: &Limits) -> Formats {
    let [compressions, numbers, photometric] = tiff_formats();
    Formats {
        files: FILES.map(str::to_owned).to_vec(),
        compressions,
        numbers,
        photometric,
        gdal: gdal_formats(),
        gdal_version: gdal_version(),
        limits: FormatLimits { side: limits.side, bands: limits.bands, bytes: limits.bytes },
    }
}
