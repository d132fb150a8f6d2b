//! What each specialist contributes: the change of the metric when its maps are left out.

use std::path::Path;

use eosfed_common::ablation::{AblationFile, FileEntry};
use eosfed_common::counted::counted;
use eosfed_common::head::{HeadEncoder, HeadFile};
use eosfed_common::metric::quantity;
use eosfed_common::model::{Method, Task};
use eosfed_data::Split;
use eosfed_plot::{Bar, BarWords, Effect, bar_chart};
use tch::Device;

use super::combine::Combiner;
use super::error::EnsembleError;
use super::head_model::HeadModel;
use super::score::ScoringData;
use crate::metrics::Scores;
use crate::train::Parts;

/// The main metric of a head with all its specialists and without each of them.
pub(super) struct Measured {
    task: Task,
    /// The number of samples that were scored.
    pub(super) samples: u64,
    /// The metric with all specialists.
    pub(super) all: f64,
    /// The places of each specialist among the encoders, and the metric without it.
    without: Vec<(Vec<usize>, f64)>,
}

impl Measured {
    /// How much worse the head is without the specialist of the encoder at a place; below zero, it is better.
    pub(super) fn cost(&self, place: usize) -> f64 {
        let without = self.without.iter().find(|(places, _)| places.contains(&place));
        without.map_or(0.0, |(_, without)| cost(self.task, without - self.all))
    }
}

/// What a change of the main metric costs.
fn cost(task: Task, change: f64) -> f64 {
    // Adding zero turns minus zero into zero.
    if task.larger_is_better() { -change + 0.0 } else { change }
}

/// Scores a head with all its specialists and without each of them. Each sample goes through the specialists once.
/// `progress` gets the number of samples done, and of all.
///
/// # Errors
/// As [`super::score`].
pub(super) fn measure(
    head: &HeadModel,
    parts: &Parts,
    split: Split,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Measured, EnsembleError> {
    let task = head.file.task;
    let specialists = places(&head.file.encoders);
    let combiners: Vec<Combiner> = specialists.iter().map(|places| head.without(places)).collect();
    let mut samples = 0;
    let (all, each) = head.compare(&combiners, parts, split, &mut |done, total| {
        samples = done as u64;
        progress(done, total);
    })?;
    let metric = |scores: &Scores| scores.summary()[task.main_metric()];
    let without = specialists.into_iter().zip(each.iter().map(metric)).collect();
    Ok(Measured { task, samples, all: metric(&all), without })
}

/// Scores the head in `folder` with all its specialists and without each of them. Each sample goes through
/// the specialists once. `progress` gets the number of samples done, and of all.
///
/// # Errors
/// As [`super::score`], and if the head does not fuse maps.
pub fn ablate(
    folder: &Path,
    release: Option<&Path>,
    ScoringData { data, split, samples }: ScoringData<'_>,
    device: Device,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<AblationFile, EnsembleError> {
    let parts = Parts::open(data, samples)?;
    let head = HeadModel::open(folder, release, device)?;
    if head.file.method != Method::Fusion {
        let reason = "only a head that fuses maps can be ablated; score it with other `--encoders` instead";
        return Err(EnsembleError::file(folder, reason));
    }
    let task = head.file.task;
    let Measured { samples, all, without, .. } = measure(&head, &parts, split, progress)?;
    let weights = head.weights().unwrap_or_default();
    let mut ablations = Vec::with_capacity(without.len());
    for (places, without) in &without {
        let HeadEncoder { name, weights: digest, .. } = &head.file.encoders[places[0]];
        let weight = places.iter().map(|place| weights[*place]).max_by(f32::total_cmp).unwrap_or_default();
        ablations.push(FileEntry {
            specialist: name.clone(),
            digest: *digest,
            weight,
            without: *without,
            change: without - all,
        });
    }
    ablations.sort_by(|a, b| cost(task, b.change).total_cmp(&cost(task, a.change)));
    Ok(AblationFile {
        head: head.file.name.clone(),
        release: head.file.release,
        task,
        part: split.name().to_owned(),
        samples,
        metric: task.main_metric().to_owned(),
        unit: unit(&head.file),
        larger_is_better: task.larger_is_better(),
        all,
        ablations,
    })
}

/// The places of each specialist among the encoders: one that takes several groups of bands is there more than
/// once, and is left out as a whole.
fn places(encoders: &[HeadEncoder]) -> Vec<Vec<usize>> {
    let mut found: Vec<Vec<usize>> = Vec::new();
    for (place, encoder) in encoders.iter().enumerate() {
        let same = |other: &HeadEncoder| {
            (&other.name, other.weights, other.random_seed)
                == (&encoder.name, encoder.weights, encoder.random_seed)
        };
        match found.iter_mut().find(|places| same(&encoders[places[0]])) {
            Some(places) => places.push(place),
            None => found.push(vec![place]),
        }
    }
    found
}

/// The unit of the main metric: an error is in the target's.
fn unit(head: &HeadFile) -> String {
    match &head.target {
        Some(target) if !head.task.larger_is_better() => target.unit.clone(),
        Some(_) | None => String::new(),
    }
}

/// Writes the changes as a bar chart, with a colour for specialists that help and one for those without which the head
/// is better.
///
/// # Errors
/// If the picture cannot be written.
pub fn ablation_chart(report: &AblationFile, path: &Path) -> Result<(), EnsembleError> {
    let bar = |ablation: &FileEntry| Bar {
        name: ablation.specialist.clone(),
        value: ablation.change,
        effect: match cost(report.task, ablation.change) {
            cost if cost > 0.0 => Effect::Good,
            cost if cost < 0.0 => Effect::Bad,
            _ => Effect::None,
        },
    };
    let bars: Vec<_> = report.ablations.iter().map(bar).collect();
    let AblationFile { metric, part, samples, .. } = report;
    let words = BarWords {
        title: &format!("{}: change of {metric} without each specialist", report.head),
        x: &format!("{}, {part} part, {}", quantity(metric, &report.unit), counted(*samples, "sample")),
        effects: ["helps: worse without it", "harms: better without it", "no difference"],
    };
    Ok(bar_chart(path, words, &bars)?)
}

#[cfg(test)]
mod tests {
    use eosfed_common::digest::Digest;
    use eosfed_common::model::Backbone;

    use super::*;

    #[test]
    fn a_specialist_that_is_there_twice_is_left_out_as_a_whole() {
        let encoder = |name: &str, content: &[u8]| HeadEncoder {
            name: name.to_owned(),
            weights: Some(Digest::of(content)),
            ..HeadEncoder::random(Backbone::Atto, 1, &[])
        };
        let [a, b] = [encoder("a", b"a"), encoder("b", b"b")];
        let random = |seed| HeadEncoder::random(Backbone::Atto, seed, &[]);
        let encoders = [a.clone(), b, a, random(1), random(2)];
        assert_eq!(places(&encoders), [vec![0, 2], vec![1], vec![3], vec![4]]);
    }
}
