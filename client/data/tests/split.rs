//! The parts of a data set share no pixels, in any scene and for any overlap of its tiles.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use eosfed_data::{
    DataError, Dataset, GeoReference, KeptPlace, Limits, Raster, SampleSource, Split, summarise,
    write_geotiff,
};

/// A scene in which each pixel has a value of its own, from `first` on.
fn scene(folder: &Path, name: &str, width: usize, height: usize, first: usize) {
    let raster = |data| Raster { width, height, bands: 1, data, reference: None };
    let size = width * height;
    let pixels = (first..first + size).map(|at| at as f32).collect();
    write_geotiff(&folder.join(format!("{name}.tif")), &raster(pixels)).unwrap();
    let labels = (0..size).map(|at| (at % 2) as f32).collect();
    write_geotiff(&folder.join(format!("{name}-mask.tif")), &raster(labels)).unwrap();
}

/// Opens scenes with these names under `tile`, `stride` and the lines of `[split]`.
fn open(folder: &Path, names: &[&str], tiling: [usize; 2], split: &str) -> Result<Dataset, DataError> {
    let files =
        |end: &str| names.iter().map(|name| format!("\"{name}{end}.tif\"")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "task = \"segmentation\"\nbands = [\"red\"]\nclasses = [\"even\", \"odd\"]\n[layout]\nkind = \"scenes\"\n\
         images = [{}]\nmasks = [{}]\ntile = {}\nstride = {}\n[split]\n{split}\n",
        files(""),
        files("-mask"),
        tiling[0],
        tiling[1]
    );
    std::fs::write(folder.join("dataset.toml"), text).unwrap();
    Dataset::open(folder, &Limits::default())
}

/// The pixels that a part shows, by their values, and how many it shows with repetition.
fn pixels(dataset: &Dataset, part: Split) -> (BTreeSet<u32>, usize) {
    if dataset.is_empty(part) {
        return (BTreeSet::new(), 0);
    }
    let samples = dataset.load(part, &["red".to_owned()]).unwrap().samples;
    let shown = || samples.iter().flat_map(|sample| &sample.image).map(|value| *value as u32);
    (shown().collect(), shown().count())
}

/// Checks that no two parts share a pixel, and that tiles for validation and test show none twice.
fn assert_disjoint(dataset: &Dataset, what: &str) {
    let parts = Split::ALL.map(|part| pixels(dataset, part));
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        let shared = parts[one].0.intersection(&parts[other].0).count();
        let names = [one, other].map(|part| Split::ALL[part].name());
        assert_eq!(shared, 0, "{what}: {} and {} share pixels", names[0], names[1]);
    }
    for held_back in [1, 2] {
        assert_eq!(parts[held_back].0.len(), parts[held_back].1, "{what}: no pixel counts twice");
    }
}

#[test]
fn scenes_are_split_by_location_by_default() {
    let folder = tempfile::tempdir().unwrap();
    scene(folder.path(), "a", 160, 160, 0);
    let dataset = open(folder.path(), &["a"], [32, 8], "validation = 0.2").unwrap();
    assert!(!dataset.is_empty(Split::Train) && !dataset.is_empty(Split::Validation));
    assert_disjoint(&dataset, "tiles of 32 at a distance of 8");
}

