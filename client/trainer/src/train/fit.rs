//! The loop itself: epochs of optimiser steps over a forward function, validated after each.
//!
//! Knows neither files nor tasks: specialists are trained through it, and so are the heads of
//! ensembles. Randomness comes from the seed and the epoch alone, so that training can stop after
//! any epoch and go on with the same bytes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use eosfed_common::plan::Training;
use tch::Tensor;

use super::Prepared;
use super::batches::{Batches, Changes};
use super::loss::{LossSettings, at_label_size};
use super::optimizer::{AdamW, learning_rate};
use crate::metrics::{Measure, Scores};
use crate::parameters::Parameters;

/// Training was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("training was cancelled")]
pub struct Cancelled;

/// Why training ended early.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// On request.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
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
pub struct Plan {
    /// Epochs.
    pub epochs: u32,
    /// Samples in a batch.
    pub batch_size: usize,
    /// Batches whose gradients are averaged into one step.
    pub accumulate: usize,
    /// Top of the schedule.
    pub learning_rate: f64,
    /// Share of the schedule that is warm-up.
    pub warmup: f64,
    /// The stretch of the schedule to cover.
    pub schedule: [f64; 2],
    /// Random changes to samples.
    pub changes: Changes,
    /// Seed of all randomness.
    pub seed: u64,
}

impl Plan {
    /// What settings ask for, over a stretch of the schedule.
    #[must_use]
    pub fn of(training: &Training, schedule: [f64; 2], seed: u64) -> Self {
        let Training { epochs, batch_size, learning_rate, warmup, crop, accumulate, .. } = *training;
        Self {
            epochs,
            batch_size: batch_size as usize,
            accumulate: accumulate as usize,
            learning_rate,
            warmup,
            schedule,
            changes: Changes { augment: training.augment.clone(), crop },
            seed,
        }
    }
}

/// What an epoch gave.
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
}

/// Everything that one training needs.
pub struct Fitting<'a> {
    /// What is learned.
    pub parameters: &'a Parameters,
    /// Outputs for a batch; the flag says whether it is for training.
    pub forward: &'a dyn Fn(&Tensor, bool) -> Tensor,
    /// Samples to learn from.
    pub training: &'a Prepared,
    /// Samples to validate on, if any.
    pub validation: Option<&'a Prepared>,
    /// What is scored.
    pub measure: Measure,
    /// The loss.
    pub loss: LossSettings,
    /// A term beside the loss that does not depend on the samples, if any.
    pub penalty: Option<&'a dyn Fn() -> Tensor>,
    /// FedProx's term, if any: mu and the weights to stay near (Li et al. 2020, equation 2).
    pub proximal: Option<(f64, BTreeMap<String, Tensor>)>,
    /// How long and how fast.
    pub plan: Plan,
}

