//! Stub training: the events and weights of a trainer inside a test. They follow from the task alone, so
//! that a test can compute them again.

use std::collections::BTreeMap;

use eosfed_common::digest::Digest;
use eosfed_common::task::TrainerEvent;
use eosfed_common::weights::{Signature, Tensors};

/// Weights that follow from a seed and from those that training started from.
#[must_use]
pub fn trained(signature: &Signature, seed: u64, base: Option<Digest>) -> Tensors {
    let base = base.map_or_else(String::new, Digest::to_hex);
    let mix = Digest::of(format!("{seed} {base}").as_bytes()).to_hex();
    let mut state = u64::from_str_radix(&mix[..16], 16).unwrap();
    let mut value = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 1e8 - 0.08
    };
    let fill = |(name, shape): (&String, &Vec<usize>)| {
        (name.clone(), (0..shape.iter().product::<usize>()).map(|_| value()).collect())
    };
    signature.0.iter().map(fill).collect()
}

/// Training of two steps has begun.
#[must_use]
pub fn started() -> TrainerEvent {
    TrainerEvent::Started {
        device: "cpu".to_owned(),
        steps: 2,
        resumed_at: 0,
        training_samples: 90,
        validation_samples: 9,
        warnings: Vec::new(),
    }
}

/// An epoch of one step is over.
#[must_use]
pub fn epoch() -> TrainerEvent {
    TrainerEvent::Epoch { epoch: 1, step: 1, loss: 0.5, learning_rate: 1e-3, metrics: BTreeMap::new() }
}
