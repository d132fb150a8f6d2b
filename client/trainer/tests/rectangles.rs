//! Samples that are not square, in every task: training with all augmentations, fitting, scoring and
//! features.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{events, fitted, metric, options, release, specialist, task};
use eosfed_common::model::{BandRule, Task};
use eosfed_common::task::TrainerEvent;
use eosfed_data::{Raster, Split, write_geotiff};
use eosfed_trainer::ensemble::{
    EncoderChoice, ExportFormat, ExportOptions, ScoringData, export_features, score,
};
use tch::Device;

const WIDTH: usize = 64;
const HEIGHT: usize = 32;
const SAMPLES: usize = 8;

fn tif(path: &Path, bands: usize, value: impl Fn(usize, usize, usize) -> f32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let places = (0..bands).flat_map(|band| (0..WIDTH * HEIGHT).map(move |at| (band, at)));
    let data = places.map(|(band, at)| value(band, at % WIDTH, at / WIDTH)).collect();
    let raster = Raster { width: WIDTH, height: HEIGHT, bands, data, reference: None };
    write_geotiff(path, &raster).unwrap();
}

/// A data set of a task. Its samples are 64 pixels wide and 32 high.
fn dataset(folder: &Path, kind: Task) -> PathBuf {
    let noise = |sample: usize, band: usize, x: usize, y: usize| {
        ((sample * 131 + band * 17 + y * WIDTH + x) * 7919 % 97) as f32 / 97.0
    };
    let mut rows = "image,after,mask,heights,one,several\n".to_owned();
    for sample in 0..SAMPLES {
        let light = |x: usize| (x / 16 + sample).is_multiple_of(2);
        let name = |what: &str| folder.join(format!("{what}-{sample}.tif"));
        tif(&name("image"), 2, |band, x, y| noise(sample, band, x, y) + if light(x) { 1.0 } else { 0.0 });
        tif(&name("after"), 2, |band, x, y| noise(sample + 50, band, x, y));
        tif(&name("mask"), 1, |_, x, _| if light(x) { 1.0 } else { 0.0 });
        let classes = ["a", "b"];
        let both = if sample % 3 == 0 { "a;b" } else { "a" };
        rows.push_str(&format!(
            "image-{sample}.tif,after-{sample}.tif,mask-{sample}.tif,mask-{sample}.tif,{},{both}\n",
            classes[sample % 2]
        ));
    }
    fs::write(folder.join("samples.csv"), rows).unwrap();
    let (target, more) = match kind {
        Task::Classification => ("one", ""),
        Task::Multilabel => ("several", ""),
        Task::Segmentation => ("mask", ""),
        Task::ChangeDetection => ("mask", "after = \"after\"\n"),
        Task::Regression => ("heights", ""),
    };
    let classes = if kind == Task::Regression { "[\"height\"]" } else { "[\"a\", \"b\"]" };
    let text = format!(
        "task = \"{kind}\"\nbands = [\"red\", \"nir\"]\nclasses = {classes}\n\
         [layout]\nkind = \"table\"\nfile = \"samples.csv\"\nimages = \"image\"\n{more}target = \"{target}\"\n\
         [split]\nvalidation = 0.4\nseed = 1\n"
    );
    let path = folder.join("dataset.toml");
    fs::write(&path, text).unwrap();
    path
}

fn specialists_and_heads_learn(kind: Task) {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path(), kind);
    let release = release(&folder.path().join("release"));
    let mut train = task(&data, &folder.path().join("out"), 2);
    specialist(&mut train).task = kind;
    specialist(&mut train).classes = if kind == Task::Regression {
        vec!["height".to_owned()]
    } else {
        vec!["a".to_owned(), "b".to_owned()]
    };
    let events = events(&train).unwrap();
    assert!(metric(&events, kind.main_metric()).is_finite());
    let Some(TrainerEvent::Started { training_samples, validation_samples, .. }) = events.first() else {
        panic!("not started: {events:?}")
    };
    assert_eq!(*training_samples + *validation_samples, SAMPLES as u64);

    // Maps that are kept in memory, and maps that are computed in every pass.
    for (name, cache) in [("kept", 1 << 30), ("live", 0)] {
        let mut options = options(&release, &data, "all", &folder.path().join(name));
        options.cache = cache;
        fitted(&options).unwrap();
        let row =
            score(&options.output, None, ScoringData::of(&data, Split::Validation), Device::Cpu).unwrap();
        assert!(row.metrics[kind.main_metric()].is_finite());
    }
    let export = ExportOptions {
        release: Some(release),
        head: None,
        encoders: EncoderChoice::All,
        band_rule: BandRule::ByName,
        data,
        split: Split::Train,
        input_size: None,
        maps: true,
        format: ExportFormat::Safetensors,
        output: folder.path().join("features.safetensors"),
    };
    let report = export_features(&export, Device::Cpu, &mut |_, _| ()).unwrap();
    let map = report.tensors.iter().find(|(name, _)| name == "map.0").unwrap();
    assert_eq!(map.1[2..], [HEIGHT / 4, WIDTH / 4]);
}

#[test]
fn classification() {
    specialists_and_heads_learn(Task::Classification);
}

#[test]
fn multilabel() {
    specialists_and_heads_learn(Task::Multilabel);
}

#[test]
fn segmentation() {
    specialists_and_heads_learn(Task::Segmentation);
}

#[test]
fn change_detection() {
    specialists_and_heads_learn(Task::ChangeDetection);
}

#[test]
fn regression() {
    specialists_and_heads_learn(Task::Regression);
}
