use super::*;
use crate::geotiff::write_geotiff;
use crate::raster::Raster;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

fn raster(width: usize, height: usize, bands: usize, value: impl Fn(usize, usize, usize) -> f32) -> Raster {
    let mut data = Vec::new();
    for band in 0..bands {
        for y in 0..height {
            data.extend((0..width).map(|x| value(band, x, y)));
        }
    }
    Raster { width, height, bands, data, reference: None }
}

const SCENE: &str = r#"
task = "segmentation"
bands = ["red", "nir"]
classes = ["forest", "water"]
mask_values = [5, 6]
scale = 0.5
nodata = 0
[layout]
kind = "scenes"
images = ["image.tif"]
masks = ["mask.tif"]
tile = 16
stride = 8
[split]
by = "location"
validation = 0.4
"#;

fn scene(config: &str) -> (tempfile::TempDir, Result<Dataset, DataError>) {
    let folder = tempfile::tempdir().unwrap();
    let image = raster(160, 160, 2, |band, x, y| (1 + band * 1000 + x + y) as f32);
    let mut image = image;
    image.data[3] = 0.0;
    write_geotiff(&folder.path().join("image.tif"), &image).unwrap();
    let mask = raster(160, 160, 1, |_, x, _| {
        if x < 80 {
            5.0
        } else if x < 150 {
            6.0
        } else {
            99.0
        }
    });
    write_geotiff(&folder.path().join("mask.tif"), &mask).unwrap();
    fs::write(folder.path().join("dataset.toml"), config).unwrap();
    let dataset = Dataset::open(folder.path(), &Limits::default());
    (folder, dataset)
}

#[test]
fn tiles_carry_scaled_bands_and_mapped_classes() {
    let (_folder, dataset) = scene(SCENE);
    let dataset = dataset.unwrap();
    let all: Vec<Sample> = [Split::Train, Split::Validation]
        .iter()
        .flat_map(|split| dataset.load(*split, &["nir".to_owned()]).unwrap().samples)
        .collect();
    let first = all.iter().find(|sample| sample.key == "image.tif@0,0").unwrap();
    assert_eq!((first.width, first.height, first.image.len()), (16, 16, 256));
    assert_eq!(first.image[0], 1001.0 * 0.5);
    let Target::Mask(mask) = &first.target else { panic!("a mask") };
    assert!(mask.iter().all(|class| *class == 0), "the invalid pixel is in the other band");
    let both = ["red".to_owned(), "nir".to_owned()];
    let split = if dataset.load(Split::Train, &both).unwrap().samples.iter().any(|s| s.key == first.key) {
        Split::Train
    } else {
        Split::Validation
    };
    let first = dataset.load(split, &both).unwrap().samples.into_iter().find(|s| s.key == first.key).unwrap();
    let Target::Mask(mask) = &first.target else { panic!("a mask") };
    assert_eq!((mask[2], mask[3]), (0, IGNORE));
    assert!(first.image[3].is_nan() && first.image[256 + 3].is_nan());
    let edge = all.iter().find(|sample| sample.key.starts_with("image.tif@144,"));
    if let Some(Sample { target: Target::Mask(mask), .. }) = edge {
        assert_eq!((mask[0], mask[15]), (1, IGNORE));
    }
}

#[test]
fn the_split_by_location_never_shares_a_pixel() {
    let (_folder, dataset) = scene(SCENE);
    let dataset = dataset.unwrap();
    let cover = |split| {
        let mut seen = BTreeSet::new();
        for entry in dataset.entries.iter().filter(|entry| entry.split == split) {
            let Source::Tile { tile, .. } = &entry.source else { panic!("a tile") };
            let tiles::Corner { left, top } = tile.corner;
            for y in top..top + tile.tiling.side {
                seen.extend((left..left + tile.tiling.side).map(|x| (x, y)));
            }
        }
        seen
    };
    let train = cover(Split::Train);
    let validation = cover(Split::Validation);
    assert!(!train.is_empty() && !validation.is_empty());
    assert!(train.is_disjoint(&validation));
    assert_eq!(validation.len(), dataset.len(Split::Validation) * 256, "validation tiles do not overlap");
}

