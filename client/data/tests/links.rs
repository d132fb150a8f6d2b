//! What lies among the images without being one: named pipes, and links that lead out of the data set.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use eosfed_data::{Dataset, Limits};

const CONFIG: &str = r#"
task = "classification"
bands = ["red"]
classes = ["forest", "water"]
layout = { kind = "folders", root = "." }
"#;

/// A data set with folders for these classes, and one tile.
fn dataset(classes: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for class in classes {
        fs::create_dir(folder.path().join(class)).unwrap();
    }
    fs::write(folder.path().join("dataset.toml"), CONFIG).unwrap();
    tile(&folder.path().join("forest/real.png"));
    folder
}

fn tile(path: &Path) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), 4, 4);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&[7; 16]).unwrap();
}

#[test]
fn a_named_pipe_is_refused_at_once() {
    let folder = dataset(&["forest", "water"]);
    let pipe = folder.path().join("forest/tile.png");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = eosfed_data::read_raster(&pipe, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("a named pipe") && error.contains("tile.png"), "{error}");
}

#[test]
fn links_out_of_the_data_set_are_refused_unless_allowed() {
    let elsewhere = tempfile::tempdir().unwrap();
    let secret = elsewhere.path().join("secret.png");
    tile(&secret);
    for (classes, link, to) in [
        (&["forest", "water"][..], "forest/link.png", secret.as_path()),
        (&["forest"], "water", elsewhere.path()),
    ] {
        let folder = dataset(classes);
        symlink(to, folder.path().join(link)).unwrap();
        let error = Dataset::open(folder.path(), &Limits::default()).err().unwrap().to_string();
        assert!(error.contains("secret.png") && error.contains("follow_links"), "{error}");
        fs::write(folder.path().join("dataset.toml"), format!("follow_links = true{CONFIG}")).unwrap();
        assert!(Dataset::open(folder.path(), &Limits::default()).is_ok());
    }
}

const SCENES: &str = r#"
task = "segmentation"
bands = ["red"]
classes = ["forest", "water"]
layout = { kind = "scenes", images = ["scenes/image.png"], masks = ["scenes/mask.png"], tile = 8 }
"#;

#[test]
fn links_out_of_the_data_set_are_refused_for_scenes_too() {
    let elsewhere = tempfile::tempdir().unwrap();
    let secret = elsewhere.path().join("secret.png");
    tile(&secret);
    for (link, other) in [("image.png", "mask.png"), ("mask.png", "image.png")] {
        let folder = tempfile::tempdir().unwrap();
        let scenes = folder.path().join("scenes");
        fs::create_dir(&scenes).unwrap();
        tile(&scenes.join(other));
        symlink(&secret, scenes.join(link)).unwrap();
        let said = |config: &str| {
            fs::write(folder.path().join("dataset.toml"), config).unwrap();
            let opened = Dataset::open(folder.path(), &Limits::default());
            opened.err().map_or_else(String::new, |error| error.to_string())
        };
        let error = said(SCENES);
        assert!(error.contains("secret.png") && error.contains("follow_links"), "{error}");
        let error = said(&format!("follow_links = true{SCENES}"));
        assert!(!error.contains("follow_links"), "{error}");
        // A file that the data set names elsewhere is there because a person has written so.
        fs::remove_file(scenes.join(link)).unwrap();
        let error = said(&SCENES.replace(&format!("scenes/{link}"), secret.to_str().unwrap()));
        assert!(!error.contains("follow_links"), "{error}");
        // A link inside the data set is followed.
        symlink(scenes.join(other), scenes.join(link)).unwrap();
        let error = said(SCENES);
        assert!(!error.contains("follow_links"), "{error}");
    }
}

#[test]
fn links_inside_the_data_set_are_followed() {
    let folder = dataset(&["forest", "water"]);
    symlink(folder.path().join("forest/real.png"), folder.path().join("forest/again.png")).unwrap();
    assert!(Dataset::open(folder.path(), &Limits::default()).is_ok());
}