#[test]
fn a_split_by_digest_of_overlapping_tiles_is_refused_with_numbers() {
    let folder = tempfile::tempdir().unwrap();
    scene(folder.path(), "a", 160, 160, 0);
    let digest =
        |tiling, split: &str| open(folder.path(), &["a"], tiling, &format!("by = \"digest\"\n{split}"));
    let said = digest([32, 8], "validation = 0.2\ntest = 0.2").err().unwrap().to_string();
    let dataset = digest([32, 32], "validation = 0.2\ntest = 0.2").unwrap();
    // The tiles that lie side by side are the same in both, and each overlaps a training tile.
    for part in [Split::Validation, Split::Test] {
        let count = dataset.len(part);
        let found = format!("{count} of {count} {} tiles", part.name());
        assert!(count > 0 && said.contains(&found), "{found}: {said}");
    }
    for words in ["dataset.toml", "`tile = 32`", "`stride = 8`", "`by = \"location\"`", "`stride = 32`"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // Without a part that is held back, nothing can leak.
    assert!(digest([32, 8], "validation = 0.0").is_ok());
    assert!(digest([32, 8], "validation = 0.0\ntest = 1.0").is_ok());
}

#[test]
fn no_two_parts_share_a_pixel_in_scenes_of_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = [(16, 32), (32, 32), (33, 47), (48, 16), (50, 50), (64, 40), (80, 80)];
    for (width, height) in sizes {
        scene(folder.path(), "a", width, height, 0);
        for stride in [1, 3, 8, 16] {
            for seed in 0..6 {
                let split = format!("validation = 0.3\nseed = {seed}");
                let dataset = open(folder.path(), &["a"], [16, stride], &split).unwrap();
                let what = format!("{width}x{height}, stride {stride}, seed {seed}");
                assert_disjoint(&dataset, &what);
                for part in [Split::Train, Split::Validation] {
                    assert!(!dataset.is_empty(part), "{what}: the {} part is empty", part.name());
                }
            }
        }
    }
}

#[test]
fn three_parts_are_found_in_a_scene_of_three_tiles() {
    let folder = tempfile::tempdir().unwrap();
    scene(folder.path(), "a", 48, 16, 0);
    for seed in 0..20 {
        let split = format!("validation = 0.2\ntest = 0.2\nseed = {seed}");
        let dataset = open(folder.path(), &["a"], [16, 8], &split).unwrap();
        assert_disjoint(&dataset, &split);
        assert!(Split::ALL.iter().all(|part| !dataset.is_empty(*part)), "{split}");
    }
}

#[test]
fn a_scene_too_small_for_two_parts_is_named_in_the_summary() {
    let folder = tempfile::tempdir().unwrap();
    // All tiles of 16 pixels overlap each other.
    scene(folder.path(), "a", 24, 24, 0);
    let dataset = open(folder.path(), &["a"], [16, 4], "validation = 0.2\nseed = 1").unwrap();
    assert_disjoint(&dataset, "24x24");
    assert!(dataset.len(Split::Train) > 0 && dataset.is_empty(Split::Validation));
    let said = |text: &String| text.contains("validation part is empty: the scenes are too small");
    let warnings = summarise(&dataset).unwrap().warnings;
    assert_eq!(warnings.iter().filter(|text| said(text)).count(), 1, "{warnings:?}");
    // Training says it too.
    assert!(dataset.load(Split::Train, &["red".to_owned()]).unwrap().notes.iter().any(said));
    // A second scene has room for it.
    scene(folder.path(), "b", 24, 24, 24 * 24);
    let dataset = open(folder.path(), &["a", "b"], [16, 4], "validation = 0.2\nseed = 1").unwrap();
    assert_disjoint(&dataset, "two scenes");
    assert!(dataset.len(Split::Train) > 0 && dataset.len(Split::Validation) > 0);
}

#[test]
fn a_scene_is_listed_once() {
    let folder = tempfile::tempdir().unwrap();
    scene(folder.path(), "a", 64, 64, 0);
    let error = open(folder.path(), &["a", "a"], [16, 16], "validation = 0.2").err().unwrap().to_string();
    assert!(error.contains("`layout.images`") && error.contains("a.tif, a.tif"), "{error}");
}

