//! The loss of each task: a sum of terms with class weights and label smoothing. Pixels without a label
//! do not count.

mod overlap;

use eosfed_common::model::Task;
use eosfed_common::plan::{ClassWeights, Loss, Training};
use tch::{Device, Kind, Reduction, Tensor};

use super::labelled::known;
use super::tensors::{IGNORE_INDEX, TensorDataset};
use crate::device::reading::numbers;

/// Exponent of focal losses (Lin et al. 2017).
const FOCAL_GAMMA: f64 = 2.0;

/// How the loss is computed.
#[derive(Debug)]
pub struct LossSettings {
    /// The task; it determines the kind of labels.
    pub task: Task,
    /// The terms of the sum.
    pub terms: Vec<Loss>,
    /// One weight for each class, if they differ.
    pub class_weights: Option<Tensor>,
    /// Share of a label's probability that is spread over all classes.
    pub label_smoothing: f64,
}

impl LossSettings {
    /// The loss that a training's settings describe, for samples of a task.
    #[must_use]
    pub fn of(
        training: &Training,
        task: Task,
        classes: usize,
        samples: &TensorDataset,
        device: Device,
    ) -> Self {
        Self {
            task,
            terms: training.losses(task),
            class_weights: class_weights(training.class_weights, samples, task, classes, device),
            label_smoothing: training.label_smoothing,
        }
    }

    /// The same for samples of which the labels of each class were counted.
    #[must_use]
    pub fn counted(training: &Training, task: Task, counts: Option<&[u64]>, device: Device) -> Self {
        let weights = |counts: &[u64]| {
            let counts: Vec<i64> =
                counts.iter().map(|count| i64::try_from(*count).unwrap_or(i64::MAX)).collect();
            balanced(&Tensor::from_slice(&counts), device)
        };
        Self {
            task,
            terms: training.losses(task),
            class_weights: counts.map(weights),
            label_smoothing: training.label_smoothing,
        }
    }

    /// Mean loss over labelled images or pixels; `None` if the batch has no label.
    #[must_use]
    pub fn loss(&self, outputs: &Tensor, labels: &Tensor) -> Option<Tensor> {
        let any = numbers(&known(self.task, labels).any()) == [1.0];
        any.then(|| self.of_labelled(outputs, labels))
    }

    /// The same for a batch that is known to have a label; reads nothing from the device.
    pub(super) fn of_labelled(&self, outputs: &Tensor, labels: &Tensor) -> Tensor {
        let outputs = resize_to_labels(outputs, labels, self.task);
        let known = known(self.task, labels);
        let terms = self.terms.iter().map(|term| self.term(*term, &outputs, labels, &known));
        terms.reduce(|sum, term| sum + term).expect("a loss has a term")
    }

    fn term(&self, term: Loss, outputs: &Tensor, labels: &Tensor, known: &Tensor) -> Tensor {
        let weights = self.class_weights.as_ref();
        match term {
            Loss::CrossEntropy => outputs.cross_entropy_loss(
                labels,
                weights,
                Reduction::Mean,
                IGNORE_INDEX,
                self.label_smoothing,
            ),
            Loss::Focal if self.task == Task::Multilabel => self.binary(outputs, labels, FOCAL_GAMMA),
            Loss::Focal => self.focal(outputs, labels),
            Loss::Bce => self.binary(outputs, labels, 0.0),
            Loss::Dice | Loss::Jaccard => {
                overlap::overlap(outputs, labels, known, if term == Loss::Dice { 1.0 } else { 0.0 })
            }
            Loss::Lovasz => overlap::lovasz_softmax(outputs, labels, known),
            Loss::Mse | Loss::Mae | Loss::Huber => {
                // Where there is no target, the error is 0: to leave pixels out would need to know how many.
                let error = (outputs.squeeze_dim(1) - labels).where_self(known, &labels.zeros_like());
                let zero = error.zeros_like();
                let sum = match term {
                    Loss::Mae => error.l1_loss(&zero, Reduction::Sum),
                    Loss::Huber => error.huber_loss(&zero, Reduction::Sum, 1.0),
                    _ => error.mse_loss(&zero, Reduction::Sum),
                };
                sum / known.sum(Kind::Float)
            }
        }
    }

