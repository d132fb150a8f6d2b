//! What is done to one update: its step from the starting weights is scaled to a length of at most `clip`, and
//! noise is added to each element. The length is over all tensors together.

use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use rand_distr::{Distribution as _, StandardNormal};
use serde::{Deserialize, Serialize};

/// Clipping and noise of one update.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mechanism {
    /// Greatest L2 norm of a step.
    pub clip: f64,
    /// Standard deviation of the noise on each element, in units of `clip`.
    pub noise_multiplier: f64,
}

impl Mechanism {
    /// Standard deviation of the noise on each element, in units of weights.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        self.noise_multiplier * self.clip
    }

    /// The Rényi divergence at order 1 of one update from no step at all; see
    /// [`epsilon`](super::epsilon).
    #[must_use]
    pub fn divergence(&self) -> f64 {
        0.5 / (self.noise_multiplier * self.noise_multiplier)
    }

    /// Whether it clips and adds noise as much as `demanded`.
    #[must_use]
    pub fn is_as_strict_as(&self, demanded: &Self) -> bool {
        self.noise_multiplier >= demanded.noise_multiplier && self.clip <= demanded.clip
    }
}

/// The squared L2 distance of two tensors of equal length.
#[must_use]
pub fn squared_distance(base: impl Iterator<Item = f32>, trained: impl Iterator<Item = f32>) -> f64 {
    base.zip(trained).map(|(base, trained)| (f64::from(trained) - f64::from(base)).powi(2)).sum()
}

/// The factor that a step of this norm is scaled by.
#[must_use]
pub fn scale(norm: f64, clip: f64) -> f64 {
    if norm > clip { clip / norm } else { 1.0 }
}

/// The noise of one update. Each tensor has its own random stream, so its values do not depend on the order
/// in which tensors are written.
#[derive(Clone)]
pub struct Noise {
    /// Seed of ChaCha20. Whoever knows it can take the noise away.
    key: [u8; 32],
    deviation: f64,
}

impl Noise {
    /// Gaussian noise of this standard deviation from a secret key of 32 random bytes.
    #[must_use]
    pub const fn new(key: [u8; 32], deviation: f64) -> Self {
        Self { key, deviation }
    }

    /// The tensor at `position` with its step scaled and noise added. All arithmetic is in 64 bits, and the
    /// result is rounded to 32 bits once: infinite where it has no room there.
    pub fn noised(
        &self,
        position: u64,
        base: impl Iterator<Item = f32>,
        trained: impl Iterator<Item = f32>,
        scale: f64,
    ) -> Vec<f32> {
        let mut rng = ChaCha20Rng::from_seed(self.key);
        rng.set_stream(position);
        let one = |(base, trained): (f32, f32)| {
            let base = f64::from(base);
            let sample: f64 = StandardNormal.sample(&mut rng);
            (base + (f64::from(trained) - base) * scale + sample * self.deviation) as f32
        };
        base.zip(trained).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const COUNT: usize = 200_000;

    /// Noise on a step of zero from zero, as numbers of unit variance.
    fn drawn(key: u8, position: u64, deviation: f64) -> Vec<f64> {
        let zeros = || std::iter::repeat_n(0.0_f32, COUNT);
        let noise = Noise::new([key; 32], deviation).noised(position, zeros(), zeros(), 1.0);
        noise.into_iter().map(|value| f64::from(value) / deviation).collect()
    }

    fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
        let count = values.len() as f64;
        values.sum::<f64>() / count
    }

