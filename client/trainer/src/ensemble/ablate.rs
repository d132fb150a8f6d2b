//! What each specialist contributes: the change of the metric when its maps are left out.

use std::path::Path;

use eosfed_common::model::Method;
use eosfed_data::{Dataset, Limits, Split};
use eosfed_plot::bar_chart;
use serde::Serialize;
use tch::Device;

use super::combine::Combiner;
use super::error::EnsembleError;
use super::head_model::HeadModel;
use crate::metrics::Scores;

/// The effect of leaving out one specialist.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ablation {
    /// The specialist.
    pub specialist: String,
    /// Factor of its maps.
    pub weight: f32,
    /// Main metric without it.
    pub without: f64,
    /// Main metric without it minus the metric with all. Below zero the specialist helps; for errors,
    /// above zero.
    pub change: f64,
}

/// The main metric with all specialists, and without each of them, most useful first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AblationReport {
    /// Name of the head.
    pub head: String,
    /// Name of the metric.
    pub metric: String,
    /// Whether a larger value is better.
    pub larger_is_better: bool,
    /// The metric with all specialists.
    pub all: f64,
    /// The metric without each of them.
    pub ablations: Vec<Ablation>,
}

/// Scores the head in `folder` with all its specialists and without each of them. Each sample goes through
/// the specialists once. `progress` gets the number of samples done, and of all.
///
/// # Errors
/// As [`super::score`], and if the head does not fuse maps.
pub fn ablate(
    folder: &Path,
    release: Option<&Path>,
    data: &Path,
    split: Split,
    device: Device,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<AblationReport, EnsembleError> {
    let dataset = Dataset::open(data, &Limits::default())?;
    let head = HeadModel::open(folder, release, device)?;
    if head.file.method != Method::Fusion {
        let reason = "only a head that fuses maps can be ablated; score it with other `--encoders` instead";
        return Err(EnsembleError::file(folder, reason));
    }
    let task = head.file.task;
    let combiners: Vec<Combiner> = (0..head.file.encoders.len()).map(|at| head.without(at)).collect();
    let (all, each) = head.compare(&combiners, &dataset, split, progress)?;
    let metric = |scores: &Scores| scores.summary()[task.main_metric()];
    let all = metric(&all);
    let weights = head.weights().unwrap_or_default();
    let mut ablations = Vec::with_capacity(each.len());
    for (at, (encoder, scores)) in head.file.encoders.iter().zip(&each).enumerate() {
        let without = metric(scores);
        let specialist = encoder.name.clone();
        ablations.push(Ablation { specialist, weight: weights[at], without, change: without - all });
    }
    let gain = |ablation: &Ablation| if task.larger_is_better() { ablation.change } else { -ablation.change };
    ablations.sort_by(|a, b| gain(a).total_cmp(&gain(b)));
    Ok(AblationReport {
        head: head.file.name.clone(),
        metric: task.main_metric().to_owned(),
        larger_is_better: task.larger_is_better(),
        all,
        ablations,
    })
}

/// Writes the changes as a bar chart.
///
/// # Errors
/// If the picture cannot be written.
pub fn ablation_chart(report: &AblationReport, path: &Path) -> Result<(), EnsembleError> {
    let bar = |ablation: &Ablation| (ablation.specialist.clone(), ablation.change, None);
    let bars: Vec<_> = report.ablations.iter().map(bar).collect();
    let title = format!("change of {} without each specialist", report.metric);
    Ok(bar_chart(path, &title, &report.metric, &bars)?)
}
