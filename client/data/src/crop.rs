//! Cuts a window out of co-registered rasters and keeps the georeference. It is used to make an institution's
//! part of a bigger scene.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::DataError;
use crate::georeference::{Agreement, Grid};
use crate::geotiff::write_geotiff;
use crate::raster::{Limits, Raster};
use crate::read::{read_grid, read_labels, read_raster};

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

/// The result of a crop.
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
    let (first, others) =
        inputs.split_first().ok_or_else(|| DataError::unfit(output, "no input files were given"))?;
    let raster = read_raster(first, limits)?;
    let grid = raster.grid();
    let mut stacked = cut(first, &raster, window)?;
    for path in others {
        let next = read_raster(path, limits)?;
        if compare(first, &grid, path, &next)? == Agreement::SizeOnly {
            let reason = format!(
                "does not lie on the same grid as {}: both or neither must have a georeference",
                first.display()
            );
            return Err(DataError::file(path, reason));
        }
        let next = cut(path, &next, window)?;
        stacked.bands += next.bands;
        stacked.data.extend(next.data);
    }
    write_geotiff(output, &stacked)?;
    Ok(CropReport { output: output.to_owned(), bands: stacked.bands, window })
}

/// Writes the window of the mask of `image` as a GeoTIFF; for indexed colours, the indices. A mask without
/// georeference, such as a PNG file, is compared by its size alone.
///
/// # Errors
/// If the mask or the image cannot be read, they do not lie on one grid, the window leaves it, or the output
/// cannot be written.
pub fn crop_mask(
    mask: &Path,
    image: &Path,
    window: Window,
    output: &Path,
    limits: &Limits,
) -> Result<CropReport, DataError> {
    let raster = read_labels(mask, limits)?;
    compare(image, &read_grid(image, limits)?, mask, &raster)?;
    let part = cut(mask, &raster, window)?;
    write_geotiff(output, &part)?;
    Ok(CropReport { output: output.to_owned(), bands: part.bands, window })
}

/// Checks that a raster has the size and the georeference of the first file.
fn compare(first: &Path, grid: &Grid, path: &Path, raster: &Raster) -> Result<Agreement, DataError> {
    let found = raster.grid();
    if found.size() != grid.size() {
        let [w, h] = found.size();
        let [width, height] = grid.size();
        let reason = format!(
            "does not lie on the same grid as {}: its size must be `{width}x{height}` as there, found `{w}x{h}`",
            first.display()
        );
        return Err(DataError::file(path, reason));
    }
    grid.compared(&found).map_err(|difference| DataError::file(path, difference.sentence(first.display())))
}

fn cut(path: &Path, raster: &Raster, window: Window) -> Result<Raster, DataError> {
    let Window { left, top, width, height } = window;
    if left.saturating_add(width) > raster.width || top.saturating_add(height) > raster.height {
        let w = raster.width;
        let h = raster.height;
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
    use crate::georeference::GeoReference;

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
        let placeless = Raster { reference: None, ..scene(0.0, 100.0) };
        write_geotiff(&paths[1], &placeless).unwrap();
        assert!(crop("0,0,2,2").to_string().contains("both or neither must have a georeference"));
        write_geotiff(&paths[1], &Raster { width: 4, height: 5, ..scene(0.0, 100.0) }).unwrap();
        assert!(crop("0,0,2,2").to_string().contains("must be `5x4` as there, found `4x5`"));
        assert!(crop("4,0,2,2").to_string().contains("5x4"));
        assert!("1,2,3".parse::<Window>().is_err() && "1,2,0,4".parse::<Window>().is_err());
    }

    #[test]
    fn a_mask_of_another_area_is_refused_and_one_without_georeference_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let [image, mask, output] = ["a.tif", "m.tif", "out.tif"].map(|name| folder.path().join(name));
        write_geotiff(&image, &scene(0.0, 100.0)).unwrap();
        let limits = Limits::default();
        let crop = || crop_mask(&mask, &image, "1,1,2,2".parse().unwrap(), &output, &limits);
        write_geotiff(&mask, &scene(0.0, 130.0)).unwrap();
        let said = crop().unwrap_err().to_string();
        assert!(["m.tif", "a.tif", "100.0", "130.0"].iter().all(|word| said.contains(word)), "{said}");
        for reference in [scene(0.0, 100.0 + 1e-6).reference, None] {
            write_geotiff(&mask, &Raster { reference, ..scene(0.0, 0.0) }).unwrap();
            assert_eq!(crop().unwrap().bands, 1);
        }
    }
}
