//! All parameters of a training in one buffer, and their gradients in another, so that an optimiser takes a
//! few passes over memory instead of several for each tensor. The tensors stay what they were to the
//! network: views of the buffer. A tensor that was detached from one of them before keeps the old memory.

use std::collections::BTreeMap;
use std::ops::Range;

use eosfed_common::weights::Signature;
use tch::{Kind, Tensor};

use crate::parameters::Parameters;

/// Tensors begin at multiples of this many values (64 bytes), as vector instructions like it.
const ALIGNMENT: i64 = 16;

/// Where a tensor lies in the buffers.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Its values.
    pub range: Range<i64>,
    /// Its shape.
    pub shape: Vec<i64>,
}

/// The two buffers. What lies between tensors is zero, and stays zero.
#[derive(Debug)]
pub(super) struct Flat {
    /// The parameters.
    pub values: Tensor,
    /// Their gradients, which libtorch adds to.
    pub gradients: Tensor,
    places: BTreeMap<String, Place>,
}

impl Flat {
    /// Moves parameters that gradients are recorded for into a buffer. Tensors of two and more dimensions lie
    /// before the others, each kind in the order of names.
    pub(super) fn adopt(parameters: &Parameters) -> Self {
        let places = layout(parameters);
        let length = places.values().map(|place| aligned(place.range.end)).max().unwrap_or(0);
        let device = parameters.iter().next().map_or(tch::Device::Cpu, |(_, tensor)| tensor.device());
        let zeros = || Tensor::zeros([length], (Kind::Float, device));
        let flat = Self { values: zeros(), gradients: zeros(), places };
        define_gradients(parameters);
        let _guard = tch::no_grad_guard();
        for (name, tensor) in parameters.iter() {
            let place = &flat.places[name];
            let mut view = view(&flat.values, place);
            view.copy_(&tensor.detach());
            // The tensor itself, which the network holds too, now has the buffer's memory.
            tensor.shallow_clone().set_data(&view);
            tensor.grad().set_data(&self::view(&flat.gradients, place));
        }
        flat
    }

    /// Parameters in the same memory with a buffer of gradients of their own.
    pub(super) fn replica(&self, signature: &Signature) -> (Parameters, Tensor) {
        let gradients = self.zeros();
        let tensor = |(name, place): (&String, &Place)| (name.clone(), view(&self.values, place).detach());
        let tensors = self.places.iter().map(tensor).collect();
        let parameters = Parameters::of(signature.clone(), tensors).trainable();
        define_gradients(&parameters);
        let _guard = tch::no_grad_guard();
        for (name, tensor) in parameters.iter() {
            tensor.grad().set_data(&view(&gradients, &self.places[name]));
        }
        (parameters, gradients)
    }

    /// The names and places of all tensors, by name.
    pub(super) const fn places(&self) -> &BTreeMap<String, Place> {
        &self.places
    }

    /// A buffer of zeros like these.
    pub(super) fn zeros(&self) -> Tensor {
        self.values.zeros_like()
    }
}

/// A tensor in a buffer.
pub(super) fn view(buffer: &Tensor, place: &Place) -> Tensor {
    buffer.narrow(0, place.range.start, place.range.end - place.range.start).view(place.shape.as_slice())
}

const fn aligned(at: i64) -> i64 {
    (at + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT
}

fn layout(parameters: &Parameters) -> BTreeMap<String, Place> {
    let mut tensors: Vec<_> = parameters.iter().collect();
    // Stable: names stay in order.
    tensors.sort_by_key(|(_, tensor)| tensor.dim() < 2);
    let mut end = 0;
    let place = |(name, tensor): (&String, &Tensor)| {
        let start = aligned(end);
        end = start + tensor.numel() as i64;
        (name.clone(), Place { range: start..end, shape: tensor.size() })
    };
    tensors.into_iter().map(place).collect()
}

/// Gives every parameter a gradient: libtorch makes them in a backward pass only.
fn define_gradients(parameters: &Parameters) {
    let sums: Vec<Tensor> = parameters.iter().map(|(_, tensor)| tensor.sum(Kind::Float)).collect();
    if !sums.is_empty() {
        Tensor::stack(&sums, 0).sum(Kind::Float).backward();
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn tensors_keep_their_values_and_share_the_buffers_memory() {
        let shapes = [("b", vec![3]), ("w", vec![2, 5]), ("a", vec![1, 1])];
        let signature = Signature(shapes.map(|(name, shape)| (name.to_owned(), shape)).into());
        let values = [("a", vec![7.0]), ("b", vec![1.0, 2.0, 3.0]), ("w", vec![0.5; 10])];
        let values = values.map(|(name, list): (&str, Vec<f32>)| (name.to_owned(), list)).into();
        let parameters = Parameters::new(signature, &values, Device::Cpu).trainable();
        // The network has its own handle on the tensor.
        let held = parameters.get("w");
        let flat = Flat::adopt(&parameters);
        assert_eq!(parameters.values(), values);
        let starts: Vec<_> = ["a", "w", "b"].map(|name| flat.places()[name].range.start).into();
        assert_eq!((starts, flat.values.size()), (vec![0, 16, 32], vec![48]));

        (&held * 3.0).sum(Kind::Float).backward();
        (&held * 1.0).sum(Kind::Float).backward();
        assert_eq!(flat.gradients.sum(Kind::Double).double_value(&[]), 40.0);
        let _guard = tch::no_grad_guard();
        let _ = flat.values.shallow_clone().g_add_scalar_(1.0);
        assert_eq!(held.double_value(&[1, 4]), 1.5);
        assert_eq!(parameters.values()["b"], [2.0, 3.0, 4.0]);
    }
}
