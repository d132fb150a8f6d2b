//! Cuts a window out of co-registered rasters and keeps the georeference. It is used to make an institution's
//! part of a bigger scene.

use std::fs;
use std::path::{Path, PathBuf};

use eosfed_common::model::Task;
use schemars::JsonSchema;
use serde::Serialize;

use crate::dataset::WindowReader;
use crate::error::DataError;
use crate::georeference::{Agreement, Grid};
use crate::geotiff::{Numbers, write_geotiff};
use crate::overwritten::check_not_overwritten;
use crate::raster::{Limits, Raster};
use crate::read::read_grid;

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
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

/// A file that a crop has written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CropReport {
    /// Its path.
    pub output: PathBuf,
    /// Its bands.
    pub bands: usize,
    /// The window, in pixels of the inputs.
    pub window: Window,
}

/// Writes the window of `images`, their bands stacked in order, to `image.tif` in a folder, which is made if it is missing,
/// and that of their mask to `mask.tif`.
///
/// # Errors
/// If one of these two would replace an input, an input cannot be read, the inputs do not lie on one grid, the window leaves
/// it, or a file cannot be written.
pub fn crop(
    images: &[PathBuf],
    mask: Option<&Path>,
    window: Window,
    folder: &Path,
    limits: &Limits,
) -> Result<Vec<CropReport>, DataError> {
    let [image, part] = ["image.tif", "mask.tif"].map(|name| folder.join(name));
    let written = [Some(&image), mask.map(|_| &part)].into_iter().flatten().cloned().collect::<Vec<_>>();
    let read = images.iter().map(PathBuf::as_path).chain(mask).map(Path::to_owned).collect::<Vec<_>>();
    check_not_overwritten(&written, &read)?;
    fs::create_dir_all(folder).map_err(|error| DataError::file(folder, error))?;
    let mut reports = vec![crop_images(images, window, &image, limits)?];
    if let Some(mask) = mask {
        reports.push(crop_mask(mask, &images[0], window, &part, limits)?);
    }
    Ok(reports)
}

