//! Every task is learned from imagery in which this takes seconds, with a better score than a constant
//! answer. Files, training and scores are the real ones.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{events, metric, specialist, task};
use eosfed_common::head::{HeadFile, HeadOver};
use eosfed_common::model::{Composition, FeatureNorm, Fusion, Selection, TargetScale, Task};
use eosfed_common::plan::{ClassWeights, Loss, Training};
use eosfed_common::task::{TrainTask, TrainerEvent};
use eosfed_common::training_target::TrainingTarget;
use eosfed_data::{Raster, Split, write_geotiff};
use eosfed_trainer::ensemble::{ScoringData, report, score, train_head};
use tch::Device;

const SIDE: usize = 32;

/// Deterministic noise between 0 and 1.
fn noise(at: usize) -> f32 {
    let mixed = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    (mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32 / (1_u64 << 24) as f32
}

fn tif(path: &Path, bands: usize, value: impl Fn(usize, usize, usize) -> f32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pixel = |band: usize, at: usize| value(band, at % SIDE, at / SIDE);
    let data = (0..bands).flat_map(|band| (0..SIDE * SIDE).map(move |at| (band, at)));
    let data = data.map(|(band, at)| pixel(band, at)).collect();
    write_geotiff(path, &Raster { width: SIDE, height: SIDE, bands, data, reference: None }).unwrap();
}

fn dataset(folder: &Path, kind: &str, classes: &str, layout: &str) -> PathBuf {
    let text = format!(
        "task = \"{kind}\"\nbands = [\"red\", \"nir\"]\nclasses = {classes}\n[layout]\n{layout}\n[split]\nvalidation = 0.3\nseed = 5\n"
    );
    let path = folder.join("dataset.toml");
    fs::write(&path, text).unwrap();
    path
}

/// Whether a pixel belongs to the square that a sample has.
fn patch(sample: usize, x: usize, y: usize) -> bool {
    let left = (sample * 7) % 20;
    let top = (sample * 11) % 20;
    (left..left + 12).contains(&x) && (top..top + 12).contains(&y)
}

fn plan(dataset: &Path, output: &Path, kind: Task, classes: &[&str], training: Training) -> TrainTask {
    let mut task = task(dataset, output, training.epochs);
    specialist(&mut task).task = kind;
    specialist(&mut task).classes = classes.iter().map(|class| (*class).to_owned()).collect();
    task.training = Training { warmup: 0.1, ..training };
    task
}

/// The main metric of a head over two untrained encoders. Its composition has parameters of every kind.
fn head(folder: &Path, data: &Path, kind: Task) -> f64 {
    let release = common::release(&folder.join("release"));
    let composition = Composition {
        norm: FeatureNorm::Batch,
        projection: true,
        selection: Selection::Smooth { penalty: 0.0, scale: false },
        fusion: Fusion::Conv1x1 { multiple: 1 },
    };
    let mut options = common::options(&release, data, "all", &folder.join("head"));
    (options.composition, options.training.epochs) = (composition, 3);
    common::fitted(&options).unwrap();
    let row = score(&options.output, None, ScoringData::of(data, Split::Validation), Device::Cpu).unwrap();
    report(std::slice::from_ref(&row), data, &folder.join("report")).unwrap();
    assert_eq!(folder.join("report/predictions.png").exists(), kind.is_dense());
    assert_eq!(
        in_a_round(folder, data, &release).keys().collect::<Vec<_>>(),
        row.metrics.keys().collect::<Vec<_>>()
    );
    row.metrics[kind.main_metric()]
}

/// The events of a round of a job for the same head.
fn round(folder: &Path, data: &Path, release: &Path) -> Result<Vec<TrainerEvent>, String> {
    let read = |path: PathBuf| fs::read(path).unwrap();
    let mut head: HeadFile = serde_json::from_slice(&read(folder.join("head/head.json"))).unwrap();
    head.composition.norm = FeatureNorm::Pixel;
    let release_json = serde_json::from_slice(&read(release.join("release.json"))).unwrap();
    let over = HeadOver { head: head.clone(), release: release_json };
    let task = TrainTask {
        training_target: TrainingTarget::Head(Box::new(over)),
        release: Some(release.to_owned()),
        training: Training::new(1, 8, 1e-3),
        ..task(data, &folder.join("round"), 1)
    };
    task.check().unwrap();
    let mut events = Vec::new();
    let trained = train_head(&task, &head, &mut |event| events.push(event), &|| false);
    trained.map_err(|error| error.to_string()).map(|()| events)
}

/// The metrics of the same head after a round of a job, without the metrics of single classes.
fn in_a_round(folder: &Path, data: &Path, release: &Path) -> BTreeMap<String, f64> {
    let mut events = round(folder, data, release).unwrap();
    let Some(TrainerEvent::Finished { report, .. }) = events.pop() else { panic!("not finished") };
    let metrics = report.metrics.into_iter().filter(|(name, _)| !name.contains('/'));
    metrics.map(|(name, value)| (name, value.get())).collect()
}

#[test]
fn several_labels() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = "image,labels\n".to_owned();
    let names = ["bright", "striped"];
    for i in 0..48_usize {
        let has = [i % 2 == 0, (i / 2) % 2 == 0];
        tif(&folder.path().join(format!("{i}.tif")), 2, |band, x, _| {
            let stripes = if has[1] && x % 8 < 4 { 2.0 } else { 0.0 };
            let light = if has[0] && band == 0 { 2.0 } else { 0.0 };
            light + stripes + noise(i * 4096 + x * 2 + band)
        });
        let labels: Vec<_> = names.iter().zip(has).filter(|(_, has)| *has).map(|(name, _)| *name).collect();
        rows.push_str(&format!("{i}.tif,{}\n", labels.join(";")));
    }
    fs::write(folder.path().join("labels.csv"), rows).unwrap();
    let layout = "kind = \"table\"\nfile = \"labels.csv\"\nimages = \"image\"\ntarget = \"labels\"";
    let data = dataset(folder.path(), "multilabel", "[\"bright\", \"striped\"]", layout);
    let training = Training {
        loss: vec![Loss::Focal],
        class_weights: ClassWeights::Balanced,
        ..Training::new(6, 4, 1e-3)
    };
    let task = plan(&data, &folder.path().join("out"), Task::Multilabel, &names, training);
    let events = events(&task).unwrap();
    // Guessing gives the share of positives, about one half.
    assert!(metric(&events, "map") > 0.9, "{:?}", events.last());
    assert!(metric(&events, "average_precision/striped") > 0.8, "{:?}", events.last());
    let head = head(folder.path(), &data, Task::Multilabel);
    assert!(head > 0.75, "{head}");
}

