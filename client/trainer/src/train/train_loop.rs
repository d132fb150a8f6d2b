//! The training loop: epochs of optimiser steps over a forward function, each followed by validation.
//!
//! The loop knows neither files nor tasks; specialists and the heads of ensembles are trained by the
//! same code. Randomness depends on the seed and the epoch only, so a training can stop after any epoch
//! and resume with the same bytes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use eosfed_common::plan::Training;
use eosfed_data::DataError;
use tch::{Kind, Tensor};

use super::batches::{Batch, Transforms};
use super::loss::{LossSettings, resize_to_labels};
use super::mixing::{MixSettings, Mixed, Mixer};
use super::optimizer::{AdamW, learning_rate};
use super::samples::{EpochSettings, Samples, ScoredData};
use super::tally::Tally;
use crate::device::memory::contained;
use crate::device::reading::numbers;
use crate::metrics::{MetricSpec, Scores};
use crate::parameters::Parameters;

/// Time between two reports of progress.
const REPORT_INTERVAL: Duration = Duration::from_millis(900);

/// The training was cancelled on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("training was cancelled")]
pub struct Cancelled;

/// Why a training ended early.
#[derive(Debug, thiserror::Error)]
pub enum TrainLoopError {
    /// On request.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A sample cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The loss is NaN or infinite.
    #[error(
        "the loss became `{loss}` at step {step}; lower `training.learning_rate` (now `{rate}`) or look for outliers in the data"
    )]
    Diverged {
        /// The loss.
        loss: f64,
        /// The step.
        step: u64,
        /// The learning rate at that step.
        rate: f64,
    },
}

/// How long and how fast to train.
#[derive(Debug, Clone)]
pub struct LoopSettings {
    /// Number of epochs.
    pub epochs: u32,
    /// Samples in a batch.
    pub batch_size: usize,
    /// Batches whose gradients are averaged into one step.
    pub accumulate: usize,
    /// Maximum of the learning-rate schedule.
    pub learning_rate: f64,
    /// Share of the schedule that is warm-up.
    pub warmup: f64,
    /// Start and end of the part of the schedule to cover, from 0 to 1.
    pub schedule: [f64; 2],
    /// Random changes to samples.
    pub transforms: Transforms,
    /// How images of a batch are mixed with one another.
    pub mix: MixSettings,
    /// Seed of all randomness.
    pub seed: u64,
}

impl LoopSettings {
    /// The settings of a plan, over a part of the schedule.
    #[must_use]
    pub fn of(training: &Training, schedule: [f64; 2], seed: u64) -> Self {
        Self {
            epochs: training.epochs,
            batch_size: training.batch_size as usize,
            accumulate: training.accumulate as usize,
            learning_rate: training.learning_rate,
            warmup: training.warmup,
            schedule,
            transforms: Transforms { augment: training.augment.clone(), crop: training.crop },
            mix: MixSettings { mixup: training.mixup, cutmix: training.cutmix },
            seed,
        }
    }

    /// Number of batches in an epoch over this number of samples.
    #[must_use]
    pub fn batches_per_epoch(&self, samples: usize) -> u64 {
        samples.div_ceil(self.batch_size) as u64
    }
}

/// Result of an epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochReport {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Steps done.
    pub step: u64,
    /// Mean training loss.
    pub loss: f64,
    /// Learning rate at the end.
    pub learning_rate: f64,
    /// Validation metrics; empty without validation samples.
    pub metrics: BTreeMap<String, f64>,
    /// How long the validation took.
    pub validation: Duration,
}

/// FedProx's term of the loss: `mu / 2` times the squared distance from the weights of the start (Li et
/// al. 2020, equation 2).
#[derive(Debug)]
pub struct ProximalTerm {
    /// Strength of the term.
    pub mu: f64,
    /// Weights of the start by name.
    pub anchor: BTreeMap<String, Tensor>,
}

/// Everything that one training needs.
pub struct TrainLoop<'a> {
    /// Parameters that are learned.
    pub parameters: &'a Parameters,
    /// Outputs for a batch of images; the flag is true while training.
    pub forward: &'a dyn Fn(&Tensor, bool) -> Tensor,
    /// Samples to learn from.
    pub training: &'a dyn Samples,
    /// Samples to validate on, if any.
    pub validation: Option<&'a dyn Samples>,
    /// Samples that nothing is chosen on, for the last score, if any.
    pub test: Option<ScoredData<'a>>,
    /// Metrics of the validation.
    pub metrics: MetricSpec,
    /// The loss.
    pub loss: LossSettings,
    /// A term of the loss that does not depend on the samples, if any.
    pub penalty: Option<&'a dyn Fn() -> Tensor>,
    /// FedProx's term, if any.
    pub proximal: Option<ProximalTerm>,
    /// How long and how fast to train.
    pub settings: LoopSettings,
    /// Called after each backward pass of a loss, if other threads have computed a part of the outputs.
    pub after_backward: Option<&'a dyn Fn()>,
}

