//! Imagery that can be learned in seconds, and tasks on it.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::fs;
use std::path::{Path, PathBuf};

use eosfed_common::model::{Backbone, ModelSpec, Task};
use eosfed_common::plan::{Augmentation, ClassWeights, Training};
use eosfed_common::task::{DeviceChoice, InitialWeights, Keep, TrainTask, TrainerEvent};
use eosfed_data::{Raster, write_geotiff};
use eosfed_trainer::train::{TrainError, run};

/// Side of the scene in pixels.
const SIDE: usize = 128;

/// A scene of two bands in which a checkerboard of 16-pixel squares tells its two classes apart,
/// with noise; another phase gives another scene.
pub(crate) fn scene(folder: &Path, phase: usize, split: &str) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let class = |at: usize| ((at / SIDE / 16) + (at % SIDE / 16) + phase) % 2;
    let noise = |at: usize, band: usize| ((at * 7919 + band * 104_729 + phase * 31) % 97) as f32 / 97.0;
    let pixels = 0..SIDE * SIDE;
    let value = |band: usize| {
        pixels.clone().map(move |at| if class(at) == band { 2.0 } else { 0.0 } + noise(at, band))
    };
    let bands = value(0).chain(value(1)).collect();
    write(folder, "image.tif", 2, bands);
    write(folder, "mask.tif", 1, pixels.clone().map(|at| class(at) as f32).collect());
    let text = format!(
        "task = \"segmentation\"\nbands = [\"red\", \"nir\"]\nclasses = [\"dark\", \"light\"]\nmask_values = [0, 1]\n\
         [layout]\nkind = \"scenes\"\nimages = [\"image.tif\"]\nmasks = [\"mask.tif\"]\ntile = 32\n[split]\n{split}\n"
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

/// A task on `dataset` whose results go to `output`, on one thread.
pub(crate) fn task(dataset: &Path, output: &Path, epochs: u32) -> TrainTask {
    fs::create_dir_all(output).unwrap();
    TrainTask {
        model: model(),
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
        output: output.to_owned(),
    }
}

/// Does a task and gives its events.
pub(crate) fn events(task: &TrainTask) -> Result<Vec<TrainerEvent>, TrainError> {
    let mut events = Vec::new();
    run(task, &mut |event| events.push(event), &|| false)?;
    Ok(events)
}

pub(crate) fn weights(task: &TrainTask) -> Vec<u8> {
    fs::read(task.output.join(TrainTask::WEIGHTS)).unwrap()
}

/// One metric of a finished task.
pub(crate) fn metric(events: &[TrainerEvent], name: &str) -> f64 {
    match events.last() {
        Some(TrainerEvent::Finished { metrics, .. }) => metrics[name],
        other => panic!("not finished: {other:?}"),
    }
}
