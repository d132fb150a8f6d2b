//! A training task from file to file: data, network, epochs, checkpoints, result.

use std::collections::BTreeMap;
use std::path::Path;

use eosfed_common::assignment::MAX_METRICS;
use eosfed_common::card::{BandNormalisation, Energy};
use eosfed_common::model::signature;
use eosfed_common::plan::Training;
use eosfed_common::task::{InitialWeights, Keep, TrainTask, TrainerEvent};
use eosfed_common::weights::{Signature, Tensors, WeightsError, write_atomically};
use eosfed_data::{
    BandStatistics, DataError, Dataset, Limits, Moments, Sample, Split, band_statistics, compare_moments,
    label_warnings,
};
use eosfed_plot::{Series, line_chart};
use tch::{Device, Tensor};

use super::checkpoint::{self, BEST, HistoryEntry, Progress};
use super::fit::{Cancelled, EpochReport, FitError, Fitting, Plan};
use super::loss::{LossSettings, class_weights};
use super::pretrained::pretrained;
use super::{AdamW, Changes, Preparation, Prepared};
use crate::device::{self, NoCuda};
use crate::energy;
use crate::metrics::{Measure, Scores};
use crate::net::{Compute, Network};
use crate::parameters::{Parameters, read};

/// Why a task did not give weights.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file of weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The device.
    #[error(transparent)]
    Device(#[from] NoCuda),
    /// The loss diverged.
    #[error("{0}")]
    Diverged(FitError),
    /// On request.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A result cannot be written.
    #[error("cannot write {file}: {reason}")]
    Write {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
}

impl From<FitError> for TrainError {
    fn from(error: FitError) -> Self {
        match error {
            FitError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            diverged @ FitError::Diverged { .. } => Self::Diverged(diverged),
        }
    }
}

struct Data {
    training: Prepared,
    validation: Option<Prepared>,
    normalisation: Vec<BandNormalisation>,
    warnings: Vec<String>,
}

/// Does the task, telling `emit` of each event and asking `stopped` before each step.
///
/// # Errors
/// Anything that trying again with the same input would meet again, and [`TrainError::Cancelled`].
pub fn run(
    task: &TrainTask,
    emit: &mut dyn FnMut(TrainerEvent),
    stopped: &dyn Fn() -> bool,
) -> Result<(), TrainError> {
    let meter = energy::Meter::start();
    let device = device::set_up(task.device, task.threads)?;
    let data = load(task, device)?;
    let signature = signature(&task.model);
    let initial = initial(task, &signature)?;
    let parameters = Parameters::new(signature.clone(), &initial, device).trainable();
    let compute = Compute::choose(task.training.precision, device);
    let network = Network::new(&task.model, &parameters, task.training.drop_path, compute);
    let forward = |images: &Tensor, train: bool| network.forward(images, train);
    let fitting = fitting(task, &data, &parameters, &initial, &forward, device);
    let mut optimizer = AdamW::new(&parameters, task.training.weight_decay, task.training.clip_norm);
    let mut progress = resume(task, &parameters, &mut optimizer);
    emit(TrainerEvent::Started {
        device: device::name(device),
        steps: fitting.steps_per_epoch() * u64::from(task.training.epochs),
        resumed_at: progress.step,
        training_samples: data.training.len() as u64,
        validation_samples: data.validation.as_ref().map_or(0, |data| data.len() as u64),
        warnings: data.warnings.clone(),
    });
    let earlier = progress.energy_kwh;
    while progress.epoch < task.training.epochs {
        let mut tell = |step, loss| emit(TrainerEvent::Progress { step, loss });
        let report = fitting.epoch(progress.epoch + 1, &mut optimizer, &mut tell, stopped)?;
        progress.energy_kwh = earlier + meter.spent().kwh;
        finish_epoch(task, &parameters, &optimizer, &mut progress, &report)?;
        let EpochReport { epoch, step, loss, learning_rate, metrics } = report;
        emit(TrainerEvent::Epoch { epoch, step, loss, learning_rate, metrics });
    }
    let best = task.output.join(BEST);
    if task.keep == Keep::Best && progress.best.is_some() {
        parameters.assign(&read(&best, &signature)?);
    }
    parameters.save(&task.output.join(TrainTask::WEIGHTS))?;
    write_history(task, &progress)?;
    let scores = data.validation.as_ref().map(|data| fitting.evaluate(data));
    let metrics = scores.map(|scores| final_metrics(&task.model.classes, &scores)).unwrap_or_default();
    let energy = Energy { kwh: earlier + meter.spent().kwh, ..meter.spent() };
    checkpoint::clear(&task.output, progress.epoch);
    let samples = data.training.len() as u64;
    emit(TrainerEvent::Finished {
        samples,
        steps: progress.step,
        normalisation: data.normalisation,
        metrics,
        energy,
    });
    Ok(())
}

/// The scores, and those of each class by itself as `NAME/CLASS` when a card has room for them.
fn final_metrics(classes: &[String], scores: &Scores) -> BTreeMap<String, f64> {
    let mut metrics = scores.summary();
    let (name, each) = scores.by_class();
    if metrics.len() + each.len() <= MAX_METRICS {
        let prefix = name.to_lowercase().replace(' ', "_");
        let named = classes.iter().zip(each);
        metrics.extend(named.filter_map(|(class, score)| Some((format!("{prefix}/{class}"), score?))));
    }
    metrics
}

fn load(task: &TrainTask, device: Device) -> Result<Data, TrainError> {
    let dataset = Dataset::open(&task.dataset, &Limits::default())?;
    dataset.serves(task.model.task, &task.model.classes)?;
    let training = dataset.load(Split::Train, &task.model.bands)?;
    let mut warnings = training.skipped;
    warnings.extend(training.notes);
    warnings.extend(label_warnings(&dataset, &training.samples));
    let report = dataset.check_bands(&task.model.bands, &training.samples)?;
    warnings.extend(report.findings.iter().map(ToString::to_string));
    let own = normalisation(&task.model.bands, &training.samples);
    if let Some(given) = &task.normalisation {
        let moments = |list: &[BandNormalisation]| list.iter().map(moments_of).collect::<Vec<_>>();
        let findings = compare_moments(&moments(&own), &moments(given));
        warnings.extend(findings.iter().map(ToString::to_string));
    }
    let normalisation = task.normalisation.clone().unwrap_or(own);
    let how = Preparation {
        normalisation: normalisation.clone(),
        input_size: task.training.input_size,
        resize_labels: task.training.crop.is_some(),
        target: task.model.target.clone().unwrap_or_default(),
    };
    let prepare = |samples: &[_]| Prepared::new(samples, &how, device);
    let validation = if dataset.is_empty(Split::Validation) {
        warnings.push("there are no validation samples; the last epoch's weights are kept".to_owned());
        None
    } else {
        let loaded = dataset.load(Split::Validation, &task.model.bands)?;
        warnings.extend(loaded.skipped);
        Some(prepare(&loaded.samples)?)
    };
    Ok(Data { training: prepare(&training.samples)?, validation, normalisation, warnings })
}

fn moments_of(entry: &BandNormalisation) -> Moments {
    Moments { band: entry.band.clone(), mean: entry.mean, std: entry.std }
}

/// Mean and standard deviation of each band over samples that hold these bands.
#[must_use]
pub fn normalisation(bands: &[String], samples: &[Sample]) -> Vec<BandNormalisation> {
    let entry = |band: BandStatistics| {
        // A constant band carries nothing; any positive divisor keeps it finite.
        let std = if band.std() > 0.0 { band.std() } else { 1.0 };
        BandNormalisation { mean: band.mean, std, band: band.band }
    };
    band_statistics(bands, samples.iter()).into_iter().map(entry).collect()
}

fn initial(task: &TrainTask, signature: &Signature) -> Result<Tensors, WeightsError> {
    match &task.initial {
        InitialWeights::Seed(seed) => Ok(eosfed_common::model::initial_weights(&task.model, *seed)),
        InitialWeights::File(path) => read(path, signature),
        InitialWeights::Pretrained { file, seed } => pretrained(&task.model, file, *seed),
    }
}

fn fitting<'a>(
    task: &TrainTask,
    data: &'a Data,
    parameters: &'a Parameters,
    initial: &Tensors,
    forward: &'a dyn Fn(&Tensor, bool) -> Tensor,
    device: Device,
) -> Fitting<'a> {
    let Training {
        epochs,
        batch_size,
        learning_rate,
        warmup,
        label_smoothing,
        class_weights: weights,
        crop,
        accumulate,
        ..
    } = task.training;
    let (kind, classes) = (task.model.task, task.model.classes.len());
    let anchor = (task.training.proximal_mu > 0.0).then(|| {
        let fixed = Parameters::new(parameters.signature().clone(), initial, device);
        (
            task.training.proximal_mu,
            fixed.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect(),
        )
    });
    Fitting {
        parameters,
        forward,
        training: &data.training,
        validation: data.validation.as_ref(),
        measure: Measure::of(&task.model),
        loss: LossSettings {
            task: kind,
            terms: task.training.losses(kind),
            class_weights: class_weights(weights, &data.training, kind, classes, device),
            label_smoothing,
        },
        penalty: None,
        proximal: anchor,
        plan: Plan {
            epochs,
            batch_size: batch_size as usize,
            accumulate: accumulate as usize,
            learning_rate,
            warmup,
            schedule: task.schedule,
            changes: Changes { augment: task.training.augment.clone(), crop },
            seed: task.seed,
        },
    }
}

