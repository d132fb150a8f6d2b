//! Which tiles of a scene can be used.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::Tiff;
use eosfed_data::{Dataset, Limits, Split};
use tiff::tags::Tag;

/// Side of the scene in pixels.
const SIDE: usize = 200;
/// Side of its tiles.
const TILE: usize = 16;

/// One band of bytes in blocks of `block` pixels: each block's pixels as `store` writes them.
fn blocks(
    block: usize,
    store: impl Fn(Vec<u8>) -> Vec<u8>,
    value: impl Fn(usize, usize) -> u8 + Copy,
) -> Tiff {
    let side = u32::try_from(SIDE).unwrap();
    let corners = (0..SIDE).step_by(block).flat_map(|y| (0..SIDE).step_by(block).map(move |x| (x, y)));
    let pixels = |(left, top)| (0..block * block).map(move |at| value(left + at % block, top + at / block));
    let chunks = corners.map(|corner| Some(store(pixels(corner).collect()))).collect();
    let file = Tiff::new(Vec::new()).tag(Tag::ImageWidth, &[side]).tag(Tag::ImageLength, &[side]);
    file.tiles(u32::try_from(block).unwrap(), chunks)
}

/// A scene of one band, described with further `lines`.
fn scene(folder: &Path, image: &Tiff, mask: &Tiff, stride: usize, lines: &str) -> Dataset {
    image.write(&folder.join("image.tif"));
    mask.write(&folder.join("mask.tif"));
    let text = format!(
        "task = \"segmentation\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\"]\n{lines}\n[layout]\nkind = \
         \"scenes\"\nimages = [\"image.tif\"]\nmasks = [\"mask.tif\"]\ntile = {TILE}\nstride = {stride}\n[split]\n\
         validation = 0.0\ntest = 0.0\n"
    );
    std::fs::write(folder.join("dataset.toml"), text).unwrap();
    Dataset::open(folder, &Limits::default()).unwrap()
}

