//! What files say about the meaning of their numbers is applied or refused, and never passed over.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::path::Path;

use common::{Folder, SIZE, Tiff, Value};
use eosfed_data::{DataError, Dataset, Limits, Split, read_labels, read_raster, summarise};
use tiff::tags::Tag;

const PIXELS: usize = SIZE[0] * SIZE[1];
const GDAL_METADATA: Tag = Tag::Unknown(42112);

/// Two bands of 16 bits: 1000 more in the second.
fn image(first: u16) -> Tiff {
    let value =
        |at: usize| first + 10 * u16::try_from(at / 2).unwrap() + 1000 * u16::try_from(at % 2).unwrap();
    Tiff::new((0..2 * PIXELS).flat_map(|at| value(at).to_le_bytes()).collect())
        .bands(2)
        .tag(Tag::BitsPerSample, &[16, 16])
}

fn metadata(file: Tiff, items: &str) -> Tiff {
    file.value(GDAL_METADATA, Value::Text(format!("<GDALMetadata>{items}</GDALMetadata>\n")))
}

/// As GDAL writes them.
fn scaled(file: Tiff) -> Tiff {
    let item = |band: usize, role: &str, value: &str| {
        let name = role.to_uppercase();
        format!("  <Item name=\"{name}\" sample=\"{band}\" role=\"{role}\">{value}</Item>\n")
    };
    let items = [item(0, "offset", "-0.1"), item(0, "scale", "0.0001"), item(1, "scale", "0.0002")];
    metadata(file, &items.concat())
}

fn said(path: &Path) -> String {
    let image = read_raster(path, &Limits::default()).unwrap_err().to_string();
    assert_eq!(read_labels(path, &Limits::default()).unwrap_err().to_string(), image);
    assert!(image.contains("case.tif") && image.contains("gdal_translate"), "{image}");
    image
}

/// A data set of classes of images, one a file, with further lines.
fn dataset(files: &[(&str, Tiff)], lines: &str) -> (tempfile::TempDir, Result<Dataset, DataError>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, file) in files {
        let path = folder.path().join("a").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        file.write(&path);
    }
    std::fs::create_dir(folder.path().join("b")).unwrap();
    let text = format!(
        "task = \"classification\"\nbands = [\"red\", \"nir\"]\nclasses = [\"a\", \"b\"]\nmax_corrupt_share = 0.0\n{lines}\n\
         [layout]\nkind = \"folders\"\nroot = \".\"\n[split]\nvalidation = 0.0\n"
    );
    std::fs::write(folder.path().join("dataset.toml"), text).unwrap();
    let dataset = Dataset::open(folder.path(), &Limits::default());
    (folder, dataset)
}

/// The first value of each band of the first sample.
fn first(files: &[(&str, Tiff)], lines: &str) -> Result<[f32; 2], DataError> {
    let (_folder, dataset) = dataset(files, lines);
    let loaded = dataset?.load(Split::Train, &["red".to_owned(), "nir".to_owned()])?;
    Ok([loaded.samples[0].image[0], loaded.samples[0].image[PIXELS]])
}

#[test]
fn a_scale_in_a_file_counts_as_the_data_set_says() {
    let files = [("1.tif", scaled(image(1500)))];
    let error = first(&files, "").unwrap_err().to_string();
    assert!(error.contains("scale of `0.0001`") && error.contains("offset of `-0.1`"), "{error}");
    assert!(error.contains("file_scaling = \"apply\"") && error.contains("1.tif"), "{error}");
    let near = |found: [f32; 2], wanted: [f32; 2]| {
        assert!(found.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-6), "{found:?}");
    };
    near(first(&files, "file_scaling = \"apply\"").unwrap(), [0.05, 0.5]);
    near(first(&files, "file_scaling = \"apply\"\nscale = 2.0\noffset = 1.0").unwrap(), [1.1, 2.0]);
    near(first(&files, "file_scaling = \"ignore\"").unwrap(), [1500.0, 2500.0]);
    // A number that marks missing pixels is one of the file.
    let missing = first(&files, "file_scaling = \"apply\"\nnodata = 1500").unwrap();
    assert!(missing[0].is_nan() && missing[1].is_nan(), "{missing:?}");
    // The data set applies one of both bands already, but not that of the other.
    let error = first(&files, "scale = 0.0001\noffset = -0.1").unwrap_err().to_string();
    assert!(error.contains("scale of `0.0002`") && error.contains("band 2"), "{error}");
    let item = |band: usize| format!("<Item name=\"SCALE\" sample=\"{band}\" role=\"scale\">0.0001</Item>");
    let same = metadata(image(1500), &[item(0), item(1)].concat());
    near(first(&[("1.tif", same)], "scale = 0.0001").unwrap(), [0.15, 0.25]);
}

