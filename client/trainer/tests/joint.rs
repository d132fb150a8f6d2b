//! A head that is trained in a job: one round gives the bytes of `fit`, and so does a training that was
//! stopped and resumed.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use common::{fitted, options, release, scene};
use eosfed_common::card::ReleaseManifest;
use eosfed_common::digest::Digest;
use eosfed_common::files;
use eosfed_common::head::{HeadFile, HeadOver};
use eosfed_common::model::{Composition, Fusion, Selection};
use eosfed_common::plan::Training;
use eosfed_common::report::TrainingReport;
use eosfed_common::task::{InitialWeights, TrainTask, TrainerEvent};
use eosfed_common::training_target::TrainingTarget;
use eosfed_trainer::ensemble::{EnsembleError, train_head};

/// The process has one random generator of libtorch, so tests that compare bytes run one at a time.
static GENERATOR: Mutex<()> = Mutex::new(());

struct Bench {
    folder: tempfile::TempDir,
    data: PathBuf,
    release: PathBuf,
    head: HeadFile,
}

impl Bench {
    /// A head with every kind of parameter, trained by a researcher over a release.
    fn new() -> Self {
        // The sums of more threads are taken in another order.
        tch::set_num_threads(1);
        let folder = tempfile::tempdir().unwrap();
        let data = scene(&folder.path().join("data"), 0, "validation = 0.25\nseed = 1");
        let release = release(&folder.path().join("release"));
        let mut options = options(&release, &data, "all", &folder.path().join("fit"));
        options.composition = Composition {
            projection: true,
            selection: Selection::TopK { k: 1, scale: true },
            fusion: Fusion::Conv1x1 { multiple: 1 },
            ..Composition::default()
        };
        options.training.epochs = 2;
        fitted(&options).unwrap();
        let head = serde_json::from_slice(&fs::read(folder.path().join("fit/head.json")).unwrap()).unwrap();
        Self { folder, data, release, head }
    }

    fn task(&self, output: &str) -> TrainTask {
        let training = self.head.training.clone().unwrap();
        let release: ReleaseManifest =
            serde_json::from_slice(&fs::read(self.release.join(ReleaseManifest::FILE)).unwrap()).unwrap();
        let over = HeadOver { head: self.head.clone(), release };
        over.check().unwrap();
        TrainTask {
            training_target: TrainingTarget::Head(Box::new(over)),
            release: Some(self.release.clone()),
            training: Training {
                weight_decay: training.weight_decay,
                loss: training.loss,
                class_weights: training.class_weights,
                ..Training::new(training.epochs, training.batch_size, training.learning_rate)
            },
            initial: InitialWeights::Seed(training.seed),
            seed: training.seed,
            ..common::task(&self.data, &self.folder.path().join(output), 1)
        }
    }

    fn run(&self, task: &TrainTask, stopped: &dyn Fn() -> bool) -> Result<Vec<TrainerEvent>, EnsembleError> {
        let TrainingTarget::Head(over) = &task.training_target else { panic!("not a head") };
        let mut events = Vec::new();
        train_head(task, &over.head, &mut |event| events.push(event), stopped).map(|()| events)
    }
}

fn weights(folder: &Path) -> Digest {
    files::digest(&folder.join(TrainTask::WEIGHTS)).unwrap()
}

#[test]
fn one_round_of_one_institution_gives_the_bytes_of_fit() {
    let _alone = GENERATOR.lock().unwrap();
    let bench = Bench::new();
    let task = bench.task("round");
    let events = bench.run(&task, &|| false).unwrap();
    let Some(TrainerEvent::Finished { report, statistics, .. }) = events.last() else {
        panic!("not finished: {events:?}")
    };
    let TrainingReport { samples, normalisation, metrics, .. } = report;
    assert_eq!((*samples, normalisation.len()), (bench.head.samples as u64, 0));
    assert!(metrics["miou"] > 0.2, "{metrics:?}");
    assert!(bench.head.imagery.tile.is_some());
    assert_eq!(report.imagery, bench.head.imagery, "`predict` needs it");
    // What it tells of its bands is what `fit` writes of them, so that both heads can be compared with data.
    assert!(!statistics.is_empty() && statistics.len() == bench.head.statistics.len());
    for (told, known) in statistics.iter().zip(&bench.head.statistics) {
        assert_eq!((&told.band, told.mean, told.values), (&known.band, known.mean, known.values));
        let std = (told.m2.get() / told.count as f64).sqrt();
        assert!((std - known.std.get()).abs() <= 1e-12 * std, "{told:?}, {known:?}");
    }
    let alone = files::digest(&bench.folder.path().join("fit/head.safetensors")).unwrap();
    assert_eq!(weights(&task.output), alone);
}

#[test]
fn a_round_of_a_head_scores_the_average_that_it_starts_from() {
    let _alone = GENERATOR.lock().unwrap();
    let bench = Bench::new();
    let first = TrainTask { schedule: [0.0, 0.5], ..bench.task("first") };
    let ended = bench.run(&first, &|| false).unwrap();
    let second = TrainTask {
        schedule: [0.5, 1.0],
        initial: InitialWeights::File(first.output.join(TrainTask::WEIGHTS)),
        ..bench.task("second")
    };
    let begun = bench.run(&second, &|| false).unwrap();
    let (Some(TrainerEvent::Finished { report, .. }), Some(TrainerEvent::Finished { start_metrics, .. })) =
        (ended.last(), begun.last())
    else {
        panic!("not finished: {ended:?} {begun:?}")
    };
    let (own, average) = (report.metrics["miou"].get(), start_metrics["miou"].get());
    assert!((own - average).abs() < 1e-6, "{own} {average}");
}

#[test]
fn a_stopped_round_resumes_to_the_same_bytes_and_needs_its_release() {
    let _alone = GENERATOR.lock().unwrap();
    let bench = Bench::new();
    let whole = bench.task("whole");
    bench.run(&whole, &|| false).unwrap();
    let parts = bench.task("parts");
    let steps = Cell::new(0);
    let stop = || {
        steps.set(steps.get() + 1);
        parts.output.join("checkpoint.json").exists()
    };
    assert!(bench.run(&parts, &stop).is_err());
    let after = bench.run(&parts, &|| false).unwrap();
    assert!(matches!(after[0], TrainerEvent::Started { resumed_at, .. } if resumed_at > 0), "{:?}", after[0]);
    assert_eq!(weights(&parts.output), weights(&whole.output));

    let nowhere = TrainTask { release: Some(bench.folder.path().join("nowhere")), ..whole.clone() };
    assert!(bench.run(&nowhere, &|| false).unwrap_err().to_string().contains("nowhere"));
    let specialist = fs::read_dir(&bench.release).unwrap().map(|entry| entry.unwrap().path());
    let file = specialist.map(|path| path.join("weights.safetensors")).find(|path| path.exists()).unwrap();
    fs::write(&file, b"spoilt").unwrap();
    assert!(bench.run(&whole, &|| false).unwrap_err().to_string().contains("pull the release again"));
}
