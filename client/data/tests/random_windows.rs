//! Training tiles at random places: they have the pixels and the labels of their places, and what tiles need.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use eosfed_data::{
    Dataset, GeoReference, KeptPlace, Limits, Origin, Packed, Raster, SampleCache, SampleSource, Split,
    Target, write_geotiff,
};

const SIZE: [usize; 2] = [100, 75];
const TILE: usize = 16;
/// Columns of the scene that lie in the polygon.
const WEST: usize = 37;

/// The value of a pixel says where it is.
fn value(x: usize, y: usize) -> f32 {
    (1 + y * SIZE[0] + x) as f32
}

/// The class of a pixel.
fn class(x: usize, y: usize) -> u8 {
    ((x / 3 + y / 5) % 3) as u8
}

fn write(path: &Path, of: impl Fn(usize, usize) -> f32) {
    let [width, height] = SIZE;
    let data = (0..width * height).map(|at| of(at % width, at / width)).collect();
    let reference = Some(GeoReference {
        pixel_scale: vec![10.0, 10.0, 0.0],
        tie_point: vec![0.0, 0.0, 0.0, 500_000.0, 4_600_000.0, 0.0],
        keys: vec![1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32_633],
        ..GeoReference::default()
    });
    write_geotiff(path, &Raster { width, height, bands: 1, data, reference }).unwrap();
}

/// A data set of one scene; `rules` are lines before `[layout]`.
fn open(folder: &Path, rules: &str, masks: &str, split: &str) -> Arc<Dataset> {
    let text = format!(
        "task = \"segmentation\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\", \"c\"]\n{rules}\n[layout]\n\
         kind = \"scenes\"\nimages = [\"a.tif\"]\nmasks = [\"{masks}\"]\ntile = {TILE}\nwindows = \"random\"\n[split]\n{split}\n"
    );
    fs::write(folder.join("dataset.toml"), text).unwrap();
    Arc::new(Dataset::open(folder, &Limits::default()).unwrap())
}

const ALL: &str = "validation = 0.0";

fn source(dataset: &Arc<Dataset>, part: Split, cache: Option<&SampleCache>) -> SampleSource {
    SampleSource::open(Arc::clone(dataset), part, &["red".to_owned()], cache).unwrap()
}

/// The place of a tile by its first pixel.
fn place(packed: &Packed) -> [usize; 2] {
    let first = packed.values()[0] as usize - 1;
    [first % SIZE[0], first / SIZE[0]]
}

/// Its place on the grid by its name.
fn own(source: &SampleSource, at: usize) -> [usize; 2] {
    let (_, corner) = source.key(at).unwrap().split_once('@').unwrap();
    let [left, top] = corner.split(',').collect::<Vec<_>>()[..] else { panic!("a corner") };
    [left, top].map(|number| number.parse().unwrap())
}

fn mask(packed: &Packed) -> &[u8] {
    let Target::Mask(mask) = &packed.target else { panic!("a mask") };
    mask
}

/// Asserts that a tile has the values and the classes of its place.
fn assert_is_of_its_place(packed: &Packed, class: impl Fn(usize, usize) -> u8) {
    let [left, top] = place(packed);
    assert_eq!((packed.width, packed.height), (TILE, TILE));
    let found = packed.values().into_iter().zip(mask(packed).iter().copied());
    for (at, found) in found.enumerate() {
        let [x, y] = [left + at % TILE, top + at / TILE];
        assert_eq!(found, (value(x, y), class(x, y)), "{x},{y}");
    }
}

#[test]
fn a_tile_has_the_pixels_and_the_mask_of_its_place() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a.tif"), value);
    write(&folder.path().join("m.tif"), |x, y| f32::from(class(x, y)));
    // The same by polygons, in metres: the west of the scene is one, and the rest has the background.
    let east = 500_000 + WEST * 10;
    let polygon = format!(
        "{{\"type\":\"FeatureCollection\",\"crs\":{{\"type\":\"name\",\"properties\":{{\"name\":\"EPSG:32633\"}}}},\"features\":[\
         {{\"type\":\"Feature\",\"properties\":{{\"cover\":\"a\"}},\"geometry\":{{\"type\":\"Polygon\",\"coordinates\":\
         [[[490000,4500000],[{east},4500000],[{east},4700000],[490000,4700000],[490000,4500000]]]}}}}]}}"
    );
    fs::write(folder.path().join("m.geojson"), polygon).unwrap();
    let by_polygon: fn(usize, usize) -> u8 = |x, _| u8::from(x >= WEST);
    for polygons in [false, true] {
        let rules = "[polygons]\nattribute = \"cover\"\nbackground = \"b\"";
        let dataset = if polygons {
            open(folder.path(), rules, "m.geojson", ALL)
        } else {
            open(folder.path(), "", "m.tif", ALL)
        };
        let source = source(&dataset, Split::Train, None);
        assert!(source.has_random_windows() && source.len() == 6 * 4);
        let mut places = BTreeSet::new();
        for (at, seed) in (0..source.len()).flat_map(|at| (0..10).map(move |seed| (at, seed))) {
            let (packed, kept) = source.get_elsewhere(at, seed).unwrap();
            assert_eq!(kept, None);
            assert_is_of_its_place(&packed, if polygons { by_polygon } else { class });
            let [own, place] = [own(&source, at), place(&packed)];
            assert!((0..2).all(|axis| own[axis].abs_diff(place[axis]) <= TILE / 2), "{own:?} {place:?}");
            places.insert(place);
            assert_eq!(source.get_elsewhere(at, seed).unwrap(), (packed, None), "the seed decides");
        }
        assert!(places.len() > 200, "{}", places.len());
        for at in 0..source.len() {
            let packed = source.get(at).unwrap();
            assert_eq!(place(&packed), own(&source, at), "without a seed, the grid is read");
        }
    }
}

