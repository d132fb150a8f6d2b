//! Scenes at another scale, in another unit or with tiles of another shape than those of the training.

use std::fs;
use std::path::Path;

use eosfed_data::{GeoReference, Limits, Raster, Reading, read_raster, write_geotiff};
use eosfed_trainer::ensemble::{PredictOptions, predict_scene};
use tch::Device;

use super::common::{fitted, options, release, scene};
use super::{accuracy, by_default, grey, head, image, mapped, metres, whole};

#[test]
fn a_scene_in_another_unit_is_said_with_numbers_and_refused_under_strict() {
    let folder = tempfile::tempdir().unwrap();
    let head = head(folder.path());
    let json: serde_json::Value = serde_json::from_slice(&fs::read(head.join("head.json")).unwrap()).unwrap();
    assert!(json["statistics"][0]["values"]["high"].is_f64(), "{json:#}");
    image(&folder.path().join("scene.tif"), 96, 64);
    let mapped = |scale, strict| {
        let options = PredictOptions { strict, window: None, overlap: None, ..whole(folder.path(), &head) };
        let options = PredictOptions { reading: Reading { scale, ..options.reading.clone() }, ..options };
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

/// Replaces the reference of an image.
pub(super) fn set_reference(path: &Path, reference: GeoReference) {
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
