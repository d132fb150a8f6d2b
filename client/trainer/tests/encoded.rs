//! What is computed once, and what is not computed at all: the passes through encoders are counted.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{fitted, options, release, scene};
use eosfed_common::head::HeadFile;
use eosfed_common::model::{Composition, Fusion, Selection};
use eosfed_common::weights::write;
use eosfed_data::Split;
use eosfed_trainer::ensemble::{FitOptions, ScoringData, ablate, encoded, score};
use eosfed_trainer::parameters::read;
use tch::Device;

/// A head over both specialists with this selection, and its data.
fn head(folder: &Path, selection: Selection) -> (PathBuf, PathBuf) {
    tch::set_num_threads(1);
    let release = release(&folder.join("release"));
    let data = scene(&folder.join("data"), 0, "validation = 0.0\ntest = 0.5\nseed = 2");
    let output = folder.join("head");
    let composition =
        Composition { selection, fusion: Fusion::Conv1x1 { multiple: 1 }, ..Composition::default() };
    fitted(&FitOptions { composition, ..options(&release, &data, "all", &output) }).unwrap();
    (output, data)
}

#[test]
fn a_top_k_head_runs_only_the_encoders_that_it_has_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let (head, data) = head(folder.path(), Selection::TopK { k: 1, scale: false });
    let before = encoded();
    let row = score(&head, None, ScoringData::of(&data, Split::Test), Device::Cpu).unwrap();
    assert_eq!(encoded() - before, row.samples as u64);
    // The other is not even needed.
    let weights = row.weights.clone().unwrap();
    let other = weights.iter().position(|weight| *weight == 0.0).unwrap();
    fs::remove_file(folder.path().join("release").join(&row.encoders[other]).join("weights.safetensors"))
        .unwrap();
    let again = score(&head, None, ScoringData::of(&data, Split::Test), Device::Cpu).unwrap();
    assert_eq!((again.metrics, again.weights), (row.metrics, row.weights));
    // An encoder that does not count changes nothing when it is left out.
    let report =
        ablate(&head, None, ScoringData::of(&data, Split::Test), Device::Cpu, &mut |_, _| ()).unwrap();
    let change =
        |name: &String| report.ablations.iter().find(|found| found.specialist == *name).unwrap().change;
    assert_eq!(change(&row.encoders[other]), 0.0);
    assert!(change(&row.encoders[1 - other]) < 0.0, "{report:?}");
}

#[test]
fn an_ablation_encodes_each_sample_once() {
    let folder = tempfile::tempdir().unwrap();
    let (head, data) = head(folder.path(), Selection::Smooth { penalty: 0.1, scale: true });
    let whole = score(&head, None, ScoringData::of(&data, Split::Test), Device::Cpu).unwrap();
    let mut seen = (0, 0);
    let before = encoded();
    let report = ablate(&head, None, ScoringData::of(&data, Split::Test), Device::Cpu, &mut |done, total| {
        seen = (done, total);
    })
    .unwrap();
    assert_eq!(encoded() - before, 2 * whole.samples as u64);
    assert_eq!(seen, (whole.samples, whole.samples));
    assert_eq!(report.all, whole.metrics["miou"]);
    // The answers are those of a head whose weight for the specialist is 0.
    let file: HeadFile = serde_json::from_slice(&fs::read(head.join(HeadFile::FILE)).unwrap()).unwrap();
    let path = head.join(HeadFile::WEIGHTS);
    let learned = read(&path, &file.signature()).unwrap();
    for (at, encoder) in file.encoders.iter().enumerate() {
        let mut changed = learned.clone();
        changed.get_mut(HeadFile::SELECTION).unwrap()[at] = 0.0;
        write(&path, &file.signature(), &changed).unwrap();
        let row = score(&head, None, ScoringData::of(&data, Split::Test), Device::Cpu).unwrap();
        let found = report.ablations.iter().find(|found| found.specialist == encoder.name).unwrap();
        let difference = (found.without - row.metrics["miou"]).abs();
        assert!(difference < 1e-6 && found.change != 0.0, "{found:?}: {difference}");
    }
}
