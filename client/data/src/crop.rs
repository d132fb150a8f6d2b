//! Cutting a window out of co-registered rasters: how an institution's part of a bigger scene is
//! made, with the georeference carried along.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::DataError;
use crate::geotiff::write_geotiff;
use crate::raster::{Limits, Raster, read_labels, read_raster};

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Window {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl std::str::FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<usize>, _> = text.split(',').map(|part| part.trim().parse()).collect();
        match numbers.as_deref() {
            Ok([left, top, width, height]) if *width > 0 && *height > 0 => {
                Ok(Self { left: *left, top: *top, width: *width, height: *height })
            }
            _ => Err(format!("a window is LEFT,TOP,WIDTH,HEIGHT in pixels, found `{text}`")),
        }
    }
}

/// What was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CropReport {
    /// The file written.
    pub output: PathBuf,
    /// Its bands.
    pub bands: usize,
    /// The window.
    pub window: Window,
}

/// Stacks the bands of `inputs` in order and writes the window as one GeoTIFF.
///
/// # Errors
/// If an input cannot be read, the inputs do not lie on one grid, the window leaves it, or the
/// output cannot be written.
pub fn crop(
    inputs: &[PathBuf],
    window: Window,
    output: &Path,
    limits: &Limits,
) -> Result<CropReport, DataError> {
    let mut stacked: Option<Raster> = None;
    for path in inputs {
        let next = cut(path, &read_raster(path, limits)?, window)?;
        match &mut stacked {
            None => stacked = Some(next),
            Some(first) if first.reference == next.reference => {
                first.bands += next.bands;
                first.data.extend(next.data);
            }
            Some(_) => {
                let reason = format!("does not lie on the same grid as {}", inputs[0].display());
                return Err(DataError::file(path, reason));
            }
        }
    }
    let stacked = stacked.ok_or_else(|| DataError::unfit(output, "no input files were given"))?;
    write_geotiff(output, &stacked)?;
    Ok(CropReport { output: output.to_owned(), bands: stacked.bands, window })
}

/// Writes the window of a mask as a GeoTIFF; of indexed colours the indices.
///
/// # Errors
/// If the mask cannot be read, the window leaves it, or the output cannot be written.
pub fn crop_mask(
    mask: &Path,
    window: Window,
    output: &Path,
    limits: &Limits,
) -> Result<CropReport, DataError> {
    let part = cut(mask, &read_labels(mask, limits)?, window)?;
    write_geotiff(output, &part)?;
    Ok(CropReport { output: output.to_owned(), bands: part.bands, window })
}

fn cut(path: &Path, raster: &Raster, window: Window) -> Result<Raster, DataError> {
    let Window { left, top, width, height } = window;
    if left + width > raster.width || top + height > raster.height {
        let (w, h) = (raster.width, raster.height);
        let reason =
            format!("the window must lie inside {w}x{h} pixels, found `{left},{top},{width},{height}`");
        return Err(DataError::file(path, reason));
    }
    Ok(Raster {
        width,
        height,
        bands: raster.bands,
        data: raster.window(left, top, width, height),
        reference: raster.reference.as_ref().map(|reference| reference.shifted(left as f64, top as f64)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geotiff::GeoReference;

    fn scene(value: f32, east: f64) -> Raster {
        let tie_point = vec![0.0, 0.0, 0.0, east, 500.0, 0.0];
        let reference =
            GeoReference { pixel_scale: vec![10.0, 10.0, 0.0], tie_point, ..GeoReference::default() };
        let data = (0..20).map(|at| value + at as f32).collect();
        Raster { width: 5, height: 4, bands: 1, data, reference: Some(reference) }
    }

    #[test]
    fn bands_are_stacked_and_the_reference_moves_with_the_window() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.tif", "b.tif"].map(|name| folder.path().join(name));
        write_geotiff(&paths[0], &scene(0.0, 100.0)).unwrap();
        write_geotiff(&paths[1], &scene(100.0, 100.0)).unwrap();
        let output = folder.path().join("out.tif");
        let window: Window = "2,1,2,3".parse().unwrap();
        crop(&paths, window, &output, &Limits::default()).unwrap();
        let read = read_raster(&output, &Limits::default()).unwrap();
        assert_eq!(read.band(1), [107.0, 108.0, 112.0, 113.0, 117.0, 118.0]);
        assert_eq!(read.reference.unwrap().tie_point, [-2.0, -1.0, 0.0, 100.0, 500.0, 0.0]);
    }

    #[test]
    fn other_grids_and_windows_outside_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.tif", "b.tif"].map(|name| folder.path().join(name));
        write_geotiff(&paths[0], &scene(0.0, 100.0)).unwrap();
        write_geotiff(&paths[1], &scene(0.0, 130.0)).unwrap();
        let output = folder.path().join("out.tif");
        let crop =
            |window: &str| crop(&paths, window.parse().unwrap(), &output, &Limits::default()).unwrap_err();
        assert!(crop("0,0,2,2").to_string().contains("b.tif: does not lie on the same grid"));
        assert!(crop("4,0,2,2").to_string().contains("5x4"));
        assert!("1,2,3".parse::<Window>().is_err() && "1,2,0,4".parse::<Window>().is_err());
    }
}
