//! Imagery that can be learned in seconds, and tasks on it.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use eosfed_common::band_values::BandValues;
use eosfed_common::card::{BandNormalisation, Card, Energy, Provenance, ReleaseManifest, TrainingMode};
use eosfed_common::clock::Timestamp;
use eosfed_common::finite::Finite;
use eosfed_common::head::HeadTraining;
use eosfed_common::ids::ReleaseNumber;
use eosfed_common::model::{
    Backbone, BandRule, Composition, DecoderChannels, Method, ModelSpec, Task, initial_weights, signature,
};
use eosfed_common::plan::{Augmentation, ClassWeights, Training};
use eosfed_common::task::{DeviceChoice, InitialWeights, Keep, TrainTask, TrainerEvent};
use eosfed_common::training_target::TrainingTarget;
use eosfed_common::weights::write as write_weights;
use eosfed_data::{Raster, write_geotiff};
use eosfed_trainer::ensemble::{EncoderChoice, EnsembleError, FitOptions, FitReport, fit};
use eosfed_trainer::train::TrainError;
use tch::Device;

const ONE: Finite = Finite::literal(1.0);
/// Side of the scene in pixels.
const SIDE: usize = 128;

/// The class of a pixel of a scene: a checkerboard.
pub(crate) fn class(x: usize, y: usize, phase: usize) -> usize {
    (x / 16 + y / 16 + phase) % 2
}

/// The value of a pixel of a scene.
pub(crate) fn pixel(x: usize, y: usize, band: usize, phase: usize) -> f32 {
    let noise = ((y * SIDE + x) * 7919 + band * 104_729 + phase * 31) % 97;
    noise as f32 / 97.0 + if class(x, y, phase) == band { 2.0 } else { 0.0 }
}

/// A scene of two bands with noise, in which a checkerboard of 16-pixel squares separates two classes.
/// Another phase gives another scene.
pub(crate) fn scene(folder: &Path, phase: usize, split: &str) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let pixels = || (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y)));
    let value = |band: usize| pixels().map(move |(x, y)| pixel(x, y, band, phase));
    write(folder, "image.tif", 2, value(0).chain(value(1)).collect());
    write(folder, "mask.tif", 1, pixels().map(|(x, y)| class(x, y, phase) as f32).collect());
    let text = format!(
        "task = \"segmentation\"\nbands = [\"red\", \"nir\"]\nclasses = [\"dark\", \"light\"]\nmask_values = [0, 1]\n\
         [layout]\nkind = \"scenes\"\nimages = [\"image.tif\"]\nmasks = [\"mask.tif\"]\ntile = 32\n[split]\nby = \"digest\"\n{split}\n"
    );
    let path = folder.join("dataset.toml");
    fs::write(&path, text).unwrap();
    path
}

fn write(folder: &Path, name: &str, bands: usize, data: Vec<f32>) {
    let raster = Raster { width: SIDE, height: SIDE, bands, data, reference: None };
    write_geotiff(&folder.join(name), &raster).unwrap();
}

pub(crate) fn model() -> ModelSpec {
    ModelSpec {
        backbone: Backbone::Atto,
        task: Task::Segmentation,
        bands: vec!["red".to_owned(), "nir".to_owned()],
        classes: vec!["dark".to_owned(), "light".to_owned()],
        target: None,
    }
}

/// A task on `dataset` with its results in `output`, on one thread.
pub(crate) fn task(dataset: &Path, output: &Path, epochs: u32) -> TrainTask {
    fs::create_dir_all(output).unwrap();
    TrainTask {
        training_target: TrainingTarget::Specialist(model()),
        release: None,
        training: Training {
            warmup: 0.1,
            drop_path: 0.1,
            class_weights: ClassWeights::Balanced,
            augment: vec![Augmentation::Flip, Augmentation::Rotate90, Augmentation::Jitter],
            ..Training::new(epochs, 4, 1e-3)
        },
        dataset: dataset.to_owned(),
        initial: InitialWeights::Seed(5),
        normalisation: None,
        seed: 11,
        schedule: [0.0, 1.0],
        keep: Keep::Last,
        device: DeviceChoice::Cpu,
        threads: Some(1),
        samples: None,
        output: output.to_owned(),
    }
}

