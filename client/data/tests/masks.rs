//! Masks in PNG files give the stored numbers, and images give the colours.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs::File;
use std::path::Path;

use eosfed_data::{Limits, read_labels, read_raster};
use png::{BitDepth, ColorType};

/// A file of width 5 and height 3, so that narrow rows end within a byte.
fn write(path: &Path, color: ColorType, depth: BitDepth, transparent: bool, index: &[u8; 15]) {
    let mut encoder = png::Encoder::new(File::create(path).unwrap(), 5, 3);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ColorType::Indexed {
        // Colours that differ from the indices, so that a mask read as colours fails the test.
        encoder.set_palette([[200_u8, 10, 30], [0, 90, 7], [255, 255, 1], [9, 8, 77]].concat());
    }
    if transparent {
        encoder.set_trns(vec![0_u8, 255]);
    }
    let bits = depth as usize;
    let packed: Vec<u8> = index
        .chunks_exact(5)
        .flat_map(|row| {
            row.chunks(8 / bits).map(|byte| {
                let at = |(x, value): (usize, &u8)| value << (8 - bits * (x + 1));
                byte.iter().enumerate().map(at).fold(0, |all, part| all | part)
            })
        })
        .collect();
    encoder.write_header().unwrap().write_image_data(&packed).unwrap();
}

const TWO: [u8; 15] = [0, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 1, 0, 1, 1];
const FOUR: [u8; 15] = [0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 3, 3, 2, 2, 0];

#[test]
fn a_mask_gives_indices_and_an_image_gives_colours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mask.png");
    let cases =
        [(BitDepth::One, TWO), (BitDepth::Two, FOUR), (BitDepth::Four, FOUR), (BitDepth::Eight, FOUR)];
    for (depth, index) in cases {
        write(&path, ColorType::Indexed, depth, false, &index);
        let mask = read_labels(&path, &Limits::default()).unwrap();
        assert_eq!((mask.width, mask.height, mask.bands), (5, 3, 1));
        assert_eq!(mask.data, index.map(f32::from), "{depth:?}");
        let image = read_raster(&path, &Limits::default()).unwrap();
        assert_eq!(image.bands, 3, "{depth:?}");
        assert_eq!([image.data[1], image.data[16], image.data[31]], [0.0, 90.0, 7.0], "{depth:?}");
    }
    write(&path, ColorType::Indexed, BitDepth::Two, true, &FOUR);
    assert_eq!(read_labels(&path, &Limits::default()).unwrap().data, FOUR.map(f32::from));
    assert_eq!(read_raster(&path, &Limits::default()).unwrap().bands, 4, "opacity is a band of an image");
}

#[test]
fn narrow_grey_gives_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grey.png");
    write(&path, ColorType::Grayscale, BitDepth::Four, false, &FOUR);
    assert_eq!(read_labels(&path, &Limits::default()).unwrap().data, FOUR.map(f32::from));
    assert_eq!(read_raster(&path, &Limits::default()).unwrap().data, FOUR.map(f32::from));
    write(&path, ColorType::Grayscale, BitDepth::Eight, false, &FOUR);
    assert_eq!(read_labels(&path, &Limits::default()).unwrap().data, FOUR.map(f32::from));
}

#[test]
fn damaged_and_oversized_masks_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mask.png");
    write(&path, ColorType::Indexed, BitDepth::Two, false, &FOUR);
    let small = Limits { side: 4, ..Limits::default() };
    let error = read_labels(&path, &small).unwrap_err().to_string();
    assert!(error.contains("mask.png") && error.contains("`5x3`"), "{error}");
    let bytes = std::fs::read(&path).unwrap();
    for end in [9, 40, bytes.len() - 20] {
        std::fs::write(&path, &bytes[..end]).unwrap();
        assert!(read_labels(&path, &Limits::default()).is_err(), "{end} bytes");
    }
    assert!(read_labels(&folder.path().join("none.png"), &Limits::default()).is_err());
}