#[test]
fn files_outside_of_data_sets_are_refused_if_they_state_a_scale() {
    let folder = Folder::new();
    let error = said(&folder.tiff(&scaled(image(0))));
    assert!(error.contains("42112") && error.contains("-unscale"), "{error}");
    let one = "<Item name=\"SCALE\" sample=\"0\" role=\"scale\">1</Item><Item name=\"X\">0.1</Item>";
    let harmless = [one, "", "<Item name=\"OFFSET\" sample=\"7\" role=\"offset\">3</Item>"];
    for items in harmless {
        let path = folder.tiff(&metadata(image(0), items));
        assert_eq!(read_raster(&path, &Limits::default()).unwrap().data[1], 10.0, "{items}");
    }
    for text in [
        "<GDALMetadata><Item",
        "<!DOCTYPE a [<!ENTITY b \"c\">]><GDALMetadata>&b;</GDALMetadata>",
        "<GDALMetadata><Item sample=\"0\" role=\"scale\">0,1</Item></GDALMetadata>",
        "<GDALMetadata><Item sample=\"0\" role=\"offset\">inf</Item></GDALMetadata>",
    ] {
        let error = said(&folder.tiff(&image(0).value(GDAL_METADATA, Value::Text(text.to_owned()))));
        assert!(error.contains("42112"), "{error}");
    }
}

#[test]
fn what_lies_beside_an_image_is_not_passed_over() {
    let folder = Folder::new();
    let path = folder.tiff(&image(0));
    let beside = |ending: &str| path.with_file_name(format!("case.tif{ending}"));
    let pam = |band: &str| {
        let text =
            format!("<PAMDataset>\n <PAMRasterBand band=\"2\">\n{band}\n </PAMRasterBand>\n</PAMDataset>\n");
        std::fs::write(beside(".aux.xml"), text).unwrap();
    };
    for fine in [
        "<Metadata><MDI key=\"STATISTICS_MEAN\">1.5</MDI></Metadata>",
        "<Scale>1</Scale><Offset>0</Offset><ColorInterp>Blue</ColorInterp>",
    ] {
        pam(fine);
        assert!(read_raster(&path, &Limits::default()).is_ok(), "{fine}");
    }
    for changed in [
        "<Scale>0.1</Scale>",
        "<Offset>-1</Offset>",
        "<NoDataValue>0</NoDataValue>",
        "<Scale/>",
        "<ColorInterp>Alpha</ColorInterp>",
    ] {
        pam(changed);
        let error = said(&path);
        assert!(error.contains("case.tif.aux.xml") && error.contains(&changed[1..6]), "{error}");
    }
    let together = "<PAMDataset><Metadata><MDI key=\"NODATA_VALUES\">0 10</MDI></Metadata></PAMDataset>";
    std::fs::write(beside(".aux.xml"), together).unwrap();
    let error = said(&path);
    assert!(error.contains("NODATA_VALUES `0 10`") && error.contains("case.tif.aux.xml"), "{error}");
    std::fs::write(beside(".aux.xml"), "<PAMDataset>").unwrap();
    assert!(read_raster(&path, &Limits::default()).unwrap_err().to_string().contains(".aux.xml"));
    std::fs::remove_file(beside(".aux.xml")).unwrap();
    std::fs::write(beside(".msk"), "").unwrap();
    assert!(said(&path).contains("case.tif.msk"));
}

#[test]
fn what_lies_beside_a_png_or_jpeg_file_is_not_passed_over() {
    let folder = Folder::new();
    for name in ["case.png", "case.jpg"] {
        let path = folder.0.path().join(name);
        image::RgbImage::new(4, 4).save(&path).unwrap();
        let beside = |ending: &str| path.with_file_name(format!("{name}{ending}"));
        let read = || [read_raster(&path, &Limits::default()), read_labels(&path, &Limits::default())];
        assert!(read()[0].is_ok());
        for (ending, text) in [
            (".msk", ""),
            (
                ".aux.xml",
                "<PAMDataset><PAMRasterBand band=\"1\"><NoDataValue>0</NoDataValue></PAMRasterBand></PAMDataset>",
            ),
        ] {
            std::fs::write(beside(ending), text).unwrap();
            for found in read() {
                let error = found.unwrap_err().to_string();
                assert!(
                    error.contains(&format!("{name}{ending}")) && error.contains("gdal_translate"),
                    "{error}"
                );
            }
            std::fs::remove_file(beside(ending)).unwrap();
        }
    }
}

/// A file that says its baseline.
fn of_baseline(first: u16, baseline: &str) -> Tiff {
    metadata(image(first), &format!("<Item name=\"PROCESSING_BASELINE\">{baseline}</Item>"))
}

