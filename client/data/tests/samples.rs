//! Samples one at a time: from the files and from the cache they are the same, and the cache keeps its promises.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eosfed_data::{
    DataError, Dataset, Limits, Origin, Packed, Pixels, Raster, Sample, SampleCache, SampleSource, Split,
    band_statistics, write_geotiff,
};

const SIDE: usize = 8;
const GIB: u64 = 1 << 30;

/// A data set of `images` images for each of two classes, with whole numbers or fractions as values.
fn dataset(folder: &Path, images: usize, step: f32) -> PathBuf {
    for (class, name) in ["dark", "light"].into_iter().enumerate() {
        fs::create_dir_all(folder.join("images").join(name)).unwrap();
        (0..images).for_each(|image| write(folder, name, image, class as f32 * 900.0, step));
    }
    let text = "task = \"classification\"\nbands = [\"red\", \"nir\"]\nclasses = [\"dark\", \"light\"]\nscale = 0.001\n\
                offset = -0.1\nnodata = 77\nmax_corrupt_share = 0.2\n[layout]\nkind = \"folders\"\nroot = \"images\"\n\
                [split]\nvalidation = 0.3\ntest = 0.0\n";
    fs::write(folder.join("dataset.toml"), text).unwrap();
    folder.join("dataset.toml")
}

fn write(folder: &Path, class: &str, image: usize, first: f32, step: f32) {
    let data = (0..2 * SIDE * SIDE).map(|at| first + (at * 7 + image) as f32 * step).collect();
    let raster = Raster { width: SIDE, height: SIDE, bands: 2, data, reference: None };
    write_geotiff(&folder.join(format!("images/{class}/{image:03}.tif")), &raster).unwrap();
}

fn bands() -> Vec<String> {
    ["nir".to_owned(), "red".to_owned()].to_vec()
}

fn open(path: &Path, split: Split, cache: Option<&SampleCache>) -> Result<SampleSource, DataError> {
    let dataset = Dataset::open(path, &Limits::default()).unwrap();
    SampleSource::open(Arc::new(dataset), split, &bands(), cache)
}

fn all(source: &SampleSource) -> Vec<Packed> {
    (0..source.len()).map(|at| source.get(at).unwrap()).collect()
}

fn cache(folder: &Path, bytes: u64) -> SampleCache {
    SampleCache { folder: folder.join("cache"), bytes }
}

fn names(cache: &SampleCache, ending: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(&cache.folder).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

fn scaled(packed: &Packed) -> Vec<u32> {
    packed.values().into_iter().map(|value| (value * 0.001 + -0.1).to_bits()).collect()
}

#[test]
fn the_cache_and_the_files_give_what_loading_gives() {
    for (step, whole) in [(1.0, true), (0.3, false)] {
        let folder = tempfile::tempdir().unwrap();
        let path = dataset(folder.path(), 12, step);
        let cache = cache(folder.path(), GIB);
        let loaded = Dataset::open(&path, &Limits::default()).unwrap().load(Split::Train, &bands()).unwrap();
        let files = open(&path, Split::Train, None).unwrap();
        let new = open(&path, Split::Train, Some(&cache)).unwrap();
        let kept = open(&path, Split::Train, Some(&cache)).unwrap();
        assert_eq!(
            [&files, &new, &kept].map(SampleSource::origin),
            [Origin::Files, Origin::NewCache, Origin::Cache]
        );
        assert_eq!(matches!(kept.get(0).unwrap().pixels, Pixels::U8(_) | Pixels::U16(_)), whole);
        for source in [&files, &new, &kept] {
            assert_eq!(source.len(), loaded.samples.len());
            assert_eq!((source.facts(), source.problem()), (files.facts(), None));
            for (packed, sample) in all(source).iter().zip(&loaded.samples) {
                let Sample { height, width, image, target, .. } = sample;
                assert_eq!((packed.height, packed.width, &packed.target), (*height, *width, target));
                let bits: Vec<u32> = image.iter().map(|value| value.to_bits()).collect();
                let found = scaled(packed);
                assert!(found.iter().zip(&bits).all(|(a, b)| a == b || f32::from_bits(*a).is_nan()));
                assert_eq!(found.len(), bits.len());
            }
        }
        let moments = band_statistics(&bands(), loaded.samples.iter());
        assert_eq!((&files.facts().statistics, files.facts().imagery), (&moments, loaded.imagery));
    }
}

#[test]
fn a_changed_file_or_description_is_decoded_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = dataset(folder.path(), 6, 1.0);
    let cache = cache(folder.path(), GIB);
    let origin = || open(&path, Split::Train, Some(&cache)).unwrap().origin();
    assert_eq!([origin(), origin()], [Origin::NewCache, Origin::Cache]);
    (0..6).for_each(|image| write(folder.path(), "dark", image, 5.0, 1.0));
    assert_eq!([origin(), origin()], [Origin::NewCache, Origin::Cache]);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("nodata = 77", "nodata = 78")).unwrap();
    assert_eq!([origin(), origin()], [Origin::NewCache, Origin::Cache]);
}

