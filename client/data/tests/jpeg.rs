//! JPEG pixels are those of libjpeg-turbo, which Pillow and GDAL have: files of `goldens/jpeg.py`.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::path::Path;

use eosfed_data::{Limits, Raster, read_raster};

fn golden(name: &str) -> Raster {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(name);
    read_raster(&path, &Limits::default()).unwrap()
}

#[test]
fn pixels_are_those_of_other_programs() {
    for (name, end) in [
        ("photo-444", "jpg"),
        ("photo-422", "jpg"),
        ("photo-420", "jpg"),
        ("photo-progressive", "jpg"),
        ("mosaic-420", "tif"),
    ] {
        let found = golden(&format!("{name}.{end}"));
        let wanted = golden(&format!("{name}.png"));
        assert_eq!((found.width, found.height, found.bands), (67, 45, 3), "{name}");
        let other = found.data.iter().zip(&wanted.data).filter(|(found, wanted)| found != wanted).count();
        assert_eq!(other, 0, "{name}: of {} numbers", wanted.data.len());
    }
}

#[test]
fn inks_become_colours() {
    let found = golden("photo-cmyk.jpg");
    let wanted = golden("photo-cmyk.png");
    let most =
        found.data.iter().zip(&wanted.data).map(|(found, wanted)| (found - wanted).abs()).fold(0.0, f32::max);
    assert!(most <= 1.0, "{most}");
}