impl Fitting<'_> {
    /// Optimiser steps in an epoch.
    #[must_use]
    pub fn steps_per_epoch(&self) -> u64 {
        let batches = Batches::count(self.training.len(), self.plan.batch_size);
        batches.div_ceil(self.plan.accumulate) as u64
    }

    /// Trains one epoch (from 1). Calls `progress` with the step and the mean loss at least every
    /// second, and `stopped` before each step.
    ///
    /// # Errors
    /// If told to stop, or the loss is not finite.
    pub fn epoch(
        &self,
        epoch: u32,
        optimizer: &mut AdamW,
        progress: &mut dyn FnMut(u64, f64),
        stopped: &dyn Fn() -> bool,
    ) -> Result<EpochReport, FitError> {
        const REPORT: Duration = Duration::from_millis(900);
        let Plan { batch_size, accumulate, changes, learning_rate: top, warmup, schedule, epochs, seed } =
            &self.plan;
        let seed = mix(*seed, u64::from(epoch));
        tch::manual_seed(seed as i64);
        let total = (u64::from(*epochs) * self.steps_per_epoch()) as f64;
        let (mut sum, mut count, mut since, mut since_count) = (0.0, 0_u64, 0.0, 0_u64);
        let (mut reported, mut rate) = (Instant::now(), 0.0);
        let mut batches = Batches::new(self.training, *batch_size, changes, seed).peekable();
        while batches.peek().is_some() {
            if stopped() {
                return Err(Cancelled.into());
            }
            let done = optimizer.steps() as f64 + 1.0;
            let at = schedule[0] + (schedule[1] - schedule[0]) * done / total;
            rate = learning_rate(*top, *warmup, at);
            let step: Vec<_> = batches.by_ref().take(*accumulate).collect();
            let loss = self.step(&step, optimizer, rate)?;
            (sum, count, since, since_count) = (sum + loss, count + 1, since + loss, since_count + 1);
            if reported.elapsed() >= REPORT {
                progress(optimizer.steps(), since / since_count as f64);
                (since, since_count, reported) = (0.0, 0, Instant::now());
            }
        }
        let metrics = self.validation.map(|data| self.evaluate(data).summary()).unwrap_or_default();
        let loss = sum / count.max(1) as f64;
        Ok(EpochReport { epoch, step: optimizer.steps(), loss, learning_rate: rate, metrics })
    }

    /// One step along the mean gradient of the batches; gives their mean loss.
    fn step(&self, batches: &[(Tensor, Tensor)], optimizer: &mut AdamW, rate: f64) -> Result<f64, FitError> {
        let (share, mut sum, mut learned) = (1.0 / batches.len() as f64, 0.0, false);
        for (images, labels) in batches {
            let Some(loss) = self.loss.loss(&(self.forward)(images, true), labels) else { continue };
            let value = loss.double_value(&[]);
            if !value.is_finite() {
                return Err(FitError::Diverged { loss: value, step: optimizer.steps() + 1, rate });
            }
            (sum, learned) = (sum + value, true);
            let total = match &self.penalty {
                Some(penalty) => loss + penalty(),
                None => loss,
            };
            (total * share).backward();
        }
        if let (true, Some((mu, anchor))) = (learned, &self.proximal) {
            (self.distance(anchor) * (mu / 2.0)).backward();
        }
        // Batches without a single label still count as a step of the schedule.
        optimizer.step(self.parameters, if learned { rate } else { 0.0 });
        Ok(sum * share)
    }

    /// Squared distance of the parameters from `anchor`.
    fn distance(&self, anchor: &BTreeMap<String, Tensor>) -> Tensor {
        let each = self
            .parameters
            .iter()
            .map(|(name, tensor)| (tensor - &anchor[name]).square().sum(tch::Kind::Float));
        Tensor::stack(&each.collect::<Vec<_>>(), 0).sum(tch::Kind::Float)
    }

    /// Predicts all of `data` and scores it.
    #[must_use]
    pub fn evaluate(&self, data: &Prepared) -> Scores {
        let mut scores = self.measure.start();
        let mut add = |labels: &Tensor, outputs: &Tensor| scores.add(labels, outputs);
        predict(self.forward, data, self.measure, self.plan.batch_size, &mut add);
        scores
    }
}

/// Outputs for `data` in order, a batch at a time, at the height and width of its labels.
pub fn predict(
    forward: &dyn Fn(&Tensor, bool) -> Tensor,
    data: &Prepared,
    measure: Measure,
    batch_size: usize,
    each: &mut dyn FnMut(&Tensor, &Tensor),
) {
    let _guard = tch::no_grad_guard();
    let total = data.len() as i64;
    let size = batch_size as i64;
    for start in (0..total).step_by(batch_size) {
        let take = |tensor: &Tensor| tensor.narrow(0, start, size.min(total - start));
        let labels = take(&data.labels);
        let outputs = at_label_size(&forward(&take(&data.images), false), &labels, measure.task);
        each(&labels, &outputs);
    }
}

/// A seed that differs for each epoch (splitmix64's finaliser).
fn mix(seed: u64, epoch: u64) -> u64 {
    let mut z = seed.wrapping_add(epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
