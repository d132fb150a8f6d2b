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

/// Augmentations of training samples, the same for image and mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Augmentation {
    /// Mirror left-right and up-down, each with probability one half.
    Flip,
    /// Rotate by a random multiple of 90 degrees, or of 180 degrees if height and width differ.
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
    /// Focal loss: cross-entropy with lower weight for well-classified samples, gamma 2 (Lin et al. 2017). It
    /// is binary for several labels.
    Focal,
    /// One minus the soft Dice coefficient, mean over the classes present (Milletari et al. 2016).
    Dice,
    /// One minus the soft Jaccard index, mean over the classes present.
    Jaccard,
    /// Lovász-softmax: a surrogate of the Jaccard index (Berman et al. 2018).
    Lovasz,
    /// Binary cross-entropy for each class.
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

    /// The losses that fit a task. The first one is the default.
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

/// The precision in which the network computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits everywhere.
    #[default]
    Full,
    /// Convolutions and linear layers in bfloat16 on CUDA. Norms, losses and the weights stay at 32 bits.
    Bf16,
}

/// How a network is trained at an institution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Epochs: in total (one-shot) or in each round (rounds).
    #[schemars(extend("x-rule" = "1 to 10000"))]
    pub epochs: u32,
    /// Samples in an optimiser step.
    #[schemars(extend("x-rule" = "1 to 4096"))]
    pub batch_size: u32,
    /// AdamW's highest learning rate of the schedule.
    #[schemars(extend("x-rule" = "above 0, at most 1"))]
    pub learning_rate: f64,
    /// AdamW's weight decay, on tensors of two and more dimensions.
    #[serde(default = "default_weight_decay")]
    #[schemars(extend("x-rule" = "0 to 1"))]
    pub weight_decay: f64,
    /// Fraction of all steps in which the learning rate rises linearly before the cosine schedule.
    #[serde(default = "default_warmup")]
    #[schemars(extend("x-rule" = "0 to 1"))]
    pub warmup: f64,
    /// Drop-path rate of the last block. It rises linearly from 0 at the first block.
    #[serde(default)]
    #[schemars(extend("x-rule" = "0 to 0.9; 0 in downstream jobs"))]
    pub drop_path: f64,
    /// Label smoothing of the cross-entropy.
    #[serde(default)]
    #[schemars(extend("x-rule" = "0 to 0.9"))]
    pub label_smoothing: f64,
    /// Share of the inputs of the head's last layer that are dropped in each step: of single values for labels of
    /// images, of whole channels for labels of pixels.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(extend("x-rule" = "0 to 0.9; 0 in downstream jobs"))]
    pub head_dropout: f64,
    /// Alpha of mixup: each batch is mixed with itself in reversed order, at a weight from the distribution
    /// Beta(alpha, alpha). 0: none. With `cutmix`, one of the two is drawn for each batch.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(extend("x-rule" = "0 to 10; classification with the cross-entropy and equal class weights only; 0 in downstream jobs"))]
    pub mixup: f64,
    /// Alpha of cutmix: a box of each image is that of another one; its area is drawn as the weight of mixup is.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(extend("x-rule" = "as `mixup`"))]
    pub cutmix: f64,
    /// Decay of the exponential moving average of the weights, which is validated and kept in the place of the
    /// weights. 0: none.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(extend("x-rule" = "0 to 0.99999"))]
    pub ema: f64,
    /// Factor of the learning rate from one block of the encoder to the block before it; the head has the full
    /// rate.
    #[serde(default = "default_layer_decay", skip_serializing_if = "is_one")]
    #[schemars(extend("x-rule" = "0.1 to 1; 1 in downstream jobs"))]
    pub layer_decay: f64,
    /// Weights of classes in the loss.
    #[serde(default)]
    pub class_weights: ClassWeights,
    /// Augmentations of training samples.
    #[serde(default)]
    #[schemars(extend("x-rule" = "distinct; none in downstream jobs"))]
    pub augment: Vec<Augmentation>,
    /// Side in pixels to which square tiles are resized (bilinear; masks nearest); a multiple of 32.
    #[schemars(extend("x-rule" = "a multiple of 32, 32 to 1024"))]
    pub input_size: Option<u32>,
    /// Whether larger tiles are filtered as they are resized, as PyTorch's `interpolate(mode="bilinear",
    /// antialias=True)` does it: each pixel is then the weighted mean of all that it covers, and not of four.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("x-rule" = "with `input_size` only"))]
    pub antialias: bool,
    /// Side in pixels of the random square crop of each training sample; a multiple of 32. Default: whole
    /// samples.
    #[schemars(extend("x-rule" = "a multiple of 32, 32 to `input_size`; not in downstream jobs"))]
    pub crop: Option<u32>,
    /// Terms of the loss, which are summed. Empty: the task's default.
    #[serde(default)]
    #[schemars(extend("x-rule" = "distinct, of those that fit the task"))]
    pub loss: Vec<Loss>,
    /// Number of batches whose gradients are averaged for one step.
    #[serde(default = "default_accumulate")]
    #[schemars(extend("x-rule" = "1 to 1024"))]
    pub accumulate: u32,
    /// Norm to which the gradient of all tensors together is clipped. 0: not clipped.
    #[serde(default = "default_clip_norm")]
    #[schemars(extend("x-rule" = "0 to 1e6"))]
    pub clip_norm: f64,
    /// The precision in which the network computes.
    #[serde(default)]
    pub precision: Precision,
    /// Whether each institution scores the weights that a round starts from on its validation part, before it trains
    /// them. From the second round on, these are the average of the round before. It costs one pass over the validation
    /// part in each round; `false` leaves it out.
    #[serde(default = "default_score_average", skip_serializing_if = "is_true")]
    pub score_average: bool,
    /// FedProx's mu. The coordinator sets it from the strategy; it is 0 in plans.
    #[serde(default)]
    #[schemars(extend("x-rule" = "0; use `rounds.strategy.mu`"))]
    pub proximal_mu: f64,
}

const fn default_weight_decay() -> f64 {
    0.05
}

const fn default_layer_decay() -> f64 {
    1.0
}

// What is not used is not written, so that signatures of before stay valid.
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

fn is_one(value: &f64) -> bool {
    *value == 1.0
}

const fn default_score_average() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
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
    /// Settings with these epochs, batch size and learning rate, and otherwise the defaults of plans.
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
            head_dropout: 0.0,
            mixup: 0.0,
            cutmix: 0.0,
            ema: 0.0,
            layer_decay: default_layer_decay(),
            class_weights: ClassWeights::None,
            augment: Vec::new(),
            input_size: None,
            antialias: false,
            crop: None,
            loss: Vec::new(),
            accumulate: default_accumulate(),
            clip_norm: default_clip_norm(),
            precision: Precision::Full,
            score_average: default_score_average(),
            proximal_mu: 0.0,
        }
    }

    /// The terms of the loss for `task`.
    #[must_use]
    pub fn losses(&self, task: Task) -> Vec<Loss> {
        if self.loss.is_empty() { Loss::of(task)[..1].to_vec() } else { self.loss.clone() }
    }
}
