//! Files of one sample that lie on different grids are refused, wherever a sample is read.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::path::Path;

use eosfed_data::{DataError, Dataset, GeoReference, Limits, Raster, Split, summarise, write_geotiff};

/// The georeference of a file: its coded reference system, and its geotransform in the order of GDAL's
/// affine.
#[derive(Clone, Copy)]
struct Place {
    code: u16,
    affine: [f64; 6],
}

const HERE: Place = Place { code: 32633, affine: [10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0] };
const UPSIDE_DOWN: Place = Place { affine: [10.0, 0.0, 500_000.0, 0.0, 10.0, 4_599_840.0], ..HERE };
const NEXT_ZONE: Place = Place { code: 32634, ..HERE };
const MOVED: Place = Place { affine: [10.0, 0.0, 500_005.0, 0.0, -10.0, 4_600_000.0], ..HERE };
const FINER: Place = Place { affine: [5.0, 0.0, 500_000.0, 0.0, -5.0, 4_600_000.0], ..HERE };
const NOISY: Place = Place { affine: [10.000_000_01, 0.0, 500_000.000_1, 0.0, -10.0, 4_600_000.0], ..HERE };

const SIDE: usize = 16;

fn write(folder: &Path, name: &str, side: usize, place: Option<Place>, value: impl Fn(usize) -> f32) {
    let reference = place.map(|Place { code, affine: [a, b, c, d, e, f] }| GeoReference {
        transformation: vec![a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        keys: vec![1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, code],
        ..GeoReference::default()
    });
    let data = (0..side * side).map(value).collect();
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_geotiff(&path, &Raster { width: side, height: side, bands: 1, data, reference }).unwrap();
}

/// Reads all of a data set with these files, each a name, a side and a place.
fn read(config: &str, files: &[(&str, usize, Option<Place>)]) -> Result<Vec<String>, DataError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, side, place) in files {
        write(folder.path(), name, *side, *place, |at| (at % 2) as f32);
    }
    std::fs::write(folder.path().join("dataset.toml"), config).unwrap();
    std::fs::write(folder.path().join("t.csv"), "a,b,label\nx.tif,y.tif,dark\n").unwrap();
    let dataset = Dataset::open(folder.path(), &Limits::default())?;
    // As training, scoring and features read it, and as `data inspect` shows it.
    let loaded = dataset.load(Split::Train, &dataset.config().bands)?;
    let warnings = summarise(&dataset)?.warnings;
    assert!(loaded.notes.iter().all(|note| warnings.contains(note)), "{warnings:?}");
    Ok(warnings)
}

const SPLIT: &str = "[split]\nvalidation = 0.0\n";

fn scene() -> String {
    format!(
        "task = \"segmentation\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\"]\n[layout]\nkind = \"scenes\"\n\
         images = [\"image.tif\"]\nmasks = [\"mask.tif\"]\ntile = 8\n{SPLIT}"
    )
}

fn pairs() -> String {
    format!(
        "task = \"segmentation\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\"]\n[layout]\nkind = \"pairs\"\n\
         images = \"i\"\nmasks = \"m\"\n{SPLIT}"
    )
}

fn dates() -> String {
    format!(
        "task = \"change_detection\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\"]\n[layout]\nkind = \"pairs\"\n\
         images = \"i\"\nafter = \"j\"\nmasks = \"m\"\n{SPLIT}"
    )
}

fn stack() -> String {
    format!(
        "task = \"classification\"\nbands = [\"red\", \"nir\"]\nclasses = [\"dark\", \"light\"]\n[layout]\nkind = \"table\"\n\
         file = \"t.csv\"\nimages = [\"a\", \"b\"]\ntarget = \"label\"\n{SPLIT}"
    )
}

/// The lines of the refusal of masks that lie elsewhere than their images, each 80 metres from the one before.
fn lines_of_many(elsewhere: impl Fn(Place) -> Place) -> Vec<String> {
    let files: Vec<(String, Place)> = (0..30)
        .flat_map(|at| {
            let mut place = HERE;
            place.affine[2] += 80.0 * f64::from(at);
            [(format!("i/{at}.tif"), place), (format!("m/{at}.tif"), elsewhere(place))]
        })
        .collect();
    let files: Vec<_> = files.iter().map(|(name, place)| (name.as_str(), SIDE, Some(*place))).collect();
    read(&pairs(), &files).unwrap_err().to_string().lines().map(str::to_owned).collect()
}

#[test]
fn equal_differences_of_many_files_are_said_once() {
    let lines = lines_of_many(|place| Place { code: 32634, ..place });
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        ["files: does not lie", "EPSG:32633", "EPSG:32634"].iter().all(|part| lines[1].contains(part)),
        "{lines:?}"
    );
    let lines = lines_of_many(|place| {
        let [a, b, c, d, e, f] = place.affine;
        Place { affine: [-a, b, c + 10.0 * SIDE as f64, d, e, f], ..place }
    });
    assert_eq!(lines.len(), 2, "{lines:?}");
    let parts = ["m/", "mirrored: columns go west`, not `[10.0, ", "north-up`"];
    assert!(parts.iter().all(|part| lines[1].contains(part)), "{lines:?}");
}

