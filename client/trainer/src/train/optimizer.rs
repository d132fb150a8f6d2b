//! AdamW (Loshchilov & Hutter 2019) over named tensors, and the learning-rate schedule.
//!
//! `tch`'s optimiser is not used because it cannot save its state. Without that, a resumed training
//! would give other bytes than an uninterrupted one. Nothing here waits for the device: the factor that
//! clips the gradient stays on it.

use std::f64::consts::PI;
use std::ops::Range;

use eosfed_common::weights::{Signature, Tensors};
use tch::{Device, Tensor};

use super::average::Average;
use super::flat::{Flat, view};
use crate::parameters::{Parameters, to_vec};

/// Decay rates of the first and the second moment.
const BETA: (f64, f64) = (0.9, 0.999);
const EPS: f64 = 1e-8;
/// Values that a processor takes through all operations of a step before the next ones, so that they stay in
/// its cache.
const PIECE: i64 = 1 << 16;

/// A part of the buffers with the same settings.
#[derive(Debug, Clone, PartialEq)]
struct Segment {
    range: Range<i64>,
    decayed: bool,
    rate_factor: f64,
}

/// First and second moments of every tensor, and the number of steps taken.
#[derive(Debug)]
pub struct AdamW {
    flat: Flat,
    mean: Tensor,
    /// The second moment, scaled by 1 / (1 - beta2).
    square: Tensor,
    segments: Vec<Segment>,
    steps: u64,
    weight_decay: f64,
    clip_norm: f64,
    average: Option<Average>,
}

impl AdamW {
    /// An optimiser before its first step. It moves the parameters into one buffer. The gradient of all tensors
    /// together is clipped to the norm `clip_norm`; 0 means no clipping. A parameter that no loss depends on
    /// has the gradient 0.
    #[must_use]
    pub fn new(parameters: &Parameters, weight_decay: f64, clip_norm: f64) -> Self {
        let flat = Flat::adopt(parameters);
        let mean = flat.zeros();
        let square = flat.zeros();
        let segments = segments(&flat, &|_| 1.0);
        Self { flat, mean, square, segments, steps: 0, weight_decay, clip_norm, average: None }
    }

    /// Multiplies the learning rate of each tensor by a factor that depends on its name.
    #[must_use]
    pub fn with_rate_factors(self, factor: &dyn Fn(&str) -> f64) -> Self {
        Self { segments: segments(&self.flat, factor), ..self }
    }

    /// Keeps an average of the parameters, if the decay is not 0.
    #[must_use]
    pub fn with_average(self, decay: f64) -> Self {
        let average = (decay > 0.0).then(|| Average::new(&self.flat, decay));
        Self { average, ..self }
    }

    /// Exchanges the parameters and their average, if there is one. A second call undoes the first.
    pub fn exchange_average(&self) {
        if let Some(average) = &self.average {
            average.exchange(&self.flat);
        }
    }

    /// Takes a step along the recorded gradients and clears them. Weight decay applies to tensors of
    /// two and more dimensions only, so not to norms and biases, as in timm.
    pub fn step(&mut self, learning_rate: f64) {
        let _guard = tch::no_grad_guard();
        self.steps += 1;
        let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let corrections = (1.0 - BETA.0.powi(steps), 1.0 - BETA.1.powi(steps));
        let clip = (self.clip_norm > 0.0).then(|| clip_factor(&self.flat.gradients, self.clip_norm));
        let on_processor = self.flat.values.device() == Device::Cpu;
        for Segment { range, decayed, rate_factor } in &self.segments {
            let rate = learning_rate * rate_factor;
            let decay = decayed.then_some(1.0 - rate * self.weight_decay);
            let piece = if on_processor { PIECE } else { range.end - range.start };
            for start in (range.start..range.end).step_by(piece.max(1) as usize) {
                let range = start..range.end.min(start + piece);
                self.step_piece(range, clip.as_ref(), decay, rate, corrections);
            }
        }
        if let Some(average) = &self.average {
            average.add(&self.flat, self.steps);
        }
    }

    fn step_piece(
        &self,
        range: Range<i64>,
        clip: Option<&Tensor>,
        decay: Option<f64>,
        rate: f64,
        (correction1, correction2): (f64, f64),
    ) {
        let part = |buffer: &Tensor| buffer.narrow(0, range.start, range.end - range.start);
        let mut values = part(&self.flat.values);
        let mut gradient = part(&self.flat.gradients);
        let mut mean = part(&self.mean);
        let mut square = part(&self.square);
        if let Some(clip) = clip {
            let _ = gradient.g_mul_(clip);
        }
        if let Some(decay) = decay {
            let _ = values.g_mul_scalar_(decay);
        }
        let _ = mean.lerp_(&gradient, 1.0 - BETA.0);
        // `addcmul_` has no factor here, which is why the second moment is kept scaled.
        let _ = square.g_mul_scalar_(BETA.1).addcmul_(&gradient, &gradient);
        let mut deviation = &square * ((1.0 - BETA.1) / correction2);
        let _ = deviation.sqrt_().g_add_scalar_(EPS);
        let mut change = &mean / deviation;
        let _ = values.g_sub_(&change.g_mul_scalar_(rate / correction1));
        let _ = gradient.zero_();
    }

    /// Forgets the recorded gradients.
    pub fn clear_gradients(&mut self) {
        let _guard = tch::no_grad_guard();
        let _ = self.flat.gradients.zero_();
    }

    /// Parameters of another network in the memory of these, and the buffer of their own gradients.
    pub(super) fn replica(&self, signature: &Signature) -> (Parameters, Tensor) {
        self.flat.replica(signature)
    }

    /// The buffer of the gradients.
    pub(super) fn gradients(&self) -> Tensor {
        self.flat.gradients.shallow_clone()
    }

