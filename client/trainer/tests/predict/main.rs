//! Maps of whole scenes, and features for other programs, from a head that is trained here.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

#[path = "../common/mod.rs"]
mod common;

mod colours;
mod features;
mod reading;
mod several;

use std::fs;
use std::path::{Path, PathBuf};

use common::{class, fitted, options, pixel, release, scene};
use eosfed_data::{GeoReference, Limits, Raster, read_raster, write_geotiff};
use eosfed_trainer::ensemble::{PredictOptions, PredictReport, Scenes, predict_scene, predict_scenes};
use tch::Device;

/// A head trained on the checkerboard, in `folder/head`.
fn head(folder: &Path) -> PathBuf {
    tch::set_num_threads(1);
    let release = release(&folder.join("release"));
    let data = scene(&folder.join("data"), 0, "validation = 0.0\ntest = 0.3\nseed = 2");
    let output = folder.join("head");
    let mut options = options(&release, &data, "only-red", &output);
    options.training.epochs = 2;
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
        bands: vec!["nir".to_owned(), "red".to_owned()],
        file_bands: Vec::new(),
        complex: None,
        scale: 1.0,
        offset: 0.0,
        nodata: None,
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

/// The class of a patch of 32 pixels of a scene; the pattern has no symmetry.
fn patch_class(x: usize, y: usize) -> usize {
    usize::from(x / 32 >= 3) ^ usize::from(x / 32 == 0 && y / 32 == 2)
}

/// A head that gives one class to a patch of 32x32 pixels, in `folder/head`.
fn patch_head(folder: &Path) -> PathBuf {
    tch::set_num_threads(1);
    let release = release(&folder.join("release"));
    let data = folder.join("patches");
    for (class, name) in ["dark", "light"].iter().enumerate() {
        fs::create_dir_all(data.join(name)).unwrap();
        for index in 0..8 {
            let places = (0..2).flat_map(|band| (0..1024).map(move |at| (band, at % 32, at / 32)));
            let value = |(band, x, y)| flat(x + 37 * index, y, band, class);
            let raster = Raster {
                width: 32,
                height: 32,
                bands: 2,
                data: places.map(value).collect(),
                reference: None,
            };
            write_geotiff(&data.join(format!("{name}/{index}.tif")), &raster).unwrap();
        }
    }
    let text = "task = \"classification\"\nbands = [\"red\", \"nir\"]\nclasses = [\"dark\", \"light\"]\n\
                [layout]\nkind = \"folders\"\nroot = \".\"\n[split]\nvalidation = 0.0\n";
    fs::write(data.join("dataset.toml"), text).unwrap();
    let output = folder.join("head");
    let mut options = options(&release, &data, "all", &output);
    options.training.epochs = 4;
    fitted(&options).unwrap();
    output
}

/// A pixel of a patch: noise, and one band higher than the other.
fn flat(x: usize, y: usize, band: usize, class: usize) -> f32 {
    let noise = ((y * 128 + x) * 7919 + band * 104_729) % 97;
    noise as f32 / 97.0 + if class == band { 2.0 } else { 0.0 }
}

#[test]
fn a_head_of_patches_maps_patches_to_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let head = patch_head(folder.path());
    let width = 160;
    let height = 96;
    let places = (0..2).flat_map(|band| (0..height).flat_map(move |y| (0..width).map(move |x| (band, x, y))));
    let hole = |x: usize, y: usize| x >= 150 && y < 4;
    let value = |(band, x, y): (usize, usize, usize)| {
        if hole(x, y) { f32::NAN } else { flat(x, y, 1 - band, patch_class(x, y)) }
    };
    let tie_point = vec![0.0, 0.0, 0.0, 500_000.0, 4_000_000.0, 0.0];
    let reference = GeoReference { pixel_scale: vec![10.0, 10.0, 0.0], tie_point, ..GeoReference::default() };
    let data = places.map(value).collect();
    let raster = Raster { width, height, bands: 2, data, reference: Some(reference.clone()) };
    write_geotiff(&folder.path().join("scene.tif"), &raster).unwrap();

    // Side by side, each patch has one class up to its border.
    let (report, map) = mapped(folder.path(), &head, 32, 0);
    assert_eq!((report.size, report.window, report.windows, report.no_data), ([160, 96], [32, 0], 15, 40));
    let found = map.reference.as_ref().unwrap();
    assert_eq!((&found.pixel_scale, &found.tie_point), (&reference.pixel_scale, &reference.tie_point));
    let wrong = |map: &Raster, near: usize| {
        let inside = |at: usize| (near..32 - near).contains(&(at % 32));
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let places = places.filter(|(x, y)| !hole(*x, *y) && inside(*x) && inside(*y));
        places.filter(|(x, y)| map.data[y * width + x] != patch_class(*x, *y) as f32).count()
    };
    assert_eq!(wrong(&map, 0), 0, "of {} pixels", width * height);
    assert!(map.data[155].is_nan() && !map.data[4 * width + 155].is_nan());
    assert_eq!(report.classes[1], ("light".to_owned(), 2 * 96 * 32 + 32 * 32 - 40));
    // Patches that overlap are blended: away from where classes meet nothing changes.
    let (blended, other) = mapped(folder.path(), &head, 32, 24);
    assert_eq!((blended.windows, blended.no_data), (17 * 9, 40));
    assert_eq!(wrong(&other, 12), 0);
    assert!(wrong(&other, 0) > 0 && wrong(&other, 0) < width * height / 8, "{}", wrong(&other, 0));
}

