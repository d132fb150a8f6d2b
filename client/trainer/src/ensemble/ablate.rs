//! What each specialist contributes: the change of the metric when its maps are left out.

use std::path::Path;

use eosfed_common::ablation::{AblationFile, FileEntry};
use eosfed_common::head::{HeadEncoder, HeadFile};
use eosfed_common::model::Method;
use eosfed_plot::bar_chart;
use tch::Device;

use super::combine::Combiner;
use super::error::EnsembleError;
use super::head_model::HeadModel;
use super::score::ScoringData;
use crate::metrics::Scores;
use crate::train::Parts;

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
    let specialists = places(&head.file.encoders);
    let combiners: Vec<Combiner> = specialists.iter().map(|places| head.without(places)).collect();
    let mut scored = 0;
    let (all, each) = head.compare(&combiners, &parts, split, &mut |done, total| {
        scored = done as u64;
        progress(done, total);
    })?;
    let metric = |scores: &Scores| scores.summary()[task.main_metric()];
    let all = metric(&all);
    let weights = head.weights().unwrap_or_default();
    let mut ablations = Vec::with_capacity(each.len());
    for (places, scores) in specialists.iter().zip(&each) {
        let without = metric(scores);
        let HeadEncoder { name, weights: digest, .. } = &head.file.encoders[places[0]];
        let weight = places.iter().map(|place| weights[*place]).max_by(f32::total_cmp).unwrap_or_default();
        ablations.push(FileEntry {
            specialist: name.clone(),
            digest: *digest,
            weight,
            without,
            change: without - all,
        });
    }
    let gain =
        |ablation: &FileEntry| if task.larger_is_better() { ablation.change } else { -ablation.change };
    ablations.sort_by(|a, b| gain(a).total_cmp(&gain(b)));
    Ok(AblationFile {
        head: head.file.name.clone(),
        release: head.file.release,
        task,
        part: split.name().to_owned(),
        samples: scored,
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

/// Writes the changes as a bar chart.
///
/// # Errors
/// If the picture cannot be written.
pub fn ablation_chart(report: &AblationFile, path: &Path) -> Result<(), EnsembleError> {
    let bar = |ablation: &FileEntry| (ablation.specialist.clone(), ablation.change, None);
    let bars: Vec<_> = report.ablations.iter().map(bar).collect();
    let title = format!("change of {} without each specialist", report.metric);
    Ok(bar_chart(path, &title, &report.metric, &bars)?)
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