/// A georeferenced scene whose upper left pixel is (`left`, `top`) of a larger raster, in which each pixel has
/// a value of its own.
fn part_of_a_raster(folder: &Path, name: &str, [left, top]: [usize; 2], code: u16) {
    const SIDE: usize = 64;
    let reference = GeoReference {
        pixel_scale: vec![10.0, 10.0, 0.0],
        tie_point: vec![0.0, 0.0, 0.0, left as f64 * 10.0, 4_600_000.0 - top as f64 * 10.0, 0.0],
        keys: vec![1, 1, 0, 1, 3072, 0, 1, code],
        ..GeoReference::default()
    };
    let pixels = |value: &dyn Fn(usize, usize) -> usize| {
        (0..SIDE * SIDE).map(|at| value(left + at % SIDE, top + at / SIDE) as f32).collect()
    };
    let write = |end: &str, data| {
        let raster = Raster { width: SIDE, height: SIDE, bands: 1, data, reference: Some(reference.clone()) };
        write_geotiff(&folder.join(format!("{name}{end}.tif")), &raster).unwrap();
    };
    write("", pixels(&|x, y| 1 + y * 1000 + x));
    write("-mask", pixels(&|x, _| x % 2));
}

#[test]
fn scenes_that_overlap_on_the_ground_share_no_pixel_either() {
    let folder = tempfile::tempdir().unwrap();
    for (name, corner) in [("a", [0, 0]), ("b", [40, 8]), ("c", [100, 100])] {
        part_of_a_raster(folder.path(), name, corner, 32633);
    }
    let mut left_out = 0;
    for seed in 0..8 {
        let split = format!("validation = 0.3\ntest = 0.2\nseed = {seed}");
        let dataset = open(folder.path(), &["a", "b", "c"], [16, 8], &split).unwrap();
        let parts = Split::ALL.map(|part| pixels(&dataset, part).0);
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            assert!(parts[one].is_disjoint(&parts[other]), "seed {seed}: parts {one} and {other}");
        }
        left_out += usize::from(dataset.notes().iter().any(|note| note.contains("tiles were left out")));
    }
    assert!(left_out > 0, "some seed divides the common ground");
    let digest = |names: &[&str]| {
        open(folder.path(), names, [16, 16], "by = \"digest\"\nvalidation = 0.5")
            .err()
            .map(|error| error.to_string())
    };
    let said = digest(&["a", "b", "c"]).unwrap();
    assert!(
        said.contains("validation tiles overlap training tiles") && !said.contains("or `stride"),
        "{said}"
    );
    assert_eq!(digest(&["a", "c"]), None);
    // Another reference system is other ground.
    part_of_a_raster(folder.path(), "b", [40, 8], 32634);
    assert_eq!(digest(&["a", "b", "c"]), None);
}

/// A folder of two classes with `count` files of 8 pixels, each on a place of its own in a row.
fn files(folder: &Path, count: usize, referenced: bool) {
    for at in 0..count {
        let class = folder.join(["even", "odd"][at % 2]);
        std::fs::create_dir_all(&class).unwrap();
        let reference = referenced.then(|| GeoReference {
            pixel_scale: vec![10.0, 10.0, 0.0],
            tie_point: vec![0.0, 0.0, 0.0, 80.0 * (at / 2) as f64, 0.0, 0.0],
            ..GeoReference::default()
        });
        let raster = Raster { width: 8, height: 8, bands: 1, data: vec![at as f32; 64], reference };
        write_geotiff(&class.join(format!("{at:03}.tif")), &raster).unwrap();
    }
}

fn folders(folder: &Path, layout: &str, split: &str) -> Result<Dataset, DataError> {
    let text = format!(
        "task = \"classification\"\nbands = [\"red\"]\nclasses = [\"even\", \"odd\"]\n[layout]\nkind = \"folders\"\n\
         root = \".\"\n{layout}\n[split]\n{split}\n"
    );
    std::fs::write(folder.join("dataset.toml"), text).unwrap();
    Dataset::open(folder, &Limits::default())
}

/// The numbers of the files in each part.
fn numbers(dataset: &Dataset) -> [BTreeSet<u32>; 3] {
    Split::ALL.map(|part| pixels(dataset, part).0)
}