    /// The state under the names `m.NAME` and `v.NAME`, and with an average `e.NAME`, and the signature of a file that holds it.
    #[must_use]
    pub fn state(&self, parameters: &Signature) -> (Signature, Tensors) {
        let mut values = Tensors::new();
        for (kind, buffer) in self.buffers() {
            // One copy from the device.
            let all = to_vec(buffer);
            for (name, place) in self.flat.places() {
                let list = all[place.range.start as usize..place.range.end as usize].to_vec();
                values.insert(format!("{kind}.{name}"), list);
            }
        }
        (self.state_signature(parameters), values)
    }

    /// The buffers of the state, each with the letter of its names.
    fn buffers(&self) -> impl Iterator<Item = (&'static str, &Tensor)> {
        let average = self.average.as_ref().map(|average| ("e", average.values()));
        [("m", &self.mean), ("v", &self.square)].into_iter().chain(average)
    }

    /// Names and shapes of the state over `parameters`.
    #[must_use]
    pub fn state_signature(&self, parameters: &Signature) -> Signature {
        let of = |(kind, _): (&'static str, &Tensor)| {
            let named =
                move |(name, shape): (&String, &Vec<usize>)| (format!("{kind}.{name}"), shape.clone());
            parameters.0.iter().map(named).collect::<Vec<_>>()
        };
        Signature(self.buffers().flat_map(of).collect())
    }

    /// Restores a saved state.
    pub fn restore(&mut self, values: &Tensors, steps: u64) {
        let _guard = tch::no_grad_guard();
        self.steps = steps;
        for (name, place) in self.flat.places() {
            for (kind, buffer) in self.buffers() {
                let saved = Tensor::from_slice(&values[&format!("{kind}.{name}")]);
                view(buffer, place).copy_(&saved.reshape(place.shape.as_slice()));
            }
        }
    }

    /// Steps taken.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }
}

/// The parts of the buffers, in their order; neighbours with the same settings are one.
fn segments(flat: &Flat, factor: &dyn Fn(&str) -> f64) -> Vec<Segment> {
    let mut places: Vec<_> = flat.places().iter().collect();
    places.sort_by_key(|(_, place)| place.range.start);
    let mut segments: Vec<Segment> = Vec::new();
    for (name, place) in places {
        let rate_factor = factor(name);
        let decayed = place.shape.len() >= 2;
        match segments.last_mut() {
            Some(last) if last.decayed == decayed && last.rate_factor == rate_factor => {
                last.range.end = place.range.end;
            }
            _ => segments.push(Segment { range: place.range.clone(), decayed, rate_factor }),
        }
    }
    segments
}

/// The factor, a tensor, that reduces a gradient to the norm `limit`; 1 if it is shorter.
fn clip_factor(gradient: &Tensor, limit: f64) -> Tensor {
    (gradient.norm() + 1e-6).reciprocal().g_mul_scalar(limit).clamp_max(1.0)
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
    use tch::Kind;

    fn parameters(value: f32) -> Parameters {
        let signature = Signature([("w".to_owned(), vec![1, 2]), ("b".to_owned(), vec![2])].into());
        let values = [("w".to_owned(), vec![value; 2]), ("b".to_owned(), vec![value; 2])].into();
        Parameters::new(signature, &values, Device::Cpu).trainable()
    }

    fn step(optimizer: &mut AdamW, parameters: &Parameters) {
        let sum = |name: &str| parameters.get(name).pow_tensor_scalar(2).sum(Kind::Float);
        (sum("w") + sum("b")).backward();
        optimizer.step(0.1);
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
    fn a_longer_gradient_is_clipped_and_a_shorter_one_is_not() {
        let gradient = Tensor::from_slice(&[3.0_f32, 4.0, 0.0]);
        let factor = |limit| clip_factor(&gradient, limit).double_value(&[]);
        assert!((factor(1.0) - 0.2).abs() < 1e-6, "{}", factor(1.0));
        assert_eq!(factor(6.0), 1.0);
    }

    #[test]
    fn tensors_with_the_same_settings_are_one_segment() {
        let shapes = [("a", vec![4, 4]), ("b", vec![4]), ("select.w", vec![2, 2]), ("z", vec![20, 2])];
        let signature = Signature(shapes.map(|(name, shape)| (name.to_owned(), shape)).into());
        let size = |shape: &Vec<usize>| vec![0.0; shape.iter().product()];
        let values = signature.0.iter().map(|(name, shape)| (name.clone(), size(shape))).collect();
        let optimizer = AdamW::new(&Parameters::new(signature, &values, Device::Cpu).trainable(), 0.1, 1.0);
        let found = |optimizer: &AdamW| -> Vec<_> {
            let segments = optimizer.segments.iter();
            segments.map(|s| (s.range.clone(), s.decayed, s.rate_factor)).collect()
        };
        assert_eq!(found(&optimizer), [(0..72, true, 1.0), (80..84, false, 1.0)]);
        let optimizer =
            optimizer.with_rate_factors(&|name| if name.starts_with("select.") { 30.0 } else { 1.0 });
        let wanted = [(0..16, true, 1.0), (16..20, true, 30.0), (32..72, true, 1.0), (80..84, false, 1.0)];
        assert_eq!(found(&optimizer), wanted);
    }

    #[test]
    fn the_schedule_rises_then_falls_to_zero() {
        let at = |progress| learning_rate(1.0, 0.1, progress);
        assert_eq!((at(0.0), at(0.05), at(0.1)), (0.0, 0.5, 1.0));
        assert!((at(0.55) - 0.5).abs() < 1e-12 && at(1.0).abs() < 1e-12);
        assert_eq!(learning_rate(1.0, 0.0, 0.0), 1.0);
    }
}
