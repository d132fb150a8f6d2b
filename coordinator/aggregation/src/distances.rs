//! Distances between sets of weights: over all tensors together, in the L2 norm.

use eosfed_common::weights::{Signature, WeightsError};
use rayon::prelude::*;

use crate::input::PIECE;
use crate::weights_reader::WeightsReader;

/// Squared distances between all pairs of some updates.
#[derive(Debug)]
pub(crate) struct Squares {
    count: usize,
    values: Vec<f64>,
}

impl Squares {
    pub(crate) fn of(&self, a: usize, b: usize) -> f64 {
        self.values[a * self.count + b]
    }

    /// The median over pairs of different updates; 0 if there are none.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted: Vec<f64> = (0..self.count).flat_map(|a| (0..a).map(move |b| self.of(a, b))).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }
}

/// Squared distances between all pairs. One piece of every update is in memory at a time.
pub(crate) fn squares(signature: &Signature, updates: &[&WeightsReader]) -> Result<Squares, WeightsError> {
    let count = updates.len();
    let pairs: Vec<(usize, usize)> = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b))).collect();
    let mut sums = vec![0.0_f64; pairs.len()];
    for (name, start, length) in pieces(signature) {
        let read = |reader: &&WeightsReader| {
            let mut values = vec![0.0_f32; length];
            reader.read(name, start, &mut values).map(|()| values)
        };
        let values = updates.par_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        sums.par_iter_mut().zip(&pairs).for_each(|(sum, (a, b))| *sum += square(&values[*a], &values[*b]));
    }
    let mut values = vec![0.0; count * count];
    for ((a, b), sum) in pairs.into_iter().zip(sums) {
        (values[a * count + b], values[b * count + a]) = (sum, sum);
    }
    Ok(Squares { count, values })
}

/// The distance between two sets of weights.
///
/// # Errors
/// If a file cannot be read.
pub fn distance(signature: &Signature, a: &WeightsReader, b: &WeightsReader) -> Result<f64, WeightsError> {
    let mut sum = 0.0;
    for (name, start, length) in pieces(signature) {
        let mut left = vec![0.0_f32; length];
        let mut right = vec![0.0_f32; length];
        a.read(name, start, &mut left)?;
        b.read(name, start, &mut right)?;
        sum += square(&left, &right);
    }
    Ok(sum.sqrt())
}

fn pieces(signature: &Signature) -> impl Iterator<Item = (&String, usize, usize)> {
    signature.0.iter().flat_map(|(name, shape)| {
        let length: usize = shape.iter().product();
        (0..length).step_by(PIECE).map(move |start| (name, start, PIECE.min(length - start)))
    })
}

/// The squared distance of two pieces, in eight interleaved sums that a processor can take at once.
fn square(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let left = a.as_chunks::<8>();
    let right = b.as_chunks::<8>();
    for (a, b) in left.0.iter().zip(right.0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            let difference = f64::from(*a) - f64::from(*b);
            *sum += difference * difference;
        }
    }
    let rest = left.1.iter().zip(right.1).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>();
    sums.iter().sum::<f64>() + rest
}