/// How many pairs of files at one place, `2 n` and `2 n + 1`, are in different parts.
fn torn(parts: &[BTreeSet<u32>; 3], count: u32) -> usize {
    let part = |at: u32| parts.iter().position(|part| part.contains(&at));
    (0..count / 2).filter(|place| part(2 * place) != part(2 * place + 1)).count()
}

const THREE: &str = "validation = 0.2\ntest = 0.2\nseed = 3";

#[test]
fn folders_with_an_index_are_split_by_place() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path(), 200, false);
    let row = |at: usize| {
        format!("{}/{at:03}.tif,{},45.0\n", ["even", "odd"][at % 2], 5.0 + (at / 2) as f64 * 0.02)
    };
    let rows: String = (0..200).map(row).collect();
    std::fs::write(folder.path().join("index.csv"), format!("file,lon,lat\n{rows}")).unwrap();
    let index = "index = \"index.csv\"";
    let parts = numbers(&folders(folder.path(), index, THREE).unwrap());
    assert_eq!(parts.iter().map(BTreeSet::len).sum::<usize>(), 200);
    assert!(parts.iter().all(|part| part.len() >= 20), "{parts:?}");
    assert_eq!(torn(&parts, 200), 0);
    assert_eq!(parts, numbers(&folders(folder.path(), index, THREE).unwrap()));
    let random = numbers(&folders(folder.path(), index, &format!("by = \"digest\"\n{THREE}")).unwrap());
    assert!(torn(&random, 200) > 20, "at random, neighbours are torn apart");

    // A file without a row, and a row that is no place.
    files(folder.path(), 202, false);
    let error = folders(folder.path(), index, THREE).err().unwrap().to_string();
    assert!(error.contains("200.tif") && error.contains("layout.index"), "{error}");
    std::fs::write(folder.path().join("index.csv"), format!("file,lon,lat\n{rows}odd/201.tif,5,95\n"))
        .unwrap();
    let error = folders(folder.path(), index, THREE).err().unwrap().to_string();
    assert!(error.contains("odd/201.tif") && error.contains("`95`"), "{error}");
}

#[test]
fn files_with_a_georeference_are_split_by_place_if_asked() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path(), 120, true);
    let asked = format!("by = \"location\"\n{THREE}");
    let parts = numbers(&folders(folder.path(), "", &asked).unwrap());
    assert!(torn(&parts, 120) == 0 && parts.iter().all(|part| part.len() >= 12), "{parts:?}");
    let random = folders(folder.path(), "", THREE).unwrap();
    assert!(torn(&numbers(&random), 120) > 10);
    assert!(random.notes()[0].contains("`by = \"location\"`"), "{:?}", random.notes());

    let other = tempfile::tempdir().unwrap();
    files(other.path(), 12, false);
    let error = folders(other.path(), "", &asked).err().unwrap().to_string();
    assert!(error.contains(".tif") && error.contains("georeference"), "{error}");
    assert!(folders(other.path(), "", THREE).unwrap().notes().is_empty());
}

#[test]
fn tables_with_coordinates_are_split_by_place() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path(), 120, false);
    let row = |at: usize| {
        let class = ["even", "odd"][at % 2];
        format!("{class}/{at:03}.tif,{class},{},45.0,train\n", 5.0 + (at / 2) as f64 * 0.02)
    };
    let table = |row: &dyn Fn(usize) -> String, keys: &str| {
        let rows: String = (0..120).map(row).collect();
        std::fs::write(folder.path().join("t.csv"), format!("image,class,x,y,part\n{rows}")).unwrap();
        let text = format!(
            "task = \"classification\"\nbands = [\"red\"]\nclasses = [\"even\", \"odd\"]\n[layout]\nkind = \"table\"\n\
             file = \"t.csv\"\nimages = \"image\"\ntarget = \"class\"\n{keys}\n[split]\n{THREE}\n"
        );
        std::fs::write(folder.path().join("dataset.toml"), text).unwrap();
        Dataset::open(folder.path(), &Limits::default())
    };
    let places = "lon = \"x\"\nlat = \"y\"";
    let parts = numbers(&table(&row, places).unwrap());
    assert!(torn(&parts, 120) == 0 && parts.iter().all(|part| part.len() >= 12), "{parts:?}");
    // A column with the parts counts before places.
    let given = numbers(&table(&row, &format!("{places}\nsplit = \"part\"")).unwrap());
    assert_eq!(given[0].len(), 120);
    let error = table(&row, "lon = \"x\"").err().unwrap().to_string();
    assert!(error.contains("`layout.lon`"), "{error}");
    let error = table(&|at| row(at).replace("45.0", "north"), places).err().unwrap().to_string();
    assert!(error.contains("line 2") && error.contains("`north`"), "{error}");
}