    #[test]
    fn the_noise_is_gaussian_with_the_deviation_of_the_policy() {
        let mechanism = Mechanism { clip: 0.25, noise_multiplier: 0.8 };
        assert!((mechanism.deviation() - 0.2).abs() < 1e-12);
        let noise = drawn(7, 0, mechanism.deviation());
        let moment = |power| mean(noise.iter().map(|value: &f64| value.powi(power)));
        // Six standard errors of each moment of a standard normal distribution.
        let error = |variance: f64| 6.0 * (variance / COUNT as f64).sqrt();
        assert!(moment(1).abs() < error(1.0), "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < error(2.0), "{}", moment(2));
        assert!(moment(3).abs() < error(15.0), "{}", moment(3));
        assert!((moment(4) - 3.0).abs() < error(96.0), "{}", moment(4));
        // 68.27 % of a normal distribution are within one deviation.
        let within = mean(noise.iter().map(|value| f64::from(u8::from(value.abs() < 1.0))));
        assert!((within - 0.682_689).abs() < 0.007, "{within}");
    }

    #[test]
    fn the_noise_of_tensors_elements_and_updates_is_independent() {
        let first = drawn(1, 0, 1.0);
        for (what, other) in [("another tensor", drawn(1, 1, 1.0)), ("another update", drawn(2, 0, 1.0))] {
            let correlation = mean(first.iter().zip(&other).map(|(a, b)| a * b));
            assert!(correlation.abs() < 6.0 / (COUNT as f64).sqrt(), "{what}: {correlation}");
        }
        let shifted = mean(first[1..].iter().zip(&first[..COUNT - 1]).map(|(a, b)| a * b));
        assert!(shifted.abs() < 6.0 / (COUNT as f64).sqrt(), "neighbours: {shifted}");
        assert_eq!(first, drawn(1, 0, 1.0), "the same key gives the same noise");
    }

    #[test]
    fn steps_are_clipped_and_keep_their_direction() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for _ in 0..200 {
            let length = rng.random_range(1..300);
            let size = 10_f32.powi(rng.random_range(-6..6));
            let vector = |rng: &mut ChaCha8Rng, size: f32| -> Vec<f32> {
                (0..length).map(|_| rng.random_range(-size..size)).collect()
            };
            let (base, trained) = (vector(&mut rng, 1.0), vector(&mut rng, size));
            let clip = 10_f64.powi(rng.random_range(-3..4));
            let norm = squared_distance(base.iter().copied(), trained.iter().copied()).sqrt();
            let factor = scale(norm, clip);
            let steps = || base.iter().zip(&trained).map(|(b, t)| f64::from(*t) - f64::from(*b));
            let clipped = steps().map(|step| (step * factor).powi(2)).sum::<f64>().sqrt();
            assert!(clipped <= clip * (1.0 + 1e-6), "{clipped} > {clip}");
            if norm <= clip {
                assert!(factor == 1.0, "a step within the limit stays as it is");
            } else {
                assert!(factor > 0.0 && (clipped / clip - 1.0).abs() < 1e-6, "{clipped}, {clip}");
            }
            let silent = Noise::new([0; 32], 0.0);
            let sent = silent.noised(0, base.iter().copied(), trained.iter().copied(), factor);
            for ((base, step), sent) in base.iter().zip(steps()).zip(sent) {
                let expected = f64::from(*base) + step * factor;
                assert!((f64::from(sent) - expected).abs() <= expected.abs() * 1e-7, "{sent}, {expected}");
            }
        }
    }

    #[test]
    fn a_step_of_zero_and_of_the_largest_numbers_is_scaled_by_a_finite_factor() {
        assert!(scale(0.0, 1.0) == 1.0);
        let largest = squared_distance([f32::MIN; 4].into_iter(), [f32::MAX; 4].into_iter()).sqrt();
        let factor = scale(largest, 1e-6);
        assert!(largest.is_finite() && factor > 0.0 && factor * largest < 1.1e-6);
    }

    #[test]
    fn stricter_means_no_less_noise_and_no_longer_steps() {
        let demanded = Mechanism { clip: 1.0, noise_multiplier: 0.8 };
        let with = |clip, noise_multiplier| Mechanism { clip, noise_multiplier }.is_as_strict_as(&demanded);
        assert!(with(1.0, 0.8) && with(0.5, 0.8) && with(1.0, 2.0));
        assert!(!with(1.1, 0.8) && !with(1.0, 0.7) && !with(2.0, 9.0));
    }
}
