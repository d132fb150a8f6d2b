//! What `data inspect` says of a data set: parts, equal errors, samples of it, and files that are not used.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::path::Path;

use eosfed_data::{
    Dataset, GeoReference, Limits, Look, Raster, Summary, read_raster, summarise, summarise_with,
    write_geotiff,
};

const SIDE: usize = 32;

fn write(path: &Path, value: f32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let data = vec![value; SIDE * SIDE];
    write_geotiff(path, &Raster { width: SIDE, height: SIDE, bands: 1, data, reference: None }).unwrap();
}

fn describe(folder: &Path, task: &str, layout: &str, split: &str) {
    let text = format!(
        "task = \"{task}\"\nbands = [\"x\"]\nclasses = [\"a\", \"b\"]\nmax_corrupt_share = 0.5\n[layout]\n{layout}\n\
         [split]\n{split}\n"
    );
    std::fs::write(folder.join("dataset.toml"), text).unwrap();
}

fn classes(count: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for at in 0..count {
        write(&folder.path().join(format!("a/{at:03}.tif")), at as f32);
    }
    write(&folder.path().join("b/1.tif"), 7.0);
    describe(folder.path(), "classification", "kind = \"folders\"\nroot = \".\"", "validation = 0.0");
    folder
}

fn open(folder: &Path) -> Dataset {
    Dataset::open(folder, &Limits::default()).unwrap()
}

fn said(summary: &Summary, text: &str) -> usize {
    summary.warnings.iter().filter(|warning| warning.contains(text)).count()
}

#[test]
fn equal_errors_are_said_once_and_moments_are_of_all() {
    let folder = classes(70);
    for at in 0..8 {
        std::fs::write(folder.path().join(format!("a/{at:03}.tif")), "II*\0").unwrap();
    }
    let dataset = open(folder.path());
    let mut told = Vec::new();
    let summary = summarise_with(&dataset, Look::default(), |done, total| told.push((done, total))).unwrap();
    assert_eq!(told, [(32, 71), (64, 71), (71, 71)]);
    assert_eq!((summary.unreadable.len(), summary.unreadable[0].files), (1, 8), "{:?}", summary.unreadable);
    assert_eq!(said(&summary, "skipped: 8 files: "), 1, "{:?}", summary.warnings);
    // The root of the layout is `.`, which is no part of a name.
    assert_eq!(summary.unreadable[0].examples[0], folder.path().join("a/000.tif").to_str().unwrap());
    assert_eq!(summary.classes["train"]["a"], 62);
    let mean = ((8..70).sum::<usize>() + 7) as f64 / 63.0;
    assert!((summary.bands[0].mean - mean).abs() < 1e-9 && summary.bands[0].count == 63 * 1024);
}

#[test]
fn all_unreadable_files_are_counted_and_grouped_above_the_limit_too() {
    let folder = classes(70);
    let damage = |range: std::ops::Range<usize>| {
        for at in range {
            std::fs::write(folder.path().join(format!("a/{at:03}.tif")), "II*\0").unwrap();
        }
    };
    // More than the limit allows already in the first files that are read.
    damage(0..60);
    let said = summarise(&open(folder.path())).unwrap_err().to_string();
    assert!(said.starts_with("60 of 71 files cannot be read, more than `max_corrupt_share` = 0.5"), "{said}");
    assert!(said.contains("\n  - 60 files: ") && said.lines().count() == 2, "{said}");
    // Of some samples, the share is of these.
    let look = |most| summarise_with(&open(folder.path()), Look { most: Some(most) }, |_, _| ());
    let said = look(10).unwrap_err().to_string();
    assert!(said.starts_with("9 of 10 files cannot be read"), "{said}");
    // A part of which nothing can be read has no numbers.
    let whole = std::fs::read_to_string(folder.path().join("dataset.toml")).unwrap();
    let text = whole.replace("max_corrupt_share = 0.5", "max_corrupt_share = 1.0");
    std::fs::write(folder.path().join("dataset.toml"), text).unwrap();
    assert_eq!(summarise(&open(folder.path())).unwrap().unreadable[0].files, 60);
    damage(60..70);
    std::fs::write(folder.path().join("b/1.tif"), "II*\0").unwrap();
    let said = summarise(&open(folder.path())).unwrap_err().to_string();
    assert!(said.starts_with("71 of 71 files cannot be read"), "{said}");
}