/// Checks that `config` is refused when the second file lies at `place`, with both names and values.
fn assert_refused(config: &str, files: [&str; 2], others: &[&str], place: Place, values: [&str; 2]) {
    let mut all = vec![(files[0], SIDE, Some(HERE)), (files[1], SIDE, Some(place))];
    all.extend(others.iter().map(|name| (*name, SIDE, Some(HERE))));
    let said = read(config, &all).unwrap_err().to_string();
    let parts = [files.map(|file| file.rsplit('/').next().unwrap()), values].concat();
    assert!(parts.iter().all(|part| said.contains(part)), "{parts:?}: {said}");
}

#[test]
fn masks_bands_and_dates_of_another_area_are_refused() {
    let cases = [
        (UPSIDE_DOWN, ["north-up", "south-up"]),
        (NEXT_ZONE, ["EPSG:32633", "EPSG:32634"]),
        (MOVED, ["500000.0", "500005.0"]),
        (FINER, ["[10.0, ", "[5.0, "]),
    ];
    for (place, values) in cases {
        assert_refused(&scene(), ["image.tif", "mask.tif"], &[], place, values);
        assert_refused(&pairs(), ["i/p.tif", "m/p.tif"], &[], place, values);
        assert_refused(&dates(), ["i/p.tif", "j/p.tif"], &["m/p.tif"], place, values);
        assert_refused(&dates(), ["i/p.tif", "m/p.tif"], &["j/p.tif"], place, values);
        assert_refused(&stack(), ["x.tif", "y.tif"], &[], place, values);
    }
}

#[test]
fn the_same_area_except_for_rounding_is_read_without_a_note() {
    for place in [HERE, NOISY] {
        let warnings = read(&scene(), &[("image.tif", SIDE, Some(HERE)), ("mask.tif", SIDE, Some(place))]);
        let grids = |text: &&String| text.contains("georeference") || text.contains("geotransform");
        assert_eq!(warnings.unwrap().iter().find(grids), None);
    }
}

#[test]
fn a_mask_without_georeference_is_read_and_noted() {
    for (image, mask) in [(Some(HERE), None), (None, Some(HERE))] {
        let warnings = read(&pairs(), &[("i/p.tif", SIDE, image), ("m/p.tif", SIDE, mask)]).unwrap();
        let noted = |text: &String| text.contains("masks") && text.contains("only their sizes were compared");
        assert!(warnings.iter().any(noted), "{warnings:?}");
        // Of the mask, which is told by its path below the data set's folder.
        assert!(warnings.iter().any(|text| text.ends_with("compared (1 file: `m/p.tif`)")), "{warnings:?}");
    }
    let warnings = read(&pairs(), &[("i/p.tif", SIDE, None), ("m/p.tif", SIDE, None)]).unwrap();
    assert!(!warnings.iter().any(|text| text.contains("sizes")), "{warnings:?}");
}

#[test]
fn coarse_bands_are_placed_by_their_geotransform() {
    let coarse = Place { affine: [20.0, 0.0, 500_000.0, 0.0, -20.0, 4_600_000.0], ..HERE };
    assert!(read(&stack(), &[("x.tif", SIDE, Some(HERE)), ("y.tif", SIDE / 2, Some(coarse))]).is_ok());
    // 15 fine pixels lie beside 8 coarse ones, which cover 16. Each value of the coarse file is the distance
    // of its pixel's centre from the western edge in metres.
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "x.tif", 15, Some(HERE), |_| 1.0);
    write(folder.path(), "y.tif", 8, Some(coarse), |at| (at % 8) as f32 * 20.0 + 10.0);
    std::fs::write(folder.path().join("dataset.toml"), stack()).unwrap();
    std::fs::write(folder.path().join("t.csv"), "a,b,label\nx.tif,y.tif,dark\n").unwrap();
    let dataset = Dataset::open(folder.path(), &Limits::default()).unwrap();
    let sample = dataset.load(Split::Train, &["nir".to_owned()]).unwrap().samples.remove(0);
    for column in 1..15 {
        let centre = column as f32 * 10.0 + 5.0;
        assert!((sample.image[column] - centre).abs() < 1e-3, "{column}: {}", sample.image[column]);
    }
    let moved = Place { affine: [20.0, 0.0, 500_010.0, 0.0, -20.0, 4_600_000.0], ..HERE };
    let said = read(&stack(), &[("x.tif", SIDE, Some(HERE)), ("y.tif", SIDE / 2, Some(moved))]);
    assert!(said.unwrap_err().to_string().contains("500010.0"));
}
