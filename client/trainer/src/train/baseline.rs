//! What one gets without a network, on the same split and scored alike: the constant answer, and a
//! linear model of the bands. A specialist that does not beat both has learned nothing worth sending.

use std::collections::BTreeMap;
use std::path::Path;

use eosfed_common::model::{TargetScale, Task, initial_tensors};
use eosfed_common::plan::{ClassWeights, Loss};
use eosfed_common::weights::Signature;
use eosfed_data::{BandStatistics, Dataset, Limits, Sample, Split, Target};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::prepared::IGNORED;
use super::run::{TrainError, normalisation};
use super::{AdamW, Changes, Fitting, LossSettings, Plan, Preparation, Prepared, class_weights};
use crate::metrics::Measure;
use crate::parameters::Parameters;

/// Epochs of the linear model.
const EPOCHS: u32 = 60;
/// Steps' samples.
const BATCH: usize = 16;

/// Scores of one trivial answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Baseline {
    /// What it is, in words.
    pub name: String,
    /// The task's metrics by name.
    pub metrics: BTreeMap<String, f64>,
}

/// Scores of the trivial answers on a part of a data set, learned from its training part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BaselineReport {
    /// The task.
    pub task: Task,
    /// Samples learned from.
    pub training_samples: usize,
    /// Samples scored.
    pub samples: usize,
    /// The answers.
    pub baselines: Vec<Baseline>,
}

/// Computes the trivial answers.
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
    let how = Preparation {
        normalisation: normalisation(&config.bands, &training),
        input_size,
        resize_labels: true,
        target: target.clone().unwrap_or_default(),
    };
    let learn = Prepared::new(&training, &how, Device::Cpu)?;
    let test = Prepared::new(&dataset.load(split, &config.bands)?.samples, &how, Device::Cpu)?;
    let measure = Measure::new(config.task, config.classes.len(), target.as_ref());
    let constant =
        Baseline { name: constant_name(config.task).to_owned(), metrics: constant(&learn, &test, measure) };
    let linear = linear(&learn, &test, measure, stopped)?;
    Ok(BaselineReport {
        task: config.task,
        training_samples: learn.len(),
        samples: test.len(),
        baselines: vec![constant, linear],
    })
}

/// Mean and standard deviation of regression targets.
pub(crate) fn target_scale(task: Task, samples: &[Sample]) -> Option<TargetScale> {
    (task == Task::Regression).then(|| {
        let mut moments = BandStatistics::new("target");
        for sample in samples {
            if let Target::Values(values) = &sample.target {
                moments.add(values);
            }
        }
        let scale = if moments.std() > 0.0 { moments.std() } else { 1.0 };
        TargetScale { offset: moments.mean, scale, unit: String::new() }
    })
}

const fn constant_name(task: Task) -> &'static str {
    match task {
        Task::Classification | Task::Segmentation | Task::ChangeDetection => "the commonest class everywhere",
        Task::Multilabel => "each class by its frequency",
        Task::Regression => "the mean everywhere",
    }
}

fn constant(learn: &Prepared, test: &Prepared, measure: Measure) -> BTreeMap<String, f64> {
    let size = test.labels.size();
    let classes = measure.classes as i64;
    let outputs = match measure.task {
        Task::Classification | Task::Segmentation | Task::ChangeDetection => {
            let labels = learn.labels.view([-1]);
            let known = labels.masked_select(&labels.ne(IGNORED));
            let counts = known.bincount(None::<Tensor>, classes).to_kind(Kind::Float);
            let shape: Vec<i64> = [1, classes].into_iter().chain(size[1..].iter().map(|_| 1)).collect();
            let full: Vec<i64> = [size[0], classes].into_iter().chain(size[1..].iter().copied()).collect();
            counts.view(&shape[..]).expand(&full[..], false)
        }
        Task::Multilabel => {
            let share = learn.labels.mean_dim([0_i64].as_slice(), true, Kind::Float).clamp(1e-6, 1.0 - 1e-6);
            (&share / (&share * -1.0 + 1.0)).log().expand([size[0], classes], false)
        }
        // Targets have been brought to mean 0.
        Task::Regression => Tensor::zeros([size[0], 1, size[1], size[2]], (Kind::Float, Device::Cpu)),
    };
    let mut scores = measure.start();
    scores.add(&test.labels, &outputs);
    scores.summary()
}

