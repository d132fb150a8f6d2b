//! What STAC items state about the numbers of their assets counts as if the files stated it.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::path::Path;

use common::{SIZE, Tiff, Value};
use eosfed_data::{Dataset, Limits, SampleCache, SampleSource, Split};
use tiff::tags::Tag;

const PIXELS: usize = SIZE[0] * SIZE[1];
const GDAL_METADATA: Tag = Tag::Unknown(42112);

/// One band of 16 bits: 0, 10, 20, …
fn image() -> Tiff {
    let values = (0..PIXELS).flat_map(|at| (10 * u16::try_from(at).unwrap()).to_le_bytes());
    Tiff::new(values.collect()).tag(Tag::BitsPerSample, &[16])
}

fn scaled(scale: &str) -> Tiff {
    let item = format!("<Item name=\"SCALE\" sample=\"0\" role=\"scale\">{scale}</Item>");
    image().value(GDAL_METADATA, Value::Text(format!("<GDALMetadata>{item}</GDALMetadata>\n")))
}

/// A data set of one item for each of these fields of the asset `B04`, with a file of its own.
fn dataset(
    folder: &Path,
    file: &Tiff,
    assets: &[&str],
    properties: &str,
    lines: &str,
) -> Result<Dataset, String> {
    let item = |(at, asset): (usize, &&str)| {
        let path = folder.join(format!("{at}.tif"));
        if !path.exists() {
            file.write(&path);
        }
        let comma = if asset.is_empty() { "" } else { "," };
        format!(
            "{{\"id\": \"i{at}\", \"properties\": {{\"class\": \"a\"{properties}}}, \"assets\": {{\"B04\": {{\"href\": \
             \"./{at}.tif\"{comma} {asset}}}}}}}"
        )
    };
    let items: Vec<String> = assets.iter().enumerate().map(item).collect();
    let items = format!("{{\"type\": \"FeatureCollection\", \"features\": [{}]}}", items.join(","));
    std::fs::write(folder.join("items.json"), items).unwrap();
    let text = format!(
        "task = \"classification\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\"]\nmax_corrupt_share = 0.0\n{lines}\n[layout]\n\
         kind = \"table\"\nfile = \"items.json\"\nimages = \"B04\"\ntarget = \"class\"\n[split]\nvalidation = 0.0\n"
    );
    std::fs::write(folder.join("dataset.toml"), text).unwrap();
    Dataset::open(folder, &Limits::default()).map_err(|error| error.to_string())
}

/// The first four values of the last sample.
fn read(file: &Tiff, assets: &[&str], properties: &str, lines: &str) -> Result<[f32; 4], String> {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path(), file, assets, properties, lines)?;
    let loaded = dataset.load(Split::Train, &["red".to_owned()]).map_err(|error| error.to_string())?;
    Ok(loaded.samples.last().unwrap().image[..4].try_into().unwrap())
}

const APPLY: &str = "file_scaling = \"apply\"";
const SCALED: &str = "\"raster:bands\": [{\"scale\": 0.5, \"offset\": 1}]";

#[test]
fn a_scale_that_an_item_states_counts_as_the_data_set_says() {
    let error = read(&image(), &[SCALED], "", "").unwrap_err();
    assert!(
        error.contains("item `i0`, asset `B04`, states a scale of `0.5` and an offset of `1`"),
        "{error}"
    );
    assert!(error.contains("0.tif") && error.contains("file_scaling = \"apply\""), "{error}");
    let of = |asset: &str, properties: &str| read(&image(), &[asset], properties, APPLY).unwrap();
    let wanted = [1.0, 6.0, 11.0, 16.0];
    assert_eq!(of(SCALED, ""), wanted);
    // STAC 1.1, at the band, the asset and the item; the nearest counts.
    assert_eq!(of("\"bands\": [{\"raster:scale\": 0.5, \"raster:offset\": 1}]", ""), wanted);
    assert_eq!(of("\"raster:scale\": 0.5, \"raster:offset\": 1", ", \"raster:scale\": 7"), wanted);
    assert_eq!(of("", ", \"raster:scale\": 0.5, \"raster:offset\": 1"), wanted);
    // A name of another extension.
    assert_eq!(of("\"scale\": 0.5", ""), [0.0, 10.0, 20.0, 30.0]);
    assert_eq!(read(&image(), &[SCALED], "", "file_scaling = \"ignore\"").unwrap(), [0.0, 10.0, 20.0, 30.0]);
    assert_eq!(read(&image(), &[SCALED], "", "scale = 0.5\noffset = 1.0").unwrap(), wanted);
    let later = read(&image(), &[SCALED], "", "scale = 0.5\noffset = 2.0").unwrap_err();
    assert!(later.contains("it must be clear whether they count"), "{later}");
}

#[test]
fn a_file_that_states_another_scale_is_refused_with_both() {
    let error = read(&scaled("0.25"), &[SCALED], "", APPLY).unwrap_err();
    assert!(error.contains("scale of `0.25` and an offset of `0`"), "{error}");
    assert!(error.contains("item `i0`, asset `B04`, states `0.5` and `1`"), "{error}");
    let same = "\"raster:bands\": [{\"scale\": 0.25}]";
    assert_eq!(read(&scaled("0.25"), &[same], "", APPLY).unwrap(), [0.0, 2.5, 5.0, 7.5]);
    assert_eq!(read(&scaled("0.25"), &[SCALED], "", "file_scaling = \"ignore\"").unwrap()[1], 10.0);
}