/// Runs a task and returns its events.
pub(crate) fn events(task: &TrainTask) -> Result<Vec<TrainerEvent>, TrainError> {
    let mut events = Vec::new();
    run(task, &mut |event| events.push(event), &|| false)?;
    Ok(events)
}

/// Runs a task of a specialist.
pub(crate) fn run(
    task: &TrainTask,
    emit: &mut dyn FnMut(TrainerEvent),
    stopped: &dyn Fn() -> bool,
) -> Result<(), TrainError> {
    let TrainingTarget::Specialist(model) = &task.training_target else { panic!("not a specialist") };
    eosfed_trainer::train::run(task, model, emit, stopped)
}

/// The specialist of a task.
pub(crate) fn specialist(task: &mut TrainTask) -> &mut ModelSpec {
    let TrainingTarget::Specialist(model) = &mut task.training_target else { panic!("not a specialist") };
    model
}

pub(crate) fn weights(task: &TrainTask) -> Vec<u8> {
    fs::read(task.output.join(TrainTask::WEIGHTS)).unwrap()
}

/// One metric of a finished task.
pub(crate) fn metric(events: &[TrainerEvent], name: &str) -> f64 {
    match events.last() {
        Some(TrainerEvent::Finished { report, .. }) => report.metrics[name].get(),
        Some(TrainerEvent::Scored { report }) => report.metrics[name].get(),
        other => panic!("not finished: {other:?}"),
    }
}

/// A release of two specialists, one for each band.
pub(crate) fn release(folder: &Path) -> PathBuf {
    let mut specialists = Vec::new();
    for (seed, band) in (1..).zip(["nir", "red"]) {
        let mut model = model();
        model.bands = vec![band.to_owned()];
        let place = folder.join(format!("only-{band}"));
        fs::create_dir_all(&place).unwrap();
        let path = place.join("weights.safetensors");
        let weights = write_weights(&path, &signature(&model), &initial_weights(&model, seed)).unwrap();
        let card = Card {
            name: format!("only-{band}").parse().unwrap(),
            version: 1,
            weights,
            weights_bytes: fs::metadata(&path).unwrap().len(),
            normalisation: vec![BandNormalisation {
                band: band.to_owned(),
                mean: ONE,
                std: ONE,
                values: Some(BandValues { unit: None, low: Finite::ZERO, high: ONE }),
            }],
            model,
            input_size: None,
            antialias: false,
            imagery: Default::default(),
            provenance: Provenance {
                job: "j-00000000".parse().unwrap(),
                mode: TrainingMode::OneShot,
                institutions: Vec::new(),
                rounds: 0,
                samples: 1,
                seed,
                frozen_at: Timestamp(0),
                initial: None,
                parent: None,
                encodings: Vec::new(),
            },
            scoring: None,
            metrics: BTreeMap::new(),
            energy: Energy::default(),
            licence: "none".to_owned(),
            updates: Vec::new(),
            signature: None,
        };
        fs::write(place.join("card.json"), serde_json::to_vec(&card).unwrap()).unwrap();
        specialists.push(card);
    }
    let manifest = ReleaseManifest::unsigned(ReleaseNumber(1), Timestamp(0), String::new(), specialists);
    fs::write(folder.join(ReleaseManifest::FILE), serde_json::to_vec(&manifest).unwrap()).unwrap();
    folder.to_owned()
}

pub(crate) fn options(release: &Path, data: &Path, encoders: &str, output: &Path) -> FitOptions {
    FitOptions {
        name: output.file_name().unwrap().to_string_lossy().into_owned(),
        release: release.to_owned(),
        data: data.to_owned(),
        encoders: encoders.parse::<EncoderChoice>().unwrap(),
        band_rule: BandRule::ByName,
        method: Method::Fusion,
        composition: Composition::default(),
        decoder_channels: DecoderChannels::DEFAULT,
        output: output.to_owned(),
        training: HeadTraining {
            epochs: 1,
            batch_size: 4,
            learning_rate: 1e-3,
            weight_decay: 0.05,
            loss: Vec::new(),
            class_weights: ClassWeights::None,
            seed: 3,
        },
        input_size: None,
        antialias: false,
        cache: 1 << 30,
        samples: None,
    }
}

pub(crate) fn fitted(options: &FitOptions) -> Result<FitReport, EnsembleError> {
    fit(options, Device::Cpu, &mut |_, _, _| {}, &|| false)
}