#[test]
fn tiles_with_a_label_and_with_data_are_usable() {
    // Few pixels have either, so that many tiles lack one.
    let drawn = |x: usize, y: usize, salt: usize| {
        let mixed = ((x * SIDE + y) * 2 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32
    };
    let image = |x, y| u8::from(drawn(x, y, 1).is_multiple_of(190));
    let mask = |x, y| if drawn(x, y, 2).is_multiple_of(150) { 1 } else { 255 };
    for stride in [16, 8, 5] {
        let folder = tempfile::tempdir().unwrap();
        let files = [blocks(48, |pixels| pixels, image), blocks(64, |pixels| pixels, mask)];
        let dataset = scene(folder.path(), &files[0], &files[1], stride, "nodata = 0");
        let loaded = dataset.load(Split::Train, &["red".to_owned()]).unwrap();
        let found: BTreeSet<String> = loaded.samples.into_iter().map(|sample| sample.key).collect();
        let corners = || (0..=SIDE - TILE).step_by(stride);
        let tiles: Vec<_> = corners().flat_map(|top| corners().map(move |left| (left, top))).collect();
        let usable = |(left, top): (usize, usize)| {
            let pixels = || (top..top + TILE).flat_map(move |y| (left..left + TILE).map(move |x| (x, y)));
            pixels().any(|(x, y)| image(x, y) != 0) && pixels().any(|(x, y)| mask(x, y) == 1)
        };
        let usable = tiles.iter().filter(|tile| usable(**tile));
        let wanted: BTreeSet<String> = usable.map(|(left, top)| format!("image.tif@{left},{top}")).collect();
        assert!((tiles.len() / 5..tiles.len() * 4 / 5).contains(&wanted.len()), "{} tiles", wanted.len());
        assert_eq!(found, wanted, "stride {stride}");
    }
}

#[test]
fn whoever_reads_a_damaged_image_says_so_and_not_who_looks_for_tiles() {
    const DEFLATE: u32 = 8;
    let folder = tempfile::tempdir().unwrap();
    // No pixel of this file can be decoded.
    let image = blocks(48, |_| b"not compressed".to_vec(), |_, _| 0).tag(Tag::Compression, &[DEFLATE]);
    let mask = blocks(64, |pixels| pixels, |x, _| if x < 100 { 1 } else { 255 });
    // Twelve rows of tiles, and seven columns with a label.
    for lines in ["", "nodata = 9"] {
        let dataset = scene(folder.path(), &image, &mask, TILE, lines);
        assert_eq!((dataset.len(Split::Train), dataset.first_size(Split::Train)), (84, Some([TILE; 2])));
        let error = dataset.load(Split::Train, &["red".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("image.tif"), "{error}");
    }
}

#[test]
fn tiles_with_too_few_valid_pixels_are_passed_over_and_counted() {
    // In each tile of 16 columns as many have data as its number in its row says.
    let image = |x: usize, _: usize| u8::from(x % TILE < (x / TILE) % TILE);
    let mask = |_, _| 1;
    for (block, share) in [(48, 0.5), (16, 0.5), (200, 0.25), (48, 0.6), (48, 1e-9)] {
        let folder = tempfile::tempdir().unwrap();
        let files = [blocks(block, |pixels| pixels, image), blocks(64, |pixels| pixels, mask)];
        let lines = format!("nodata = 0\nmin_valid_share = {share}");
        let dataset = scene(folder.path(), &files[0], &files[1], TILE, &lines);
        let across = SIDE / TILE;
        let kept = (0..across).filter(|column| *column as f64 >= share * TILE as f64 && *column > 0).count();
        let passed = across - 1 - kept;
        let notes: Vec<&String> =
            dataset.notes().iter().filter(|note| note.contains("passed over")).collect();
        assert_eq!(dataset.len(Split::Train), kept * across, "blocks of {block}, {share}");
        let said = format!(
            "{} tiles were passed over: less than {share} of their pixels have data in every band (`min_valid_share`)",
            passed * across
        );
        assert_eq!(notes, if passed > 0 { vec![&said] } else { vec![] });
        // What is remembered says the same.
        let remembered = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let again =
                Dataset::open_with(folder.path(), &Limits::default(), Some(remembered.path())).unwrap();
            assert_eq!(
                (again.len(Split::Train), again.notes()),
                (dataset.len(Split::Train), dataset.notes())
            );
        }
    }
}

#[test]
fn a_data_set_whose_tiles_are_all_passed_over_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let files =
        [blocks(48, |pixels| pixels, |x, _| u8::from(x % 2 == 0)), blocks(64, |pixels| pixels, |_, _| 1)];
    scene(folder.path(), &files[0], &files[1], TILE, "nodata = 0\nmin_valid_share = 0.5");
    let path = folder.path().join("dataset.toml");
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap().replace("0.5", "0.6")).unwrap();
    let said = Dataset::open(folder.path(), &Limits::default()).err().unwrap().to_string();
    assert!(said.contains("no samples; 144 tiles were passed over: less than 0.6 of their pixels"), "{said}");
}

#[test]
fn a_share_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for share in ["0.0", "-0.5", "1.5", "nan", "inf"] {
        let text = format!(
            "task = \"segmentation\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\"]\nmin_valid_share = {share}\nlayout = {{ \
             kind = \"scenes\", images = [\"a\"], masks = [\"b\"], tile = 16 }}\n"
        );
        std::fs::write(folder.path().join("dataset.toml"), &text).unwrap();
        let said = Dataset::open(folder.path(), &Limits::default()).err().unwrap().to_string();
        assert!(said.contains("`min_valid_share` must be above 0 and at most 1"), "{share}: {said}");
        let whole = text.replace(&format!("= {share}"), "= 0.5").replace("scenes", "pairs");
        let whole = whole.replace("[\"a\"], masks = [\"b\"], tile = 16", "\"a\", masks = \"b\"");
        std::fs::write(folder.path().join("dataset.toml"), whole).unwrap();
        let said = Dataset::open(folder.path(), &Limits::default()).err().unwrap().to_string();
        assert!(said.contains("`min_valid_share` must be absent without `layout.tile`"), "{said}");
    }
}
