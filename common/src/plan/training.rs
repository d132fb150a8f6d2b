//! How a network is trained: the table `[training]` of a plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::model::Task;

/// Weights of classes in the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// All equal.
    #[default]
    None,
    /// Inverse square root of the class's frequency in the training part, scaled to mean 1.
    Balanced,
}

/// Random changes to training samples, the same for image and mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Augmentation {
    /// Mirror left-right and up-down, each with probability one half.
    Flip,
    /// Turn by a random multiple of 90 degrees; of 180 degrees where height and width differ.
    Rotate90,
    /// Per band: multiply by U(0.9, 1.1) and add U(-0.1, 0.1), in normalised units.
    Jitter,
}

/// A term of the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Loss {
    /// Softmax cross-entropy.
    CrossEntropy,
    /// Cross-entropy that fades for what is well known already, gamma 2 (Lin et al. 2017); binary for
    /// several labels.
    Focal,
    /// One minus the soft Dice coefficient, mean over the classes present (Milletari et al. 2016).
    Dice,
    /// One minus the soft Jaccard index, mean over the classes present.
    Jaccard,
    /// Lovász-softmax: a surrogate of the Jaccard index itself (Berman et al. 2018).
    Lovasz,
    /// Binary cross-entropy for each class by itself.
    Bce,
    /// Mean squared error, in units of the target's scale.
    Mse,
    /// Mean absolute error.
    Mae,
    /// Squared below one scale of the target, absolute above (Huber 1964).
    Huber,
}

impl Loss {
    /// Its name in plans.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The losses that fit a task, the first of which is the usual one.
    #[must_use]
    pub const fn of(task: Task) -> &'static [Self] {
        match task {
            Task::Classification => &[Self::CrossEntropy, Self::Focal],
            Task::Multilabel => &[Self::Bce, Self::Focal],
            Task::Segmentation | Task::ChangeDetection => {
                &[Self::CrossEntropy, Self::Focal, Self::Dice, Self::Jaccard, Self::Lovasz]
            }
            Task::Regression => &[Self::Mse, Self::Mae, Self::Huber],
        }
    }
}

/// Numbers in which the network computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits throughout.
    #[default]
    Full,
    /// Convolutions and linear layers in bfloat16 where the device is CUDA; norms, losses and the
    /// weights themselves stay at 32 bits.
    Bf16,
}

/// How a network is trained at an institution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Passes over the training part: in all (one-shot) or in each round (rounds).
    #[schemars(extend("x-rule" = "1 to 10000"))]
    pub epochs: u32,
    /// Samples in an optimiser step.
    #[schemars(extend("x-rule" = "1 to 4096"))]
    pub batch_size: u32,
    /// AdamW's learning rate at the top of the schedule.
    #[schemars(extend("x-rule" = "above 0, at most 1"))]
    pub learning_rate: f64,
    /// AdamW's weight decay, on tensors of two and more dimensions.
    #[serde(default = "default_weight_decay")]
    #[schemars(extend("x-rule" = "0 to 1"))]
    pub weight_decay: f64,
    /// Fraction of all steps over which the learning rate rises linearly before the cosine.
    #[serde(default = "default_warmup")]
    #[schemars(extend("x-rule" = "0 to 1"))]
    pub warmup: f64,
    /// Drop-path rate of the last block; rises linearly from 0 at the first.
    #[serde(default)]
    #[schemars(extend("x-rule" = "0 to 0.9; 0 in downstream jobs"))]
    pub drop_path: f64,
    /// Label smoothing of the cross-entropy.
    #[serde(default)]
    #[schemars(extend("x-rule" = "0 to 0.9"))]
    pub label_smoothing: f64,
    /// Weights of classes in the loss.
    #[serde(default)]
    pub class_weights: ClassWeights,
    /// Random changes to training samples.
    #[serde(default)]
    #[schemars(extend("x-rule" = "distinct; none in downstream jobs"))]
    pub augment: Vec<Augmentation>,
    /// Side in pixels to which square tiles are resized (bilinear; masks nearest); a multiple of 32.
    #[schemars(extend("x-rule" = "a multiple of 32, 32 to 1024"))]
    pub input_size: Option<u32>,
    /// Side in pixels of the random square taken of each training sample; a multiple of 32. Absent:
    /// whole samples.
    #[schemars(extend("x-rule" = "a multiple of 32, 32 to `input_size`; not in downstream jobs"))]
    pub crop: Option<u32>,
    /// Terms of the loss, summed; empty: the task's usual one.
    #[serde(default)]
    #[schemars(extend("x-rule" = "distinct, of those that fit the task"))]
    pub loss: Vec<Loss>,
    /// Batches whose gradients are averaged into one step.
    #[serde(default = "default_accumulate")]
    #[schemars(extend("x-rule" = "1 to 1024"))]
    pub accumulate: u32,
    /// Norm to which the gradient of all tensors together is clipped; 0: not clipped.
    #[serde(default = "default_clip_norm")]
    #[schemars(extend("x-rule" = "0 to 1e6"))]
    pub clip_norm: f64,
    /// Numbers in which the network computes.
    #[serde(default)]
    pub precision: Precision,
    /// FedProx's mu; set by the coordinator from the strategy, 0 in plans.
    #[serde(default)]
    #[schemars(extend("x-rule" = "0; use `rounds.strategy.mu`"))]
    pub proximal_mu: f64,
}

const fn default_weight_decay() -> f64 {
    0.05
}

const fn default_warmup() -> f64 {
    0.05
}

const fn default_accumulate() -> u32 {
    1
}

const fn default_clip_norm() -> f64 {
    1.0
}

impl Training {
    /// Settings in which all but the length, the batch and the learning rate are the defaults of plans.
    #[must_use]
    pub const fn new(epochs: u32, batch_size: u32, learning_rate: f64) -> Self {
        Self {
            epochs,
            batch_size,
            learning_rate,
            weight_decay: default_weight_decay(),
            warmup: default_warmup(),
            drop_path: 0.0,
            label_smoothing: 0.0,
            class_weights: ClassWeights::None,
            augment: Vec::new(),
            input_size: None,
            crop: None,
            loss: Vec::new(),
            accumulate: default_accumulate(),
            clip_norm: default_clip_norm(),
            precision: Precision::Full,
            proximal_mu: 0.0,
        }
    }

    /// The terms of the loss for `task`.
    #[must_use]
    pub fn losses(&self, task: Task) -> Vec<Loss> {
        if self.loss.is_empty() { Loss::of(task)[..1].to_vec() } else { self.loss.clone() }
    }
}
