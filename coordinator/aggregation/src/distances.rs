//! Distances between sets of weights: over all tensors together, in the L2 norm.

use std::path::Path;

use eosfed_common::weights::{READ_AT_ONCE, Signature, Verified, WeightsError, WeightsFile};
use rayon::prelude::*;

use crate::span::{PIECE, Span, spans};
use crate::vectorised::{Stored, value, with_vectors};
use crate::weights_reader::{WeightsReader, read_rows};

/// Sums of a piece that a processor adds at once. Part of the contract: see the crate's text.
const LANES: usize = 8;
/// Values of one update that are compared with those of all others at a time, in lanes. Fifty updates of
/// them fit into a second-level cache.
const BLOCK: usize = 64;
/// Updates that one update is compared with at a time.
const TOGETHER: usize = 4;
/// Pieces whose sums are in memory at a time.
const PIECES: usize = 64;

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

/// Squared distances between all pairs. For each thread, one piece of every update is in memory at a time.
pub(crate) fn squares(signature: &Signature, updates: &[&WeightsReader]) -> Result<Squares, WeightsError> {
    let count = updates.len();
    let mut values = vec![0.0; count * count];
    let pieces: Vec<_> = spans(signature, PIECE).collect();
    for pieces in pieces.chunks(PIECES) {
        let sums = pieces.par_iter().map_init(Pairs::default, |pairs, piece| pairs.sums(updates, *piece));
        for sums in sums.collect::<Result<Vec<_>, _>>()? {
            values.iter_mut().zip(sums).for_each(|(value, sum)| *value += sum);
        }
    }
    for a in 0..count {
        for b in 0..a {
            values[a * count + b] = values[b * count + a];
        }
    }
    Ok(Squares { count, values })
}

/// The distance between two sets of weights.
///
/// # Errors
/// If a file cannot be read.
pub fn distance(signature: &Signature, a: &WeightsReader, b: &WeightsReader) -> Result<f64, WeightsError> {
    let mut pairs = Pairs::default();
    let mut sum = 0.0;
    for piece in spans(signature, PIECE) {
        sum += pairs.sums(&[a, b], piece)?[1];
    }
    Ok(sum.sqrt())
}

// Files are checked in the pieces in which distances are summed.
const _: () = assert!(READ_AT_ONCE == PIECE);

/// Checks a file of which nothing is known, as [`WeightsReader::check`] does, and gives its distance from `base`, as
/// [`distance`] does. Each of the two is read once.
///
/// # Errors
/// As [`WeightsReader::check`]. If `base` cannot be read, only the distance is an error.
pub fn check_from(
    path: &Path,
    expected: &Signature,
    base: &WeightsReader,
) -> Result<(Verified, Result<f64, WeightsError>), WeightsError> {
    let mut pairs = Pairs::default();
    let mut sum = Ok(0.0);
    let verified = WeightsFile::open(path)?.check_by_reading(expected, |tensor, start, values| {
        // After an error nothing more is read of the base, but the file is checked to its end.
        let Ok(so_far) = &mut sum else { return };
        match pairs.sum_from(base, Span { tensor, start, length: values.len() }, values) {
            Ok(piece) => *so_far += piece,
            Err(error) => sum = Err(error),
        }
    })?;
    Ok((verified, sum.map(f64::sqrt)))
}

/// Lanes of f64.
type Wide = [f64; LANES];

/// Memory that a thread uses for one piece after the other.
#[derive(Default)]
struct Pairs {
    /// A piece of each update.
    rows: Vec<Stored>,
    /// A block of each update, as f64.
    block: Vec<[Wide; BLOCK]>,
    /// The sums of each pair `a < b`, at `a * count + b`.
    sums: Vec<Wide>,
}

impl Pairs {
    /// The squared distance of a piece for each pair `a < b`, at `a * count + b`: in interleaved sums, which
    /// are added at the end, and then what is left beyond the last whole lane.
    fn sums(&mut self, updates: &[&WeightsReader], span: Span) -> Result<Vec<f64>, WeightsError> {
        read_rows(updates.iter().copied(), span, &mut self.rows)?;
        Ok(self.sums_of_rows(updates.len(), span.length))
    }

