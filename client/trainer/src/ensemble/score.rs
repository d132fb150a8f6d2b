//! Scoring heads on a part of a data set that they have not seen.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use eosfed_common::model::Task;
use eosfed_common::scoring::Interval;
use eosfed_common::task::DecodedSamples;
use eosfed_data::{IGNORE, SampleSource, Split};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::error::EnsembleError;
use super::head_model::{Evaluation, HeadModel};
use crate::parameters::to_vec;
use crate::train::{Batch, Parts};

/// Samples of which the predictions are kept, for a picture.
const SHOWN_SAMPLES: usize = 5;

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
    /// What is unlike the training of the head and of the specialists under it.
    pub notes: Vec<String>,
    /// Seconds from reading files to predictions.
    pub seconds: f64,
    /// Seed of the head's training, if it was trained.
    pub seed: Option<u64>,
    /// The task.
    pub task: Task,
    /// The samples with most different labels, most first; of whole images none.
    #[serde(skip)]
    pub(super) shown: Vec<ShownSample>,
}

/// A sample, and what was predicted for it.
#[derive(Debug, Clone)]
pub(super) struct ShownSample {
    /// Its name in the data set.
    pub(super) key: String,
    /// The predicted class or value of each pixel.
    pub(super) prediction: Vec<f32>,
    /// Number of different classes or values in its label.
    variety: usize,
}

/// Where to find what is scored.
#[derive(Debug, Clone, Copy)]
pub struct ScoringData<'a> {
    /// The labelled data.
    pub data: &'a Path,
    /// The part that is scored.
    pub split: Split,
    /// Where decoded samples are kept, if they are.
    pub samples: Option<&'a DecodedSamples>,
}

impl<'a> ScoringData<'a> {
    /// A part of labelled data whose decoded samples are not kept.
    #[must_use]
    pub const fn of(data: &'a Path, split: Split) -> Self {
        Self { data, split, samples: None }
    }
}

/// Scores the head in `folder` on a part of `data`, over the release in `release` or the one that it was
/// trained with.
///
/// # Errors
/// If the head, its release or the data cannot be used.
pub fn score(
    folder: &Path,
    release: Option<&Path>,
    ScoringData { data, split, samples }: ScoringData<'_>,
    device: Device,
) -> Result<ScoreRow, EnsembleError> {
    let start = Instant::now();
    let head = HeadModel::open(folder, release, device)?;
    let parts = Parts::open(data, samples)?;
    let mut shown = Vec::new();
    let mut samples = 0;
    let task = head.file.task;
    let Evaluation { scores, bootstrap, skipped, unlike } =
        head.evaluate(&parts, split, &mut |outputs, batch, source| {
            samples += batch.windows.len();
            if task.is_dense() {
                show(&mut shown, &predictions_of(&head, outputs), batch, source);
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
        notes: unlike,
        seconds: start.elapsed().as_secs_f64(),
        seed: head.file.training.as_ref().map(|training| training.seed),
        task,
        shown,
    })
}

/// Adds the samples of a batch, and keeps those with most different labels: they show most.
fn show(shown: &mut Vec<ShownSample>, predictions: &Tensor, batch: &Batch, source: &SampleSource) {
    for (at, window) in batch.windows.iter().enumerate() {
        let variety = variety(&batch.labels.get(at as i64));
        if shown.len() == SHOWN_SAMPLES && shown[SHOWN_SAMPLES - 1].variety >= variety {
            continue;
        }
        shown.truncate(SHOWN_SAMPLES - 1);
        let key = source.key(window.sample).unwrap_or_default().to_owned();
        let prediction = to_vec(&predictions.get(at as i64));
        shown.push(ShownSample { key, prediction, variety });
        shown.sort_by_key(|sample| Reverse(sample.variety));
    }
}

/// Number of different classes or values in a label.
fn variety(label: &Tensor) -> usize {
    let known =
        |value: &f32| value.is_finite() && (label.kind() == Kind::Float || *value != f32::from(IGNORE));
    to_vec(label).into_iter().filter(known).map(f32::to_bits).collect::<BTreeSet<_>>().len()
}

/// Dense outputs as classes, or as values in the target's units.
fn predictions_of(head: &HeadModel, outputs: &Tensor) -> Tensor {
    match &head.file.target {
        Some(target) => outputs.squeeze_dim(1) * target.scale + target.offset,
        None => outputs.argmax(1, false).to_kind(Kind::Float),
    }
}