/// The same data set with training tiles at random places.
fn with_random_windows(
    folder: &Path,
    names: &[&str],
    tiling: [usize; 2],
    split: &str,
) -> Result<Arc<Dataset>, DataError> {
    open(folder, names, tiling, split)?;
    let path = folder.join("dataset.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\n[split]", "\nwindows = \"random\"\n[split]")).unwrap();
    Dataset::open(folder, &Limits::default()).map(Arc::new)
}

#[test]
fn tiles_at_random_places_show_no_pixel_of_another_part() {
    let folder = tempfile::tempdir().unwrap();
    scene(folder.path(), "one", 150, 97, 1);
    for (name, corner) in [("a", [0, 0]), ("b", [40, 8]), ("c", [100, 100])] {
        part_of_a_raster(folder.path(), name, corner, 32633);
    }
    let red = ["red".to_owned()];
    for (names, tiling, by) in [
        (&["one"][..], [16, 16], "location"),
        (&["one"][..], [16, 8], "location"),
        (&["one"][..], [16, 16], "digest"),
        (&["a", "b", "c"][..], [16, 16], "location"),
        (&["a", "b", "c"][..], [16, 8], "location"),
    ] {
        let (mut moved, mut kept) = (0, 0);
        let mut seen = BTreeSet::new();
        let mut of_the_grid = BTreeSet::new();
        for seed in 0..4 {
            let split = format!("by = \"{by}\"\nvalidation = 0.2\ntest = 0.1\nseed = {seed}");
            let dataset = with_random_windows(folder.path(), names, tiling, &split).unwrap();
            let held_back = [Split::Validation, Split::Test].map(|part| pixels(&dataset, part).0);
            of_the_grid.extend(pixels(&dataset, Split::Train).0);
            let source = SampleSource::open(Arc::clone(&dataset), Split::Train, &red, None).unwrap();
            for (at, epoch) in (0..source.len()).flat_map(|at| (0..6).map(move |epoch| (at, epoch))) {
                let (packed, reason) = source.get_elsewhere(at, epoch).unwrap();
                moved += usize::from(reason.is_none());
                kept += usize::from(reason == Some(KeptPlace::NoRoom));
                let shown: BTreeSet<u32> = packed.values().into_iter().map(|value| value as u32).collect();
                assert_eq!(shown.len(), 256);
                assert!(
                    held_back.iter().all(|part| part.is_disjoint(&shown)),
                    "{names:?} {tiling:?} {by}: {at}"
                );
                seen.extend(shown);
            }
            let trial =
                (0..source.len()).filter(|at| source.get_elsewhere(*at, seed).unwrap().1.is_some()).count();
            let said = format!("{trial} of {} training tiles kept their place on the grid", source.len());
            assert_eq!(dataset.notes().iter().any(|note| note.starts_with(&said)), trial > 0, "{trial}");
        }
        // Blocks of two tiles by two leave each tile some room, single ones do not.
        assert!(
            moved > 4 * kept && (by != "digest" || kept > 0),
            "{names:?} {tiling:?} {by}: {kept} of {moved}"
        );
        let beyond = seen.difference(&of_the_grid).count();
        assert!(beyond > 50 || names.len() > 1, "the edge of a scene is seen too: {beyond}");
    }
}
