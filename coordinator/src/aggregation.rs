//! FedAvg (McMahan et al. 2017, algorithm 1): the mean of several institutions' weights, each
//! weighted by its training samples.
//!
//! The order of arithmetic is part of the contract, so that anybody who holds the updates can
//! recompute an aggregate bit for bit. For each element of each tensor, with the institutions in
//! the order of their names:
//!
//! ```text
//! sum = 0.0 (f64);  for each institution: sum = sum + (samples as f64) * (w as f64)
//! aggregate = (sum / (total samples as f64)) as f32
//! ```
//!
//! Updates are read through memory maps, one tensor at a time: memory does not grow with the number
//! of institutions.

use eosfed_common::weights::{CheckedWeights, Signature, Tensors};
use rayon::prelude::*;

/// Elements that one task of the thread pool sums; the result does not depend on it.
const CHUNK: usize = 1 << 16;

/// One update: its weights and the samples that they have learned from, at least 1.
#[derive(Debug, Clone)]
pub struct Weighted<'a> {
    /// The weights.
    pub weights: CheckedWeights<'a>,
    /// Training samples.
    pub samples: u64,
}

/// The weighted mean of `updates`, at least one, in the order given. See the module for the order
/// of arithmetic.
#[must_use]
pub fn fed_avg(signature: &Signature, updates: &[Weighted<'_>]) -> Tensors {
    let total = updates.iter().map(|update| update.samples).sum::<u64>() as f64;
    let mean = |(name, shape): (&String, &Vec<usize>)| {
        let mut mean = vec![0.0_f32; shape.iter().product()];
        mean.par_chunks_mut(CHUNK).enumerate().for_each(|(index, chunk)| {
            let mut sums = vec![0.0_f64; chunk.len()];
            for update in updates {
                let samples = update.samples as f64;
                let values = update.weights.values(name);
                for (sum, value) in sums.iter_mut().zip(values.iter().skip(index * CHUNK)) {
                    *sum += samples * f64::from(value);
                }
            }
            for (mean, sum) in chunk.iter_mut().zip(sums) {
                *mean = (sum / total) as f32;
            }
        });
        (name.clone(), mean)
    };
    signature.0.iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use eosfed_common::weights::{WeightsFile, write};
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    fn signature(length: usize) -> Signature {
        Signature([("w".to_owned(), vec![length])].into())
    }

    fn average(updates: &[(Vec<f32>, u64)]) -> Vec<f32> {
        let folder = TempDir::new().unwrap();
        let signature = signature(updates[0].0.len());
        let file = |(index, (values, _)): (usize, &(Vec<f32>, u64))| {
            let path = folder.path().join(index.to_string());
            write(&path, &signature, &[("w".to_owned(), values.clone())].into()).unwrap();
            WeightsFile::open(&path).unwrap()
        };
        let files: Vec<_> = updates.iter().enumerate().map(file).collect();
        let weighted: Vec<_> = files
            .iter()
            .zip(updates)
            .map(|(file, (_, samples))| Weighted {
                weights: file.check(&signature).unwrap(),
                samples: *samples,
            })
            .collect();
        fed_avg(&signature, &weighted).remove("w").unwrap()
    }

    #[test]
    fn samples_weigh() {
        assert_eq!(average(&[(vec![1.0, 0.0], 3), (vec![5.0, 4.0], 1)]), [2.0, 1.0]);
    }

    #[test]
    fn long_tensors_are_summed_whole() {
        let ramp: Vec<f32> = (0..200_001).map(|i| i as f32).collect();
        assert_eq!(average(&[(ramp.clone(), 2), (ramp.clone(), 5)]), ramp);
    }

    fn finite() -> impl Strategy<Value = f32> {
        -1e30..1e30_f32
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_mean_of_equals_is_the_same(values in proptest::collection::vec(finite(), 1..9), n in 1..1_000_000_u64) {
            prop_assert_eq!(average(&[(values.clone(), n), (values.clone(), 7 * n)]), values);
        }

        #[test]
        fn the_mean_lies_between_its_terms(
            pairs in proptest::collection::vec((finite(), finite()), 1..9), n in 1..1000_u64, m in 1..1000_u64,
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            for ((mean, a), b) in average(&[(a.clone(), n), (b.clone(), m)]).into_iter().zip(a).zip(b) {
                prop_assert!(a.min(b) <= mean && mean <= a.max(b));
            }
        }

        #[test]
        fn the_order_matters_by_rounding_at_most(
            values in proptest::collection::vec((-1.0..1.0_f32, 1..1000_u64), 3),
        ) {
            let updates: Vec<_> = values.iter().map(|(value, samples)| (vec![*value], *samples)).collect();
            let reversed: Vec<_> = updates.iter().rev().cloned().collect();
            prop_assert!((average(&updates)[0] - average(&reversed)[0]).abs() <= f32::EPSILON);
        }
    }
}
