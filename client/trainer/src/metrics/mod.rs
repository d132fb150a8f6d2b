//! Scores of predictions as torchmetrics 1.9 defines them (`goldens/metrics.json` has its results).

mod bootstrap;
mod confusion;
mod labels;
mod values;

use std::collections::BTreeMap;

use eosfed_common::model::{ModelSpec, TargetScale, Task};
use tch::Tensor;

pub use bootstrap::{Bootstrap, SMALL};
pub use confusion::Confusion;
pub use labels::{LabelScores, PRESENT};
pub use values::ValueScores;

/// The metrics of a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricSpec {
    /// The task.
    pub task: Task,
    /// Number of classes.
    pub classes: usize,
    /// Factor that brings a regression's outputs to the target's units.
    pub scale: f64,
}

impl MetricSpec {
    /// The metrics for the outputs of a model for a task.
    #[must_use]
    pub fn new(task: Task, classes: usize, target: Option<&TargetScale>) -> Self {
        Self { task, classes, scale: target.map_or(1.0, |target| target.scale) }
    }

    /// The metrics for the outputs of `model`.
    #[must_use]
    pub fn of(model: &ModelSpec) -> Self {
        Self::new(model.task, model.classes.len(), model.target.as_ref())
    }

    /// Scores without a prediction yet.
    #[must_use]
    pub fn scores(&self) -> Scores {
        match self.task {
            Task::Classification | Task::Segmentation | Task::ChangeDetection => {
                Scores::Classes(Confusion::new(self.classes))
            }
            Task::Multilabel => Scores::Labels(LabelScores::new(self.classes)),
            Task::Regression => Scores::Values(ValueScores::new(self.scale)),
        }
    }
}

/// Scores of a task, collected batch by batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Scores {
    /// One class for each image or pixel.
    Classes(Confusion),
    /// Any number of classes for each image.
    Labels(LabelScores),
    /// A number for each pixel.
    Values(ValueScores),
}

impl Scores {
    /// Adds a batch: labels as in [`crate::train::TensorDataset`], and the network's outputs for them,
    /// `[N, classes, ...]`, at the labels' height and width.
    pub fn add(&mut self, labels: &Tensor, outputs: &Tensor) {
        match self {
            Self::Classes(confusion) => confusion.add(labels, &outputs.argmax(1, false)),
            Self::Labels(scores) => scores.add(labels, outputs),
            Self::Values(scores) => scores.add(labels, &outputs.squeeze_dim(1)),
        }
    }

    /// What a batch adds to the scores, as a tensor on its device: it can be added to that of other batches.
    /// `None` where the scores need every image.
    pub(crate) fn sums(&self, labels: &Tensor, outputs: &Tensor) -> Option<Tensor> {
        match self {
            Self::Classes(confusion) => Some(confusion.sums(labels, &outputs.argmax(1, false))),
            Self::Labels(_) => None,
            Self::Values(_) => Some(ValueScores::sums(labels, &outputs.squeeze_dim(1))),
        }
    }

    /// Adds what [`Scores::sums`] has made of batches.
    pub(crate) fn add_sums(&mut self, sums: &[f64]) {
        match self {
            Self::Classes(confusion) => confusion.add_sums(sums),
            Self::Labels(_) => {}
            Self::Values(scores) => scores.add_sums(sums),
        }
    }

    /// Adds an image's score and presence of each class, where scores need every image.
    fn add_row(&mut self, row: &[(f32, bool)]) {
        match self {
            Self::Labels(scores) => scores.add_row(row),
            Self::Classes(_) | Self::Values(_) => {}
        }
    }

    /// All scores by name. None is NaN: without samples all are 0.
    #[must_use]
    pub fn summary(&self) -> BTreeMap<String, f64> {
        let list = match self {
            Self::Classes(confusion) => confusion.summary(),
            Self::Labels(scores) => scores.summary(),
            Self::Values(scores) => scores.summary(),
        };
        list.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Name of the metric of single classes, and the score of each; `None` for classes that do not occur.
    #[must_use]
    pub fn by_class(&self) -> (&'static str, Vec<Option<f64>>) {
        match self {
            Self::Classes(confusion) => ("IoU", confusion.iou()),
            Self::Labels(scores) => ("average precision", scores.average_precision()),
            Self::Values(_) => ("", Vec::new()),
        }
    }
}

/// Mean of the known scores; 0 if there are none.
fn mean(scores: &[Option<f64>]) -> f64 {
    let known: Vec<f64> = scores.iter().flatten().copied().collect();
    known.iter().sum::<f64>() / (known.len() as f64).max(1.0)
}
