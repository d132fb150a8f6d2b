//! Pixels count as the rule `valid` says.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::path::Path;

use eosfed_data::{Dataset, IGNORE, Limits, Raster, Split, Target, write_geotiff};

/// Side of the images; quality is stored at half of it.
const SIDE: usize = 8;

fn write(path: &Path, side: usize, value: impl Fn(usize, usize) -> f32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let data = (0..side * side).map(|at| value(at % side, at / side)).collect();
    write_geotiff(path, &Raster { width: side, height: side, bands: 1, data, reference: None }).unwrap();
}

fn open(folder: &Path, head: &str, layout: &str) -> Result<Dataset, String> {
    let text = format!(
        "task = \"segmentation\"\nbands = [\"red\", \"SCL\"]\nclasses = [\"a\", \"b\"]\n{head}\n[layout]\n{layout}\n[split]\nvalidation \
         = 0.0\n"
    );
    std::fs::write(folder.join("dataset.toml"), text).unwrap();
    Dataset::open(folder, &Limits::default()).map_err(|error| error.to_string())
}

/// Clear where x is below 4, cloud (9) elsewhere, and no data (0) in the first two rows and columns.
fn files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(&path.join("i/1.tif"), SIDE, |x, y| (10 * x + y) as f32);
    write(&path.join("q/1.tif"), SIDE / 2, |x, y| {
        if (x, y) == (0, 0) {
            0.0
        } else if x < 2 {
            4.0
        } else {
            9.0
        }
    });
    write(&path.join("m/1.tif"), SIDE, |_, _| 1.0);
    folder
}

const PAIRS: &str = "kind = \"pairs\"\nimages = [\"i\", \"q\"]\nmasks = \"m\"";

#[test]
fn pixels_that_do_not_count_have_neither_values_nor_labels() {
    let folder = files();
    for rule in ["SCL in [4, 5]", "SCL bits 2 == 1 and SCL < 5"] {
        let dataset = open(folder.path(), &format!("valid = \"{rule}\""), PAIRS).unwrap();
        let loaded = dataset.load(Split::Train, &["red".to_owned()]).unwrap();
        let sample = &loaded.samples[0];
        let Target::Mask(mask) = &sample.target else { panic!("a mask") };
        for (at, class) in mask.iter().enumerate() {
            let [x, y] = [at % SIDE, at / SIDE];
            let counts = x < 4 && (x > 1 || y > 1);
            assert_eq!(sample.image[at].is_finite(), counts, "{rule} {x},{y}");
            assert_eq!(*class, if counts { 1 } else { IGNORE }, "{rule} {x},{y}");
        }
        assert!(loaded.notes.iter().any(|note| note.contains("nearest pixel")), "{:?}", loaded.notes);
    }
    // Without a rule, quality is a band as others are.
    let dataset = open(folder.path(), "", PAIRS).unwrap();
    let sample = &dataset.load(Split::Train, &["red".to_owned(), "SCL".to_owned()]).unwrap().samples[0];
    assert!(sample.image.iter().all(|value| value.is_finite()));
    assert!(sample.image[SIDE * SIDE..].iter().any(|value| value.fract() != 0.0), "it is resampled");
}

#[test]
fn tiles_without_a_pixel_that_counts_are_not_used() {
    let folder = files();
    let tiled = format!("{PAIRS}\ntile = 8");
    assert_eq!(open(folder.path(), "valid = \"SCL in [4]\"", &tiled).unwrap().len(Split::Train), 1);
    let none = open(folder.path(), "valid = \"SCL in [7]\"", &tiled).err().unwrap();
    assert!(none.contains("no samples"), "{none}");
    let whole = open(folder.path(), "valid = \"SCL in [7]\"", PAIRS).unwrap();
    let error = whole.load(Split::Train, &["red".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("for which `valid` holds"), "{error}");
}

#[test]
fn wrong_rules_are_named() {
    let folder = files();
    for (head, word) in [
        ("valid = \"SCL in 4\"", "conditions joined by `and`"),
        ("valid = \"CLP < 40\"", "bands of `bands`"),
        ("valid = \"SCL in [4]\"\nnodata = 0", "absent beside `valid`"),
        ("valid = \"SCL in [4]\"\nbaseline_offset = \"remove\"", "beside `valid`"),
    ] {
        let error = open(folder.path(), head, PAIRS).err().unwrap();
        assert!(error.contains(word), "{head}: {error}");
    }
    // A coarser file of two bands, of which one is of the rule.
    let path = folder.path();
    let data = (0..2 * 16).map(|at| at as f32).collect();
    let two = Raster { width: 4, height: 4, bands: 2, data, reference: None };
    write_geotiff(&path.join("q/1.tif"), &two).unwrap();
    let text = std::fs::read_to_string(path.join("dataset.toml")).unwrap();
    let text = text.replace("\"SCL\"]", "\"SCL\", \"nir\"]").replace("\nbaseline_offset = \"remove\"", "");
    std::fs::write(path.join("dataset.toml"), text).unwrap();
    let dataset = Dataset::open(path, &Limits::default()).unwrap();
    let error = dataset.load(Split::Train, &["red".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("a file of their own"), "{error}");
}
