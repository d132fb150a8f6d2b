//! AdamW (Loshchilov & Hutter 2019) over named tensors, and the learning-rate schedule.
//!
//! `tch`'s optimiser is not used because it cannot save its state. Without that, a resumed training
//! would give other bytes than an uninterrupted one.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use eosfed_common::weights::{Signature, Tensors};
use tch::Tensor;

use crate::parameters::{Parameters, to_vec};

/// Decay rates of the first and the second moment.
const BETA: (f64, f64) = (0.9, 0.999);
const EPS: f64 = 1e-8;

/// First and second moments of every tensor, and the number of steps taken.
#[derive(Debug)]
pub struct AdamW {
    moments: BTreeMap<String, (Tensor, Tensor)>,
    steps: u64,
    weight_decay: f64,
    clip_norm: f64,
    /// Prefix of names, and the factor on the learning rate of these tensors.
    rate_factor: Option<(&'static str, f64)>,
}

impl AdamW {
    /// An optimiser before its first step. The gradient of all tensors together is clipped to the
    /// norm `clip_norm`; 0 means no clipping.
    #[must_use]
    pub fn new(parameters: &Parameters, weight_decay: f64, clip_norm: f64) -> Self {
        let zero = |(name, tensor): (&String, &Tensor)| {
            let zero = || tensor.detach().zeros_like();
            (name.clone(), (zero(), zero()))
        };
        Self {
            moments: parameters.iter().map(zero).collect(),
            steps: 0,
            weight_decay,
            clip_norm,
            rate_factor: None,
        }
    }

    /// Multiplies the learning rate of tensors whose names have this prefix.
    #[must_use]
    pub fn with_rate_factor(self, prefix: &'static str, factor: f64) -> Self {
        Self { rate_factor: Some((prefix, factor)), ..self }
    }

    /// Takes a step along the recorded gradients and clears them. Weight decay applies to tensors of
    /// two and more dimensions only, so not to norms and biases, as in timm.
    pub fn step(&mut self, parameters: &Parameters, learning_rate: f64) {
        let _guard = tch::no_grad_guard();
        self.steps += 1;
        let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let correct1 = 1.0 - BETA.0.powi(steps);
        let correct2 = 1.0 - BETA.1.powi(steps);
        let clip = if self.clip_norm > 0.0 { clip_factor(parameters, self.clip_norm) } else { 1.0 };
        for (name, tensor) in parameters.iter() {
            let mut gradient = tensor.grad();
            if !gradient.defined() {
                continue;
            }
            let learning_rate = match self.rate_factor {
                Some((prefix, factor)) if name.starts_with(prefix) => learning_rate * factor,
                _ => learning_rate,
            };
            let mut tensor = tensor.shallow_clone();
            let (mean, square) = self.moments.get_mut(name).expect("made from the same parameters");
            if clip < 1.0 {
                let _ = gradient.g_mul_scalar_(clip);
            }
            if tensor.dim() >= 2 {
                let _ = tensor.g_mul_scalar_(1.0 - learning_rate * self.weight_decay);
            }
            let _ = mean.lerp_(&gradient, 1.0 - BETA.0);
            let _ = square.g_mul_scalar_(BETA.1).addcmul_(&gradient, &gradient);
            // `addcmul_` has no factor here; the second moment is kept scaled by 1 / (1 - beta2).
            let deviation = (&*square * ((1.0 - BETA.1) / correct2)).sqrt() + EPS;
            let _ = tensor.g_sub_(&(&*mean / deviation * (learning_rate / correct1)));
            let _ = gradient.zero_();
        }
    }

    /// The state under the names `m.NAME` and `v.NAME`, and the signature of a file that holds it.
    #[must_use]
    pub fn state(&self, parameters: &Signature) -> (Signature, Tensors) {
        let mut values = Tensors::new();
        for (name, (mean, square)) in &self.moments {
            values.insert(format!("m.{name}"), to_vec(mean));
            values.insert(format!("v.{name}"), to_vec(square));
        }
        (Self::state_signature(parameters), values)
    }

    /// Names and shapes of the state of an optimiser over `parameters`.
    #[must_use]
    pub fn state_signature(parameters: &Signature) -> Signature {
        let both = |(name, shape): (&String, &Vec<usize>)| {
            [(format!("m.{name}"), shape.clone()), (format!("v.{name}"), shape.clone())]
        };
        Signature(parameters.0.iter().flat_map(both).collect())
    }