    /// Cross-entropy, with each term multiplied by `(1 - p)^FOCAL_GAMMA` for the probability `p` of its
    /// label.
    fn focal(&self, outputs: &Tensor, labels: &Tensor) -> Tensor {
        let known = labels.ne(IGNORE_INDEX);
        let classes = outputs.size()[1];
        let safe = labels.clamp(0, classes - 1);
        let log = outputs.log_softmax(1, Kind::Float).gather(1, &safe.unsqueeze(1), false).squeeze_dim(1);
        let each = (log.exp() * -1.0 + 1.0).pow_tensor_scalar(FOCAL_GAMMA) * -log;
        let weight = match &self.class_weights {
            Some(weights) => weights.index_select(0, &safe.view([-1])).view_as(&safe),
            None => each.ones_like(),
        } * known.to_kind(Kind::Float);
        (each * &weight).sum(Kind::Float) / weight.sum(Kind::Float).clamp_min(1e-12)
    }

    /// Binary cross-entropy of each class, multiplied by `(1 - p)^gamma`.
    fn binary(&self, outputs: &Tensor, labels: &Tensor, gamma: f64) -> Tensor {
        let smooth = self.label_smoothing;
        let labels = labels * (1.0 - smooth) + smooth / 2.0;
        let weights = self.class_weights.as_ref();
        if gamma == 0.0 {
            let none = None::<&Tensor>;
            return outputs.binary_cross_entropy_with_logits(&labels, weights, none, Reduction::Mean);
        }
        let none = None::<&Tensor>;
        let each = outputs.binary_cross_entropy_with_logits(&labels, weights, none, Reduction::None);
        let p = outputs.sigmoid();
        let right = &p * &labels + (&p * -1.0 + 1.0) * (&labels * -1.0 + 1.0);
        (each * (right * -1.0 + 1.0).pow_tensor_scalar(gamma)).mean(Kind::Float)
    }
}

/// Dense outputs resized to the height and width of the labels (bilinear); other outputs unchanged.
pub(crate) fn resize_to_labels(outputs: &Tensor, labels: &Tensor, task: Task) -> Tensor {
    let size = labels.size();
    if !task.is_dense() || outputs.size()[2..] == size[1..] {
        return outputs.shallow_clone();
    }
    outputs.upsample_bilinear2d(&size[1..], false, None, None)
}

/// Weights proportional to the inverse square root of frequency, with mean 1 over the classes that
/// occur; `None` if all weights are equal.
#[must_use]
pub fn class_weights(
    kind: ClassWeights,
    data: &TensorDataset,
    task: Task,
    classes: usize,
    device: Device,
) -> Option<Tensor> {
    match (kind, task) {
        (ClassWeights::None, _) | (_, Task::Regression) => None,
        (ClassWeights::Balanced, Task::Multilabel) => {
            let counts = data.labels.sum_dim_intlist([0_i64].as_slice(), false, Kind::Double);
            Some(balanced(&counts, device))
        }
        (ClassWeights::Balanced, Task::Classification | Task::Segmentation | Task::ChangeDetection) => {
            let labels = data.labels.view([-1]);
            let known = labels.masked_select(&labels.ne(IGNORE_INDEX)).to_device(Device::Cpu);
            Some(balanced(&known.bincount(None::<Tensor>, classes as i64), device))
        }
    }
}

fn balanced(counts: &Tensor, device: Device) -> Tensor {
    let counts = counts.to_kind(Kind::Double).to_device(Device::Cpu);
    let counts: Vec<f64> = Vec::try_from(counts).expect("counts are a flat tensor");
    let raw: Vec<f64> = counts.iter().map(|n| if *n > 0.0 { n.sqrt().recip() } else { 0.0 }).collect();
    let present = raw.iter().filter(|weight| **weight > 0.0).count().max(1) as f64;
    let mean = raw.iter().sum::<f64>() / present;
    let scaled: Vec<f32> = raw.iter().map(|weight| (weight / mean.max(1e-12)) as f32).collect();
    Tensor::from_slice(&scaled).to_device(device)
}

#[cfg(test)]
mod tests;