fn warnings(files: &[(&str, Tiff)], lines: &str) -> Vec<String> {
    let (_folder, dataset) = dataset(files, lines);
    let warnings = summarise(&dataset.unwrap()).unwrap().warnings;
    warnings.into_iter().filter(|warning| warning.contains("baseline")).collect()
}

#[test]
fn baselines_of_sentinel_2_are_told_apart() {
    let late = ("1.tif", of_baseline(2000, "05.10"));
    let early = ("2.tif", of_baseline(1000, "03.01"));
    let named = ("S2B_MSIL2A_20180203T101231_N0206_R022_T32UQD_x/B02.tif", image(1000));
    let alone = warnings(std::slice::from_ref(&late), "");
    assert!(alone.len() == 1 && alone[0].contains("1000 larger"), "{alone:?}");
    assert_eq!(warnings(std::slice::from_ref(&early), ""), [""; 0]);
    assert_eq!(warnings(std::slice::from_ref(&late), "scale = 0.0001\noffset = -0.1"), [""; 0]);
    for lines in ["", "scale = 0.0001\noffset = -0.1"] {
        let both = warnings(&[late.clone(), early.clone()], lines);
        assert!(both.len() == 1 && both[0].contains("before and since 04.00"), "{both:?}");
    }
    for lines in ["baseline_offset = \"keep\"", "baseline_offset = \"remove\""] {
        assert_eq!(warnings(&[late.clone(), early.clone()], lines), [""; 0]);
    }
    let removed = "baseline_offset = \"remove\"";
    assert_eq!(first(std::slice::from_ref(&late), removed).unwrap(), [1000.0, 2000.0]);
    assert_eq!(first(std::slice::from_ref(&early), removed).unwrap(), [1000.0, 2000.0]);
    let (_folder, opened) = dataset(&[late, early, named], removed);
    // Images of a class are its files; those in a folder of it are not looked at.
    assert_eq!(opened.unwrap().len(Split::Train), 2);
    let unknown = first(&[("1.tif", image(0))], removed).unwrap_err().to_string();
    assert!(unknown.contains("PROCESSING_BASELINE") && unknown.contains("1.tif"), "{unknown}");
    let twice = first(&[("1.tif", image(0))], &format!("{removed}\nfile_scaling = \"apply\"")).unwrap_err();
    assert!(twice.to_string().contains("baseline_offset"), "{twice}");
}

/// Under `strict`, baselines that contradict each other or the description are an error when the data set is opened.
#[test]
fn contradicting_baselines_are_an_error_under_strict() {
    let late = ("1.tif", of_baseline(2000, "05.10"));
    let early = ("2.tif", of_baseline(1000, "03.01"));
    let removed = "scale = 0.0001\noffset = -0.1";
    let alone = |file: &(&'static str, Tiff)| vec![file.clone()];
    let both = vec![late.clone(), early.clone()];
    for (files, lines, words) in [
        (&both, "", &["1 of baseline 03.01", "a/2.tif", "1 of baseline 05.10", "a/1.tif", "\"remove\""][..]),
        (&both, removed, &["before and since 04.00"]),
        (&alone(&late), "", &["1000 larger", "1 of baseline 05.10", "a/1.tif", "\"keep\""]),
        (&alone(&early), removed, &["takes 1000 away from them", "1 of baseline 03.01", "a/2.tif"]),
    ] {
        let said = dataset(files, &format!("strict = true\n{lines}")).1.err().unwrap().to_string();
        let mut all = ["dataset.toml", "`strict = true`"].iter().chain(words);
        assert!(all.all(|word| said.contains(word)), "{said}");
        let warned = warnings(files, lines);
        assert!(
            warned.len() == 1 && warned[0].contains("baseline"),
            "a warning without `strict`: {warned:?}"
        );
    }
    for (files, lines) in [
        (&both, "baseline_offset = \"remove\""),
        (&both, "baseline_offset = \"keep\""),
        (&alone(&late), removed),
        (&alone(&early), ""),
        (&vec![("1.tif", image(0))], ""),
    ] {
        let opened = dataset(files, &format!("strict = true\n{lines}")).1;
        assert!(opened.is_ok(), "{lines}: {:?}", opened.err());
    }
}

#[test]
fn nothing_is_subtracted_from_bands_of_other_things_than_light() {
    let folder = tempfile::tempdir().unwrap();
    let text = "task = \"classification\"\nbands = [\"red\", \"SCL\"]\nclasses = [\"a\", \"b\"]\nbaseline_offset = \"remove\"\n[layout]\n\
                kind = \"folders\"\nroot = \".\"\n";
    std::fs::write(folder.path().join("dataset.toml"), text).unwrap();
    let error = Dataset::open(folder.path(), &Limits::default()).err().unwrap().to_string();
    assert!(error.contains("`SCL`") && error.contains("other things than light"), "{error}");
}
