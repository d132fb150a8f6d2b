//! Rules whose result is a weighted sum of updates: each is a choice of weights.

use eosfed_common::weights::{Signature, WeightsError};
use rayon::prelude::*;

use crate::distances::{Squares, distance};
use crate::input::Update;
use crate::scratch::Scratch;
use crate::span::Span;
use crate::vectorised::{ROWS, add_weighted, divide};
use crate::weights_reader::{WeightsReader, read_rows};

/// Most steps of Weiszfeld's iteration. It ends earlier when it has converged.
const WEISZFELD_STEPS: usize = 100;
/// Lower bound of distances, which prevents a division by 0 (the smoothing of Pillutla et al. 2022). It is
/// relative to the median distance between two updates, so that an outlier does not change it.
const SMOOTHING: f64 = 1e-6;

/// A weighted sum, divided by `total`.
pub(crate) struct Terms<'a> {
    terms: Vec<(&'a WeightsReader, f64)>,
    total: f64,
}

impl Terms<'_> {
    pub(crate) fn piece(
        &self,
        span: Span,
        Scratch { combined, rows, .. }: &mut Scratch,
    ) -> Result<(), WeightsError> {
        combined.fill(0.0);
        // Few rows at a time, so that each is added while it is in the cache.
        for terms in self.terms.chunks(ROWS) {
            read_rows(terms.iter().map(|(reader, _)| *reader), span, rows)?;
            let rows = rows.chunks_exact(span.length).zip(terms).map(|(row, (_, weight))| (row, *weight));
            add_weighted(combined, &rows.collect::<Vec<_>>());
        }
        divide(combined, self.total);
        Ok(())
    }
}

/// The weighted mean of updates, or of steps if updates started from different weights.
pub(crate) fn mean<'a>(global_model: &'a WeightsReader, updates: &[Update<'a>]) -> Terms<'a> {
    let mut terms: Vec<_> = updates.iter().map(|update| (update.weights, update.weight)).collect();
    let total = updates.iter().map(|update| update.weight).sum();
    // global_model + sum(weight * (update - base)) / total, as one sum.
    for update in updates {
        if let Some(base) = update.base {
            terms.extend([(base, -update.weight), (global_model, update.weight)]);
        }
    }
    Terms { terms, total }
}

/// The `keep` updates whose `n - byzantine - 2` nearest neighbours are nearest, averaged by weight
/// (Blanchard et al. 2017, section 4; scores as Flower's). Of equals, the first.
pub(crate) fn krum<'a>(squares: &Squares, updates: &[Update<'a>], byzantine: u32, keep: usize) -> Terms<'a> {
    let count = updates.len();
    let nearest = count.saturating_sub(byzantine as usize + 2).max(1);
    let score = |index: usize| {
        let mut to: Vec<f64> =
            (0..count).filter(|other| *other != index).map(|other| squares.of(index, other)).collect();
        to.sort_by(f64::total_cmp);
        to.iter().take(nearest).sum::<f64>()
    };
    let mut order: Vec<(f64, usize)> = (0..count).map(|index| (score(index), index)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<usize> = order.into_iter().take(keep.max(1)).map(|(_, index)| index).collect();
    chosen.sort_unstable();
    let terms: Vec<_> =
        chosen.iter().map(|index| (updates[*index].weights, updates[*index].weight)).collect();
    let total = terms.iter().map(|(_, weight)| weight).sum();
    Terms { terms, total }
}

/// The point with the least weighted sum of distances to all updates, by Weiszfeld's iteration. It
/// is a convex combination of the updates, so the iteration needs only the distances between them:
/// with `z = sum(a_i w_i)` and `sum(a) = 1`, `|z - w_i|^2 = sum_j(a_j d_ij) - sum_jk(a_j a_k d_jk) / 2`.
pub(crate) fn geometric_median<'a>(squares: &Squares, updates: &[Update<'a>]) -> Terms<'a> {
    let weights: Vec<f64> = updates.iter().map(|update| update.weight).collect();
    let shares = weiszfeld(squares, &weights);
    let terms: Vec<_> = updates.iter().map(|update| update.weights).zip(shares).collect();
    let total = terms.iter().map(|(_, share)| share).sum();
    Terms { terms, total }
}

fn weiszfeld(squares: &Squares, weights: &[f64]) -> Vec<f64> {
    let count = weights.len();
    let least = SMOOTHING * squares.median().sqrt();
    let total: f64 = weights.iter().sum();
    let mut shares: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
    if least == 0.0 {
        return shares;
    }
    for _ in 0..WEISZFELD_STEPS {
        let to_all =
            |index: usize| (0..count).map(|other| shares[other] * squares.of(index, other)).sum::<f64>();
        let inner: Vec<f64> = (0..count).map(to_all).collect();
        let spread = inner.iter().zip(&shares).map(|(inner, share)| inner * share).sum::<f64>() / 2.0;
        let mut next: Vec<f64> = (0..count)
            .map(|index| weights[index] / (inner[index] - spread).max(0.0).sqrt().max(least))
            .collect();
        let sum: f64 = next.iter().sum();
        next.iter_mut().for_each(|share| *share /= sum);
        let moved = next.iter().zip(&shares).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        shares = next;
        if moved < 1e-12 {
            break;
        }
    }
    shares
}

/// The weighted mean of steps, each clipped to `bound`.
pub(crate) fn norm_bounded<'a>(
    signature: &Signature,
    global_model: &'a WeightsReader,
    updates: &[Update<'a>],
    bound: f64,
) -> Result<Terms<'a>, WeightsError> {
    let mut terms = Vec::new();
    let mut left = 0.0;
    let lengths = updates.par_iter().map(|update| distance(signature, global_model, update.weights));
    for (update, length) in updates.iter().zip(lengths.collect::<Result<Vec<_>, _>>()?) {
        let kept = if length > bound { bound / length } else { 1.0 };
        terms.push((update.weights, update.weight * kept));
        left += update.weight * (1.0 - kept);
    }
    if left > 0.0 {
        terms.push((global_model, left));
    }
    let total = updates.iter().map(|update| update.weight).sum();
    Ok(Terms { terms, total })
}