    /// Restores a saved state.
    pub fn restore(&mut self, values: &Tensors, steps: u64) {
        let _guard = tch::no_grad_guard();
        self.steps = steps;
        for (name, (mean, square)) in &mut self.moments {
            for (kind, tensor) in [("m", mean), ("v", square)] {
                tensor.copy_(&Tensor::from_slice(&values[&format!("{kind}.{name}")]).reshape(tensor.size()));
            }
        }
    }

    /// Steps taken.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }
}

/// The factor that reduces the gradient of all tensors together to the norm `limit`.
fn clip_factor(parameters: &Parameters, limit: f64) -> f64 {
    let gradients: Vec<Tensor> = parameters.iter().map(|(_, t)| t.grad()).filter(Tensor::defined).collect();
    let norms: Vec<Tensor> = gradients.iter().map(Tensor::norm).collect();
    if norms.is_empty() {
        return 1.0;
    }
    let norm = Tensor::stack(&norms, 0).norm().double_value(&[]);
    if norm > limit { limit / (norm + 1e-6) } else { 1.0 }
}

/// The learning rate at `progress`, from 0 to 1, of the whole schedule: a linear warm-up to `maximum`
/// over the share `warmup`, then half a cosine down to 0 (Loshchilov & Hutter 2017).
#[must_use]
pub fn learning_rate(maximum: f64, warmup: f64, progress: f64) -> f64 {
    if progress < warmup {
        return maximum * progress / warmup;
    }
    let rest = (progress - warmup) / (1.0 - warmup).max(1e-12);
    maximum * 0.5 * (1.0 + (PI * rest.min(1.0)).cos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn parameters(value: f32) -> Parameters {
        let signature = Signature([("w".to_owned(), vec![1, 2]), ("b".to_owned(), vec![2])].into());
        let values = [("w".to_owned(), vec![value; 2]), ("b".to_owned(), vec![value; 2])].into();
        Parameters::new(signature, &values, Device::Cpu).trainable()
    }

    fn step(optimizer: &mut AdamW, parameters: &Parameters) {
        let sum = |name: &str| parameters.get(name).pow_tensor_scalar(2).sum(Kind::Float);
        (sum("w") + sum("b")).backward();
        optimizer.step(parameters, 0.1);
    }

    /// The first step of Adam moves by the learning rate whatever the gradient's size; decay comes first.
    #[test]
    fn the_first_step_is_the_one_computed_by_hand() {
        let parameters = parameters(2.0);
        let mut optimizer = AdamW::new(&parameters, 0.5, 1.0);
        step(&mut optimizer, &parameters);
        let values = parameters.values();
        assert!((values["b"][0] - 1.9).abs() < 1e-5, "{values:?}");
        assert!((values["w"][0] - (2.0 * 0.95 - 0.1)).abs() < 1e-5, "{values:?}");
    }

    #[test]
    fn a_restored_optimiser_goes_on_with_the_same_bytes() {
        let one = parameters(2.0);
        let other = parameters(2.0);
        let mut whole = AdamW::new(&one, 0.1, 1.0);
        (0..6).for_each(|_| step(&mut whole, &one));
        let mut first = AdamW::new(&other, 0.1, 1.0);
        (0..3).for_each(|_| step(&mut first, &other));
        let (_, state) = first.state(other.signature());
        let resumed = Parameters::new(other.signature().clone(), &other.values(), Device::Cpu).trainable();
        let mut second = AdamW::new(&resumed, 0.1, 1.0);
        second.restore(&state, first.steps());
        (0..3).for_each(|_| step(&mut second, &resumed));
        assert_eq!(one.values(), resumed.values());
    }

    #[test]
    fn the_schedule_rises_then_falls_to_zero() {
        let at = |progress| learning_rate(1.0, 0.1, progress);
        assert_eq!((at(0.0), at(0.05), at(0.1)), (0.0, 0.5, 1.0));
        assert!((at(0.55) - 0.5).abs() < 1e-12 && at(1.0).abs() < 1e-12);
        assert_eq!(learning_rate(1.0, 0.0, 0.0), 1.0);
    }
}
