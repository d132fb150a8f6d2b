//! Rules for each coordinate separately: the median and the trimmed mean. Both are the mean of the values
//! that remain after `cut` values are removed at each end.
//!
//! Coordinates stand side by side in vectors, one vector for each update, and a sorting network sorts all
//! of them at once without a branch.

use eosfed_common::weights::WeightsError;

use crate::network::{Lanes, Network, WIDTH};
use crate::scratch::Scratch;
use crate::span::Span;
use crate::vectorised::{Stored, with_vectors};
use crate::weights_reader::{WeightsReader, read_rows};

pub(crate) struct Coordinates<'a> {
    updates: Vec<&'a WeightsReader>,
    cut: usize,
    network: Network,
}

impl<'a> Coordinates<'a> {
    /// The mean without the `cut` smallest and `cut` largest values.
    pub(crate) fn new(updates: Vec<&'a WeightsReader>, cut: usize) -> Self {
        let network = Network::of(updates.len(), cut..updates.len() - cut);
        Self { updates, cut, network }
    }

    pub(crate) fn piece(
        &self,
        span: Span,
        Scratch { combined, rows, lanes, .. }: &mut Scratch,
    ) -> Result<(), WeightsError> {
        let count = self.updates.len();
        read_rows(self.updates.iter().copied(), span, rows)?;
        lanes.resize(count, [0; WIDTH]);
        for (stripe, combined) in combined.chunks_mut(WIDTH).enumerate() {
            let from = stripe * WIDTH;
            for (row, lanes) in rows.chunks_exact(span.length).zip(lanes.iter_mut()) {
                load(&row[from..from + combined.len()], lanes);
            }
            self.network.sort(lanes);
            mean(&lanes[self.cut..count - self.cut], combined);
        }
        Ok(())
    }
}

/// An integer for the bits of a float, in the order of [`f32::total_cmp`]; its own inverse.
#[inline(always)]
const fn ordered(bits: i32) -> i32 {
    bits ^ (((bits >> 31).cast_unsigned()) >> 1).cast_signed()
}

fn load(values: &[Stored], lanes: &mut Lanes) {
    with_vectors!({
        for (lane, value) in lanes.iter_mut().zip(values) {
            *lane = ordered(i32::from_le_bytes(*value));
        }
    });
}

/// The mean of sorted values, from the smallest to the largest. Like that of [`Iterator::sum`], the sum
/// begins with -0.0, which changes no value.
fn mean(kept: &[Lanes], combined: &mut [f64]) {
    with_vectors!({
        let mut sums = [-0.0_f64; WIDTH];
        for lanes in kept {
            for (sum, lane) in sums.iter_mut().zip(lanes) {
                *sum += f64::from(f32::from_bits(ordered(*lane).cast_unsigned()));
            }
        }
        for (combined, sum) in combined.iter_mut().zip(sums) {
            *combined = sum / kept.len() as f64;
        }
    });
}
