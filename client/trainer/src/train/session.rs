//! A training under way in a folder: taken up from its checkpoint, an epoch at a time, to its result.
//! The same for specialists and for heads.

use std::collections::BTreeMap;
use std::path::Path;

use eosfed_common::assignment::MAX_METRICS;
use eosfed_common::card::{BandNormalisation, Energy, InitialFile};
use eosfed_common::files::write_atomically;
use eosfed_common::finite::Finite;
use eosfed_common::report::TrainingReport;
use eosfed_common::task::{Keep, TrainTask, TrainerEvent};
use eosfed_common::weights::Signature;
use eosfed_plot::{Series, line_chart};
use tch::Device;

use super::AdamW;
use super::checkpoint::{self, BEST, HistoryEntry, Progress};
use super::fit::{EpochReport, Fitting};
use super::run::TrainError;
use crate::device;
use crate::energy;
use crate::metrics::Scores;
use crate::parameters::{Parameters, read};

/// What is known when training starts, besides the task.
#[derive(Debug, Default)]
pub struct Facts {
    /// Training samples.
    pub samples: usize,
    /// Validation samples.
    pub validation: usize,
    /// The normalisation used; none where encoders are frozen.
    pub normalisation: Vec<BandNormalisation>,
    /// What a person should look at.
    pub warnings: Vec<String>,
    /// What the encoder started from, if that was a file of timm's.
    pub initial: Option<InitialFile>,
}

/// A training, standing where its checkpoint says.
#[derive(Debug)]
pub struct Session<'a> {
    task: &'a TrainTask,
    parameters: &'a Parameters,
    optimizer: AdamW,
    progress: Progress,
    meter: energy::Meter,
}

impl<'a> Session<'a> {
    /// Takes up a training from the checkpoint in the task's folder, or starts it.
    #[must_use]
    pub fn open(
        task: &'a TrainTask,
        parameters: &'a Parameters,
        mut optimizer: AdamW,
        meter: energy::Meter,
    ) -> Self {
        let progress = resume(task, parameters, &mut optimizer);
        Self { task, parameters, optimizer, progress, meter }
    }

    /// Epochs done.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.progress.epoch
    }

    /// Trains to the end and writes the weights.
    ///
    /// # Errors
    /// If the loss diverges, a file cannot be written, or `stopped` says so.
    pub fn run(
        mut self,
        fitting: &Fitting<'_>,
        facts: Facts,
        device: Device,
        emit: &mut dyn FnMut(TrainerEvent),
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), TrainError> {
        let Self { task, parameters, .. } = self;
        let epochs = fitting.plan.epochs;
        emit(TrainerEvent::Started {
            device: device::name(device),
            steps: fitting.steps_per_epoch() * u64::from(epochs),
            resumed_at: self.progress.step,
            training_samples: facts.samples as u64,
            validation_samples: facts.validation as u64,
            warnings: facts.warnings,
        });
        let earlier = self.progress.energy_kwh;
        if self.progress.epoch == 0 {
            // Resumed, it is the file of the first start that counts, whatever lies there now.
            self.progress.initial = facts.initial;
        }
        while self.progress.epoch < epochs {
            let mut tell = |step, loss| emit(TrainerEvent::Progress { step, loss });
            let report = fitting.epoch(self.progress.epoch + 1, &mut self.optimizer, &mut tell, stopped)?;
            self.progress.energy_kwh = earlier + self.meter.spent().kwh.get();
            finish_epoch(task, parameters, &self.optimizer, &mut self.progress, &report)?;
            let EpochReport { epoch, step, loss, learning_rate, metrics } = report;
            emit(TrainerEvent::Epoch { epoch, step, loss, learning_rate, metrics });
        }
        if task.keep == Keep::Best && self.progress.best.is_some() {
            parameters.assign(&read(&task.output.join(BEST), parameters.signature())?);
        }
        parameters.save(&task.output.join(TrainTask::WEIGHTS))?;
        write_history(task, &self.progress)?;
        let scores = fitting.validation.map(|data| fitting.evaluate(data));
        let metrics = scores.map(|scores| final_metrics(task.trainee.classes(), &scores)).unwrap_or_default();
        let spent = self.meter.spent();
        let kwh = Finite::new(earlier + spent.kwh.get()).unwrap_or(Finite::MAX);
        let energy = Energy { kwh, source: spent.source };
        checkpoint::clear(&task.output, self.progress.epoch);
        let report = TrainingReport {
            samples: facts.samples as u64,
            metrics,
            normalisation: facts.normalisation,
            energy,
            initial: self.progress.initial,
        };
        emit(TrainerEvent::Finished { steps: self.progress.step, report });
        Ok(())
    }
}

/// The scores, and those of each class by itself as `NAME/CLASS` when a card has room for them. A score
/// that is not finite is left out with a warning.
pub(super) fn final_metrics(classes: &[String], scores: &Scores) -> BTreeMap<String, Finite> {
    let mut metrics = scores.summary();
    let (name, each) = scores.by_class();
    if metrics.len() + each.len() <= MAX_METRICS {
        let prefix = name.to_lowercase().replace(' ', "_");
        let named = classes.iter().zip(each);
        metrics.extend(named.filter_map(|(class, score)| Some((format!("{prefix}/{class}"), score?))));
    }
    let finite = metrics.into_iter().filter_map(|(name, value)| match Finite::new(value) {
        Some(value) => Some((name, value)),
        None => {
            tracing::warn!(metric = name, value, "a metric is not finite; it is not reported");
            None
        }
    });
    finite.collect()
}

/// Names and shapes in a checkpoint: weights as `w.NAME` beside the optimiser's state.
fn checkpoint_signature(parameters: &Signature) -> Signature {
    let mut all = AdamW::state_signature(parameters).0;
    all.extend(parameters.0.iter().map(|(name, shape)| (format!("w.{name}"), shape.clone())));
    Signature(all)
}

fn resume(task: &TrainTask, parameters: &Parameters, optimizer: &mut AdamW) -> Progress {
    let digest = checkpoint::task_digest(task);
    let fresh = Progress {
        task: digest,
        epoch: 0,
        step: 0,
        best: None,
        history: Vec::new(),
        energy_kwh: 0.0,
        initial: None,
    };
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
    let kind = task.trainee.task();
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
    let terms: Vec<_> = task.training.losses(task.trainee.task()).iter().map(|term| term.name()).collect();
    line_chart(picture, "training loss", "step", &terms.join(" + "), &series)
        .map_err(|e| write("loss.png", e.to_string()))?;
    Ok(())
}
