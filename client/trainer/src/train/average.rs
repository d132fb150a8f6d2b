//! An exponential moving average of the parameters, which often scores better than the parameters themselves
//! (Polyak & Juditsky 1992). It is defined as timm's `ModelEmaV3` without warm-up, updated with the number of the
//! step: the first step is copied, then each one moves the average by one minus the decay.

use tch::Tensor;

use super::flat::Flat;

/// The average of all parameters.
#[derive(Debug)]
pub(super) struct Average {
    values: Tensor,
    decay: f64,
}

impl Average {
    /// An average that begins with the parameters.
    pub(super) fn new(flat: &Flat, decay: f64) -> Self {
        let _guard = tch::no_grad_guard();
        Self { values: flat.values.copy(), decay }
    }

    /// Adds the parameters after a step, counted from 1.
    pub(super) fn add(&self, flat: &Flat, step: u64) {
        let decay = if step <= 1 { 0.0 } else { self.decay };
        let _ = self.values.shallow_clone().lerp_(&flat.values, 1.0 - decay);
    }

    /// Exchanges the parameters and the average.
    pub(super) fn exchange(&self, flat: &Flat) {
        let _guard = tch::no_grad_guard();
        let kept = flat.values.copy();
        flat.values.shallow_clone().copy_(&self.values);
        self.values.shallow_clone().copy_(&kept);
    }

    /// The average, laid out as the parameters are.
    pub(super) const fn values(&self) -> &Tensor {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::weights::Signature;
    use serde::Deserialize;
    use tch::Device;

    use super::*;
    use crate::parameters::Parameters;

    #[derive(Deserialize)]
    struct Golden {
        decay: f64,
        start: Vec<f32>,
        /// The parameters after each step, and their average.
        steps: Vec<(Vec<f32>, Vec<f32>)>,
    }

    /// timm's `ModelEmaV3` (`goldens/generate_training.py`).
    #[test]
    fn the_average_is_that_of_timm_and_is_exchanged() {
        let all: serde_json::Value =
            serde_json::from_str(include_str!("../../goldens/training.json")).unwrap();
        let golden: Golden = serde_json::from_value(all["average"].clone()).unwrap();
        let signature = Signature([("w".to_owned(), vec![1, golden.start.len()])].into());
        let values = [("w".to_owned(), golden.start.clone())].into();
        let parameters = Parameters::new(signature, &values, Device::Cpu).trainable();
        let flat = Flat::adopt(&parameters);
        let average = Average::new(&flat, golden.decay);
        let close =
            |found: &[f32], expected: &[f32]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
        for (step, (values, expected)) in (1..).zip(&golden.steps) {
            let _guard = tch::no_grad_guard();
            let tensor = parameters.get("w");
            tensor.shallow_clone().copy_(&Tensor::from_slice(values).view([1, -1]));
            average.add(&flat, step);
            average.exchange(&flat);
            assert!(close(&parameters.values()["w"], expected), "step {step}");
            average.exchange(&flat);
            assert!(close(&parameters.values()["w"], values));
        }
    }
}