/// The losses of the steps of an epoch. They stay on the device until someone looks at them.
#[derive(Default)]
struct Losses {
    pending: Vec<Tensor>,
    sum: f64,
    count: u64,
}

impl Losses {
    /// Reads the losses of the steps since the last call, oldest first. Waits for the device.
    fn read(&mut self) -> Vec<f64> {
        if self.pending.is_empty() {
            return Vec::new();
        }
        let losses = numbers(&Tensor::stack(&self.pending, 0));
        self.pending.clear();
        self.sum += losses.iter().sum::<f64>();
        self.count += losses.len() as u64;
        losses
    }

    /// The mean of all that were read.
    fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}

impl TrainLoop<'_> {
    /// Optimiser steps in an epoch.
    #[must_use]
    pub fn steps_per_epoch(&self) -> u64 {
        self.settings.batches_per_epoch(self.training.len()).div_ceil(self.settings.accumulate as u64)
    }

    /// Trains one epoch (from 1). Calls `progress` with the step and the mean loss about every second,
    /// and `stopped` before each step. A step reads nothing from the device; the losses are read with the
    /// reports. Where memory does not suffice for a batch, it is done in smaller parts, for the rest of the
    /// epoch.
    ///
    /// # Errors
    /// If the training is cancelled, or the loss is not finite.
    pub fn epoch(
        &self,
        epoch: u32,
        optimizer: &mut AdamW,
        progress: &mut dyn FnMut(u64, f64),
        stopped: &dyn Fn() -> bool,
    ) -> Result<EpochReport, TrainLoopError> {
        let settings = &self.settings;
        let seed = mix(settings.seed, u64::from(epoch));
        tch::manual_seed(seed as i64);
        let mut batches = self.training.epoch(EpochSettings {
            task: self.loss.task,
            batch_size: settings.batch_size,
            transforms: &settings.transforms,
            seed,
        });
        let mut mixer = Mixer::new(settings.mix, seed);
        let mut part = settings.batch_size;
        let mut losses = Losses::default();
        let mut reported = Instant::now();
        let mut rate = 0.0;
        for _ in 0..self.steps_per_epoch() {
            if stopped() {
                return Err(Cancelled.into());
            }
            rate = self.learning_rate(optimizer.steps() + 1);
            let step: Vec<_> = batches.by_ref().take(settings.accumulate).collect::<Result<_, _>>()?;
            let step = mixed(step, mixer.as_mut());
            losses.pending.push(self.step(&step, optimizer, rate, &mut part));
            if reported.elapsed() >= REPORT_INTERVAL {
                let read = self.read(&mut losses, optimizer.steps())?;
                progress(optimizer.steps(), read.iter().sum::<f64>() / read.len().max(1) as f64);
                reported = Instant::now();
            }
        }
        drop(batches);
        self.read(&mut losses, optimizer.steps())?;
        let validating = Instant::now();
        optimizer.exchange_average();
        let scores = self.validation.map(|data| self.evaluate(data)).transpose()?;
        optimizer.exchange_average();
        let metrics = scores.map(|scores| scores.summary()).unwrap_or_default();
        let validation = validating.elapsed();
        let loss = losses.mean();
        Ok(EpochReport { epoch, step: optimizer.steps(), loss, learning_rate: rate, metrics, validation })
    }

    /// Reads the losses since the last call, of which the last is that of `step`. Fails if one is not finite.
    fn read(&self, losses: &mut Losses, step: u64) -> Result<Vec<f64>, TrainLoopError> {
        let read = losses.read();
        if let Some(at) = read.iter().position(|loss| !loss.is_finite()) {
            let step = step + 1 - (read.len() - at) as u64;
            let rate = self.learning_rate(step);
            return Err(TrainLoopError::Diverged { loss: read[at], step, rate });
        }
        Ok(read)
    }

    /// The learning rate of a step, counted from 1 over all epochs.
    fn learning_rate(&self, step: u64) -> f64 {
        let LoopSettings { schedule: [start, end], epochs, learning_rate: maximum, warmup, .. } =
            self.settings;
        let total = (u64::from(epochs) * self.steps_per_epoch()) as f64;
        learning_rate(maximum, warmup, start + (end - start) * step as f64 / total)
    }

    /// One step along the mean gradient of the batches; returns their mean loss. Batches are done in parts of
    /// at most `part` samples. Where memory does not suffice, that is halved and the step is begun again.
    fn step(&self, batches: &[MixedBatch], optimizer: &mut AdamW, rate: f64, part: &mut usize) -> Tensor {
        let loss = loop {
            let (problem, smaller) = match contained(|| self.gradients(batches, *part)) {
                Ok(loss) => break loss,
                Err(problem) => (problem, *part / 2),
            };
            if smaller == 0 {
                // With a single sample, nothing is left to be tried.
                problem.again();
            }
            tracing::warn!(
                step = optimizer.steps() + 1,
                part = smaller,
                "{problem}. Batches of this epoch are done in parts of {smaller} samples, whose gradients are \
                 added up: this is slower. `training.batch_size = {smaller}` with a larger \
                 `training.accumulate` does the same from the start"
            );
            optimizer.clear_gradients();
            *part = smaller;
        };
        // Batches without a single label still count as a step of the schedule.
        optimizer.step(if loss.is_some() { rate } else { 0.0 });
        loss.unwrap_or_else(|| Tensor::zeros([], (Kind::Float, self.training.device())))
    }

    /// Adds the gradients of a step to those of the parameters; returns the mean loss of the batches, or `None`
    /// if they have no label. Parts of a batch count by their samples. So where some pixels have no label, or
    /// classes have weights, the mean over parts may differ a little from that over the batch; losses of
    /// overlap are those of the parts.
    fn gradients(&self, batches: &[MixedBatch], part: usize) -> Option<Tensor> {
        let share = 1.0 / batches.len() as f64;
        let mut mean: Option<Tensor> = None;
        for (batch, mix) in batches {
            let size = batch.windows.len();
            for start in (0..size).step_by(part) {
                let batch = batch.part(start, part);
                if !batch.labelled.contains(&true) {
                    continue;
                }
                let share = share * batch.windows.len() as f64 / size as f64;
                let outputs = (self.forward)(&batch.images, true);
                let loss = match mix {
                    Some(mix) => mix.loss(&self.loss, &outputs, &batch.labels, start),
                    None => self.loss.of_labelled(&outputs, &batch.labels),
                };
                let value = loss.detach() * share;
                mean = Some(mean.map_or_else(|| value.shallow_clone(), |mean| mean + &value));
                let total = match &self.penalty {
                    Some(penalty) => loss + penalty(),
                    None => loss,
                };
                (total * share).backward();
                if let Some(after) = self.after_backward {
                    after();
                }
            }
        }
        if let (true, Some(ProximalTerm { mu, anchor })) = (mean.is_some(), &self.proximal) {
            (self.squared_distance(anchor) * (mu / 2.0)).backward();
        }
        mean
    }

    /// Squared distance of the parameters from `anchor`.
    fn squared_distance(&self, anchor: &BTreeMap<String, Tensor>) -> Tensor {
        let each =
            self.parameters.iter().map(|(name, tensor)| (tensor - &anchor[name]).square().sum(Kind::Float));
        Tensor::stack(&each.collect::<Vec<_>>(), 0).sum(Kind::Float)
    }

    /// Predicts all of `data` and scores the predictions.
    ///
    /// # Errors
    /// If a sample cannot be read.
    pub fn evaluate(&self, data: &dyn Samples) -> Result<Scores, TrainLoopError> {
        let mut tally = Tally::new(self.metrics);
        let mut add = |labels: &Tensor, outputs: &Tensor| tally.add(labels, outputs);
        predict(self.forward, data, self.metrics, self.settings.batch_size, &mut add)?;
        Ok(tally.finish())
    }
}

