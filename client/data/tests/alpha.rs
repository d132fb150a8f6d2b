//! Alpha bands: transparent pixels are missing where alpha is none of the bands that are read.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::path::Path;

use common::{SIZE, Tiff, Value};
use eosfed_data::{Dataset, Limits, Split};
use tiff::tags::Tag;

const PIXELS: usize = SIZE[0] * SIZE[1];

/// Half of the pixels are transparent, and black.
fn pixel(at: usize, band: usize) -> u8 {
    let opaque = at % 2 == 1;
    if band == 3 { u8::from(opaque) * 255 } else { u8::from(opaque) * (10 + 20 * band as u8) }
}

fn bytes() -> Vec<u8> {
    (0..PIXELS).flat_map(|at| (0..4).map(move |band| pixel(at, band))).collect()
}

fn tiff(extra: &[u32]) -> Tiff {
    Tiff::new(bytes()).bands(4).tag(Tag::BitsPerSample, &[8; 4]).tag(Tag::ExtraSamples, extra)
}

/// The values of the first sample, with these bands of its file.
fn read(write: impl Fn(&Path), ending: &str, file_bands: &str) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("a")).unwrap();
    std::fs::create_dir_all(folder.path().join("b")).unwrap();
    write(&folder.path().join("a/1").with_extension(ending));
    let bands = ["red", "green", "blue", "opacity"][..file_bands.split(',').count()].to_vec();
    let text = format!(
        "task = \"classification\"\nbands = {bands:?}\nfile_bands = {file_bands}\nclasses = [\"a\", \"b\"]\n\
         [layout]\nkind = \"folders\"\nroot = \".\"\n[split]\nvalidation = 0.0\n"
    );
    std::fs::write(folder.path().join("dataset.toml"), text).unwrap();
    let dataset = Dataset::open(folder.path(), &Limits::default()).unwrap();
    let names = dataset.config().bands.clone();
    dataset.load(Split::Train, &names).unwrap().samples[0].image.clone()
}

fn wanted(bands: &[usize], hidden: bool) -> Vec<f32> {
    let value = |at: usize, band: usize| {
        if hidden && pixel(at, 3) == 0 { f32::NAN } else { pixel(at, band).into() }
    };
    bands.iter().flat_map(|band| (0..PIXELS).map(move |at| value(at, *band))).collect()
}

fn same(found: &[f32], wanted: &[f32], what: &str) {
    let bits = |all: &[f32]| all.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(found), bits(wanted), "{what}");
}

#[test]
fn transparent_pixels_of_a_tiff_are_missing_where_alpha_is_left_out() {
    for kind in [1, 2] {
        let file = tiff(&[kind]);
        let of = |bands: &str| read(|path| file.write(path), "tif", bands);
        same(&of("[1, 2, 3]"), &wanted(&[0, 1, 2], true), "all colours");
        same(&of("[3, 1]"), &wanted(&[2, 0], true), "two, in another order");
        same(&of("[1, 2, 3, 4]"), &wanted(&[0, 1, 2, 3], false), "alpha is a band");
        same(&of("[4, 1]"), &wanted(&[3, 0], false), "alpha is a band");
    }
    // Of unknown meaning, the last band is a band like others: near infrared is written so.
    let file = tiff(&[0]);
    same(&read(|path| file.write(path), "tif", "[1, 2, 3]"), &wanted(&[0, 1, 2], false), "no alpha");
    // GDAL's metadata can say it too, of a band of the file.
    for (sample, hidden) in [(3, true), (4, false)] {
        let item = format!(
            "<GDALMetadata><Item name=\"COLORINTERP\" sample=\"{sample}\" role=\"colorinterp\">Alpha</Item></GDALMetadata>"
        );
        let file = tiff(&[0]).value(Tag::Unknown(42_112), Value::Text(item));
        same(
            &read(|path| file.write(path), "tif", "[1, 2, 3]"),
            &wanted(&[0, 1, 2], hidden),
            "said by the metadata",
        );
    }
    // Only one of several extra bands is alpha.
    let file = Tiff::new(bytes())
        .bands(4)
        .tag(Tag::BitsPerSample, &[8; 4])
        .tag(Tag::PhotometricInterpretation, &[1]);
    let file = file.tag(Tag::ExtraSamples, &[0, 0, 2]);
    same(&read(|path| file.write(path), "tif", "[2]"), &wanted(&[1], true), "the last of three");
}

#[test]
fn transparent_pixels_of_a_png_are_missing_where_alpha_is_left_out() {
    let write = |path: &Path| {
        let picture = image::RgbaImage::from_raw(SIZE[0] as u32, SIZE[1] as u32, bytes()).unwrap();
        picture.save(path).unwrap();
    };
    same(&read(write, "png", "[1, 2, 3]"), &wanted(&[0, 1, 2], true), "all colours");
    same(&read(write, "png", "[1, 2, 3, 4]"), &wanted(&[0, 1, 2, 3], false), "alpha is a band");
}
