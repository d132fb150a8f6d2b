//! What a crop keeps of a file besides its pixels, and what it says of the rest.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::path::Path;
use std::slice;

use common::{Folder, SIZE, Tiff, Value};
use eosfed_data::{CropReport, Dataset, Limits, Split, crop};
use tiff::tags::Tag;

const GDAL_METADATA: Tag = Tag::Unknown(42112);
const RPC: Tag = Tag::Unknown(50844);

fn file(items: &str) -> Tiff {
    let pixels = (0..SIZE[0] * SIZE[1]).flat_map(|at| [at as u8, 7]).collect();
    let items = format!("<GDALMetadata>{items}</GDALMetadata>");
    Tiff::new(pixels).bands(2).value(GDAL_METADATA, Value::Text(items))
}

fn cut(image: &Path, folder: &Path) -> CropReport {
    crop(slice::from_ref(&image.to_owned()), None, "0,0,8,8".parse().unwrap(), folder).unwrap().remove(0)
}

#[test]
fn what_is_not_written_is_said() {
    let folder = Folder::new();
    let items = "<Item name=\"UNITTYPE\" sample=\"0\" role=\"unittype\">m</Item><Item name=\"CLOUD\">3</Item>\
                 <Item name=\"STATISTICS_MEAN\" sample=\"0\">3</Item><Item name=\"AREA_OR_POINT\">Area</Item>\
                 <Item name=\"PROCESSING_BASELINE\">05.10</Item>\
                 <Item name=\"DESCRIPTION\" sample=\"0\" role=\"description\">B02</Item>";
    let path = folder.tiff(&file(items).value(RPC, Value::Text("x".to_owned())));
    let out = folder.0.path().join("out");
    let notes = cut(&path, &out).notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    for part in [
        "case.tif: only the place",
        "RPC (tag 50844)",
        "2 of its items of metadata, CLOUD, UNITTYPE (tag 42112)",
    ] {
        assert!(notes[0].contains(part), "{part}: {notes:?}");
    }
    // A crop of a crop loses nothing more.
    assert_eq!(cut(&out.join("image.tif"), &folder.0.path().join("again")).notes, Vec::<String>::new());
    std::fs::write(folder.0.path().join("case.tif.aux.xml"), "<PAMDataset/>").unwrap();
    let notes = cut(&path, &out).notes;
    assert!(notes[0].contains("case.tif.aux.xml says"), "{notes:?}");
    // Many items are counted, and some are named.
    let many: String = (0..50).map(|at| format!("<Item name=\"I{at:02}\">1</Item>")).collect();
    let notes = cut(&folder.tiff(&file(&many)), &out).notes;
    assert!(
        notes[0].contains("50 of its items of metadata, I00, I01") && notes[0].contains("I07, …"),
        "{notes:?}"
    );
    assert!(!notes[0].contains("I08"), "{notes:?}");
}

/// The 1,000 of newer products is removed from a crop, and bands are found by their names.
#[test]
fn a_data_set_of_crops_reads_what_one_of_whole_files_reads() {
    let items = "<Item name=\"PROCESSING_BASELINE\">04.00</Item>\
                 <Item name=\"DESCRIPTION\" sample=\"0\" role=\"description\">B02</Item>\
                 <Item name=\"DESCRIPTION\" sample=\"1\" role=\"description\">B03</Item>";
    let folder = Folder::new();
    let path = folder.tiff(&file(items));
    let set = tempfile::tempdir().unwrap();
    cut(&path, &set.path().join("a"));
    let text = "task = \"classification\"\nbands = [\"B03\"]\nfile_bands = [\"B03\"]\nclasses = [\"a\", \"b\"]\n\
                baseline_offset = \"remove\"\n[layout]\nkind = \"folders\"\nroot = \".\"\n[split]\nvalidation = 0.0\n";
    std::fs::create_dir_all(set.path().join("b")).unwrap();
    std::fs::write(set.path().join("dataset.toml"), text).unwrap();
    let dataset = Dataset::open(set.path(), &Limits::default()).unwrap();
    let samples = dataset.load(Split::Train, &dataset.config().bands).unwrap().samples;
    assert_eq!((samples[0].width, &samples[0].image), (8, &vec![7.0 - 1000.0; 64]));
}

/// Pixels that alpha hides in the whole file are hidden in a data set of its crops too.
#[test]
fn a_crop_keeps_which_band_is_alpha() {
    let pixels: Vec<u8> = (0..SIZE[0] * SIZE[1]).flat_map(|at| [5, u8::from(at % 2 == 0)]).collect();
    let set = tempfile::tempdir().unwrap();
    let folder = Folder::new();
    for (extra, hidden) in [(2, 32), (0, 0)] {
        let path = folder.tiff(&Tiff::new(pixels.clone()).bands(2).tag(Tag::ExtraSamples, &[extra]));
        cut(&path, &set.path().join("a"));
        let text = "task = \"classification\"\nbands = [\"red\"]\nfile_bands = [1]\nclasses = [\"a\", \"b\"]\n[layout]\n\
                    kind = \"folders\"\nroot = \".\"\n[split]\nvalidation = 0.0\n";
        std::fs::create_dir_all(set.path().join("b")).unwrap();
        std::fs::write(set.path().join("dataset.toml"), text).unwrap();
        let dataset = Dataset::open(set.path(), &Limits::default()).unwrap();
        let samples = dataset.load(Split::Train, &dataset.config().bands).unwrap().samples;
        let missing = samples[0].image.iter().filter(|value| value.is_nan()).count();
        assert_eq!(missing, hidden, "ExtraSamples {extra}");
    }
}
