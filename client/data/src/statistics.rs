//! Per-band moments in one pass, mergeable without losing precision (Chan, Golub & LeVeque 1979),
//! so that institutions can pool them without sharing pixels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sample::Sample;

/// Moments and extremes of one band over valid pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BandStatistics {
    /// The band's name.
    pub band: String,
    /// Valid pixels.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Sum of squared deviations from the mean.
    pub m2: f64,
    /// Smallest value; infinity without pixels.
    pub min: f32,
    /// Largest value; minus infinity without pixels.
    pub max: f32,
}

impl BandStatistics {
    /// Statistics without pixels.
    #[must_use]
    pub fn new(band: &str) -> Self {
        Self {
            band: band.to_owned(),
            count: 0,
            mean: 0.0,
            m2: 0.0,
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
        }
    }

    /// Adds values. Those that are not finite are invalid pixels and do not count.
    pub fn add(&mut self, values: &[f32]) {
        self.merge(&Self::of(values));
    }

    /// Those of values, without a name.
    pub(crate) fn of(values: &[f32]) -> Self {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let count = finite().count();
        if count == 0 {
            return Self::new("");
        }
        let mean = finite().map(f64::from).sum::<f64>() / count as f64;
        let m2 = finite().map(|value| (f64::from(value) - mean).powi(2)).sum();
        let (min, max) =
            finite().fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
        Self { band: String::new(), count: count as u64, mean, m2, min, max }
    }

    /// Adds the moments of another part.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let n = self.count as f64;
        let m = other.count as f64;
        let delta = other.mean - self.mean;
        self.mean += delta * m / (n + m);
        self.m2 += other.m2 + delta * delta * n * m / (n + m);
        self.count += other.count;
        (self.min, self.max) = (self.min.min(other.min), self.max.max(other.max));
    }

    /// Standard deviation of the pixels (not of a sample of them); 0 without pixels.
    #[must_use]
    pub fn std(&self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.m2 / self.count as f64).sqrt() }
    }
}

/// Moments of each band over the judged pixels of samples, in the order given. `bands` names the samples' channels.
#[must_use]
pub fn band_statistics<'a>(
    bands: &[String],
    samples: impl Iterator<Item = &'a Sample>,
) -> Vec<BandStatistics> {
    let mut statistics: Vec<_> = bands.iter().map(|band| BandStatistics::new(band)).collect();
    for sample in samples {
        // A second date has the same bands again.
        for (index, values) in sample.judged_channels().enumerate() {
            statistics[index % bands.len()].add(&values);
        }
    }
    statistics
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f32]) -> BandStatistics {
        let mut statistics = BandStatistics::new("b");
        statistics.add(values);
        statistics
    }

    #[test]
    fn moments_are_those_of_the_finite_values() {
        let found = of(&[2.0, f32::NAN, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0, f32::INFINITY]);
        assert_eq!((found.count, found.mean, found.std()), (8, 5.0, 2.0));
        assert_eq!((found.min, found.max), (2.0, 9.0));
        assert_eq!(of(&[f32::NAN]).std(), 0.0);
    }

    proptest! {
        #[test]
        fn merged_parts_equal_the_whole(a in proptest::collection::vec(-1e4_f32..1e4, 0..60), b in proptest::collection::vec(-1e4_f32..1e4, 0..60)) {
            let whole = of(&[a.clone(), b.clone()].concat());
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(merged.count, whole.count);
            prop_assert!((merged.mean - whole.mean).abs() <= 1e-6 * (1.0 + whole.mean.abs()));
            prop_assert!((merged.m2 - whole.m2).abs() <= 1e-6 * (1.0 + whole.m2));
        }
    }
}
