//! The view of what specialists of a release contribute to heads over it.

use eosfed_common::ablation::{Ablation, Without};
use eosfed_common::card::ReleaseManifest;
use eosfed_common::finite::Finite;
use eosfed_common::ids::ReleaseNumber;
use eosfed_common::metric::Better;
use eosfed_common::refusal::Refusal;
use eosfed_common::view::{AblationView, WithoutView};

use crate::domain::Federation;
use crate::domain::ablation::{RecordedAblation, of_release};

/// A release, the latest without a number, and the ablations of heads over it, by their names.
///
/// # Errors
/// If there is no such release.
pub fn release(
    state: &Federation,
    number: Option<ReleaseNumber>,
) -> Result<(ReleaseManifest, Vec<AblationView>), Refusal> {
    let manifest = &state.registry.release(number)?.manifest;
    let recorded = of_release(&state.registry.ablations, manifest.number);
    let ablations = recorded.map(|one| ablation(one, manifest)).collect();
    Ok((manifest.clone(), ablations))
}

fn ablation(recorded: &RecordedAblation, release: &ReleaseManifest) -> AblationView {
    let RecordedAblation { at, by, ablation } = recorded;
    let better = ablation.better().unwrap_or(Better::Larger);
    let Ablation { release: _, head, task, part, samples, metric, unit, all, without } = ablation;
    let mut without: Vec<WithoutView> =
        without.iter().map(|one| contribution(one, *all, better, release)).collect();
    without.sort_by(|a, b| b.gain.get().total_cmp(&a.gain.get()));
    AblationView {
        head: head.clone(),
        task: *task,
        part: *part,
        samples: *samples,
        metric: metric.clone(),
        unit: unit.clone(),
        larger_is_better: better == Better::Larger,
        all: *all,
        without,
        recorded_at: *at,
        recorded_by: by.clone(),
    }
}

fn contribution(one: &Without, all: Finite, better: Better, release: &ReleaseManifest) -> WithoutView {
    let Without { weights, selection, score } = one;
    let card = release.specialists.iter().find(|card| card.weights == *weights);
    let gain = match better {
        Better::Larger => all.get() - score.get(),
        Better::Smaller => score.get() - all.get(),
    };
    WithoutView {
        // A record without its specialist is not taken; the digest names it in any case.
        specialist: card.map_or_else(|| weights.to_string(), |card| card.reference().to_string()),
        weights: *weights,
        selection: *selection,
        score: *score,
        // Both are in the range of their metric, so the difference is finite.
        gain: Finite::new(gain).unwrap_or(Finite::ZERO),
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::digest::Digest;
    use eosfed_testkit::releases;

    use super::*;
    use crate::testing::{NOW, name};

    fn shown(metric: &str, all: f64, scores: &[f64]) -> Vec<(f64, f64)> {
        let release = releases::release();
        let without = scores.iter().enumerate().map(|(at, score)| Without {
            weights: Digest::of(&[at as u8]),
            selection: None,
            score: Finite::literal(*score),
        });
        let all = Finite::literal(all);
        let ablation =
            Ablation { metric: metric.to_owned(), all, without: without.collect(), ..releases::ablation() };
        let view = super::ablation(&RecordedAblation { at: NOW, by: name("admin"), ablation }, &release);
        assert_eq!(view.larger_is_better, metric == "miou");
        view.without.iter().map(|one| (one.score.get(), one.gain.get())).collect()
    }

    #[test]
    fn a_gain_is_above_zero_where_a_specialist_helps_and_the_most_useful_is_first() {
        assert_eq!(shown("miou", 0.75, &[0.875, 0.25, 0.75]), [(0.25, 0.5), (0.75, 0.0), (0.875, -0.125)]);
        assert_eq!(shown("rmse", 2.0, &[1.5, 2.0, 4.0]), [(4.0, 2.0), (2.0, 0.0), (1.5, -0.5)]);
    }
}
