//! Scoring heads on a part of a data set that they have not seen.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use eosfed_common::model::Task;
use eosfed_common::scoring::Interval;
use eosfed_data::{Dataset, Limits, Split};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::error::EnsembleError;
use super::head_model::{Evaluation, HeadModel};
use crate::parameters::to_vec;

/// The scores of one head.
#[derive(Debug, Clone, Serialize)]
pub struct ScoreRow {
    /// Name of the head.
    pub name: String,
    /// Names of its encoders.
    pub encoders: Vec<String>,
    /// Factor of each encoder's maps; absent where outputs are combined.
    pub weights: Option<Vec<f32>>,
    /// The task's metrics by name.
    pub metrics: BTreeMap<String, f64>,
    /// Where each of them lies with a probability of 95 %, by a bootstrap over samples; empty for large parts.
    pub intervals: BTreeMap<String, Interval>,
    /// Name of the metric in the next field: `IoU`, `average precision`, or empty.
    pub class_metric: String,
    /// That metric for each class that occurs, by name.
    pub by_class: BTreeMap<String, f64>,
    /// Number of parameters of the head.
    pub head_parameters: usize,
    /// Number of scored samples.
    pub samples: usize,
    /// What is wrong with each file that was left out, by name.
    pub skipped: Vec<String>,
    /// Seconds from reading files to predictions.
    pub seconds: f64,
    /// Seed of the head's training, if it was trained.
    pub seed: Option<u64>,
    /// The task.
    pub task: Task,
    /// The predicted class or value of each pixel, for each sample.
    #[serde(skip)]
    pub(super) predictions: Vec<Vec<f32>>,
}

/// Scores the head in `folder` on a part of `data`, over the release in `release` or the one that it was
/// trained with.
///
/// # Errors
/// If the head, its release or the data cannot be used.
pub fn score(
    folder: &Path,
    release: Option<&Path>,
    data: &Path,
    split: Split,
    device: Device,
) -> Result<ScoreRow, EnsembleError> {
    let start = Instant::now();
    let head = HeadModel::open(folder, release, device)?;
    let dataset = Dataset::open(data, &Limits::default())?;
    let mut predictions = Vec::new();
    let mut samples = 0;
    let task = head.file.task;
    let Evaluation { scores, bootstrap, skipped } = head.evaluate(&dataset, split, &mut |outputs| {
        samples += outputs.size()[0] as usize;
        if task.is_dense() {
            let shown = predictions_of(&head, outputs);
            predictions.extend((0..shown.size()[0]).map(|at| to_vec(&shown.get(at))));
        }
    })?;
    let (class_metric, by_class) = scores.by_class();
    let named = head.file.classes.iter().cloned().zip(by_class);
    Ok(ScoreRow {
        name: head.file.name.clone(),
        encoders: head.file.encoders.iter().map(|encoder| encoder.name.clone()).collect(),
        weights: head.weights(),
        metrics: scores.summary(),
        intervals: bootstrap.intervals(),
        class_metric: class_metric.to_owned(),
        by_class: named.filter_map(|(name, score)| Some((name, score?))).collect(),
        head_parameters: head.parameters(),
        samples,
        skipped,
        seconds: start.elapsed().as_secs_f64(),
        seed: head.file.training.as_ref().map(|training| training.seed),
        task,
        predictions,
    })
}

/// Dense outputs as classes, or as values in the target's units.
fn predictions_of(head: &HeadModel, outputs: &Tensor) -> Tensor {
    match &head.file.target {
        Some(target) => outputs.squeeze_dim(1) * target.scale + target.offset,
        None => outputs.argmax(1, false).to_kind(Kind::Float),
    }
}