#[test]
fn what_does_not_fit_is_read_from_the_files_and_what_is_known_of_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = dataset(folder.path(), 6, 1.0);
    let cache = cache(folder.path(), 500);
    let first = open(&path, Split::Train, Some(&cache)).unwrap();
    assert_eq!((first.origin(), first.problem()), (Origin::Files, None));
    assert!(names(&cache, ".samples").is_empty() && names(&cache, ".json").len() == 1);
    let facts = first.facts().clone();
    let again = open(&path, Split::Train, Some(&cache)).unwrap();
    assert_eq!((again.origin(), again.facts()), (Origin::Files, &facts));
    assert_eq!(all(&again), all(&open(&path, Split::Train, None).unwrap()));
}

#[test]
fn the_oldest_is_removed_first_and_what_is_read_stays() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a", "b", "c"].map(|name| dataset(&folder.path().join(name), 12, 1.0));
    let mut cache = cache(folder.path(), GIB);
    let origin = |path: &Path, cache: &SampleCache| open(path, Split::Train, Some(cache)).unwrap().origin();
    assert_eq!(origin(&paths[0], &cache), Origin::NewCache);
    let one = names(&cache, ".samples")[0].metadata().unwrap().len();
    assert_eq!(origin(&paths[1], &cache), Origin::NewCache);
    // Each now has its own age: the first was used last.
    for path in names(&cache, ".samples") {
        let past = path.metadata().unwrap().modified().unwrap() - Duration::from_secs(60);
        fs::File::open(path).unwrap().set_modified(past).unwrap();
    }
    assert_eq!(origin(&paths[0], &cache), Origin::Cache);
    cache.bytes = 2 * one + one / 2;
    assert_eq!(origin(&paths[2], &cache), Origin::NewCache);
    assert_eq!(names(&cache, ".samples").len(), 2);
    assert_eq!(origin(&paths[0], &cache), Origin::Cache, "the second was the oldest");
    let reading = paths[..1].iter().chain(&paths[2..]);
    let held: Vec<_> = reading.map(|path| open(path, Split::Train, Some(&cache)).unwrap()).collect();
    assert_eq!(origin(&paths[1], &cache), Origin::Files, "there is room for two, and both are being read");
    drop(held);
    assert_eq!(origin(&paths[1], &cache), Origin::NewCache);
}

#[test]
fn a_killed_writer_leaves_nothing_and_damage_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let path = dataset(folder.path(), 6, 1.0);
    let cache = cache(folder.path(), GIB);
    fs::create_dir_all(&cache.folder).unwrap();
    fs::write(cache.folder.join(".writing-abc"), "half a file").unwrap();
    let wanted = all(&open(&path, Split::Train, None).unwrap());
    drop(open(&path, Split::Train, Some(&cache)).unwrap());
    assert!(!cache.folder.join(".writing-abc").exists());
    let file = names(&cache, ".samples").remove(0);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // A sample that the disk has lost.
    let mut bytes = fs::read(&file).unwrap();
    bytes[40] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let damaged = open(&path, Split::Train, Some(&cache)).unwrap();
    assert_eq!((damaged.origin(), all(&damaged)), (Origin::Cache, wanted.clone()));
    assert!(!file.exists(), "a damaged file is made again by the next who opens it");
    assert_eq!(open(&path, Split::Train, Some(&cache)).unwrap().origin(), Origin::NewCache);
    // The end of a file that the disk has lost.
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let again = open(&path, Split::Train, Some(&cache)).unwrap();
    assert_eq!((again.origin(), all(&again)), (Origin::NewCache, wanted));
}

#[test]
fn unreadable_files_are_left_out_up_to_the_share() {
    let folder = tempfile::tempdir().unwrap();
    let path = dataset(folder.path(), 10, 1.0);
    fs::write(folder.path().join("images/dark/003.tif"), "no image").unwrap();
    let cache = cache(folder.path(), GIB);
    let loaded = Dataset::open(&path, &Limits::default()).unwrap().load(Split::Train, &bands());
    let skipped = loaded.map(|loaded| loaded.skipped).unwrap();
    for _ in 0..2 {
        let source = open(&path, Split::Train, Some(&cache)).unwrap();
        assert_eq!(source.facts().skipped, skipped);
        assert_eq!((all(&source).len(), source.facts().unreadable.len()), (source.len(), skipped.len()));
    }
    for image in 0..10 {
        fs::write(folder.path().join(format!("images/dark/{image:03}.tif")), "no image").unwrap();
    }
    let refused = open(&path, Split::Train, Some(&cache)).err().unwrap();
    assert!(matches!(refused, DataError::TooManyCorrupt { .. }), "{refused}");
}

#[test]
fn a_folder_that_cannot_be_used_costs_time_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = dataset(folder.path(), 6, 1.0);
    fs::write(folder.path().join("cache"), "a file where the folder should be").unwrap();
    let source = open(&path, Split::Train, Some(&cache(folder.path(), GIB))).unwrap();
    assert_eq!(source.origin(), Origin::Files);
    assert!(source.problem().is_some());
}
