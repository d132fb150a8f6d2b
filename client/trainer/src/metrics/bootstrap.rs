//! How sure scores of small parts are: the percentile bootstrap over samples (Efron & Tibshirani 1993, chapter
//! 13). Samples are drawn again with replacement, as many as there are; for tasks of pixels a sample brings
//! the confusion matrix, or the sums, of its image. Samples count as independent, so where tiles of one scene
//! are alike, the intervals are too narrow.

use std::collections::BTreeMap;

use eosfed_common::finite::Finite;
use eosfed_common::scoring::Interval;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::{MetricSpec, Scores};
use crate::device::reading::numbers;

/// Most samples of a part whose scores have intervals.
pub const SMALL: usize = 2000;
const RESAMPLES: usize = 1000;
/// The shares of resamples below and above which an interval ends: 95 % are within.
const TAILS: [f64; 2] = [0.025, 0.975];
/// The same predictions have the same intervals.
const SEED: u64 = 1;

/// What a sample brings to the scores.
#[derive(Debug, Clone, PartialEq)]
enum Contribution {
    /// The sums that are not zero, by position.
    Sums(Vec<(usize, f64)>),
    /// Score and presence of each class.
    Labels(Vec<(f32, bool)>),
}

/// The samples of a part, one by one.
#[derive(Debug, Clone, PartialEq)]
pub struct Bootstrap {
    spec: MetricSpec,
    samples: Vec<Contribution>,
    /// Whether there are more than [`SMALL`].
    large: bool,
}

impl Bootstrap {
    /// Without a sample yet.
    #[must_use]
    pub const fn new(spec: MetricSpec) -> Self {
        Self { spec, samples: Vec::new(), large: false }
    }

    /// Adds a batch, as [`Scores::add`] takes it. Reads from its device.
    pub fn add(&mut self, labels: &Tensor, outputs: &Tensor) {
        let count = labels.size()[0];
        if self.large || self.samples.len() + count as usize > SMALL {
            self.large = true;
            self.samples.clear();
            return;
        }
        let scores = self.spec.scores();
        for at in 0..count {
            let label = labels.narrow(0, at, 1);
            let output = outputs.narrow(0, at, 1);
            self.samples.push(match scores.sums(&label, &output) {
                Some(sums) => {
                    let sums = numbers(&sums).into_iter().enumerate();
                    Contribution::Sums(sums.filter(|(_, sum)| *sum != 0.0).collect())
                }
                None => {
                    let present = numbers(&label).into_iter().map(|label| label > 0.5);
                    let scores = numbers(&output).into_iter().map(|score| score as f32);
                    Contribution::Labels(scores.zip(present).collect())
                }
            });
        }
    }

    /// The interval of each score; none of large parts, and of fewer than two samples.
    #[must_use]
    pub fn intervals(&self) -> BTreeMap<String, Interval> {
        if self.large || self.samples.len() < 2 {
            return BTreeMap::new();
        }
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for _ in 0..RESAMPLES {
            let drawn = (0..self.samples.len()).map(|_| rng.random_range(0..self.samples.len()));
            for (name, value) in self.scores(drawn).summary() {
                found.entry(name).or_default().push(value);
            }
        }
        found.into_iter().filter_map(|(name, values)| Some((name, interval(values)?))).collect()
    }

    /// The scores of some of the samples.
    fn scores(&self, chosen: impl Iterator<Item = usize>) -> Scores {
        let mut scores = self.spec.scores();
        let mut sums: Vec<f64> = Vec::new();
        for at in chosen {
            match &self.samples[at] {
                Contribution::Sums(list) => {
                    for (position, sum) in list {
                        if sums.len() <= *position {
                            sums.resize(position + 1, 0.0);
                        }
                        sums[*position] += sum;
                    }
                }
                Contribution::Labels(row) => scores.add_row(row),
            }
        }
        scores.add_sums(&sums);
        scores
    }
}

fn interval(mut values: Vec<f64>) -> Option<Interval> {
    values.sort_by(f64::total_cmp);
    let [low, high] = TAILS.map(|share| Finite::new(quantile(&values, share)));
    Some(Interval { low: low?, high: high? })
}