/// Names and shapes in a checkpoint: weights as `w.NAME` beside the optimiser's state.
fn checkpoint_signature(parameters: &Signature) -> Signature {
    let mut all = AdamW::state_signature(parameters).0;
    all.extend(parameters.0.iter().map(|(name, shape)| (format!("w.{name}"), shape.clone())));
    Signature(all)
}

fn resume(task: &TrainTask, parameters: &Parameters, optimizer: &mut AdamW) -> Progress {
    let digest = checkpoint::task_digest(task);
    let fresh =
        Progress { task: digest, epoch: 0, step: 0, best: None, history: Vec::new(), energy_kwh: 0.0 };
    let signature = checkpoint_signature(parameters.signature());
    let Some((progress, tensors)) = checkpoint::load(&task.output, digest, &signature) else { return fresh };
    let named =
        |(name, values): (&String, &Vec<f32>)| Some((name.strip_prefix("w.")?.to_owned(), values.clone()));
    parameters.assign(&tensors.iter().filter_map(named).collect());
    optimizer.restore(&tensors, progress.step);
    tracing::info!(epoch = progress.epoch, step = progress.step, "resuming from a checkpoint");
    progress
}

fn finish_epoch(
    task: &TrainTask,
    parameters: &Parameters,
    optimizer: &AdamW,
    progress: &mut Progress,
    report: &EpochReport,
) -> Result<(), TrainError> {
    let EpochReport { epoch, step, loss, learning_rate, metrics } = report.clone();
    let kind = task.model.task;
    let better = |score: f64, best: f64| if kind.larger_is_better() { score > best } else { score < best };
    let score = metrics.get(kind.main_metric());
    if let Some(score) = score.filter(|score| progress.best.is_none_or(|best| better(**score, best))) {
        progress.best = Some(*score);
        if task.keep == Keep::Best {
            parameters.save(&task.output.join(BEST))?;
        }
    }
    (progress.epoch, progress.step) = (epoch, step);
    progress.history.push(HistoryEntry { epoch, step, loss, learning_rate, metrics });
    let (_, mut tensors) = optimizer.state(parameters.signature());
    tensors.extend(parameters.values().into_iter().map(|(name, values)| (format!("w.{name}"), values)));
    let signature = checkpoint_signature(parameters.signature());
    Ok(checkpoint::save(&task.output, progress, &signature, &tensors)?)
}

fn write_history(task: &TrainTask, progress: &Progress) -> Result<(), TrainError> {
    let write = |file: &str, reason: String| TrainError::Write { file: file.to_owned(), reason };
    let json = serde_json::to_vec_pretty(&progress.history).expect("history is plain data");
    write_atomically(&task.output.join("history.json"), &json)
        .map_err(|e| write("history.json", e.to_string()))?;
    let points = progress.history.iter().map(|entry| (entry.step as f64, entry.loss)).collect();
    let series = [Series { name: "training loss".to_owned(), points }];
    let picture: &Path = &task.output.join("loss.png");
    let terms: Vec<_> = task.training.losses(task.model.task).iter().map(|term| term.name()).collect();
    line_chart(picture, "training loss", "step", &terms.join(" + "), &series)
        .map_err(|e| write("loss.png", e.to_string()))?;
    Ok(())
}