    /// The squared distance of these values of a span from those of `base`.
    fn sum_from(&mut self, base: &WeightsReader, span: Span, values: &[Stored]) -> Result<f64, WeightsError> {
        self.rows.resize(2 * span.length, Stored::default());
        let (there, here) = self.rows.split_at_mut(span.length);
        here.copy_from_slice(values);
        base.read(span, there)?;
        Ok(self.sums_of_rows(2, span.length)[1])
    }

    /// [`Pairs::sums`] of so many rows of this length, which are in `rows`.
    fn sums_of_rows(&mut self, count: usize, length: usize) -> Vec<f64> {
        let row = |index: usize| &self.rows[index * length..(index + 1) * length];
        self.sums.clear();
        self.sums.resize(count * count, [0.0; LANES]);
        self.block.resize(count, [[0.0; LANES]; BLOCK]);
        let whole = length / LANES;
        for from in (0..whole).step_by(BLOCK) {
            let lanes = BLOCK.min(whole - from);
            for (row, block) in self.rows.chunks_exact(length).zip(&mut self.block) {
                widen(&row[from * LANES..][..lanes * LANES], block);
            }
            add_squares(&self.block, lanes, &mut self.sums);
        }
        let pair = |at: usize| {
            let (a, b) = (at / count, at % count);
            if a >= b {
                return 0.0;
            }
            let rest = row(a)[whole * LANES..].iter().zip(&row(b)[whole * LANES..]);
            let square = |(a, b): (&Stored, &Stored)| (value(*a) - value(*b)).powi(2);
            self.sums[at].iter().sum::<f64>() + rest.map(square).sum::<f64>()
        };
        (0..count * count).map(pair).collect()
    }
}

fn widen(values: &[Stored], block: &mut [Wide; BLOCK]) {
    with_vectors!({
        for (wide, values) in block.iter_mut().zip(values.as_chunks::<LANES>().0) {
            for (wide, stored) in wide.iter_mut().zip(values) {
                *wide = value(*stored);
            }
        }
    });
}

/// Adds the squared differences of all pairs in a block: groups of [`TOGETHER`] updates with one another, so that the two
/// groups at hand stay in a first-level cache.
fn add_squares(block: &[[Wide; BLOCK]], lanes: usize, sums: &mut [Wide]) {
    let count = block.len();
    let (groups, rest) = block.as_chunks::<TOGETHER>();
    let grouped = groups.len() * TOGETHER;
    with_vectors!({
        for (at, group) in groups.iter().enumerate() {
            let first = at * TOGETHER;
            for a in first..first + TOGETHER {
                for b in a + 1..first + TOGETHER {
                    tile(&block[a][..lanes], &[&block[b]], &mut sums[a * count + b..]);
                }
            }
            for (others, from) in groups[at + 1..].iter().zip((first + TOGETHER..).step_by(TOGETHER)) {
                for (one, a) in group.iter().zip(first..) {
                    tile(&one[..lanes], &others.each_ref(), &mut sums[a * count + from..]);
                }
            }
        }
        for (other, b) in rest.iter().zip(grouped..) {
            for (one, a) in block[..b].iter().zip(0..) {
                tile(&one[..lanes], &[other], &mut sums[a * count + b..]);
            }
        }
    });
}

/// Adds the squared differences between one update and `N` others to the first sums.
#[inline(always)]
fn tile<const N: usize>(one: &[Wide], others: &[&[Wide; BLOCK]; N], sums: &mut [Wide]) {
    let Some(sums) = sums.first_chunk_mut::<N>() else { return };
    let mut kept = *sums;
    for (index, one) in one.iter().enumerate() {
        for (other, sum) in others.iter().zip(&mut kept) {
            for ((sum, a), b) in sum.iter_mut().zip(one).zip(&other[index]) {
                let difference = a - b;
                *sum += difference * difference;
            }
        }
    }
    *sums = kept;
}