#[test]
fn a_sample_is_spread_over_each_part_and_said() {
    let folder = classes(50);
    let dataset = open(folder.path());
    let summary = summarise_with(&dataset, Look { most: Some(10) }, |_, _| ()).unwrap();
    assert_eq!(summary.looked_at.as_ref().unwrap()["train"], 10);
    assert_eq!((summary.samples["train"], summary.bands[0].count), (51, 10 * 1024));
    assert_eq!((summary.bands[0].min, summary.bands[0].max), (0.0, 45.0));
    assert_eq!(said(&summary, "10 of 51 samples were read"), 1, "{:?}", summary.warnings);
    let all = summarise_with(&dataset, Look { most: Some(51) }, |_, _| ()).unwrap();
    assert_eq!((all.looked_at, all.bands[0].count), (None, 51 * 1024));
}

#[test]
fn unused_files_are_listed_with_their_reasons() {
    let folder = classes(2);
    let path = folder.path();
    write(&path.join("a/deeper/1.tif"), 1.0);
    write(&path.join("other/1.tif"), 1.0);
    for file in ["a/B02.jp2", "a/001.tif.aux.xml", "top.png", "readme.txt"] {
        std::fs::write(path.join(file), "<a/>").unwrap();
    }
    let unused = summarise(&open(path)).unwrap().unused;
    let reason = |file: &str| {
        let found = unused.iter().find(|unused| unused.file == file);
        found.map_or_else(|| panic!("{file}: {unused:?}"), |unused| unused.reason.as_str())
    };
    for (file, word) in [
        ("a/deeper/1.tif", "deeper"),
        ("other/1.tif", "none of `classes`"),
        ("a/B02.jp2", "ending"),
        ("readme.txt", "ending"),
        ("a/001.tif.aux.xml", "beside"),
        ("top.png", "no folder of a class"),
    ] {
        assert!(reason(file).contains(word), "{file}: {}", reason(file));
    }
    assert_eq!(unused.len(), 6, "{unused:?}");
}

#[test]
fn a_world_file_that_is_not_read_is_said_with_the_command() {
    let folder = classes(2);
    let path = folder.path();
    assert_eq!(said(&summarise(&open(path)).unwrap(), "gdal_translate"), 0);
    for file in ["a/001.tfw", "b/1.TFW"] {
        std::fs::write(path.join(file), "10\n0\n0\n-10\n500005\n5299995\n").unwrap();
    }
    let summary = summarise(&open(path)).unwrap();
    for word in [
        "gdal_translate -a_srs EPSG:CODE",
        "a/001.tif has no georeference of its own",
        "001.tfw",
        "1 more image likewise",
    ] {
        assert_eq!(said(&summary, word), 1, "{word}: {:?}", summary.warnings);
    }
    let listed = |word: &str| summary.unused.iter().filter(|file| file.reason.contains(word)).count();
    assert_eq!((summary.unused.len(), listed("which is not read")), (2, 2), "{:?}", summary.unused);
    // So is GDAL's own form.
    let metadata = "<PAMDataset><SRS>EPSG:32632</SRS></PAMDataset>";
    std::fs::rename(path.join("a/001.tfw"), path.join("a/001.tif.aux.xml")).unwrap();
    std::fs::write(path.join("a/001.tif.aux.xml"), metadata).unwrap();
    assert_eq!(said(&summarise(&open(path)).unwrap(), "that in 001.tif.aux.xml beside it is not read"), 1);
    // An image with a georeference of its own does not need it.
    let reference = GeoReference {
        pixel_scale: vec![10.0, 10.0, 0.0],
        tie_point: vec![0.0, 0.0, 0.0, 500_000.0, 5_300_000.0, 0.0],
        keys: vec![1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32632],
        ..GeoReference::default()
    };
    for file in ["a/001.tif", "b/1.tif"] {
        let raster = read_raster(&path.join(file), &Limits::default()).unwrap();
        write_geotiff(&path.join(file), &Raster { reference: Some(reference.clone()), ..raster }).unwrap();
    }
    let summary = summarise(&open(path)).unwrap();
    assert_eq!(said(&summary, "gdal_translate"), 0, "{:?}", summary.warnings);
    assert!(
        summary.unused.iter().all(|file| file.reason == "describes a file beside it"),
        "{:?}",
        summary.unused
    );
}

