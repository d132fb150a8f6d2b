//! Files of other programs, each of a kind that was once misread, with the expected result: they are read
//! rightly or refused.
//!
//! They are in the folder that `EOSFED_RASTERS` names, or beside the repository. Without it, the test reports
//! by name that it is skipped.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use eosfed_data::{Limits, Raster, read_labels, read_raster};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

fn folder(test: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/rasters");
    let path = std::env::var_os("EOSFED_RASTERS").map_or(beside, PathBuf::from);
    if !path.join("expected.json").is_file() {
        println!("skipped: {test}: no rasters at {}", path.display());
        return None;
    }
    Some(path)
}

/// The difference of a raster from the expected one, if any.
fn difference(raster: &Raster, expected: &Map<String, Value>) -> Option<String> {
    if expected["right"] != "this reading" {
        return Some(format!("it should be refused: {}", expected["right"]));
    }
    let shape = serde_json::json!([raster.bands, raster.height, raster.width]);
    if shape != expected["shape"] {
        return Some(format!("shape {shape}"));
    }
    let missing = raster.data.iter().filter(|value| value.is_nan()).count();
    if expected["missing"] != missing {
        return Some(format!("{missing} missing pixels"));
    }
    let tolerance = expected["tolerance"].as_f64().unwrap();
    if tolerance == 0.0 {
        let bytes = |value: &f32| if value.is_nan() { f64::NAN } else { f64::from(*value) }.to_le_bytes();
        let all: Vec<u8> = raster.data.iter().flat_map(bytes).collect();
        let found = hex(&Sha256::digest(all));
        return (expected["sha256"] != found).then(|| format!("digest {found}"));
    }
    let first = expected["first"].as_array().unwrap();
    // A missing pixel is null.
    let near = |(value, found): (&Value, &f32)| match value.as_f64() {
        Some(value) => (value - f64::from(*found)).abs() <= tolerance,
        None => found.is_nan(),
    };
    let found = &raster.data[..first.len()];
    (!first.iter().zip(found).all(near)).then(|| format!("first pixels {found:?}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn files_of_other_programs_are_read_rightly_or_refused() {
    let Some(folder) = folder("files_of_other_programs_are_read_rightly_or_refused") else { return };
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let Value::Object(files) = serde_json::from_str(&text).unwrap() else { panic!("not an object") };
    let mut wrong = Vec::new();
    let mut read = 0;
    let mut refused = 0;
    let mut valid = BTreeSet::new();
    for (name, expected) in &files {
        let path = folder.join(name);
        let expected = expected.as_object().unwrap();
        let mut refusals = 0;
        for result in [read_raster(&path, &Limits::default()), read_labels(&path, &Limits::default())] {
            let said = match result {
                Ok(raster) => {
                    read += 1;
                    difference(&raster, expected)
                }
                Err(error) => {
                    refused += 1;
                    refusals += 1;
                    let said = error.to_string();
                    (!said.contains(name.as_str())).then(|| format!("the refusal names no file: {said}"))
                }
            };
            wrong.extend(said.map(|said| format!("{name} ({}): {said}", expected["kind"])));
        }
        if refusals == 2 && expected["right"] == "this reading" {
            valid.insert(name);
        }
    }
    println!("refused both as an image and as a mask although valid: {valid:?}");
    println!("{} files, each read in two ways: {read} read rightly, {refused} refused", files.len());
    assert!(wrong.is_empty() && read > 0 && !files.is_empty(), "{wrong:#?}");
}
