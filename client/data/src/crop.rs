//! Cuts a window out of co-registered rasters and keeps the georeference. It is used to make an institution's
//! part of a bigger scene.

use std::fs;
use std::path::{Path, PathBuf};

use eosfed_common::model::Task;
use schemars::JsonSchema;
use serde::Serialize;

use crate::dataset::WindowReader;
use crate::error::DataError;
use crate::gdal_file::FileKind;
use crate::georeference::{Agreement, Grid, unread_place_file};
use crate::geotiff::{BandName, Baseline, Metadata, Numbers, unkept, write_described};
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
    /// What the inputs say and the file does not.
    pub notes: Vec<String>,
}

/// What the inputs of a file say of themselves.
#[derive(Default)]
struct Said {
    /// Of the bands of all of them.
    names: Vec<BandName>,
    /// The first alpha band.
    alpha: Option<usize>,
    baselines: Vec<(PathBuf, Option<Baseline>)>,
    notes: Vec<String>,
}

impl Said {
    /// Adds another input.
    fn add(&mut self, path: &Path, file: &WindowReader) -> Result<(), DataError> {
        self.alpha = self.alpha.or_else(|| Some(self.names.len() + file.alpha()?));
        self.names.extend(file.name_of_each_band());
        self.baselines.push((path.to_owned(), file.baseline()));
        if file.reference().is_none() {
            self.notes.extend(unread_place_file(path));
        }
        let unkept = match FileKind::of(path)? {
            FileKind::GeoTiff => unkept(path)?,
            FileKind::Gdal(_) => vec!["all else that it says of itself".to_owned()],
            FileKind::Png | FileKind::Jpeg | FileKind::Unknown => Vec::new(),
        };
        if !unkept.is_empty() {
            self.notes.push(format!(
                "{}: only the place, the processing baseline, the names of bands and which is alpha are written beside its pixels, and not {}",
                path.display(),
                unkept.join("; ")
            ));
        }
        Ok(())
    }

    /// What the file can say for all of them, and notes on the rest. A file has one baseline.
    fn together(self) -> (Metadata, Vec<String>) {
        let Self { names, alpha, baselines, mut notes } = self;
        let mut metadata = Metadata { names, alpha, ..Metadata::default() };
        metadata.drop_unsaid();
        let mut others = baselines.iter();
        if let Some((first, baseline)) = others.next() {
            metadata.baseline = *baseline;
            if let Some((path, other)) = others.find(|(_, other)| other != baseline) {
                metadata.baseline = None;
                let said =
                    |baseline: &Option<Baseline>| baseline.map_or("none".to_owned(), |b| format!("`{b}`"));
                notes.push(format!(
                    "the processing baseline is not written, since one file can state one: {} states {}, {} states {}; crop \
                     them one by one to keep it",
                    first.display(),
                    said(baseline),
                    path.display(),
                    said(other)
                ));
            }
        }
        (metadata, notes)
    }
}

/// Writes the window of `images`, their bands stacked in order, to `image.tif` in a folder, which is made if it is missing,
/// and that of their mask to `mask.tif`. An input may be as large as a scene, since only the window is read of it; the
/// window may be as large as an image of a data set. Names of bands and the processing baseline are written too.
///
/// # Errors
/// If one of these two would replace an input, an input cannot be read, the inputs do not lie on one grid, the window leaves
/// it, or a file cannot be written.
pub fn crop(
    images: &[PathBuf],
    mask: Option<&Path>,
    window: Window,
    folder: &Path,
) -> Result<Vec<CropReport>, DataError> {
    let limits = &Limits::of_scene();
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
    let mut said = Said::default();
    said.add(first, &file)?;
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
        said.add(path, &file)?;
    }
    write(output, &stacked, window, said)
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
    let mut said = Said::default();
    said.add(mask, &file)?;
    write(output, &part, window, said)
}

