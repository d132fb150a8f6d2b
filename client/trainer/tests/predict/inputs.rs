//! No file that is read is written over.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::command::{predict, said};
use super::{head, image};

const BANDS: [&str; 2] = ["--bands", "nir,red"];

/// Checks that these arguments are refused with both files.
fn refused(folder: &Path, arguments: &[&str], output: &str, input: &str) {
    let found = predict(folder, &[&BANDS[..], arguments].concat());
    let said = said(&found);
    assert_eq!(found.status.code(), Some(1), "{arguments:?}: {said}");
    let sentence = format!(
        "error: {output}: would replace {input}, which is an input; nothing was written; give the output"
    );
    assert!(said.contains(&sentence), "{sentence}: {said}");
}

#[test]
fn a_map_that_would_replace_an_input_is_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    head(folder);
    let at = |name: &str| folder.join(name);
    fs::create_dir(at("scenes")).unwrap();
    for name in ["scenes/s0.tif", "scenes/s1.tif", "scenes/y.confidence.tif"] {
        image(&at(name), 64, 64);
    }
    symlink(at("scenes"), at("same")).unwrap();
    fs::hard_link(at("scenes/s0.tif"), at("hard.tif")).unwrap();
    fs::write(at("list.txt"), "scenes/s0.tif\n").unwrap();
    let names = [
        "scenes/s0.tif",
        "scenes/s1.tif",
        "scenes/y.confidence.tif",
        "head/head.safetensors",
        "head/head.json",
    ];
    let before: Vec<_> = names.iter().map(|name| fs::read(at(name)).unwrap()).collect();

    let s0 = "scenes/s0.tif";
    refused(folder, &["--image", s0, "--output", s0], s0, s0);
    refused(folder, &["--image", s0, "--output", "hard.tif"], "hard.tif", s0);
    refused(folder, &["--image", s0, "--output", "same/s0.tif"], "same/s0.tif", s0);
    refused(folder, &["--image", s0, "--output", "m.tif", "--preview", s0], s0, s0);
    let sure = "scenes/y.confidence.tif";
    refused(folder, &["--image", sure, "--output", "scenes/y.tif", "--confidence"], sure, sure);
    for weights in ["head/head.safetensors", "head/head.json"] {
        refused(folder, &["--image", s0, "--output", weights], weights, weights);
    }
    let release = "release/only-red/weights.safetensors";
    refused(folder, &["--image", s0, "--output", release], release, &format!("head/../{release}"));
    refused(folder, &["--scenes", "scenes", "--output", "scenes"], s0, s0);
    refused(folder, &["--scenes", "scenes", "--output", "same"], "same/s0.tif", s0);
    refused(folder, &["--scenes", "list.txt", "--output", "scenes"], s0, s0);
    // The map of the one scene has the name of the list.
    fs::rename(at("scenes/s1.tif"), at("scenes/sub.tif")).unwrap();
    fs::create_dir(at("deep")).unwrap();
    fs::rename(at("scenes/sub.tif"), at("deep/list.tif")).unwrap();
    fs::write(at("scenes/list.tif"), "../deep/list.tif\n").unwrap();
    refused(
        folder,
        &["--scenes", "scenes/list.tif", "--output", "scenes"],
        "scenes/list.tif",
        "scenes/list.tif",
    );
    fs::rename(at("deep/list.tif"), at("scenes/s1.tif")).unwrap();

    let after: Vec<_> = names.iter().map(|name| fs::read(at(name)).unwrap()).collect();
    assert!(before == after);
    assert!(!at("scenes/predict.json").exists() && !at("m.tif").exists());
}

#[test]
fn a_map_and_the_confidence_of_another_scene_are_not_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    head(folder);
    fs::create_dir(folder.join("scenes")).unwrap();
    for name in ["scenes/a.tif", "scenes/a.confidence.tif"] {
        image(&folder.join(name), 64, 64);
    }
    let arguments =
        |more: &[&'static str]| [&BANDS[..], &["--scenes", "scenes", "--output", "maps"], more].concat();
    let found = predict(folder, &arguments(&["--confidence"]));
    assert!(said(&found).contains("maps/a.confidence.tif: would be written twice"), "{}", said(&found));
    assert!(!folder.join("maps").exists());
    assert!(predict(folder, &arguments(&[])).status.success());
}