#[test]
fn change_between_two_dates() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..24_usize {
        let name = format!("{i:02}.tif");
        let ground = |band: usize, x: usize, y: usize| noise(i * 8192 + band * 4096 + y * SIDE + x) * 2.0;
        tif(&folder.path().join("before").join(&name), 2, ground);
        let after =
            |band: usize, x: usize, y: usize| ground(band, x, y) + if patch(i, x, y) { 1.5 } else { 0.0 };
        tif(&folder.path().join("after").join(&name), 2, after);
        tif(&folder.path().join("change").join(&name), 1, |_, x, y| if patch(i, x, y) { 1.0 } else { 0.0 });
    }
    let layout = "kind = \"pairs\"\nimages = \"before\"\nafter = \"after\"\nmasks = \"change\"";
    let data = dataset(folder.path(), "change_detection", "[\"same\", \"changed\"]", layout);
    let training = Training { loss: vec![Loss::CrossEntropy, Loss::Dice], ..Training::new(6, 4, 1e-3) };
    let task = plan(&data, &folder.path().join("out"), Task::ChangeDetection, &["same", "changed"], training);
    let events = events(&task).unwrap();
    // Saying "same" everywhere gives 0.43: 0.86 for the one class, 0 for the other.
    assert!(metric(&events, "miou") > 0.6, "{:?}", events.last());
    assert!(metric(&events, "iou/changed") > 0.4, "{:?}", events.last());
    let head = head(folder.path(), &data, Task::ChangeDetection);
    assert!(head > 0.5, "{head}");
}

