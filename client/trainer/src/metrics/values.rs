//! Metrics for a number per pixel: root mean squared error, mean absolute error, R2.

use tch::{Device, Kind, Tensor};

/// Sums over all pixels that have a target.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueScores {
    scale: f64,
    count: f64,
    squared: f64,
    absolute: f64,
    sum: f64,
    sum_of_squares: f64,
}

impl ValueScores {
    /// Scores without a pixel yet. `scale` brings errors to the target's units.
    #[must_use]
    pub const fn new(scale: f64) -> Self {
        Self { scale, count: 0.0, squared: 0.0, absolute: 0.0, sum: 0.0, sum_of_squares: 0.0 }
    }

    /// Adds targets, NaN where there is none, and predictions of the same shape.
    pub fn add(&mut self, targets: &Tensor, predictions: &Tensor) {
        let sums = Self::sums(targets, predictions).to_device(Device::Cpu);
        let sums: Vec<f64> = Vec::try_from(sums).expect("sums are a flat tensor");
        self.add_sums(&sums);
    }

    /// The five sums of a batch, as 64-bit floats on its device.
    pub(super) fn sums(targets: &Tensor, predictions: &Tensor) -> Tensor {
        let known = targets.isfinite();
        let targets = targets.to_kind(Kind::Double);
        let none = targets.zeros_like();
        let error = (predictions.to_kind(Kind::Double) - &targets).where_self(&known, &none);
        let targets = targets.where_self(&known, &none);
        let terms = [
            known.to_kind(Kind::Double),
            error.square(),
            error.abs(),
            targets.shallow_clone(),
            targets.square(),
        ];
        Tensor::stack(&terms.map(|term| term.sum(Kind::Double)), 0)
    }

    /// Adds what [`Self::sums`] has added up.
    pub(super) fn add_sums(&mut self, sums: &[f64]) {
        let fields =
            [&mut self.count, &mut self.squared, &mut self.absolute, &mut self.sum, &mut self.sum_of_squares];
        fields.into_iter().zip(sums).for_each(|(total, sum)| *total += sum);
    }

    pub(super) fn summary(&self) -> Vec<(&'static str, f64)> {
        let count = self.count.max(1.0);
        // Targets are scaled to near 0 and 1, so the difference loses no precision.
        let spread = self.sum_of_squares - self.sum * self.sum / count;
        let r2 = if spread > 0.0 { 1.0 - self.squared / spread } else { 0.0 };
        vec![
            ("rmse", (self.squared / count).sqrt() * self.scale),
            ("mae", self.absolute / count * self.scale),
            ("r2", r2),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_units_of_the_target_and_ignore_pixels_without_one() {
        let mut scores = ValueScores::new(10.0);
        let targets = Tensor::from_slice(&[1.0_f32, f32::NAN, 3.0]);
        scores.add(&targets, &Tensor::from_slice(&[2.0_f32, 99.0, 3.0]));
        let found: Vec<f64> = scores.summary().into_iter().map(|(_, value)| value).collect();
        assert!(
            (found[0] - 10.0 * 0.5_f64.sqrt()).abs() < 1e-9 && found[1] == 5.0 && found[2] == 0.5,
            "{found:?}"
        );
    }

    #[test]
    fn no_pixel_and_constant_targets_do_not_give_nan() {
        let mut scores = ValueScores::new(1.0);
        assert!(scores.summary().iter().all(|(_, value)| *value == 0.0));
        scores.add(&Tensor::from_slice(&[2.0_f32, 2.0]), &Tensor::from_slice(&[1.0_f32, 3.0]));
        assert_eq!(scores.summary()[2].1, 0.0);
    }
}
