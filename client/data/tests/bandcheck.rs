//! The band check on real imagery: no findings for right orders, and the right findings for wrong ones.
//!
//! The imagery is in the folder that `EOSFED_DATA` names, or beside the repository. Without it, each test
//! reports by name that it is skipped.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::path::{Path, PathBuf};

use eosfed_common::model::NamedBand;
use eosfed_data::{BandReport, Limits, Raster, Sample, Scaling, Severity, Target, check_bands, read_raster};

const EUROSAT: &str = "B01 B02 B03 B04 B05 B06 B07 B08 B09 B10 B11 B12 B8A";

/// A folder of the imagery.
fn imagery(test: &str, folder: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = std::env::var_os("EOSFED_DATA").map_or(beside, PathBuf::from);
    let path = root.join(folder);
    if !path.is_dir() {
        println!("skipped: {test}: no imagery at {}", path.display());
        return None;
    }
    Some(path)
}

/// The images of a folder and its folders, at most `most` of each, with their first `bands`.
fn samples(folder: &Path, bands: usize, nodata: Option<f32>, most: usize) -> Vec<Sample> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|e| e == "tif" || e == "jpg"));
    let sample = |path: PathBuf| {
        let Raster { width, height, mut data, .. } = read_raster(&path, &Limits::default()).unwrap();
        data.truncate(bands * width * height);
        data.iter_mut().filter(|value| Some(**value) == nodata).for_each(|value| *value = f32::NAN);
        Sample {
            key: path.display().to_string(),
            height,
            width,
            image: data,
            target: Target::Class(0),
            judged: None,
        }
    };
    let mut found: Vec<Sample> = files.take(most).map(sample).collect();
    found.extend(folders.iter().flat_map(|folder| samples(folder, bands, nodata, most)));
    found
}

fn names(list: &str) -> Vec<&str> {
    list.split_whitespace().collect()
}

fn check(bands: &[&str], samples: &[Sample]) -> BandReport {
    let bands: Vec<_> = bands.iter().map(|name| NamedBand::of(name)).collect();
    check_bands(&bands, Scaling::default(), samples)
}

/// The findings against the order; the unit is declared as it is in the files here.
fn against(report: &BandReport) -> Vec<String> {
    let unit = |text: &String| text.contains("scale");
    report.contradictions().map(ToString::to_string).filter(|text| !unit(text)).collect()
}

#[test]
fn right_orders_give_no_finding() {
    let test = "right_orders_give_no_finding";
    let data = [
        ("eurosat-ms", EUROSAT, None),
        ("bigearthnet-v2/s2", "B02 B03 B04 B08", None),
        ("bigearthnet-v2/s1", "VV VH", None),
        ("biomassters/s2", "B02 B03 B04 B05 B06 B07 B08 B8A B11 B12", None),
        ("biomassters/s1", "VV VH", Some(-9999.0)),
        ("eurosat-rgb", "red green blue", None),
        ("dubai-aerial-seg/images", "red green blue", None),
    ];
    for (folder, bands, nodata) in data {
        let Some(path) = imagery(test, folder) else { continue };
        let bands = names(bands);
        let samples = samples(&path, bands.len(), nodata, 40);
        let found = against(&check(&bands, &samples));
        assert!(found.is_empty(), "{folder}: {found:?}");
    }
    // A single class, such as sea and lakes, gives no finding either.
    let Some(eurosat) = imagery(test, "eurosat-ms") else { return };
    for class in std::fs::read_dir(eurosat).unwrap().map(|entry| entry.unwrap().path()).filter(|p| p.is_dir())
    {
        let found = against(&check(&names(EUROSAT), &samples(&class, 13, None, 40)));
        assert!(found.is_empty(), "{}: {found:?}", class.display());
    }
}

#[test]
fn the_usual_wrong_order_for_eurosat_is_found_with_the_true_one() {
    let Some(path) = imagery("the_usual_wrong_order_for_eurosat_is_found_with_the_true_one", "eurosat-ms")
    else {
        return;
    };
    let samples = samples(&path, 13, None, 40);
    let standard = names("B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B10 B11 B12");
    let report = check(&standard, &samples);
    assert!(report.findings.iter().any(|finding| finding.severity == Severity::Contradiction));
    assert_eq!(report.likely_order.unwrap().join(" "), EUROSAT);
}

/// How many wrong orders are contradicted, and for how many the true one is found.
#[test]
fn most_single_moves_and_exchanges_are_found() {
    let Some(path) = imagery("most_single_moves_and_exchanges_are_found", "eurosat-ms") else { return };
    let samples = samples(&path, 13, None, 40);
    let truth = names(EUROSAT);
    let mut noticed = 0;
    let mut restored = 0;
    let mut all = 0;
    for from in 0..13 {
        for to in 0..13 {
            let mut orders = Vec::new();
            if from != to {
                let mut moved = truth.clone();
                let band = moved.remove(from);
                moved.insert(to, band);
                orders.push(moved);
            }
            if to > from + 1 {
                let mut swapped = truth.clone();
                swapped.swap(from, to);
                orders.push(swapped);
            }
            for order in orders {
                let report = check(&order, &samples);
                all += 1;
                noticed += usize::from(!against(&report).is_empty());
                restored += usize::from(report.likely_order.is_some_and(|order| order == truth));
            }
        }
    }
    println!("of {all} wrong orders {noticed} are contradicted, and for {restored} the true one is found");
    assert!(noticed * 20 >= all * 19 && restored * 20 >= all * 19, "{noticed} and {restored} of {all}");
}

#[test]
fn radar_in_linear_power_and_a_band_filled_with_zeros_are_named() {
    let Some(path) = imagery("radar_in_linear_power", "bigearthnet-v2/s1") else { return };
    let mut linear = samples(&path, 2, None, 40);
    for sample in &mut linear {
        sample.image.iter_mut().for_each(|value| *value = 10_f32.powf(*value / 10.0));
    }
    let found: Vec<_> = check(&["VV", "VH"], &linear).contradictions().map(ToString::to_string).collect();
    assert!(found.iter().any(|text| text.contains("dB")), "{found:?}");
    let mut swapped = samples(&path, 2, None, 40);
    assert!(!against(&check(&["VH", "VV"], &swapped)).is_empty());
    for sample in &mut swapped {
        let half = sample.image.len() / 2;
        sample.image[half..].fill(0.0);
    }
    let zeros: Vec<_> = check(&["VV", "VH"], &swapped).contradictions().map(ToString::to_string).collect();
    assert!(zeros.iter().any(|text| text.contains("`VH`")), "{zeros:?}");
}
