//! `eosfed-trainer predict` as a process: what its arguments say of the files, and what it says where they are wrong.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use eosfed_data::{Limits, Raster, read_raster, write_geotiff};

use super::reading::{with_bands, write_complex};
use super::{head, image};

/// Runs `predict` with the head of the folder and these arguments.
pub(super) fn predict(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed-trainer"));
    command.current_dir(folder).args(["predict", "--head", "head", "--device", "cpu", "--threads", "1"]);
    command.args(["--window", "64", "--overlap", "16"]).args(arguments).output().unwrap()
}

pub(super) fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The map of these arguments.
fn map(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = predict(folder, &[arguments, &["--output", "map.tif"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    fs::read(folder.join("map.tif")).unwrap()
}

/// A scene whose values are multiples of 1/1024, so that larger numbers can have them too.
fn scene(folder: &Path) -> Raster {
    image(&folder.join("scene.tif"), 150, 100);
    let scene = read_raster(&folder.join("scene.tif"), &Limits::default()).unwrap();
    let data = scene.data.iter().map(|value| (value * 1024.0).round() / 1024.0).collect();
    let scene = Raster { data, ..scene };
    write_geotiff(&folder.join("scene.tif"), &scene).unwrap();
    scene
}

/// A scene with a function of each band's values.
fn changed(scene: &Raster, change: impl Fn(usize, f32) -> f32) -> Raster {
    let size = scene.width * scene.height;
    let data = scene.data.iter().enumerate().map(|(at, value)| change(at / size, *value)).collect();
    Raster { data, ..scene.clone() }
}

/// Gives a file GDAL's metadata: its directory is written again at its end, with one entry more.
fn add_metadata(path: &Path, xml: &str) {
    let mut bytes = fs::read(path).unwrap();
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    let first = word(4) as usize;
    let count = u16::from_ne_bytes(bytes[first..first + 2].try_into().unwrap());
    let end = first + 2 + usize::from(count) * 12;
    let entry = |at: usize| bytes[at..at + 12].to_vec();
    let mut entries: Vec<Vec<u8>> = (first + 2..end).step_by(12).map(entry).collect();
    let mut text = xml.as_bytes().to_vec();
    text.push(0);
    text.resize(text.len().next_multiple_of(2), 0);
    let (place, length) = (bytes.len() as u32, text.len() as u32);
    // GDAL_METADATA, text.
    let mut added = [42112_u16.to_ne_bytes(), 2_u16.to_ne_bytes()].concat();
    added.extend([length.to_ne_bytes(), place.to_ne_bytes()].concat());
    entries.push(added);
    entries.sort_by_key(|entry| u16::from_ne_bytes([entry[0], entry[1]]));
    bytes.extend(text);
    let directory = bytes.len() as u32;
    bytes.extend((count + 1).to_ne_bytes());
    bytes.extend(entries.concat());
    bytes.extend(0_u32.to_ne_bytes());
    bytes[4..8].copy_from_slice(&directory.to_ne_bytes());
    fs::write(path, bytes).unwrap();
}

const BANDS: [&str; 2] = ["--bands", "nir,red"];

#[test]
fn one_band_has_a_scale_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    head(folder);
    let scene = scene(folder);
    let plain = map(folder, &[&BANDS[..], &["--image", "scene.tif"]].concat());
    // The first band as it is, the second in 1024 times larger numbers less 8.
    let other = changed(&scene, |band, value| if band == 0 { value } else { 1024.0 * value - 8.0 });
    write_geotiff(&folder.join("other.tif"), &other).unwrap();
    let scale = (1.0 / 1024.0).to_string();
    let own = format!("red={scale},0.0078125");
    let image = [&BANDS[..], &["--image", "other.tif"]].concat();
    assert_eq!(map(folder, &[&image[..], &["--band-scaling", &own]].concat()), plain);
    let common = ["--scale", &scale, "--offset", "0.0078125", "--band-scaling", "nir=1,0"];
    assert_eq!(map(folder, &[&image[..], &common].concat()), plain);
    assert_ne!(map(folder, &image), plain);
    for (bad, part) in [
        ("red", "as `VV=1,0`"),
        ("red=one", "as `VV=1,0`"),
        ("red=1,", "as `VV=1,0`"),
        ("red=0", "`band_scaling.scale` must be a number other than 0, found `red: 0`"),
        ("red=nan", "found `red: NaN`"),
        ("red=1,inf", "`band_scaling.offset` must be a finite number"),
        ("blue=1", "`band_scaling` must be about a band of `bands`, found `blue`"),
    ] {
        let output = predict(folder, &[&image[..], &["--band-scaling", bad, "--output", "bad.tif"]].concat());
        assert!(!output.status.success() && said(&output).contains(part), "{bad}: {}", said(&output));
    }
}

#[test]
fn arguments_say_how_files_are_read_in_the_words_of_dataset_toml() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    head(folder);
    let scene = scene(folder);
    let of = |files: &[&'static str], words: &[&'static str]| {
        let files = files.iter().flat_map(|file| ["--image", file]);
        files.chain(BANDS).chain(words.iter().copied()).collect::<Vec<_>>()
    };
    let plain = map(folder, &of(&["scene.tif"], &[]));

    write_geotiff(&folder.join("one.tif"), &with_bands(&scene, &[None, Some(1), None])).unwrap();
    write_geotiff(&folder.join("two.tif"), &with_bands(&scene, &[None, Some(0)])).unwrap();
    assert!(map(folder, &of(&["one.tif", "two.tif"], &["--file-bands", "5, 2"])) == plain);
    write_complex(&folder.join("slc.tif"), &scene);
    assert!(map(folder, &of(&["slc.tif"], &["--complex", "amplitude"])) == plain);

    // The file states a scale of each band.
    let stored = changed(&scene, |band, value| value * [2.0, 4.0][band]);
    write_geotiff(&folder.join("scaled.tif"), &stored).unwrap();
    let scale = |band: usize, scale: f64| {
        format!("<Item name=\"SCALE\" sample=\"{band}\" role=\"scale\">{scale}</Item>")
    };
    let xml = format!("<GDALMetadata>{}{}</GDALMetadata>", scale(0, 0.5), scale(1, 0.25));
    add_metadata(&folder.join("scaled.tif"), &xml);
    assert!(map(folder, &of(&["scaled.tif"], &["--file-scaling", "apply"])) == plain);
    assert!(map(folder, &of(&["scaled.tif"], &["--file-scaling", "ignore"])) != plain);
    let refused = predict(folder, &[&of(&["scaled.tif"], &[])[..], &["--output", "other.tif"]].concat());
    let reason = said(&refused);
    assert!(!refused.status.success() && !folder.join("other.tif").exists());
    for part in ["scaled.tif", "a scale of `0.5`", "`predict --file-scaling apply` or `ignore`"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }

    // A product whose name says its baseline.
    let product = "S2A_MSIL2A_20220203T101231_N0400_R022_T32UQD_20220203T141631.SAFE";
    fs::create_dir(folder.join(product)).unwrap();
    let later = changed(&scene, |_, value| value + 1000.0);
    write_geotiff(&folder.join(product).join("s2.tif"), &later).unwrap();
    let s2 = "S2A_MSIL2A_20220203T101231_N0400_R022_T32UQD_20220203T141631.SAFE/s2.tif";
    assert!(map(folder, &of(&[s2], &["--baseline-offset", "remove"])) == plain);
    let warned = predict(folder, &[&of(&[s2], &[])[..], &["--output", "map.tif"]].concat());
    assert!(warned.status.success() && said(&warned).contains("`predict --baseline-offset remove`"));
    let kept = ["--baseline-offset", "keep", "--output", "map.tif"];
    assert!(!said(&predict(folder, &[&of(&[s2], &[])[..], &kept].concat())).contains("baseline"));
}

#[test]
fn pixels_that_valid_excludes_have_no_data_and_are_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    head(folder);
    let scene = scene(folder);
    // Clouds in the last 30 columns and in one pixel that four windows see; a pixel of no class in the hole.
    let cloudy = |at: usize| at % 150 >= 120 || at == 50 * 150 + 50;
    let class = |at: usize| {
        if at == 15 {
            f32::NAN
        } else if cloudy(at) {
            9.0
        } else {
            4.0
        }
    };
    let classes = Raster { bands: 1, data: (0..150 * 100).map(class).collect(), ..scene.clone() };
    write_geotiff(&folder.join("scl.tif"), &classes).unwrap();
    let size = 150 * 100;
    let data = scene.data.iter().enumerate();
    let data = data.map(|(at, value)| if cloudy(at % size) { f32::NAN } else { *value }).collect();
    write_geotiff(&folder.join("cut.tif"), &Raster { data, ..scene }).unwrap();
    let cut = map(folder, &["--image", "cut.tif", "--bands", "nir,red"]);

    let two = ["--image", "scene.tif", "--image", "scl.tif", "--bands", "nir,red,SCL", "--output", "map.tif"];
    let rule = ["--valid", "SCL in [4, 5]"];
    let json = predict(folder, &[&two[..], &rule, &["--format", "json"]].concat());
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&report["not_valid"], &report["no_data"]), (&3002.into(), &(3001 + 50).into()), "{report:#}");
    assert!(fs::read(folder.join("map.tif")).unwrap() == cut, "as where there are no data");
    let table = String::from_utf8(predict(folder, &[&two[..], &rule].concat()).stdout).unwrap();
    assert!(table.contains("`valid` excludes 3002 of 15000 pixels, 20.0 %"), "{table}");
    let none = predict(folder, &[&two[..], &["--valid", "SCL in [11]"]].concat());
    assert!(said(&none).contains("`valid` excludes every pixel"), "{}", said(&none));
    // Without the rule, nothing is said of it.
    let json = predict(folder, &[&two[..], &["--format", "json"]].concat());
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(report["no_data"] == 50 && report.get("not_valid").is_none(), "{report:#}");
}