/// Maps `folder/scene.tif` without options for windows.
fn by_default(folder: &Path, head: &Path) -> PredictReport {
    let options = PredictOptions { window: None, overlap: None, ..whole(folder, head) };
    predict_scene(&options, Device::Cpu, &mut |_, _| ()).unwrap()
}

#[test]
fn default_windows_have_the_size_of_the_training_tiles() {
    let folder = tempfile::tempdir().unwrap();
    let patches = patch_head(folder.path());
    image(&folder.path().join("scene.tif"), 96, 64);
    let report = by_default(folder.path(), &patches);
    assert_eq!((report.window, report.window_height, report.warnings), ([32, 8], 32, Vec::new()));
    assert_eq!(report.scale.window_ratio, Some(1.0));

    // Another window is a warning with the ratio.
    let (report, _) = mapped(folder.path(), &patches, 64, 16);
    assert_eq!(report.scale.window_ratio, Some(2.0));
    assert!(report.warnings[0].contains("64x64 pixels") && report.warnings[0].contains("2.000 times"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        (&json["scale"]["window_ratio"], json["warnings"].as_array().unwrap().len()),
        (&2.0.into(), 1)
    );
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
fn a_scene_in_another_unit_is_said_with_numbers_and_refused_under_strict() {
    let folder = tempfile::tempdir().unwrap();
    let head = head(folder.path());
    let json: serde_json::Value = serde_json::from_slice(&fs::read(head.join("head.json")).unwrap()).unwrap();
    assert!(json["statistics"][0]["values"]["high"].is_f64(), "{json:#}");
    image(&folder.path().join("scene.tif"), 96, 64);
    let mapped = |scale, strict| {
        let options =
            PredictOptions { scale, strict, window: None, overlap: None, ..whole(folder.path(), &head) };
        predict_scene(&options, Device::Cpu, &mut |_, _| ()).map_err(|error| error.to_string())
    };
    assert_eq!(mapped(1.0, true).unwrap().warnings, Vec::<String>::new());
    fs::remove_file(folder.path().join("map.tif")).unwrap();
    for scale in [1e4, 1e-4] {
        let error = mapped(scale, true).unwrap_err();
        assert!(error.contains("scene.tif: with `--strict`") && error.contains("the head `head`"), "{error}");
        assert!(!folder.path().join("map.tif").exists());
    }
    let said = mapped(1e4, false).unwrap().warnings.join("\n");
    for part in ["the head `head`: ", "only-red@1: ", "`red` has a mean of ", "standard deviations apart"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_head_without_a_tile_size_needs_the_window_option() {
    let folder = tempfile::tempdir().unwrap();
    let head = patch_head(folder.path());
    image(&folder.path().join("scene.tif"), 64, 64);
    let change = |imagery: Option<serde_json::Value>| {
        let path = head.join("head.json");
        let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        match imagery {
            Some(imagery) => json["imagery"] = imagery,
            None => drop(json.as_object_mut().unwrap().remove("imagery")),
        }
        fs::write(&path, json.to_string()).unwrap();
        let options = PredictOptions { window: None, overlap: None, ..whole(folder.path(), &head) };
        let error = predict_scene(&options, Device::Cpu, &mut |_, _| ()).unwrap_err().to_string();
        assert!(!options.output.exists());
        error
    };
    // A head that was trained in rounds.
    let unknown = serde_json::json!({ "tile": null, "ground_sampling_distance": null });
    let error = change(Some(unknown));
    assert!(error.contains("head: the head does not state") && error.contains("`--window`"), "{error}");
    let error = change(Some(serde_json::json!({ "tile": [0, 32], "ground_sampling_distance": null })));
    assert!(error.contains("`imagery.tile`") && error.contains("found `0x32`"), "{error}");
    let error = change(None);
    assert!(error.contains("head.json: `imagery` is missing") && error.contains("train it again"), "{error}");
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

/// Replaces the reference of an image.
fn set_reference(path: &Path, reference: GeoReference) {
    let raster = read_raster(path, &Limits::default()).unwrap();
    write_geotiff(path, &Raster { reference: Some(reference), ..raster }).unwrap();
}

#[test]
fn a_head_sees_a_scene_at_the_scale_that_it_learned() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let data = scene(&folder.path().join("data"), 0, "validation = 0.0\ntest = 0.3\nseed = 2");
    set_reference(&folder.path().join("data/image.tif"), metres(30.0));
    let head = folder.path().join("head");
    let mut options = options(&release, &data, "only-red", &head);
    options.training.epochs = 3;
    // Tiles of 32 pixels are enlarged to 64.
    options.input_size = Some(64);
    fitted(&options).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&fs::read(head.join("head.json")).unwrap()).unwrap();
    assert_eq!(json["imagery"], serde_json::json!({ "tile": [32, 32], "ground_sampling_distance": 30.0 }));

    let path = folder.path().join("scene.tif");
    image(&path, 256, 256);
    set_reference(&path, metres(30.0));
    let report = by_default(folder.path(), &head);
    assert_eq!((report.window, report.scale.seen_at, report.warnings), ([32, 8], Some(1.0), Vec::new()));
    let right = accuracy(&grey(folder.path()), 0..256);
    // At an eighth of the scale, the map is near to chance and says so.
    let (report, map) = mapped(folder.path(), &head, 256, 64);
    assert_eq!(report.scale.seen_at, Some(0.125));
    assert!(report.warnings[0].contains("0.125 times the scale"), "{:?}", report.warnings);
    let wrong = accuracy(&map, 0..256);
    assert!(right > 0.8 && wrong < 0.7, "{right} {wrong}");

    // A scene whose pixels are of another size.
    set_reference(&path, metres(10.0));
    let report = by_default(folder.path(), &head);
    assert_eq!(report.scale.ground_sampling_distance_ratio, Some(1.0 / 3.0));
    assert_eq!(report.pixel_square_metres, Some(100.0));
    assert!(report.warnings[0].contains("3.000 times the scale"), "{:?}", report.warnings);
    assert!(report.warnings[0].contains("use `--window 96`"), "{:?}", report.warnings);
}

#[test]
fn windows_of_tiles_that_are_not_square_are_not_square() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let head = head(folder.path());
    let path = head.join("head.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    json["imagery"]["tile"] = serde_json::json!([32, 64]);
    fs::write(&path, json.to_string()).unwrap();
    image(&folder.path().join("scene.tif"), 150, 100);
    let report = by_default(folder.path(), &head);
    assert_eq!((report.window, report.window_height, report.windows), ([64, 8], 32, 3 * 4));
    assert!(accuracy(&grey(folder.path()), 0..150) > 0.75);
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
            bands: bands.iter().map(|band| (*band).to_owned()).collect(),
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
}

#[test]
fn many_scenes_are_mapped_once_and_a_damaged_one_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let head = head(folder.path());
    let scenes = folder.path().join("scenes");
    fs::create_dir(&scenes).unwrap();
    image(&scenes.join("a.tif"), 64, 64);
    fs::write(scenes.join("b.tif"), "no image").unwrap();
    image(&scenes.join("c.tif"), 96, 64);
    fs::write(scenes.join("readme.txt"), "").unwrap();
    let maps = folder.path().join("maps");
    let options = PredictOptions {
        images: Vec::new(),
        output: maps.clone(),
        preview: None,
        ..whole(folder.path(), &head)
    };
    let run = |options: &PredictOptions| {
        let mut seen = Vec::new();
        let mut progress = |scene, done, total| seen.push((scene, done == total));
        let found = Scenes::find(&scenes).unwrap();
        predict_scenes(options, found, Device::Cpu, &mut progress)
            .map(|report| (report, seen.last().copied()))
    };
    let (first, last) = run(&options).unwrap();
    assert_eq!(last, Some((2, true)));
    assert_eq!(
        first.maps.iter().map(|map| &map.output).collect::<Vec<_>>(),
        [&maps.join("a.tif"), &maps.join("c.tif")]
    );
    assert_eq!(first.failed.len(), 1);
    assert!(first.failed[0].error.contains("b.tif"), "{}", first.failed[0].error);
    assert_eq!(first.unused, [scenes.join("readme.txt")]);
    let bytes = fs::read(maps.join("c.tif")).unwrap();

    // The map of the first scene is missing, as after an interruption.
    fs::remove_file(maps.join("a.tif")).unwrap();
    let (second, _) = run(&options).unwrap();
    assert_eq!((second.maps.len(), second.present), (1, vec![maps.join("c.tif")]));
    assert_eq!(fs::read(maps.join("c.tif")).unwrap(), bytes);
    // A scene that has changed is mapped again.
    image(&scenes.join("c.tif"), 64, 64);
    assert_eq!(run(&options).unwrap().0.maps[0].size, [64, 64]);

    let other = PredictOptions { scale: 2.0, ..options };
    let refusal = run(&other).unwrap_err().to_string();
    assert!(refusal.contains("\"scale\":1.0") && refusal.contains("\"scale\":2.0"), "{refusal}");
}
