//! Maps of whole scenes, and features for other programs, from a head that is trained here.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

#[path = "../common/mod.rs"]
mod common;

mod colours;
mod command;
mod disk;
mod features;
mod inputs;
mod large;
mod patches;
mod reading;
mod scale;
mod scenes;
mod several;
mod signals;

use std::fs;
use std::path::{Path, PathBuf};

use common::{class, fitted, options, pixel, release, scene};
use eosfed_data::{GeoReference, Limits, Raster, Reading, read_raster, write_geotiff};
use eosfed_trainer::ensemble::{PredictOptions, PredictReport, predict_scene};
use tch::Device;

/// A head trained on the checkerboard, in `folder/head`.
fn head(folder: &Path) -> PathBuf {
    tch::set_num_threads(1);
    let release = release(&folder.join("release"));
    let data = scene(&folder.join("data"), 0, "validation = 0.0\ntest = 0.3\nseed = 2");
    fitted_in(folder, (&release, &data), "only-red", 2)
}

/// A head that was fitted for so many epochs, in `folder/head`.
fn fitted_in(folder: &Path, (release, data): (&Path, &Path), encoders: &str, epochs: u32) -> PathBuf {
    let output = folder.join("head");
    let mut options = options(release, data, encoders, &output);
    options.training.epochs = epochs;
    fitted(&options).unwrap();
    output
}

/// A scene of another size, with the bands in another order and a hole without data.
fn image(path: &Path, width: usize, height: usize) {
    let value = |band: usize, x: usize, y: usize| {
        if band == 1 && (10..20).contains(&x) && y < 5 { f32::NAN } else { pixel(x, y, 1 - band, 0) }
    };
    let places = (0..2).flat_map(|band| (0..height).flat_map(move |y| (0..width).map(move |x| (band, x, y))));
    let data = places.map(|(band, x, y)| value(band, x, y)).collect();
    let tie_point = vec![0.0, 0.0, 0.0, 500_000.0, 4_000_000.0, 0.0];
    let reference = GeoReference { pixel_scale: vec![10.0, 10.0, 0.0], tie_point, ..GeoReference::default() };
    write_geotiff(path, &Raster { width, height, bands: 2, data, reference: Some(reference) }).unwrap();
}

/// Options for a map of `folder/scene.tif` in windows of 64 pixels.
fn whole(folder: &Path, head: &Path) -> PredictOptions {
    PredictOptions {
        head: head.to_owned(),
        release: None,
        images: vec![vec![folder.join("scene.tif")]],
        reading: Reading::stored(vec!["nir".to_owned(), "red".to_owned()]),
        window: Some(64),
        overlap: Some(16),
        strict: false,
        output: folder.join("map.tif"),
        preview: Some(folder.join("map.png")),
        confidence: false,
    }
}

fn mapped(folder: &Path, head: &Path, window: usize, overlap: usize) -> (PredictReport, Raster) {
    let options = PredictOptions { window: Some(window), overlap: Some(overlap), ..whole(folder, head) };
    let mut last = 0;
    let mut count = 0;
    let mut progress = |done, total| (last, count) = (done, total);
    let report = predict_scene(&options, Device::Cpu, &mut progress).unwrap();
    assert_eq!((last, count), (report.windows, report.windows));
    (report, grey(folder))
}

/// The classes of `folder/map.tif`.
fn grey(folder: &Path) -> Raster {
    // The reader here knows no palettes: the tag (262, one short, 3) is turned into plain grey.
    let mut bytes = fs::read(folder.join("map.tif")).unwrap();
    let at = bytes.windows(10).position(|entry| entry == [6, 1, 3, 0, 1, 0, 0, 0, 3, 0]).unwrap();
    bytes[at + 8] = 1;
    let grey = folder.join("grey.tif");
    fs::write(&grey, bytes).unwrap();
    read_raster(&grey, &Limits::default()).unwrap()
}

/// Share of correct pixels among those with data. Checks that exactly the hole has no data.
fn accuracy(map: &Raster, columns: std::ops::Range<usize>) -> f64 {
    let mut right = 0;
    let mut all = 0;
    for y in 0..map.height {
        for x in columns.clone() {
            let found = map.data[y * map.width + x];
            if (10..20).contains(&x) && y < 5 {
                assert!(found.is_nan(), "{x},{y} has no data, found {found}");
                continue;
            }
            assert!(found.is_finite(), "{x},{y}");
            (right, all) = (right + usize::from(found as usize == class(x, y, 0)), all + 1);
        }
    }
    f64::from(right as u32) / f64::from(all)
}

/// The coordinates of a scene in metres, with pixels of this size.
fn metres(pixel: f64) -> GeoReference {
    GeoReference {
        pixel_scale: vec![pixel, pixel, 0.0],
        tie_point: vec![0.0, 0.0, 0.0, 500_000.0, 4_000_000.0, 0.0],
        // Projected coordinates (1024: 1), in metres (3076: 9001).
        keys: vec![1, 1, 0, 2, 1024, 0, 1, 1, 3076, 0, 1, 9001],
        ..GeoReference::default()
    }
}

/// Maps `folder/scene.tif` without options for windows.
fn by_default(folder: &Path, head: &Path) -> PredictReport {
    let options = PredictOptions { window: None, overlap: None, ..whole(folder, head) };
    predict_scene(&options, Device::Cpu, &mut |_, _| ()).unwrap()
}

