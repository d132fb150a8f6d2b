//! Ground, files and pixels that parts of a data set share are said, and refused under `strict`.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::path::Path;
use std::time::Instant;

use eosfed_data::{
    DataError, Dataset, GeoReference, Limits, Raster, Split, Summary, summarise, write_geotiff,
};

const SIDE: usize = 8;
const ZONE: u16 = 32633;

/// Turned by a quarter of a right angle, in pixels of 10 m, with its upper left corner here.
fn turned(column: f64, row: f64) -> GeoReference {
    let (sine, cosine) = (std::f64::consts::FRAC_PI_8).sin_cos();
    let [a, b, d, e] = [10.0 * cosine, 10.0 * sine, 10.0 * sine, -10.0 * cosine];
    let at = [a * column + b * row, d * column + e * row];
    GeoReference {
        transformation: [vec![a, b, 0.0, at[0], d, e, 0.0, at[1]], vec![0.0; 8]].concat(),
        keys: vec![1, 1, 0, 1, 3072, 0, 1, ZONE],
        ..GeoReference::default()
    }
}

/// In pixels of 10 m, with its upper left corner here.
fn straight(column: f64, row: f64, zone: u16) -> GeoReference {
    GeoReference {
        pixel_scale: vec![10.0, 10.0, 0.0],
        tie_point: vec![0.0, 0.0, 0.0, 500_000.0 + 10.0 * column, 4_600_000.0 - 10.0 * row, 0.0],
        keys: vec![1, 1, 0, 1, 3072, 0, 1, zone],
        ..GeoReference::default()
    }
}

fn write(path: &Path, value: f32, reference: Option<GeoReference>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let data = (0..SIDE * SIDE).map(|at| value + (at % 3) as f32).collect();
    write_geotiff(path, &Raster { width: SIDE, height: SIDE, bands: 1, data, reference }).unwrap();
}

/// A table of files and their parts.
fn table(folder: &Path, rows: &[(String, &str)], lines: &str) -> Result<Dataset, DataError> {
    let rows: String = rows.iter().map(|(file, part)| format!("{file},a,{part}\n")).collect();
    std::fs::write(folder.join("t.csv"), format!("image,class,part\n{rows}")).unwrap();
    let text = format!(
        "task = \"classification\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\"]\n{lines}\n[layout]\nkind = \"table\"\nfile = \
         \"t.csv\"\nimages = \"image\"\ntarget = \"class\"\nsplit = \"part\"\n"
    );
    std::fs::write(folder.join("dataset.toml"), text).unwrap();
    Dataset::open(folder, &Limits::default())
}

fn shared(dataset: &Dataset) -> Vec<String> {
    dataset.notes().iter().filter(|note| note.contains("so that scores are too good")).cloned().collect()
}