/// Between the two values at a share of sorted values, as numpy's `quantile` does it.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let below = sorted[at.floor() as usize];
    below + (sorted[at.ceil() as usize] - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use eosfed_common::model::Task;
    use tch::{Device, Kind};

    use super::*;

    fn ends(interval: Interval) -> [f64; 2] {
        [interval.low.get(), interval.high.get()]
    }

    #[test]
    fn the_accuracy_of_a_hundred_images_lies_where_the_binomial_distribution_says() {
        let labels = Tensor::zeros([100], (Kind::Int64, Device::Cpu));
        // 80 images are right.
        let outputs: Vec<f32> =
            (0..100).flat_map(|at| if at < 80 { [1.0, 0.0] } else { [0.0, 1.0] }).collect();
        let outputs = Tensor::from_slice(&outputs).view([100, 2]);
        let mut bootstrap = Bootstrap::new(MetricSpec::new(Task::Classification, 2, None));
        for start in [0, 40] {
            let size = if start == 0 { 40 } else { 60 };
            bootstrap.add(&labels.narrow(0, start, size), &outputs.narrow(0, start, size));
        }
        let found = bootstrap.intervals();
        assert_eq!(found, bootstrap.intervals(), "the same samples have the same intervals");
        // The quantiles of the binomial distribution of 100 draws with probability 0.8: 72 and 87.
        let [low, high] = ends(found["accuracy"]);
        assert!((low - 0.72).abs() <= 0.01 && (high - 0.87).abs() <= 0.01, "{low} {high}");
    }

    #[test]
    fn images_are_drawn_and_not_pixels() {
        // Two masks: all right and all wrong. Pixels would give an accuracy near one half.
        let labels = Tensor::zeros([2, 8, 8], (Kind::Int64, Device::Cpu));
        let right = Tensor::from_slice(&[1.0_f32, 0.0]).view([1, 2, 1, 1]).expand([1, 2, 8, 8], false);
        let wrong = Tensor::from_slice(&[0.0_f32, 1.0]).view([1, 2, 1, 1]).expand([1, 2, 8, 8], false);
        let mut bootstrap = Bootstrap::new(MetricSpec::new(Task::Segmentation, 2, None));
        bootstrap.add(&labels, &Tensor::cat(&[right, wrong], 0));
        assert_eq!(ends(bootstrap.intervals()["accuracy"]), [0.0, 1.0]);
    }

    #[test]
    fn every_task_has_the_scores_of_all_samples_within_its_intervals() {
        tch::manual_seed(3);
        let outputs = Tensor::randn([30, 3], (Kind::Float, Device::Cpu));
        let noise = Tensor::randn([30, 3], (Kind::Float, Device::Cpu));
        let several = (&outputs + noise).gt(0.0).to_kind(Kind::Float);
        let maps = outputs.view([30, 1, 3, 1]);
        let values = maps.squeeze_dim(1) + Tensor::randn([30, 3, 1], (Kind::Float, Device::Cpu)) * 0.5;
        for (task, labels, outputs) in
            [(Task::Multilabel, &several, &outputs), (Task::Regression, &values, &maps)]
        {
            let spec = MetricSpec::new(task, 3, None);
            let mut bootstrap = Bootstrap::new(spec);
            bootstrap.add(labels, outputs);
            let mut whole = spec.scores();
            whole.add(labels, outputs);
            let again = bootstrap.scores(0..30).summary();
            let intervals = bootstrap.intervals();
            for (name, value) in whole.summary() {
                assert!((again[&name] - value).abs() < 1e-9, "{name}");
                let [low, high] = ends(intervals[&name]);
                assert!(low < value && value < high, "{task} {name}: {low} {value} {high}");
            }
        }
    }

    #[test]
    fn large_parts_and_single_samples_have_none() {
        let spec = MetricSpec::new(Task::Classification, 2, None);
        let mut bootstrap = Bootstrap::new(spec);
        let batch = |count| {
            (
                Tensor::zeros([count], (Kind::Int64, Device::Cpu)),
                Tensor::zeros([count, 2], (Kind::Float, Device::Cpu)),
            )
        };
        let (labels, outputs) = batch(1);
        bootstrap.add(&labels, &outputs);
        assert!(bootstrap.intervals().is_empty());
        bootstrap.add(&labels, &outputs);
        assert!(!bootstrap.intervals().is_empty());
        let (labels, outputs) = batch(SMALL as i64);
        bootstrap.add(&labels, &outputs);
        assert!(bootstrap.intervals().is_empty());
    }
}