#[test]
fn missing_pixels_that_an_item_states_are_missing() {
    let nodata = "\"raster:bands\": [{\"nodata\": 10}]";
    let missing = |found: [f32; 4]| found.map(f32::is_nan);
    assert_eq!(missing(read(&image(), &[nodata], "", "").unwrap()), [false, true, false, false]);
    assert!(missing(read(&image(), &["\"nodata\": \"10\""], "", "").unwrap())[1]);
    assert!(missing(read(&image().text_nodata("10"), &[nodata], "", "").unwrap())[1]);
    let error = read(&image().text_nodata("20"), &[nodata], "", "").unwrap_err();
    assert!(error.contains("is `20`") && error.contains("item `i0`, asset `B04`, states `10`"), "{error}");
    // A strip that the file leaves out has the value 0, as GDAL reads it.
    let sparse = image().strips(12, vec![None]);
    let all_missing = |asset: &str| read(&sparse, &[asset], "", "").unwrap_err();
    assert!(all_missing("\"nodata\": 0").contains("at least one pixel with data"));
    assert_eq!(read(&sparse, &["\"nodata\": 10"], "", "").unwrap(), [0.0; 4]);
    // PNG states neither.
    let folder = tempfile::tempdir().unwrap();
    let asset = "\"raster:bands\": [{\"nodata\": 20, \"scale\": 0.5}]";
    drop(dataset(folder.path(), &image(), &[asset], "", APPLY));
    let pixels: Vec<u8> = (0..u8::try_from(PIXELS).unwrap()).map(|at| at.wrapping_mul(10)).collect();
    let png = image::GrayImage::from_raw(16, 12, pixels).unwrap();
    png.save_with_format(folder.path().join("0.tif"), image::ImageFormat::Png).unwrap();
    let dataset = Dataset::open(folder.path(), &Limits::default()).unwrap();
    let values = dataset.load(Split::Train, &["red".to_owned()]).unwrap().samples.remove(0).image;
    assert_eq!((&values[..2], values[2].is_nan(), values[3]), (&[0.0, 5.0][..], true, 15.0));
}

#[test]
fn statements_that_are_wrong_or_differ_are_refused() {
    for (asset, named) in [
        ("\"raster:bands\": [{\"scale\": 0}]", "`scale` must not be 0"),
        ("\"raster:bands\": [{\"scale\": \"x\"}]", "`scale` must be a finite number, found `\\\"x\\\"`"),
        ("\"raster:bands\": [{\"nodata\": \"none\"}]", "`nodata` must be a number"),
        ("\"raster:bands\": [{\"unit\": 3}]", "`unit` must be text, found `3`"),
        ("\"raster:bands\": [{\"scale\": 1.5}, {\"scale\": 1.5}]", "each of its 1 band, found `2`"),
        (
            "\"raster:bands\": [{\"scale\": 2}], \"bands\": [{\"raster:scale\": 3}]",
            "`scale` must be stated once for a band, found `3` and `2`",
        ),
    ] {
        let error = read(&image(), &[asset], "", APPLY).unwrap_err();
        assert!(error.contains(named), "{error}");
    }
    // Twice the same is one statement.
    let twice = "\"raster:bands\": [{\"scale\": 2}], \"bands\": [{\"raster:scale\": 2.0}]";
    assert_eq!(read(&image(), &[twice], "", APPLY).unwrap()[1], 20.0);
    let many = format!("\"raster:bands\": [{}]", vec!["{}"; 2000].join(","));
    assert!(read(&image(), &[&many], "", APPLY).unwrap_err().contains("1024 bands of an asset, found 2000"));
    let units = ["\"unit\": \"m\"", "", "\"unit\": \"cm\""];
    let error = read(&image(), &units, "", "").unwrap_err();
    assert!(error.contains("item `i2`") && error.contains("`m` by item `i0`"), "{error}");
    assert!(error.contains("found `cm`"), "{error}");
    assert!(read(&image(), &units[..2], "", "").is_ok());
}

/// Decoded samples are kept under a name that changes with what the items state.
#[test]
fn kept_samples_are_those_of_the_statements() {
    let folder = tempfile::tempdir().unwrap();
    let cache = SampleCache { folder: folder.path().join("samples"), bytes: 1 << 20 };
    let first = |asset: &str| {
        let dataset = dataset(folder.path(), &image(), &[asset], "", APPLY).unwrap();
        let bands = ["red".to_owned()];
        let source =
            SampleSource::open(std::sync::Arc::new(dataset), Split::Train, &bands, Some(&cache)).unwrap();
        source.facts().statistics[0].mean
    };
    let [one, two] = ["\"raster:scale\": 0.5", "\"raster:scale\": 0.25"].map(first);
    assert!((one - 2.0 * two).abs() < 1e-9, "{one} {two}");
}