#[test]
fn a_tile_with_too_little_data_or_no_label_keeps_its_place() {
    let folder = tempfile::tempdir().unwrap();
    // Data end within the third column of tiles, and labels within the third row.
    write(&folder.path().join("a.tif"), |x, y| if x < 45 { value(x, y) } else { 0.0 });
    write(&folder.path().join("m.tif"), |x, y| if y < 34 { f32::from(class(x, y)) } else { 255.0 });
    let mut reasons = Vec::new();
    for share in [0.0, 0.6] {
        let rule = if share > 0.0 { format!("min_valid_share = {share}") } else { String::new() };
        let dataset = open(folder.path(), &format!("nodata = 0\n{rule}"), "m.tif", ALL);
        let source = source(&dataset, Split::Train, None);
        assert_eq!(source.len(), 9);
        for (at, seed) in (0..source.len()).flat_map(|at| (0..30).map(move |seed| (at, seed))) {
            let (packed, kept) = source.get_elsewhere(at, seed).unwrap();
            let valid = packed.values().iter().filter(|value| value.is_finite()).count() as f64;
            assert!(valid >= (share * (TILE * TILE) as f64).max(1.0), "{valid}");
            if kept.is_some() {
                assert_eq!(packed, source.get(at).unwrap());
            } else {
                assert!(place(&packed)[1] < 34, "it has a label");
            }
            reasons.push((share > 0.0, kept));
        }
    }
    for with_share in [false, true] {
        let of: Vec<_> = reasons.iter().filter(|(shared, _)| *shared == with_share).collect();
        let few = of.iter().filter(|(_, kept)| *kept == Some(KeptPlace::FewPixels)).count();
        let moved = of.iter().filter(|(_, kept)| kept.is_none()).count();
        assert!(few > 0 && moved + few == of.len(), "{few} of {}", of.len());
    }
    let few =
        |with_share| reasons.iter().filter(|(shared, kept)| *shared == with_share && kept.is_some()).count();
    assert!(few(true) > few(false), "a share asks for more");
}

#[test]
fn a_place_that_cannot_be_read_is_left_and_told() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a.tif"), value);
    // No tile of the grid shows the last columns, in which the mask has no class.
    write(&folder.path().join("m.tif"), |x, y| if x < 96 { f32::from(class(x, y)) } else { 77.0 });
    let dataset = open(folder.path(), "", "m.tif", ALL);
    let source = source(&dataset, Split::Train, None);
    let all = (0..source.len()).flat_map(|at| (0..20).map(move |seed| (at, seed)));
    let mut unreadable = 0;
    for (at, seed) in all {
        let (packed, kept) = source.get_elsewhere(at, seed).unwrap();
        assert_is_of_its_place(&packed, class);
        if let Some(KeptPlace::Unreadable(reason)) = kept {
            unreadable += 1;
            assert_eq!(place(&packed), own(&source, at));
            assert!(reason.contains("m.tif") && reason.contains("`77`"), "{reason}");
        }
    }
    assert!(unreadable > 5, "{unreadable}");
    assert!(source.get_elsewhere(source.len(), 0).is_err(), "there is no such sample");
}

#[test]
fn training_tiles_are_not_decoded_into_the_cache_and_other_parts_are() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a.tif"), value);
    write(&folder.path().join("m.tif"), |x, y| f32::from(class(x, y)));
    let dataset = open(folder.path(), "", "m.tif", "validation = 0.4\nseed = 1");
    let cache = SampleCache { folder: folder.path().join("cache"), bytes: 1 << 30 };
    for (part, first, then) in
        [(Split::Train, Origin::Files, Origin::Files), (Split::Validation, Origin::NewCache, Origin::Cache)]
    {
        let opened = source(&dataset, part, Some(&cache));
        let again = source(&dataset, part, Some(&cache));
        assert_eq!((opened.origin(), again.origin(), again.problem()), (first, then, None));
        assert_eq!((opened.has_random_windows(), opened.facts()), (part == Split::Train, again.facts()));
    }
    let names =
        fs::read_dir(&cache.folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let count = |ending: &str, names: &[String]| names.iter().filter(|name| name.ends_with(ending)).count();
    let names: Vec<String> = names.collect();
    assert_eq!((count(".samples", &names), count(".json", &names)), (1, 2), "{names:?}");
}
