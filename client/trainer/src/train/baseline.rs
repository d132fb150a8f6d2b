//! Scores that need no network, on the same split and with the same metrics: a constant answer, and a
//! linear model of the bands. A specialist that does not beat both has learned nothing useful.

use std::collections::BTreeMap;
use std::path::Path;

use eosfed_common::model::{TargetScale, Task, initial_tensors};
use eosfed_common::plan::{ClassWeights, Loss};
use eosfed_common::weights::Signature;
use eosfed_data::{BandStatistics, Dataset, Limits, Sample, Split, Target};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::batches::Transforms;
use super::error::TrainError;
use super::loss::{LossSettings, class_weights};
use super::mixing::MixSettings;
use super::optimizer::AdamW;
use super::run::normalisation;
use super::tensors::{IGNORE_INDEX, Preprocessing, TensorDataset};
use super::train_loop::{LoopSettings, TrainLoop};
use crate::metrics::MetricSpec;
use crate::parameters::Parameters;

/// Epochs of the linear model.
const EPOCHS: u32 = 60;
/// Samples in a step of the linear model.
const BATCH_SIZE: usize = 16;

/// Scores of one baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Baseline {
    /// Description of the baseline.
    pub name: String,
    /// The task's metrics by name.
    pub metrics: BTreeMap<String, f64>,
}

/// Scores of the baselines on a part of a data set. They learn from its training part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BaselineReport {
    /// The task.
    pub task: Task,
    /// Number of training samples.
    pub training_samples: usize,
    /// Number of scored samples.
    pub samples: usize,
    /// The baselines.
    pub baselines: Vec<Baseline>,
}

/// Computes the baselines.
///
/// # Errors
/// If the data cannot be used.
pub fn baselines(
    data: &Path,
    split: Split,
    input_size: Option<u32>,
    stopped: &dyn Fn() -> bool,
) -> Result<BaselineReport, TrainError> {
    let dataset = Dataset::open(data, &Limits::default())?;
    let config = dataset.config();
    let training = dataset.load(Split::Train, &config.bands)?.samples;
    let target = target_scale(config.task, &training);
    let preprocessing = Preprocessing {
        normalisation: normalisation(&config.bands, &training),
        input_size,
        antialias: false,
        resize_labels: true,
        target: target.clone().unwrap_or_default(),
    };
    let train = TensorDataset::new(&training, &preprocessing, Device::Cpu)?;
    let test = TensorDataset::new(&dataset.load(split, &config.bands)?.samples, &preprocessing, Device::Cpu)?;
    let spec = MetricSpec::new(config.task, config.classes.len(), target.as_ref());
    let constant =
        Baseline { name: constant_name(config.task).to_owned(), metrics: constant(&train, &test, spec) };
    let linear = linear(&train, &test, spec, stopped)?;
    Ok(BaselineReport {
        task: config.task,
        training_samples: train.len(),
        samples: test.len(),
        baselines: vec![constant, linear],
    })
}

/// Mean and standard deviation of regression targets.
fn target_scale(task: Task, samples: &[Sample]) -> Option<TargetScale> {
    (task == Task::Regression).then(|| {
        let mut moments = BandStatistics::new("target");
        for sample in samples {
            if let Target::Values(values) = &sample.target {
                moments.add(values);
            }
        }
        scale_of(&moments)
    })
}

/// The scale of targets with these moments.
pub(crate) fn scale_of(moments: &BandStatistics) -> TargetScale {
    let scale = if moments.std() > 0.0 { moments.std() } else { 1.0 };
    TargetScale { offset: moments.mean, scale, unit: String::new() }
}

const fn constant_name(task: Task) -> &'static str {
    match task {
        Task::Classification | Task::Segmentation | Task::ChangeDetection => {
            "the most frequent class everywhere"
        }
        Task::Multilabel => "each class by its frequency",
        Task::Regression => "the mean everywhere",
    }
}

fn constant(train: &TensorDataset, test: &TensorDataset, spec: MetricSpec) -> BTreeMap<String, f64> {
    let size = test.labels.size();
    let classes = spec.classes as i64;
    let outputs = match spec.task {
        Task::Classification | Task::Segmentation | Task::ChangeDetection => {
            let labels = train.labels.view([-1]);
            let known = labels.masked_select(&labels.ne(IGNORE_INDEX));
            let counts = known.bincount(None::<Tensor>, classes).to_kind(Kind::Float);
            let shape: Vec<i64> = [1, classes].into_iter().chain(size[1..].iter().map(|_| 1)).collect();
            let full: Vec<i64> = [size[0], classes].into_iter().chain(size[1..].iter().copied()).collect();
            counts.view(&shape[..]).expand(&full[..], false)
        }
        Task::Multilabel => {
            let share = train.labels.mean_dim([0_i64].as_slice(), true, Kind::Float).clamp(1e-6, 1.0 - 1e-6);
            (&share / (&share * -1.0 + 1.0)).log().expand([size[0], classes], false)
        }
        // Targets have been scaled to mean 0.
        Task::Regression => Tensor::zeros([size[0], 1, size[1], size[2]], (Kind::Float, Device::Cpu)),
    };
    let mut scores = spec.scores();
    scores.add(&test.labels, &outputs);
    scores.summary()
}

