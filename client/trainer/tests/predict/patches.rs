//! Maps of heads that give one class to a whole patch.

use std::fs;
use std::path::{Path, PathBuf};

use eosfed_data::{GeoReference, Raster, write_geotiff};
use eosfed_trainer::ensemble::{PredictOptions, predict_scene};
use tch::Device;

use super::common::release;
use super::{by_default, fitted_in, image, mapped, whole};

/// The class of a patch of 32 pixels of a scene; the pattern has no symmetry.
fn patch_class(x: usize, y: usize) -> usize {
    usize::from(x / 32 >= 3) ^ usize::from(x / 32 == 0 && y / 32 == 2)
}

/// A head that gives one class to a patch of 32x32 pixels, in `folder/head`.
pub(super) fn patch_head(folder: &Path) -> PathBuf {
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
    fitted_in(folder, (&release, &data), "all", 4)
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