/// Stacks the bands of `inputs` in order and writes the window as one GeoTIFF.
///
/// # Errors
/// If an input cannot be read, the inputs do not lie on one grid, the window leaves it, or the
/// output cannot be written.
fn crop_images(
    inputs: &[PathBuf],
    window: Window,
    output: &Path,
    limits: &Limits,
) -> Result<CropReport, DataError> {
    let (first, others) =
        inputs.split_first().ok_or_else(|| DataError::unfit(output, "no input files were given"))?;
    let mut file = open(first, limits)?;
    let grid = grid(&file);
    let mut stacked = cut(first, &mut file, window, 0, limits)?;
    for path in others {
        let mut file = open(path, limits)?;
        if compare(first, &grid, path, &file)? == Agreement::SizeOnly {
            let reason = format!(
                "does not lie on the same grid as {}: both or neither must have a georeference",
                first.display()
            );
            return Err(DataError::file(path, reason));
        }
        let next = cut(path, &mut file, window, stacked.bands, limits)?;
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
fn crop_mask(
    mask: &Path,
    image: &Path,
    window: Window,
    output: &Path,
    limits: &Limits,
) -> Result<CropReport, DataError> {
    let mut file = WindowReader::open_label(mask, limits, Numbers::default(), Task::Segmentation, 1)?;
    compare(image, &read_grid(image, limits)?, mask, &file)?;
    let part = cut(mask, &mut file, window, 0, limits)?;
    write_geotiff(output, &part)?;
    Ok(CropReport { output: output.to_owned(), bands: part.bands, window })
}

/// Opens an image of which only the window is read, however large it is.
fn open(path: &Path, limits: &Limits) -> Result<WindowReader, DataError> {
    WindowReader::open(path, limits, Numbers::default(), 1)
}

fn grid(file: &WindowReader) -> Grid {
    let [width, height] = file.size();
    Grid::new(width, height, file.reference())
}

/// Checks that a file has the size and the georeference of the first one.
fn compare(first: &Path, wanted: &Grid, path: &Path, file: &WindowReader) -> Result<Agreement, DataError> {
    let found = grid(file);
    if found.size() != wanted.size() {
        let [w, h] = found.size();
        let [width, height] = wanted.size();
        let reason = format!(
            "does not lie on the same grid as {}: its size must be `{width}x{height}` as there, found `{w}x{h}`",
            first.display()
        );
        return Err(DataError::file(path, reason));
    }
    wanted.compared(&found).map_err(|difference| DataError::file(path, difference.sentence(first.display())))
}

/// Reads the window. `bands` of other files are in memory already, of the same size.
fn cut(
    path: &Path,
    file: &mut WindowReader,
    window: Window,
    bands: usize,
    limits: &Limits,
) -> Result<Raster, DataError> {
    let Window { left, top, width, height } = window;
    let [w, h] = file.size();
    if left.saturating_add(width) > w || top.saturating_add(height) > h {
        let reason =
            format!("the window must lie inside {w}x{h} pixels, found `{left},{top},{width},{height}`");
        return Err(DataError::file(path, reason));
    }
    let shape = [width, height, bands + file.bands()].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    limits.check(path, shape[0], shape[1], shape[2])?;
    Ok(Raster {
        width,
        height,
        bands: file.bands(),
        data: file.window([left, top], [width, height])?,
        reference: file.reference().map(|reference| reference.shifted(left as f64, top as f64)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::georeference::GeoReference;
    use crate::read::read_raster;

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
        crop_images(&paths, window, &output, &Limits::default()).unwrap();
        let read = read_raster(&output, &Limits::default()).unwrap();
        assert_eq!(read.band(1), [107.0, 108.0, 112.0, 113.0, 117.0, 118.0]);
        assert_eq!(read.reference.unwrap().tie_point, [-2.0, -1.0, 0.0, 100.0, 500.0, 0.0]);
    }

    /// The whole of each file is larger than what may be in memory.
    #[test]
    fn only_the_window_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.tif", "b.tif", "m.tif"].map(|name| folder.path().join(name));
        let [width, height] = [600, 500];
        let data = (0..2 * width * height).map(|at| (at % 1999) as f32).collect();
        let image = Raster { width, height, bands: 2, data, reference: scene(0.0, 100.0).reference };
        write_geotiff(&paths[0], &image).unwrap();
        write_geotiff(&paths[1], &image).unwrap();
        let mask = Raster { bands: 1, data: vec![3.0; width * height], ..image.clone() };
        write_geotiff(&paths[2], &mask).unwrap();
        let output = folder.path().join("out.tif");
        let window: Window = "500,400,90,95".parse().unwrap();
        let limits = Limits { bytes: 1_200_000, ..Limits::default() };
        assert!(read_raster(&paths[0], &limits).unwrap_err().to_string().contains("in memory"));
        assert_eq!(crop_images(&paths[..2], window, &output, &limits).unwrap().bands, 4);
        let cut = read_raster(&output, &Limits::default()).unwrap();
        let wanted = image.window(500, 400, 90, 95);
        assert_eq!(cut.data, [wanted.clone(), wanted].concat());
        assert_eq!(crop_mask(&paths[2], &paths[0], window, &output, &limits).unwrap().bands, 1);
        // What is asked for has a limit, over all files together.
        let said = |window: &str| {
            crop_images(&paths[..2], window.parse().unwrap(), &output, &limits).unwrap_err().to_string()
        };
        let large = said("0,0,300,300");
        assert!(large.contains("b.tif") && large.contains("found `1440000`"), "{large}");
        assert!(said("0,0,18446744073709551615,1").contains("must lie inside 600x500 pixels"));
    }

    #[test]
    fn other_grids_and_windows_outside_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.tif", "b.tif"].map(|name| folder.path().join(name));
        write_geotiff(&paths[0], &scene(0.0, 100.0)).unwrap();
        write_geotiff(&paths[1], &scene(0.0, 130.0)).unwrap();
        let output = folder.path().join("out.tif");
        let crop = |window: &str| {
            crop_images(&paths, window.parse().unwrap(), &output, &Limits::default()).unwrap_err()
        };
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

    #[test]
    fn no_input_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let [image, mask, other] =
            ["image.tif", "mask.tif", "other.tif"].map(|name| folder.path().join(name));
        for path in [&image, &mask, &other] {
            write_geotiff(path, &scene(0.0, 100.0)).unwrap();
        }
        let window = "1,1,2,2".parse().unwrap();
        let crop = |images: &[&PathBuf], mask: Option<&PathBuf>, to: &Path| {
            let images: Vec<PathBuf> = images.iter().copied().cloned().collect();
            crop(&images, mask.map(PathBuf::as_path), window, to, &Limits::default())
                .map_err(|error| error.to_string())
        };
        let before = fs::read(&image).unwrap();
        for (images, labels, lost) in [
            (&[&image][..], None, "image.tif"),
            (&[&other, &image], None, "image.tif"),
            (&[&other], Some(&mask), "mask.tif"),
            // The image would be written over the mask before this is read.
            (&[&other], Some(&image), "image.tif"),
        ] {
            let said = crop(images, labels, folder.path()).unwrap_err();
            assert!(said.contains(&format!("{lost}: would replace ")), "{said}");
            assert!(said.contains(&format!("{lost}, which is an input; nothing was written")), "{said}");
        }
        for path in [&image, &mask, &other] {
            assert!(fs::read(path).unwrap() == before);
        }
        assert_eq!(crop(&[&image], Some(&mask), &folder.path().join("new")).unwrap().len(), 2);
        // Without a mask, one that lies there is not touched.
        assert_eq!(crop(&[&other], None, &folder.path().join("new")).unwrap().len(), 1);
        assert!(crop(&[], None, folder.path()).unwrap_err().contains("no input files"));
    }
}
