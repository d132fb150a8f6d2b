use super::*;
use crate::geotiff::write_geotiff;

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
    std::fs::write(folder.path().join("dataset.toml"), config).unwrap();
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
        let mut seen = std::collections::BTreeSet::new();
        for entry in dataset.entries.iter().filter(|entry| entry.split == split) {
            let Source::Tile { left, top, side, .. } = &entry.source else { panic!("a tile") };
            for y in *top..top + side {
                seen.extend((*left..left + side).map(|x| (x, y)));
            }
        }
        seen
    };
    let (train, validation) = (cover(Split::Train), cover(Split::Validation));
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
    std::fs::write(folder.path().join("dataset.toml"), plain).unwrap();
    write_geotiff(&folder.path().join("mask.tif"), &raster(160, 160, 1, |_, _, _| 2.0)).unwrap();
    assert!(open().contains("found `2`"), "{}", open());
    let (_folder, dataset) = scene(&SCENE.replace("[\"red\", \"nir\"]", "[\"red\"]"));
    assert!(dataset.err().unwrap().to_string().contains("declares 1 bands, found `2`"));
}

fn folders(corrupt: usize) -> (tempfile::TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    for (class, value) in [("crop", 10.0), ("sea", 90.0)] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        for index in 0..20 {
            let path = folder.path().join(class).join(format!("{index:02}.tif"));
            write_geotiff(&path, &raster(8, 8, 3, |band, _, _| value + band as f32)).unwrap();
        }
    }
    for index in 0..corrupt {
        std::fs::write(folder.path().join("sea").join(format!("{index:02}.tif")), b"II*\0broken").unwrap();
    }
    let rows: String = (0..20).map(|i| format!("crop/{i:02}.tif,{i},50\n")).collect();
    std::fs::write(folder.path().join("index.csv"), format!("file,lon,lat\n{rows}")).unwrap();
    let config = "task = \"classification\"\nbands = [\"B04\", \"B03\", \"B02\"]\nclasses = [\"crop\", \"sea\"]\n\
                  max_corrupt_share = 0.1\n[layout]\nkind = \"folders\"\nroot = \".\"\n[split]\nvalidation = 0.0\n";
    std::fs::write(folder.path().join("dataset.toml"), config).unwrap();
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
    assert!(error.contains("8 of 40") && error.contains("07.tif"), "{error}");
}

#[test]
fn a_place_selects_files_by_the_index() {
    let (folder, _) = folders(0);
    let path = folder.path().join("dataset.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text
        .replace("root = \".\"", "root = \".\"\nindex = \"index.csv\"\nwhere = { lon_min = 5, lon_max = 9 }");
    std::fs::write(&path, text).unwrap();
    assert_eq!(Dataset::open(&path, &Limits::default()).unwrap().len(Split::Train), 4);
}

#[test]
fn an_empty_part_is_an_error() {
    let (_folder, dataset) = folders(0);
    let error = dataset.load(Split::Test, &["B02".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("test part has no samples"), "{error}");
}