/// Logistic (or linear) regression on the bands of each pixel; for labels of images, on the mean and the
/// standard deviation of each band.
fn linear(
    train: &TensorDataset,
    test: &TensorDataset,
    spec: MetricSpec,
    stopped: &dyn Fn() -> bool,
) -> Result<Baseline, TrainError> {
    let dense = spec.task.is_dense();
    let inputs = train.images.size()[1] as usize * if dense { 1 } else { 2 };
    let outputs = spec.classes;
    let shapes =
        [("linear.weight".to_owned(), vec![outputs, inputs]), ("linear.bias".to_owned(), vec![outputs])];
    let signature = Signature(shapes.into());
    let parameters =
        Parameters::new(signature.clone(), &initial_tensors(&signature, 0), Device::Cpu).trainable();
    let weight = parameters.get("linear.weight");
    let bias = parameters.get("linear.bias");
    let forward = |images: &Tensor, _: bool| {
        let features = if dense {
            images.movedim_int(1, -1)
        } else {
            let over = [2_i64, 3];
            let mean = images.mean_dim(over.as_slice(), false, Kind::Float);
            Tensor::cat(&[mean, images.std_dim(over.as_slice(), false, false)], 1)
        };
        features.linear(&weight, Some(&bias)).movedim_int(-1, 1)
    };
    let train_loop = TrainLoop {
        parameters: &parameters,
        forward: &forward,
        training: train,
        validation: None,
        test: None,
        metrics: spec,
        loss: LossSettings {
            task: spec.task,
            terms: Loss::of(spec.task)[..1].to_vec(),
            class_weights: class_weights(ClassWeights::None, train, spec.task, outputs, Device::Cpu),
            label_smoothing: 0.0,
        },
        penalty: None,
        proximal: None,
        after_backward: None,
        settings: LoopSettings {
            epochs: EPOCHS,
            batch_size: BATCH_SIZE,
            accumulate: 1,
            learning_rate: 0.05,
            warmup: 0.05,
            schedule: [0.0, 1.0],
            transforms: Transforms::default(),
            mix: MixSettings::default(),
            seed: 0,
        },
    };
    let mut optimizer = AdamW::new(&parameters, 0.0, 1.0);
    for epoch in 1..=EPOCHS {
        train_loop.epoch(epoch, &mut optimizer, &mut |_, _| (), stopped)?;
    }
    let name = if dense {
        "a linear model of each pixel's bands"
    } else {
        "a linear model of each band's mean and deviation"
    };
    Ok(Baseline { name: name.to_owned(), metrics: train_loop.evaluate(test)?.summary() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_answers_are_scored_as_by_hand() {
        let floats = |list: &[f32]| Tensor::from_slice(list);
        let data = |labels: Tensor| {
            let count = labels.size()[0];
            TensorDataset { images: Tensor::zeros([count, 1, 1, 1], (Kind::Float, Device::Cpu)), labels }
        };
        let train = data(Tensor::from_slice(&[1_i64, 1, 0]));
        let test = data(Tensor::from_slice(&[1_i64, 0, 0, 0]));
        let classes = constant(&train, &test, MetricSpec::new(Task::Classification, 2, None));
        assert_eq!(classes["accuracy"], 0.25);
        let rows = data(floats(&[1.0, 0.0, 1.0, 0.0]).view([2, 2]));
        let labels = constant(&rows, &rows, MetricSpec::new(Task::Multilabel, 2, None));
        assert_eq!(labels["accuracy"], 1.0);
        let values = data(floats(&[2.0, -2.0]).view([2, 1, 1]));
        let numbers = constant(&values, &values, MetricSpec::new(Task::Regression, 1, None));
        assert_eq!((numbers["rmse"], numbers["r2"]), (2.0, 0.0));
    }

    #[test]
    fn the_linear_model_learns_a_linear_rule() {
        let images = Tensor::from_slice(&[-1.0_f32, -0.5, 0.5, 1.0]).view([1, 1, 2, 2]);
        let labels = images.gt(0.0).to_kind(Kind::Int64).squeeze_dim(1);
        let data = TensorDataset { images, labels };
        let found = linear(&data, &data, MetricSpec::new(Task::Segmentation, 2, None), &|| false).unwrap();
        assert_eq!(found.metrics["accuracy"], 1.0);
    }
}