#[test]
fn a_map_has_the_georeference_and_the_holes_of_its_scene() {
    let folder = tempfile::tempdir().unwrap();
    let head = head(folder.path());
    image(&folder.path().join("scene.tif"), 150, 100);
    let (report, map) = mapped(folder.path(), &head, 64, 16);
    assert_eq!((report.size, report.window, report.windows, report.no_data), ([150, 100], [64, 16], 6, 50));
    assert_eq!(report.classes.iter().map(|(_, pixels)| pixels).sum::<u64>(), 150 * 100 - 50);
    let reference = map.reference.as_ref().unwrap();
    assert_eq!((reference.pixel_scale[0], reference.tie_point[3]), (10.0, 500_000.0));
    let share = accuracy(&map, 0..150);
    assert!(share > 0.8, "{share}");
    assert_eq!(&fs::read(folder.path().join("map.png")).unwrap()[1..4], b"PNG");
    let names = fs::read_to_string(folder.path().join("map.tif.aux.xml")).unwrap();
    assert!(names.contains("<Category>dark</Category>") && names.contains("<F>light</F>"), "{names}");
    assert_eq!(report.pixel_square_metres, None, "its reference has no coordinate system");
    // A window larger than the scene sees the same.
    let (whole, other) = mapped(folder.path(), &head, 256, 64);
    assert_eq!(whole.windows, 1);
    let alike = map.data.iter().zip(&other.data).filter(|(a, b)| a == b).count();
    assert!(alike as f64 > 0.9 * 15_000.0, "{alike}");
}

#[test]
fn a_second_file_has_the_probability_of_each_class() {
    let folder = tempfile::tempdir().unwrap();
    let head = head(folder.path());
    image(&folder.path().join("scene.tif"), 300, 100);
    let options =
        PredictOptions { window: None, overlap: None, confidence: true, ..whole(folder.path(), &head) };
    let report = predict_scene(&options, Device::Cpu, &mut |_, _| ()).unwrap();
    let sure = folder.path().join("map.confidence.tif");
    assert_eq!(report.confidence.as_deref(), Some(&*sure));
    let (map, sure) = (grey(folder.path()), read_raster(&sure, &Limits::default()).unwrap());
    assert_eq!((sure.width, sure.height, &sure.reference), (300, 100, &map.reference));
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for (at, (found, sure)) in map.data.iter().zip(&sure.data).enumerate() {
        assert_eq!(found.is_nan(), sure.is_nan(), "{at}");
        if sure.is_nan() {
            continue;
        }
        // The most probable of two classes.
        assert!((0.5..=1.0).contains(sure), "{at}: {sure}");
        let is_right = *found as usize == class(at % 300, at / 300, 0);
        if is_right { right.push(*sure) } else { wrong.push(*sure) }
    }
    let mean = |all: &[f32]| all.iter().sum::<f32>() / all.len() as f32;
    assert!(mean(&right) > mean(&wrong), "{} {}", mean(&right), mean(&wrong));
    // Without the option there is no such file, and the map is the same.
    let other = PredictOptions { confidence: false, output: folder.path().join("plain.tif"), ..options };
    assert_eq!(predict_scene(&other, Device::Cpu, &mut |_, _| ()).unwrap().confidence, None);
    assert!(!folder.path().join("plain.confidence.tif").exists());
    let bytes = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_eq!(bytes("plain.tif"), bytes("map.tif"));
}

#[test]
fn a_scene_wider_than_a_panel_has_no_seam() {
    let folder = tempfile::tempdir().unwrap();
    let head = head(folder.path());
    image(&folder.path().join("scene.tif"), 2200, 40);
    let (report, map) = mapped(folder.path(), &head, 64, 16);
    assert_eq!(report.no_data, 50);
    let away = accuracy(&map, 1000..1100);
    let seam = accuracy(&map, 2024..2072);
    assert!(away > 0.75 && seam > away - 0.05, "{away} {seam}");
}

#[test]
fn images_that_do_not_fit_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let head = head(folder.path());
    image(&folder.path().join("scene.tif"), 64, 64);
    image(&folder.path().join("other.tif"), 64, 32);
    let fail = |images: &[&str], bands: &[&str]| {
        let options = PredictOptions {
            images: vec![images.iter().map(|name| folder.path().join(name)).collect()],
            reading: Reading::stored(bands.iter().map(|band| (*band).to_owned()).collect()),
            preview: None,
            ..whole(folder.path(), &head)
        };
        let error = predict_scene(&options, Device::Cpu, &mut |_, _| ()).unwrap_err().to_string();
        assert!(!folder.path().join("map.tif").exists());
        error
    };
    assert!(fail(&["scene.tif"], &["nir", "green"]).contains("needs band `red`"));
    assert!(fail(&["scene.tif"], &["red"]).contains("scene.tif: the bands red are declared, found `2`"));
    let grid = fail(&["scene.tif", "other.tif"], &["a", "b", "c", "red"]);
    assert!(grid.contains("other.tif: must lie on the same grid"), "{grid}");
    assert!(grid.contains("which has 64x64 pixels; found 64x32") && grid.contains("`gdalwarp`"), "{grid}");
}