#[test]
fn missing_bands_and_bad_masks_are_named() {
    let (folder, dataset) = scene(SCENE);
    let error = dataset.unwrap().load(Split::Train, &["swir".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("`swir`") && error.contains("red, nir"), "{error}");
    let open = || Dataset::open(folder.path(), &Limits::default()).err().unwrap().to_string();
    write_geotiff(&folder.path().join("mask.tif"), &raster(9, 9, 1, |_, _, _| 5.0)).unwrap();
    assert!(open().contains("mask.tif") && open().contains("`9x9`"), "{}", open());
    let plain = SCENE.replace("mask_values = [5, 6]", "");
    fs::write(folder.path().join("dataset.toml"), plain).unwrap();
    write_geotiff(&folder.path().join("mask.tif"), &raster(160, 160, 1, |_, _, _| 2.0)).unwrap();
    assert!(open().contains("found `2`"), "{}", open());
    let (_folder, dataset) = scene(&SCENE.replace("[\"red\", \"nir\"]", "[\"red\"]"));
    assert!(dataset.err().unwrap().to_string().contains("declares 1 band, found `2`"));
}

fn folders(corrupt: usize) -> (tempfile::TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    for (class, value) in [("crop", 10.0), ("sea", 90.0)] {
        fs::create_dir(folder.path().join(class)).unwrap();
        for index in 0..20 {
            let path = folder.path().join(class).join(format!("{index:02}.tif"));
            write_geotiff(&path, &raster(8, 8, 3, |band, _, _| value + band as f32)).unwrap();
        }
    }
    for index in 0..corrupt {
        fs::write(folder.path().join("sea").join(format!("{index:02}.tif")), b"II*\0broken").unwrap();
    }
    let rows: String = (0..20).map(|i| format!("crop/{i:02}.tif,{i},50\n")).collect();
    fs::write(folder.path().join("index.csv"), format!("file,lon,lat\n{rows}")).unwrap();
    let config = "task = \"classification\"\nbands = [\"B04\", \"B03\", \"B02\"]\nclasses = [\"crop\", \"sea\"]\n\
                  max_corrupt_share = 0.1\n[layout]\nkind = \"folders\"\nroot = \".\"\n[split]\nvalidation = 0.0\n";
    fs::write(folder.path().join("dataset.toml"), config).unwrap();
    let dataset = Dataset::open(folder.path(), &Limits::default()).unwrap();
    (folder, dataset)
}

#[test]
fn a_few_corrupt_files_are_skipped_by_name_and_many_are_an_error() {
    let bands = ["B02".to_owned(), "B04".to_owned()];
    let (_folder, dataset) = folders(2);
    let loaded = dataset.load(Split::Train, &bands).unwrap();
    assert_eq!((loaded.samples.len(), loaded.skipped.len()), (38, 2));
    assert!(loaded.skipped[0].contains("00.tif"), "{:?}", loaded.skipped);
    assert_eq!(loaded.samples[0].image[0], 12.0, "B02 is the third band in the file");
    let (_folder, dataset) = folders(8);
    let error = dataset.load(Split::Train, &bands).unwrap_err().to_string();
    assert!(error.starts_with("8 of 40 files") && error.contains("02.tif, …"), "{error}");
    assert_eq!(error.matches("\n  - ").count(), 1, "equal reasons are said once: {error}");
}

#[test]
fn the_share_of_damaged_files_is_of_all_parts_together_and_each_file_counts_once() {
    let (folder, _) = folders(5);
    let path = folder.path().join("dataset.toml");
    let text = fs::read_to_string(&path).unwrap();
    let bands = ["B02".to_owned()];
    let open = || Arc::new(Dataset::open(&path, &Limits::default()).unwrap());
    // 5 of 40 are more than a tenth, and those of one part alone are not.
    let divided = (0..20).find_map(|seed| {
        fs::write(&path, text.replace("validation = 0.0", &format!("validation = 0.5\nseed = {seed}")))
            .unwrap();
        let dataset = open();
        let train = dataset.load(Split::Train, &bands).map_or(0, |loaded| loaded.skipped.len());
        (1..5).contains(&train).then_some((dataset, train))
    });
    let (dataset, train) = divided.unwrap();
    assert_eq!(dataset.load(Split::Train, &bands).unwrap().skipped.len(), train, "read again");
    let said = dataset.load(Split::Validation, &bands).unwrap_err().to_string();
    assert!(said.starts_with("5 of 40 files cannot be read"), "{said}");
    // The same for samples of jobs, also where one part is known from its cache.
    let cache = crate::SampleCache { folder: folder.path().join("cache"), bytes: 1 << 30 };
    for _ in 0..2 {
        let dataset = open();
        let source = |split| crate::SampleSource::open(dataset.clone(), split, &bands, Some(&cache));
        assert_eq!(source(Split::Train).unwrap().facts().skipped.len(), train);
        let said = source(Split::Validation).err().unwrap().to_string();
        assert!(said.starts_with("5 of 40 files cannot be read"), "{said}");
        assert!(said.contains("5 files: "), "reasons of a cache are grouped too: {said}");
    }
}

#[test]
fn damaged_files_are_judged_over_the_whole_data_set_however_small_the_chunks() {
    let bands = ["B02".to_owned()];
    // The two damaged files lie in one chunk of 8, of which they are a quarter.
    let (_folder, dataset) = folders(2);
    let mut chunks = dataset.chunks(Split::Train, &bands, 8).unwrap();
    let sizes: Vec<usize> = chunks.by_ref().map(|chunk| chunk.unwrap().len()).collect();
    assert_eq!((sizes, chunks.done(), chunks.total()), (vec![8, 8, 6, 8, 8], 40, 40));
    assert!(chunks.skipped()[1].contains("sea/01.tif"), "{:?}", chunks.skipped());
    // One file a chunk: the damaged ones leave no empty chunk behind.
    let chunks = dataset.chunks(Split::Train, &bands, 1).unwrap();
    assert_eq!(chunks.map(Result::unwrap).filter(|chunk| chunk.len() == 1).count(), 38);
    // Too many are an error as soon as they have been found, and nothing follows it.
    let (_folder, dataset) = folders(8);
    let mut chunks = dataset.chunks(Split::Train, &bands, 4).unwrap();
    let error = chunks.find_map(Result::err).unwrap().to_string();
    assert!(error.starts_with("at least 8 of 40 files"), "{error}");
    assert!(error.contains("reading stopped after 28 of them"), "{error}");
    assert!(chunks.next().is_none());
}

#[test]
fn the_limit_of_damaged_files_is_the_same_for_small_parts() {
    let (folder, _) = folders(2);
    let path = folder.path().join("dataset.toml");
    let text = fs::read_to_string(&path).unwrap();
    // 2 of 40 files are damaged, 5 %, and most of them may lie in a part of a few files.
    fs::write(&path, text.replace("validation = 0.0", "validation = 0.9\nseed = 3")).unwrap();
    let dataset = Dataset::open(&path, &Limits::default()).unwrap();
    let bands = ["B02".to_owned()];
    let parts = [Split::Train, Split::Validation].map(|split| dataset.load(split, &bands).unwrap());
    assert_eq!(parts.iter().map(|part| part.skipped.len()).sum::<usize>(), 2);
    assert_eq!(parts.iter().map(|part| part.samples.len()).sum::<usize>(), 38);
}

#[test]
fn a_part_without_a_readable_file_is_an_error_even_if_all_may_be_damaged() {
    let (folder, _) = folders(20);
    for index in 0..20 {
        fs::write(folder.path().join(format!("crop/{index:02}.tif")), b"II*\0").unwrap();
    }
    let path = folder.path().join("dataset.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("max_corrupt_share = 0.1", "max_corrupt_share = 1.0")).unwrap();
    let dataset = Dataset::open(&path, &Limits::default()).unwrap();
    let error = dataset.load(Split::Train, &["B02".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("40 of 40") && error.contains("crop/02.tif, …"), "{error}");
}

#[test]
fn the_tile_size_and_the_ground_sampling_distance_of_samples_are_known() {
    let (folder, dataset) = scene(SCENE);
    let imagery = all(&dataset.unwrap(), Split::Train).imagery;
    assert_eq!((imagery.tile, imagery.ground_sampling_distance), (Some([16, 16]), None));
    let path = folder.path().join("image.tif");
    let image = crate::read::read_raster(&path, &Limits::default()).unwrap();
    let reference = crate::georeference::GeoReference {
        pixel_scale: vec![30.0, 30.0, 0.0],
        tie_point: vec![0.0, 0.0, 0.0, 600_000.0, 4_000_000.0, 0.0],
        keys: vec![1, 1, 0, 2, 1024, 0, 1, 1, 3076, 0, 1, 9001],
        ..crate::georeference::GeoReference::default()
    };
    write_geotiff(&path, &Raster { reference: Some(reference), ..image }).unwrap();
    let dataset = Dataset::open(folder.path(), &Limits::default()).unwrap();
    let imagery = all(&dataset, Split::Train).imagery;
    assert_eq!((imagery.tile, imagery.ground_sampling_distance), (Some([16, 16]), Some(30.0)));
}

#[test]
fn a_box_selects_files_by_the_index() {
    let (folder, _) = folders(0);
    let path = folder.path().join("dataset.toml");
    let text = fs::read_to_string(&path).unwrap();
    let text = text
        .replace("root = \".\"", "root = \".\"\nindex = \"index.csv\"\nwhere = { lon_min = 5, lon_max = 9 }");
    fs::write(&path, text).unwrap();
    assert_eq!(Dataset::open(&path, &Limits::default()).unwrap().len(Split::Train), 4);
}

#[test]
fn an_empty_part_is_an_error() {
    let (_folder, dataset) = folders(0);
    let error = dataset.load(Split::Test, &["B02".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("test part has no samples"), "{error}");
}

/// A folder with the files `make` writes and this `dataset.toml`.
fn open(config: &str, make: impl Fn(&Path)) -> (tempfile::TempDir, Result<Dataset, DataError>) {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    fs::write(folder.path().join("dataset.toml"), config).unwrap();
    let dataset = Dataset::open(folder.path(), &Limits::default());
    (folder, dataset)
}

fn all(dataset: &Dataset, split: Split) -> Loaded {
    dataset.load(split, &dataset.config().bands).unwrap()
}

fn tif(folder: &Path, name: &str, raster: &Raster) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_geotiff(&path, raster).unwrap();
}

const TABLE: &str = r#"
task = "multilabel"
bands = ["B04", "VV"]
classes = ["forest, mixed", "water", "urban"]
[layout]
kind = "table"
file = "labels.csv"
root = "patches"
images = ["optical", "radar"]
target = "labels"
split = "part"
"#;

fn table(rows: &str) -> (tempfile::TempDir, Result<Dataset, DataError>) {
    open(TABLE, |folder| {
        for name in ["a", "b"] {
            tif(folder, &format!("patches/s2/{name}.tif"), &raster(8, 8, 1, |_, x, _| x as f32));
            tif(folder, &format!("patches/s1/{name}.tif"), &raster(4, 4, 1, |_, x, _| x as f32));
        }
        fs::write(folder.join("labels.csv"), format!("optical,radar,labels,part\n{rows}")).unwrap();
    })
}

#[test]
fn a_table_gives_several_labels_and_stacks_images_on_the_finest_grid() {
    let (_folder, dataset) =
        table("s2/a.tif,s1/a.tif,\"forest, mixed; urban\",train\ns2/b.tif,s1/b.tif,,test\n");
    let dataset = dataset.unwrap();
    let loaded = all(&dataset, Split::Train);
    assert_eq!(loaded.samples[0].target, Target::Classes(vec![true, false, true]));
    let resampled: Vec<&String> = loaded.notes.iter().filter(|note| note.contains("resampled")).collect();
    assert_eq!(resampled, ["images of 4x4 pixels were resampled to the finest, 8x8 (bilinear)"]);
    // Centres of the fine pixels lie a quarter of a coarse pixel beside those of the coarse ones.
    assert_eq!(loaded.samples[0].image[64..72], [0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]);
    assert_eq!(all(&dataset, Split::Test).samples[0].target, Target::Classes(vec![false; 3]));
}

#[test]
fn mistakes_in_a_table_are_named_with_their_line() {
    let fail = |rows: &str| table(rows).1.err().unwrap().to_string();
    let class = fail("s2/a.tif,s1/a.tif,water,train\ns2/b.tif,s1/b.tif,lake,train\n");
    assert!(class.contains("labels.csv: line 3") && class.contains("`lake`"), "{class}");
    assert!(fail("s2/a.tif,s1/a.tif,water,trian\n").contains("`trian`"));
    assert!(fail("s2/a.tif,,water,train\n").contains("line 2: the path of an image"));
    let (_folder, dataset) = open(&TABLE.replace("\"labels\"", "\"label\""), |folder| {
        fs::write(folder.join("labels.csv"), "optical,radar,labels,part\n").unwrap();
    });
    let column = dataset.err().unwrap().to_string();
    assert!(column.contains("no column `label`") && column.contains("optical, radar, labels"), "{column}");
}

#[test]
fn groups_of_a_table_stay_in_one_part() {
    let config = TABLE
        .replace("multilabel", "classification")
        .replace("split = \"part\"", "group = \"place\"\n[split]\nvalidation = 0.5");
    let (_folder, dataset) = open(&config, |folder| {
        let row = |i: usize| format!("s2/{i}.tif,s1/{i}.tif,water,place-{}\n", i / 5);
        let rows: String = (0..100).map(row).collect();
        fs::write(folder.join("labels.csv"), format!("optical,radar,labels,place\n{rows}")).unwrap();
    });
    let dataset = dataset.unwrap();
    assert!(dataset.len(Split::Validation) > 20 && dataset.len(Split::Train) > 20);
    for place in dataset.entries.chunks_exact(5) {
        assert!(place.iter().all(|entry| entry.split == place[0].split));
    }
}

#[test]
fn change_detection_uses_pixels_that_both_dates_have() {
    let config = r#"
        task = "change_detection"
        bands = ["red", "nir"]
        classes = ["same", "changed"]
        nodata = -1
        [layout]
        kind = "pairs"
        images = "before"
        after = "after"
        masks = "change"
        [split]
        validation = 0.0
    "#;
    let (folder, dataset) = open(config, |folder| {
        let mut after = raster(8, 8, 2, |band, _, _| 10.0 + band as f32);
        after.data[5] = -1.0;
        tif(folder, "before/a.tif", &raster(8, 8, 2, |band, _, _| band as f32));
        tif(folder, "after/a.tif", &after);
        tif(folder, "change/a.tif", &raster(8, 8, 1, |_, x, _| if x > 3 { 1.0 } else { 0.0 }));
    });
    let sample = all(&dataset.unwrap(), Split::Train).samples.remove(0);
    assert_eq!(sample.image.len(), 4 * 64);
    assert_eq!([0, 64, 128, 192].map(|at| sample.image[at]), [0.0, 1.0, 10.0, 11.0]);
    assert!([5, 64 + 5, 128 + 5, 192 + 5].iter().all(|at| sample.image[*at].is_nan()));
    let Target::Mask(mask) = &sample.target else { panic!("a mask") };
    assert_eq!(mask[..8], [0, 0, 0, 0, 1, IGNORE, 1, 1]);
    let reread = |name: &str| {
        tif(folder.path(), name, &raster(4, 8, 2, |_, _, _| 1.0));
        let dataset = Dataset::open(folder.path(), &Limits::default()).unwrap();
        dataset.load(Split::Train, &["red".to_owned()]).unwrap_err().to_string()
    };
    assert!(reread("after/a.tif").contains("both dates must have one size"));
}

#[test]
fn regression_keeps_values_and_leaves_out_tiles_without_any() {
    let config = r#"
        task = "regression"
        bands = ["VV"]
        classes = ["biomass"]
        nodata = -9999
        target_nodata = -1
        [layout]
        kind = "pairs"
        images = "s1"
        targets = "agbm"
        tile = 8
        [split]
        validation = 0.0
    "#;
    let (_folder, dataset) = open(config, |folder| {
        tif(folder, "s1/a.tif", &raster(16, 8, 1, |_, x, _| if x == 0 { -9999.0 } else { -12.0 }));
        tif(folder, "agbm/a.tif", &raster(16, 8, 1, |_, x, _| if x == 1 { -1.0 } else { 50.5 }));
        tif(folder, "s1/b.tif", &raster(16, 8, 1, |_, x, _| if x < 8 { -9999.0 } else { -12.0 }));
        tif(folder, "agbm/b.tif", &raster(16, 8, 1, |_, x, _| if x < 8 { 1.0 } else { -1.0 }));
    });
    let dataset = dataset.unwrap();
    // Of b, the right tile has no target and the left one no data: both are left out.
    assert_eq!(dataset.len(Split::Train), 2);
    let first = dataset.chunks(Split::Train, &["VV".to_owned()], 2).unwrap().next().unwrap().unwrap();
    let Target::Values(values) = &first[0].target else { panic!("values") };
    assert!(values[0].is_nan() && values[1].is_nan() && values[2] == 50.5, "{:?}", &values[..3]);
}

#[test]
fn an_image_without_data_is_skipped_by_name() {
    let config = "task = \"segmentation\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\"]\nnodata = 7\n[layout]\nkind = \"pairs\"\n\
                  images = \"i\"\nmasks = \"m\"\n[split]\nvalidation = 0.0\n";
    let (_folder, dataset) = open(config, |folder| {
        tif(folder, "i/a.tif", &raster(8, 8, 1, |_, _, _| 7.0));
        tif(folder, "m/a.tif", &raster(8, 8, 1, |_, _, _| 1.0));
    });
    let error = dataset.unwrap().load(Split::Train, &["red".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("a.tif") && error.contains("at least one pixel with data"), "{error}");
}

#[test]
fn images_that_are_cut_stay_whole_in_one_part() {
    let config = r#"
        task = "segmentation"
        bands = ["red"]
        classes = ["a", "b"]
        max_corrupt_share = 0.2
        [layout]
        kind = "pairs"
        images = "images"
        masks = "masks"
        tile = 8
        stride = 4
        [split]
        validation = 0.5
    "#;
    let (_folder, dataset) = open(config, |folder| {
        for i in 0..10 {
            tif(folder, &format!("images/{i}.tif"), &raster(16, 16, 1, |_, x, _| x as f32));
            tif(folder, &format!("masks/{i}.tif"), &raster(16, 16, 1, |_, x, _| (x % 2) as f32));
        }
        fs::write(folder.join("images/3.tif"), b"II*\0").unwrap();
    });
    let dataset = dataset.unwrap();
    let mut parts = BTreeMap::new();
    for entry in &dataset.entries {
        let image = entry.key.split('@').next().unwrap().to_owned();
        assert_eq!(*parts.entry(image).or_insert(entry.split), entry.split, "{}", entry.key);
    }
    assert_eq!(parts.len(), 9);
    assert!(all(&dataset, Split::Train).skipped[0].contains("3.tif"));
}

#[test]
fn a_mask_may_hold_only_classes() {
    let config = "task = \"segmentation\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\"]\n[layout]\nkind = \"pairs\"\n\
                  images = \"i\"\nmasks = \"m\"\n[split]\nvalidation = 0.0\n";
    for value in [2.0, 0.5, -1.0, 300.0] {
        let (_folder, dataset) = open(config, |folder| {
            tif(folder, "i/a.tif", &raster(8, 8, 1, |_, _, _| 1.0));
            tif(folder, "m/a.tif", &raster(8, 8, 1, |_, x, _| if x == 0 { value } else { 255.0 }));
        });
        let error = dataset.unwrap().load(Split::Train, &["red".to_owned()]).unwrap_err().to_string();
        assert!(error.contains(&format!("found `{value}`")), "{error}");
    }
}

/// A scene of two bands in files of different resolution, with a mask; a third of it has no label.
fn coarse_and_fine(folder: &Path) -> PathBuf {
    let fine = raster(96, 96, 1, |_, y, x| (y * 96 + x) as f32);
    let coarse = raster(48, 48, 1, |_, y, x| ((y * 31 + x * 17) % 211) as f32);
    let mask = raster(96, 96, 1, |_, y, x| if y < 32 { 255.0 } else { ((y + x) % 2) as f32 });
    for (name, raster) in [("fine/a.tif", &fine), ("coarse/a.tif", &coarse), ("masks/a.tif", &mask)] {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        tif(folder, name, raster);
    }
    let text = |layout: &str| {
        format!(
            "task = \"segmentation\"\nbands = [\"red\", \"nir\"]\nclasses = [\"a\", \"b\"]\n[layout]\n{layout}\n\
             [split]\nvalidation = 0.0\ntest = 0.0\n"
        )
    };
    let pairs = "kind = \"pairs\"\nimages = [\"coarse\", \"fine\"]\nmasks = \"masks\"";
    fs::write(folder.join("whole.toml"), text(pairs)).unwrap();
    let path = folder.join("cut.toml");
    fs::write(&path, text(&format!("{pairs}\ntile = 32"))).unwrap();
    path
}

#[test]
fn windows_of_a_scene_are_parts_of_the_whole_though_bands_are_resampled() {
    let folder = tempfile::tempdir().unwrap();
    let cut = coarse_and_fine(folder.path());
    let load = |path: &Path| {
        let dataset = Dataset::open(path, &Limits::default()).unwrap();
        dataset.load(Split::Train, &["red".to_owned(), "nir".to_owned()]).unwrap().samples
    };
    let whole = load(&folder.path().join("whole.toml")).remove(0);
    let tiles = load(&cut);
    assert_eq!(tiles.len(), 6, "tiles without a label are left out");
    for tile in tiles {
        let (left, top) = tile.key.split_once('@').unwrap().1.split_once(',').unwrap();
        let [left, top] = [left, top].map(|number| number.parse::<usize>().unwrap());
        for (band, values) in tile.image.chunks_exact(32 * 32).enumerate() {
            for (at, value) in values.iter().enumerate() {
                let place = (band * 96 + top + at / 32) * 96 + left + at % 32;
                assert_eq!(value.to_bits(), whole.image[place].to_bits(), "{} {band} {at}", tile.key);
            }
        }
    }
}

#[test]
fn which_tiles_can_be_used_is_remembered_until_a_file_changes() {
    let folder = tempfile::tempdir().unwrap();
    let kept = tempfile::tempdir().unwrap();
    let path = coarse_and_fine(folder.path());
    let open = || Dataset::open_with(&path, &Limits::default(), Some(kept.path())).unwrap();
    assert_eq!(open().len(Split::Train), 6);
    let file = fs::read_dir(kept.path()).unwrap().next().unwrap().unwrap().path();
    // What the file says counts: no pixel is read again.
    let text = fs::read_to_string(&file).unwrap();
    let mut index: serde_json::Value = serde_json::from_str(&text).unwrap();
    let scenes = index["scenes"].as_object_mut().unwrap();
    scenes.values_mut().for_each(|usable| drop(usable["corners"].as_array_mut().unwrap().pop()));
    fs::write(&file, index.to_string()).unwrap();
    assert_eq!((open().len(Split::Train), open().first_size(Split::Train)), (5, Some([32, 32])));
    let mask = raster(96, 96, 1, |_, y, x| ((y + x) % 2) as f32);
    tif(folder.path(), "masks/a.tif", &mask);
    assert_eq!(open().len(Split::Train), 9);
    fs::write(&file, "damaged").unwrap();
    assert_eq!(open().len(Split::Train), 9);
}