/// A batch, and the labels that its images were mixed with, if they were.
type MixedBatch = (Batch, Option<Mixed>);

/// Batches with their images mixed, if they are to be.
fn mixed(batches: Vec<Batch>, mut mixer: Option<&mut Mixer>) -> Vec<MixedBatch> {
    let mix = |batch: Batch| match &mut mixer {
        Some(mixer) => {
            let (images, mixed) = mixer.mix(&batch.images, &batch.labels);
            (Batch { images, ..batch }, Some(mixed))
        }
        None => (batch, None),
    };
    batches.into_iter().map(mix).collect()
}

/// Calls `each` with labels and outputs of `data` in order, a batch at a time. Dense outputs have the
/// height and width of the labels.
///
/// # Errors
/// If a sample cannot be read.
pub fn predict(
    forward: &dyn Fn(&Tensor, bool) -> Tensor,
    data: &dyn Samples,
    metrics: MetricSpec,
    batch_size: usize,
    each: &mut dyn FnMut(&Tensor, &Tensor),
) -> Result<(), DataError> {
    let _guard = tch::no_grad_guard();
    for batch in data.in_order(batch_size) {
        let Batch { images, labels, .. } = batch?;
        each(&labels, &resize_to_labels(&forward(&images, false), &labels, metrics.task));
    }
    Ok(())
}

/// A seed that differs for each epoch (splitmix64's finaliser).
fn mix(seed: u64, epoch: u64) -> u64 {
    let mut z = seed.wrapping_add(epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