/// Logistic (or linear) regression of each pixel's bands; for images, of mean and spread of each band.
fn linear(
    learn: &Prepared,
    test: &Prepared,
    measure: Measure,
    stopped: &dyn Fn() -> bool,
) -> Result<Baseline, TrainError> {
    let dense = measure.task.is_dense();
    let inputs = learn.images.size()[1] as usize * if dense { 1 } else { 2 };
    let outputs = measure.classes;
    let shapes =
        [("linear.weight".to_owned(), vec![outputs, inputs]), ("linear.bias".to_owned(), vec![outputs])];
    let signature = Signature(shapes.into());
    let parameters =
        Parameters::new(signature.clone(), &initial_tensors(&signature, 0), Device::Cpu).trainable();
    let (weight, bias) = (parameters.get("linear.weight"), parameters.get("linear.bias"));
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
    let fitting = Fitting {
        parameters: &parameters,
        forward: &forward,
        training: learn,
        validation: None,
        measure,
        loss: LossSettings {
            task: measure.task,
            terms: Loss::of(measure.task)[..1].to_vec(),
            class_weights: class_weights(ClassWeights::None, learn, measure.task, outputs, Device::Cpu),
            label_smoothing: 0.0,
        },
        penalty: None,
        proximal: None,
        plan: Plan {
            epochs: EPOCHS,
            batch_size: BATCH,
            accumulate: 1,
            learning_rate: 0.05,
            warmup: 0.05,
            schedule: [0.0, 1.0],
            changes: Changes::default(),
            seed: 0,
        },
    };
    let mut optimizer = AdamW::new(&parameters, 0.0, 1.0);
    for epoch in 1..=EPOCHS {
        fitting.epoch(epoch, &mut optimizer, &mut |_, _| (), stopped)?;
    }
    let name = if dense {
        "a linear model of each pixel's bands"
    } else {
        "a linear model of each band's mean and spread"
    };
    Ok(Baseline { name: name.to_owned(), metrics: fitting.evaluate(test).summary() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trivial_answers_are_those_computed_by_hand() {
        let floats = |list: &[f32]| Tensor::from_slice(list);
        let data = |labels: Tensor| {
            let count = labels.size()[0];
            Prepared { images: Tensor::zeros([count, 1, 1, 1], (Kind::Float, Device::Cpu)), labels }
        };
        let learn = data(Tensor::from_slice(&[1_i64, 1, 0]));
        let test = data(Tensor::from_slice(&[1_i64, 0, 0, 0]));
        let classes = constant(&learn, &test, Measure::new(Task::Classification, 2, None));
        assert_eq!(classes["accuracy"], 0.25);
        let rows = data(floats(&[1.0, 0.0, 1.0, 0.0]).view([2, 2]));
        let labels = constant(&rows, &rows, Measure::new(Task::Multilabel, 2, None));
        assert_eq!(labels["accuracy"], 1.0);
        let values = data(floats(&[2.0, -2.0]).view([2, 1, 1]));
        let numbers = constant(&values, &values, Measure::new(Task::Regression, 1, None));
        assert_eq!((numbers["rmse"], numbers["r2"]), (2.0, 0.0));
    }

    #[test]
    fn the_linear_model_learns_what_is_linear() {
        let images = Tensor::from_slice(&[-1.0_f32, -0.5, 0.5, 1.0]).view([1, 1, 2, 2]);
        let labels = images.gt(0.0).to_kind(Kind::Int64).squeeze_dim(1);
        let data = Prepared { images, labels };
        let found = linear(&data, &data, Measure::new(Task::Segmentation, 2, None), &|| false).unwrap();
        assert_eq!(found.metrics["accuracy"], 1.0);
    }
}