#[test]
fn a_class_that_a_part_lacks_and_masks_of_0_and_255_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let rows: String = (0..8)
        .map(|at| {
            write(&path.join(format!("{at}.tif")), at as f32);
            let part = if at < 4 { "train" } else { "validation" };
            format!("{at}.tif,{},{part}\n", if at < 2 { "b" } else { "a" })
        })
        .collect();
    std::fs::write(path.join("t.csv"), format!("f,c,p\n{rows}")).unwrap();
    let layout = "kind = \"table\"\nfile = \"t.csv\"\nimages = \"f\"\ntarget = \"c\"\nsplit = \"p\"";
    describe(path, "classification", layout, "validation = 0.5");
    let summary = summarise(&open(path)).unwrap();
    assert_eq!(said(&summary, "validation part should have several classes, found only `a`"), 1);
    assert_eq!(summary.unused, []);

    let folder = tempfile::tempdir().unwrap();
    for at in 0..4 {
        write(&folder.path().join(format!("i/{at}.tif")), 1.0);
        let mask = folder.path().join(format!("m/{at}.png"));
        std::fs::create_dir_all(mask.parent().unwrap()).unwrap();
        let side = u32::try_from(SIDE).unwrap();
        image::GrayImage::from_fn(side, side, |x, _| image::Luma([if x < 9 { 0 } else { 255 }]))
            .save(&mask)
            .unwrap();
    }
    let layout = "kind = \"pairs\"\nimages = \"i\"\nmasks = \"m\"";
    describe(folder.path(), "segmentation", layout, "validation = 0.0");
    let summary = summarise(&open(folder.path())).unwrap();
    assert_eq!(said(&summary, "write `mask_values = [0, 255]`"), 1, "{:?}", summary.warnings);
    let counted = "1152 pixels of `a`, none of another class, and 2944 pixels of 255, which is no label";
    assert_eq!(said(&summary, counted), 1, "{:?}", summary.warnings);
    // So it is where `mask_values` does not list it, and with more classes.
    let file = folder.path().join("dataset.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let warned = |text: &str, about: &str| {
        std::fs::write(&file, text).unwrap();
        said(&summarise(&open(folder.path())).unwrap(), about)
    };
    assert_eq!(warned(&format!("mask_values = [0, 1]\n{text}"), "write `mask_values = [0, 255]`"), 1);
    let three = text.replace("\"b\"", "\"b\", \"c\"");
    assert_eq!(warned(&three, "if it is a class, write 255 in its place in `mask_values`"), 1);
    assert_eq!(warned(&format!("mask_values = [0, 255]\n{text}"), "which is no label"), 0);
    // Pixels without data are not said to hold 255.
    for at in 0..4 {
        std::fs::remove_file(folder.path().join(format!("m/{at}.png"))).unwrap();
        let data = (0..SIDE * SIDE).map(|at| if at % SIDE < 9 { 0.0 } else { f32::NAN }).collect();
        let mask = Raster { width: SIDE, height: SIDE, bands: 1, data, reference: None };
        write_geotiff(&folder.path().join(format!("m/{at}.tif")), &mask).unwrap();
    }
    assert_eq!(warned(&text, "255"), 0);
}