/// What is said of these places, each with its part.
fn said_of(places: &[(GeoReference, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<_> = places
        .iter()
        .enumerate()
        .map(|(at, (reference, part))| {
            let name = format!("{at}.tif");
            write(&folder.path().join(&name), at as f32, Some(reference.clone()));
            (name, *part)
        })
        .collect();
    shared(&table(folder.path(), &rows, "").unwrap())
}

#[test]
fn ground_of_two_parts_is_said_with_counts_and_two_files() {
    let at = |column, row| straight(column, row, ZONE);
    let said = said_of(&[
        (at(0.0, 0.0), "train"),
        (at(7.0, 7.0), "validation"),
        (at(100.0, 0.0), "validation"),
        (at(0.5, 0.0), "test"),
    ]);
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(
        said[0].starts_with(
            "1 of 2 validation images show ground of training images, such as `1.tif` and `0.tif`"
        )
    );
    assert!(
        said[1].starts_with("1 of 1 test images show ground of training images, such as `3.tif` and `0.tif`")
    );
    assert!(said[2].starts_with("1 of 1 test images show ground of validation images"), "{said:#?}");
    assert!(said[0].contains("images of one place to one part"), "{said:#?}");
}

#[test]
fn images_that_touch_or_lie_in_another_system_share_nothing() {
    let at = |column, row| straight(column, row, ZONE);
    let beside = [(8.0, 0.0), (0.0, 8.0), (-8.0, 0.0), (0.0, -8.0), (8.0, 8.0), (7.95, 0.0)];
    for (column, row) in beside {
        assert_eq!(
            said_of(&[(at(0.0, 0.0), "train"), (at(column, row), "validation")]),
            [""; 0],
            "{column}, {row}"
        );
    }
    assert_eq!(said_of(&[(at(0.0, 0.0), "train"), (at(7.7, 0.0), "validation")]).len(), 1);
    // The same numbers in another zone are another place, and without a system they may be of anything.
    assert_eq!(said_of(&[(at(0.0, 0.0), "train"), (straight(0.0, 0.0, 32634), "validation")]), [""; 0]);
    let bare = || GeoReference { keys: Vec::new(), ..at(0.0, 0.0) };
    assert_eq!(said_of(&[(bare(), "train"), (bare(), "validation")]), [""; 0]);
    assert_eq!(said_of(&[(at(0.0, 0.0), "train"), (at(0.0, 0.0), "train")]), [""; 0], "one part");
}

/// The boxes around turned neighbours overlap, and they do not.
#[test]
fn turned_neighbours_share_nothing() {
    let one = (turned(0.0, 0.0), "train");
    for (column, row) in [(8.0, 0.0), (0.0, 8.0), (8.0, 8.0), (-8.0, 0.0)] {
        assert_eq!(said_of(&[one.clone(), (turned(column, row), "test")]), [""; 0], "{column}, {row}");
    }
    assert_eq!(said_of(&[one.clone(), (turned(6.0, -6.0), "test")]).len(), 1);
    assert_eq!(
        said_of(&[one, (straight(-50_000.0, 460_000.0, ZONE), "test")]).len(),
        1,
        "turned and straight"
    );
}

fn copies(folder: &Path) -> Vec<(String, &'static str)> {
    write(&folder.join("first.tif"), 1.0, None);
    write(&folder.join("other.tif"), 2.0, None);
    std::fs::copy(folder.join("first.tif"), folder.join("again.tif")).unwrap();
    [("first.tif", "train"), ("other.tif", "train"), ("again.tif", "validation")]
        .map(|(name, part)| (name.to_owned(), part))
        .to_vec()
}

#[test]
fn a_file_under_two_names_is_said_and_refused_under_strict() {
    let folder = tempfile::tempdir().unwrap();
    let rows = copies(folder.path());
    let said = shared(&table(folder.path(), &rows, "").unwrap());
    let words = "1 of 1 validation images are the same files, byte for byte, as training images, such as `again.tif` and \
                 `first.tif`";
    assert!(said.len() == 1 && said[0].starts_with(words), "{said:#?}");
    let refused = table(folder.path(), &rows, "strict = true").err().unwrap().to_string();
    assert!(
        refused.contains("dataset.toml") && refused.contains("`strict = true`") && refused.contains(words)
    );
    // Files of one length that begin alike, and differ.
    let large = |last: u8| [vec![7; 100_000], vec![last]].concat();
    for (last, equal) in [(1, false), (0, true)] {
        let rows = [("x.jpg", "train", 0), ("y.jpg", "test", last)].map(|(name, part, last)| {
            std::fs::write(folder.path().join(name), large(last)).unwrap();
            (name.to_owned(), part)
        });
        assert_eq!(!shared(&table(folder.path(), &rows, "").unwrap()).is_empty(), equal);
    }
}

/// The same pixels in another file are found where all pixels are read.
#[test]
fn the_same_pixels_in_two_files_are_said_by_inspect() {
    let folder = tempfile::tempdir().unwrap();
    let rows = copies(folder.path());
    write(&folder.path().join("again.tif"), 1.0, Some(straight(0.0, 0.0, ZONE)));
    let open = |lines: &str| table(folder.path(), &rows, lines).unwrap();
    assert_eq!(shared(&open("")), [""; 0], "the files differ");
    let Summary { warnings, .. } = summarise(&open("")).unwrap();
    let words =
        "1 validation samples have the same pixels as training samples, such as `again.tif` and `first.tif`";
    assert!(warnings.iter().any(|warning| warning.starts_with(words)), "{warnings:#?}");
    let refused = summarise(&open("strict = true")).unwrap_err().to_string();
    assert!(refused.contains("`strict = true`") && refused.contains(words), "{refused}");
    // Images of one value, such as water, are alike by nature.
    for name in ["first.tif", "again.tif"] {
        let raster = Raster { width: 8, height: 8, bands: 1, data: vec![4.0; 64], reference: None };
        write_geotiff(&folder.path().join(name), &raster).unwrap();
    }
    let Summary { warnings, .. } = summarise(&open("")).unwrap();
    assert!(!warnings.iter().any(|warning| warning.contains("same pixels")), "{warnings:#?}");
}

#[test]
fn what_was_found_is_remembered_until_a_file_or_a_part_changes() {
    let folder = tempfile::tempdir().unwrap();
    let kept = tempfile::tempdir().unwrap();
    let rows = copies(folder.path());
    let open = |rows: &[(String, &str)]| {
        table(folder.path(), rows, "").unwrap();
        let dataset = Dataset::open_with(folder.path(), &Limits::default(), Some(kept.path())).unwrap();
        shared(&dataset).len()
    };
    assert_eq!(open(&rows), 1);
    let file = std::fs::read_dir(kept.path()).unwrap().next().unwrap().unwrap().path();
    // Without a look at any file: what the file says is taken.
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("again.tif", "remembered.tif")).unwrap();
    let dataset = Dataset::open_with(folder.path(), &Limits::default(), Some(kept.path())).unwrap();
    assert!(shared(&dataset)[0].contains("remembered.tif"));
    let mut moved = rows.clone();
    moved[2].1 = "train";
    moved[1].1 = "validation";
    assert_eq!(open(&moved), 0);
    write(&folder.path().join("other.tif"), 1.0, None);
    assert_eq!(open(&moved), 1, "another file of equal contents");
}

/// Folders of classes by digest: the remedy is a split by place. 3,000 tiles in little time.
#[test]
fn many_overlapping_tiles_are_counted_quickly() {
    const COUNT: usize = 3000;
    let folder = tempfile::tempdir().unwrap();
    for at in 0..COUNT {
        let class = if at % 2 == 0 { "a" } else { "b" };
        let reference = straight((at % 60) as f64 * 7.0, (at / 60) as f64 * 8.0, ZONE);
        write(&folder.path().join(format!("{class}/{at}.tif")), at as f32, Some(reference));
    }
    let text = "task = \"classification\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\"]\n[layout]\nkind = \"folders\"\nroot = \".\"\n";
    std::fs::write(folder.path().join("dataset.toml"), text).unwrap();
    let start = Instant::now();
    let dataset = Dataset::open(folder.path(), &Limits::default()).unwrap();
    println!("{COUNT} tiles opened in {:?}", start.elapsed());
    let said = shared(&dataset);
    assert!(said.len() == 1 && said[0].contains("`by = \"location\"`"), "{said:#?}");
    let validation = dataset.len(Split::Validation);
    let (count, rest) = said[0].split_once(" of ").unwrap();
    assert!(rest.starts_with(&format!("{validation} validation images")), "{said:#?}");
    let count: usize = count.parse().unwrap();
    // Each tile overlaps two others of its row, of which 80 % are for training.
    assert!((validation * 8 / 10..=validation).contains(&count), "{count} of {validation}");
}