fn write(output: &Path, raster: &Raster, window: Window, said: Said) -> Result<CropReport, DataError> {
    let (metadata, notes) = said.together();
    write_described(output, raster, &metadata)?;
    Ok(CropReport { output: output.to_owned(), bands: raster.bands, window, notes })
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
    let most = Limits { side: limits.side.min(Limits::default().side), ..*limits };
    most.check(path, shape[0], shape[1], shape[2])?;
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
    use crate::geotiff::write_geotiff;
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
    fn a_scene_may_be_wider_than_an_image_of_a_data_set_and_a_window_may_not() {
        let folder = tempfile::tempdir().unwrap();
        let [wide, output] = ["wide.tif", "out"].map(|name| folder.path().join(name));
        let most = Limits::default().side as usize;
        let [width, height] = [most + 40, 2];
        let data = (0..width * height).map(|at| (at % 1999) as f32).collect();
        let image = Raster { width, height, bands: 1, data, reference: scene(0.0, 100.0).reference };
        write_geotiff(&wide, &image).unwrap();
        let crop =
            |window: &str| crop(std::slice::from_ref(&wide), Some(&wide), window.parse().unwrap(), &output);
        assert_eq!(crop(&format!("{most},0,40,2")).unwrap().len(), 2);
        let cut = read_raster(&output.join("image.tif"), &Limits::default()).unwrap();
        assert_eq!(cut.data, image.window(most, 0, 40, 2));
        let said = crop(&format!("0,0,{width},1")).unwrap_err().to_string();
        assert!(said.contains("1 to 32768 pixels wide") && said.contains("`32808x1`"), "{said}");
    }

    fn described(path: &Path, east: f64, baseline: Option<&str>, description: &str, wavelength: Option<f64>) {
        let names = vec![BandName { description: Some(description.to_owned()), wavelength }];
        let baseline = baseline.and_then(Baseline::of_text);
        write_described(path, &scene(0.0, east), &Metadata { names, baseline, ..Metadata::default() })
            .unwrap();
    }

    #[test]
    fn names_of_bands_and_the_baseline_are_those_of_the_inputs() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c, plain] = ["a.tif", "b.tif", "c.tif", "plain.tif"].map(|name| folder.path().join(name));
        described(&a, 100.0, Some("05.10"), "B04 <R&D> \"for\u{ea}t\"", Some(664.6));
        described(&b, 100.0, Some("05.10"), "B08", None);
        described(&c, 100.0, Some("02.06"), "B02", None);
        write_geotiff(&plain, &scene(0.0, 100.0)).unwrap();
        let output = folder.path().join("out");
        let crop = |images: &[&PathBuf]| {
            let images: Vec<PathBuf> = images.iter().copied().cloned().collect();
            let report = crop(&images, None, "1,1,2,2".parse().unwrap(), &output).unwrap().remove(0);
            (
                WindowReader::open(&report.output, &Limits::default(), Numbers::default(), 1).unwrap(),
                report.notes,
            )
        };
        let (cut, notes) = crop(&[&a, &b, &plain]);
        let names = cut.name_of_each_band();
        assert_eq!(names[0].description.as_deref(), Some("B04 <R&D> \"for\u{ea}t\""));
        assert_eq!((names[0].wavelength, names[1].description.as_deref()), (Some(664.6), Some("B08")));
        assert_eq!(names[2], BandName::default());
        // One of them states no baseline: a file with it would say it of all bands.
        assert_eq!(cut.baseline(), None);
        assert!(
            notes[0].contains("a.tif states `05.10`") && notes[0].contains("plain.tif states none"),
            "{notes:?}"
        );
        let (cut, notes) = crop(&[&a, &b]);
        assert_eq!((cut.baseline(), notes), (Baseline::of_text("05.10"), vec![]));
        let (cut, notes) = crop(&[&a, &c]);
        assert_eq!((cut.baseline(), notes.len()), (None, 1));
        assert!(notes[0].contains("c.tif states `02.06`; crop them one by one"), "{notes:?}");
    }

    #[test]
    fn a_place_in_a_file_beside_an_image_is_said_to_be_unread() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("a.tif");
        write_geotiff(&image, &Raster { reference: None, ..scene(0.0, 100.0) }).unwrap();
        let cut = || {
            crop(
                std::slice::from_ref(&image),
                Some(&image),
                "1,1,2,2".parse().unwrap(),
                &folder.path().join("out"),
            )
            .unwrap()
        };
        assert!(cut().iter().all(|report| report.notes.is_empty()));
        fs::write(folder.path().join("a.tfw"), "10\n0\n0\n-10\n5\n5\n").unwrap();
        for report in cut() {
            assert!(report.notes[0].contains("a.tfw"), "{:?}", report.notes);
        }
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
            crop(&images, mask.map(PathBuf::as_path), window, to).map_err(|error| error.to_string())
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