#[test]
fn what_lies_beside_the_folders_of_the_layout_is_listed_and_folders_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for at in 0..3 {
        for place in ["in/i", "in/other", "m", "s1/2020", "s1/2021"] {
            write(&path.join(format!("{place}/{at}.tif")), f32::from(at > 1));
        }
    }
    std::fs::create_dir(path.join("empty")).unwrap();
    std::fs::write(path.join("labels.csv"), "").unwrap();
    std::os::unix::fs::symlink("/", path.join("link")).unwrap();
    let layout = "kind = \"pairs\"\nimages = \"in/i\"\nmasks = \"m\"";
    describe(path, "segmentation", layout, "validation = 0.0");
    let unused = summarise(&open(path)).unwrap().unused;
    let found: Vec<_> = unused.iter().map(|unused| (unused.file.as_str(), unused.files)).collect();
    let wanted =
        [("empty/", Some(0)), ("in/other/", Some(3)), ("s1/", Some(6)), ("labels.csv", None), ("link", None)];
    assert_eq!(found, wanted, "{unused:?}");
    assert!(unused[0].reason.contains("`layout` does not name") && unused[3].reason.contains("beside"));
}

#[test]
fn pixels_of_values_that_are_not_listed_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (at, value) in [4.0, 7.0, 9.0, 255.0, 4.5].into_iter().enumerate() {
        write(&path.join(format!("i/{at}.tif")), 1.0);
        write(&path.join(format!("m/{at}.tif")), value);
    }
    let layout = "kind = \"pairs\"\nimages = \"i\"\nmasks = \"m\"";
    describe(path, "segmentation", layout, "validation = 0.0");
    let text = std::fs::read_to_string(path.join("dataset.toml")).unwrap();
    let of = |values: &str, layout: &str| {
        let text = format!("mask_values = {values}\n{text}").replace("masks = \"m\"", layout);
        std::fs::write(path.join("dataset.toml"), text).unwrap();
        summarise(&open(path)).unwrap()
    };
    // 255 is no value where it is not listed.
    let whole = of("[4, 7]", "masks = \"m\"");
    let pixels = |value: &str| whole.unlisted_mask_values.get(value).copied();
    assert_eq!((pixels("9"), pixels("others"), pixels("255")), (Some(1024), Some(1024), None));
    assert_eq!(said(&whole, "2048 pixels of masks without a label"), 1, "{:?}", whole.warnings);
    assert!(whole.warnings.iter().any(|warning| warning.contains("9 (1024), others (1024)")));
    assert_eq!(said(&whole, "add each value there"), 1);
    assert!(!whole.warnings.iter().any(|warning| warning.contains("  ")), "{:?}", whole.warnings);
    assert_eq!(of("[4, 255]", "masks = \"m\"").unlisted_mask_values["7"], 1024);
    // A tile without any label is no sample.
    let tiles = of("[4, 7]", "masks = \"m\"\ntile = 16");
    assert_eq!(said(&tiles, "without a label, since"), 0, "{:?}", tiles.warnings);
}

#[test]
fn the_target_of_a_regression_has_its_unit_deviation_and_percentiles() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for at in 0..101 {
        write(&path.join(format!("i/{at}.tif")), 1.0);
        write(&path.join(format!("m/{at}.tif")), at as f32);
    }
    let text = "task = \"regression\"\nbands = [\"x\"]\nclasses = [\"height\"]\ntarget_unit = \"m\"\n[layout]\nkind = \
                \"pairs\"\nimages = \"i\"\nmasks = \"m\"\n[split]\nvalidation = 0.0\n";
    std::fs::write(path.join("dataset.toml"), text).unwrap();
    let target = summarise(&open(path)).unwrap().target.unwrap();
    assert_eq!((target.moments.band.as_str(), target.unit.as_deref()), ("height", Some("m")));
    assert!((target.moments.mean - 50.0).abs() < 1e-9 && (target.std - 850_f64.sqrt()).abs() < 1e-9);
    let found = target.percentiles.unwrap();
    assert_eq!((found.p2, found.p50, found.p98), (2.0, 50.0, 98.0));
    let json = serde_json::to_value(&target).unwrap();
    assert_eq!((json["unit"].as_str(), json["count"].as_u64()), (Some("m"), Some(101 * 1024)));
    // Without a unit and without a pixel that has a target.
    for at in 0..101 {
        write(&path.join(format!("m/{at}.tif")), f32::NAN);
    }
    std::fs::write(path.join("dataset.toml"), text.replace("target_unit = \"m\"\n", "")).unwrap();
    let target = summarise(&open(path)).unwrap().target.unwrap();
    assert_eq!((target.unit, target.percentiles, target.std), (None, None, 0.0));
}