#[test]
fn a_number_for_each_pixel() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..24_usize {
        let name = format!("{i:02}.tif");
        let height = |x: usize, y: usize| 100.0 + if patch(i, x, y) { 40.0 } else { 0.0 };
        tif(&folder.path().join("images").join(&name), 2, |band, x, y| {
            height(x, y) / 40.0 + noise(i * 8192 + band * 4096 + y * SIDE + x)
        });
        let gap = |x: usize, y: usize| if x == 0 { f32::NAN } else { height(x, y) };
        tif(&folder.path().join("heights").join(&name), 1, |_, x, y| gap(x, y));
    }
    let layout = "kind = \"pairs\"\nimages = \"images\"\ntargets = \"heights\"";
    let data = dataset(folder.path(), "regression", "[\"height\"]\ntarget_unit = \"m\"", layout);
    let training = Training { loss: vec![Loss::Huber], accumulate: 2, ..Training::new(8, 2, 1e-3) };
    let mut task = plan(&data, &folder.path().join("out"), Task::Regression, &["height"], training);
    specialist(&mut task).target = Some(TargetScale { offset: 106.0, scale: 15.0, unit: "m".to_owned() });
    let events = events(&task).unwrap();
    // The mean everywhere has an R2 of 0 and an error of about 14.
    assert!(metric(&events, "r2") > 0.4, "{:?}", events.last());
    assert!(metric(&events, "rmse") < 11.0, "{:?}", events.last());
    let head = head(folder.path(), &data, Task::Regression);
    assert!(head < 12.0, "{head}");
    let file: HeadFile =
        serde_json::from_slice(&fs::read(folder.path().join("head/head.json")).unwrap()).unwrap();
    assert_eq!(file.target.unwrap().unit, "m", "as the data set says");

    // A data set that does not say its unit is a warning, and one in another unit is refused by jobs.
    let text = fs::read_to_string(&data).unwrap();
    let with = |unit: &str| fs::write(&data, text.replace("target_unit = \"m\"", unit)).unwrap();
    let scored = || {
        let part = ScoringData::of(&data, Split::Validation);
        score(&folder.path().join("head"), None, part, Device::Cpu).map_err(|error| error.to_string())
    };
    let notes = || scored().unwrap().notes.join("; ");
    assert!(!notes().contains("target"), "{}", notes());
    with("");
    task.training.epochs = 1;
    let TrainerEvent::Started { warnings, .. } = &common::events(&task).unwrap()[0] else {
        panic!("a start")
    };
    assert!(warnings.iter().any(|said| said.contains("the model's target is in `m`")), "{warnings:?}");
    assert!(notes().contains("the model's target is in `m`"), "{}", notes());
    with("target_unit = \"cm\"");
    let of_head = round(folder.path(), &data, &folder.path().join("release")).unwrap_err();
    for refusal in [common::events(&task).unwrap_err().to_string(), of_head] {
        assert!(refusal.contains("must be in `m`") && refusal.contains("found `cm`"), "{refusal}");
    }
    assert!(notes().contains("the head `head`: its target must be in `m`"), "{}", notes());
    with("strict = true\ntarget_unit = \"cm\"");
    let refusal = scored().err().unwrap();
    assert!(refusal.contains("strict") && refusal.contains("found `cm`"), "{refusal}");
}

#[test]
fn a_model_for_another_task_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = common::scene(&folder.path().join("data"), 0, "validation = 0.2");
    let mut task = task(&data, &folder.path().join("out"), 1);
    specialist(&mut task).task = Task::ChangeDetection;
    let error = events(&task).unwrap_err().to_string();
    assert!(error.contains("must be `change_detection`, found `segmentation`"), "{error}");
}
