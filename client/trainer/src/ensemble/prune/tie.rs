//! Encoders with equal weights, of which pruning keeps some: those without which the head is worst.

use std::path::Path;

use eosfed_common::counted::counted;
use eosfed_common::head::{EQUAL_WEIGHTS, Strongest};
use eosfed_data::Split;
use serde::Serialize;
use tch::Device;

use super::PruneOptions;
use crate::ensemble::ablate::measure;
use crate::ensemble::error::EnsembleError;
use crate::ensemble::head_model::HeadModel;
use crate::train::Parts;

/// What decides between encoders with equal weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TieBreaker {
    /// How much worse the head is without each of them.
    Ablation,
    /// The rest of the difference of their weights, and then their order in the head: to leave them out costs the same.
    Order,
}

/// An encoder whose weight is equal to that of others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TiedEncoder {
    /// The specialist as `NAME@VERSION`.
    pub encoder: String,
    /// Its weight.
    pub weight: f32,
    /// How much worse the main metric is without it; below zero, it is better. Absent if it is not a number.
    pub cost: Option<f64>,
    /// Whether it is kept.
    pub kept: bool,
}

/// How encoders with equal weights were told apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TieReport {
    /// The encoders, in the order of the head. Their weights differ by at most [`EQUAL_WEIGHTS`] of the largest.
    pub encoders: Vec<TiedEncoder>,
    /// What has decided.
    pub broken_by: TieBreaker,
    /// The part of the data set that the ablation has scored.
    pub part: String,
    /// The number of samples in it.
    pub samples: u64,
    /// Whether these are the samples of the scores before and after, so that those are a little too good.
    pub scored_again: bool,
}

impl TieReport {
    /// What has happened, as sentences.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { encoders, broken_by, part, samples, scored_again } = self;
        let with_cost = |one: &TiedEncoder| match one.cost {
            Some(cost) => format!("{} ({cost:+.4})", one.encoder),
            None => format!("{} (not a number)", one.encoder),
        };
        let named = |kept: bool| {
            let names: Vec<_> = encoders.iter().filter(|one| one.kept == kept).map(with_cost).collect();
            names.join(", ")
        };
        let by = match broken_by {
            TieBreaker::Ablation => "an ablation decided",
            TieBreaker::Order => {
                "an ablation did not decide, so the larger weight did, and then the order in the head"
            }
        };
        let again = if *scored_again {
            "\nThe scores above are of the same samples, so the one after pruning is a little too good; a training data \
             set with a validation part, or `--data` with other samples, gives one that is not."
        } else {
            ""
        };
        format!(
            "The weights of {} are equal (they differ by at most {} % of the largest weight); {by}. In brackets: how much \
             worse the score is without it, on {} of the {part} part.\nkept: {}\nleft out: {}{again}",
            counted(encoders.len(), "encoder"),
            EQUAL_WEIGHTS * 100.0,
            counted(*samples, "sample"),
            named(true),
            named(false)
        )
    }
}

/// Chooses among encoders with equal weights by an ablation: on the validation part of the data that the head was
/// trained on, and where there is none on the samples that are scored. Gives the positions of all encoders that are
/// kept. `names` are the encoders as `NAME@VERSION`, and `weights` their weights.
///
/// # Errors
/// If the head cannot be scored.
pub(super) fn break_tie(
    options: &PruneOptions,
    release: &Path,
    chosen: &Strongest,
    (names, weights): (&[String], &[f32]),
    device: Device,
) -> Result<(Vec<usize>, TieReport), EnsembleError> {
    let samples = options.samples.as_ref();
    let own = Parts::open(&options.train, samples)?;
    let (parts, split) = if own.dataset().is_empty(Split::Validation) {
        (Parts::open(&options.data, samples)?, options.split)
    } else {
        (own, Split::Validation)
    };
    let scored = Parts::open(&options.data, samples)?;
    let file = |parts: &Parts| parts.dataset().path().canonicalize().ok();
    let scored_again = split == options.split && file(&parts) == file(&scored);
    let head = HeadModel::open(&options.head, Some(release), device)?;
    let measured = measure(&head, &parts, split, &mut |_, _| ())?;
    let cost = |at: usize| measured.cost(at);
    let by_cost = chosen.by_cost(cost);
    let broken_by = if by_cost.is_some() { TieBreaker::Ablation } else { TieBreaker::Order };
    let kept = by_cost.unwrap_or_else(|| chosen.by_order());
    let mut places = chosen.tied.clone();
    places.sort_unstable();
    let tied = |at: &usize| TiedEncoder {
        encoder: names[*at].clone(),
        weight: weights[*at],
        cost: Some(cost(*at)).filter(|cost| cost.is_finite()),
        kept: kept.contains(at),
    };
    let encoders = places.iter().map(tied).collect();
    let report = TieReport {
        encoders,
        broken_by,
        part: split.name().to_owned(),
        samples: measured.samples,
        scored_again,
    };
    Ok((kept, report))
}