#[test]
fn wrong_words_are_refused_with_the_rule() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (words, parts) in [
        (&["--complex", "phase"][..], ["'phase'", "[possible values: amplitude, decibels]"]),
        (&["--file-scaling", "maybe"], ["'maybe'", "[possible values: apply, ignore]"]),
        (&["--baseline-offset", "subtract"], ["'subtract'", "[possible values: remove, keep]"]),
        (
            &["--file-bands", "5"],
            ["as in dataset.toml, `file_bands`", "one for each of the 2 `bands`, found `1`"],
        ),
        (&["--file-bands", "5,5"], ["as in dataset.toml, `file_bands`", "without repetition, found `5`"]),
        (
            &["--baseline-offset", "remove", "--file-scaling", "apply"],
            ["`baseline_offset` must be `keep` or absent", "where `file_scaling` is given"],
        ),
        (&["--valid", "nir in 4"], ["`valid` must be", "conditions joined by `and`"]),
        (&["--valid", "SCL in [4]"], ["`valid` must be about bands of `bands`", "one more image"]),
        (&["--valid", "nir < 2", "--nodata", "0"], ["`nodata` must be absent", "beside `valid`"]),
        (&["--valid", "nir < 2", "--baseline-offset", "remove"], ["`baseline_offset`", "write `offset`"]),
        (&["--complex", "decibels", "--nodata", "1"], ["`nodata` must be 0 or absent", "beside `complex`"]),
        (&["--scale", "0"], ["`scale` must be a number other than 0", "found `0`"]),
    ] {
        let whole = ["--image", "scene.tif", "--bands", "nir,red", "--output", "map.tif"];
        let output = predict(folder, &[&whole[..], words].concat());
        let said = said(&output);
        assert!(!output.status.success(), "{words:?}");
        assert!(parts.iter().all(|part| said.contains(part)), "{words:?}: {said}");
    }
}
