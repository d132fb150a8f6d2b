//! Starting values of a model's tensors from a seed, the same bytes on every machine.
//!
//! The same as timm's initialisation of ConvNeXtV2: convolutions and linear layers from a normal distribution
//! of standard deviation 0.02 (timm truncates at ±2, a hundred deviations away), biases 0, normalisation 1
//! and 0, GRN 0. The decoder's convolutions use Kaiming's normal with fan-in (He et al. 2015), for its ReLUs;
//! those of projections and fusions keep the variance of their inputs (LeCun et al. 1998).

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Normal};
use sha2::{Digest as _, Sha256};

use super::ModelSpec;
use super::signature::signature;
use crate::weights::{Signature, Tensors};

const ENCODER_STD: f32 = 0.02;

/// The starting weights of a model.
#[must_use]
pub fn initial_weights(spec: &ModelSpec, seed: u64) -> Tensors {
    initial_tensors(&signature(spec), seed)
}

/// Starting values for any set of this system's tensors. Each tensor has its own random stream, from the seed
/// and its name, so its values do not depend on the other tensors.
#[must_use]
pub fn initial_tensors(signature: &Signature, seed: u64) -> Tensors {
    signature.0.iter().map(|(name, shape)| (name.clone(), initial_tensor(name, shape, seed))).collect()
}

/// Starting values of one tensor, as in [`initial_tensors`].
#[must_use]
pub fn initial_tensor(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    let length = shape.iter().product();
    let grn = name.contains(".grn.");
    if shape.len() >= 2 {
        let inputs = shape[1..].iter().product::<usize>() as f32;
        let std = if name.starts_with("decoder.") && !name.starts_with("decoder.classify") {
            (2.0 / inputs).sqrt()
        } else if name.starts_with("project.") || name.starts_with("fuse.") {
            inputs.sqrt().recip()
        } else {
            ENCODER_STD
        };
        return normal(name, length, std, seed);
    }
    // One-dimensional: scales, variances and the weights of a selection start at 1, everything else at 0.
    let value = if (name.ends_with(".weight") || name.ends_with(".var")) && !grn { 1.0 } else { 0.0 };
    vec![value; length]
}

fn normal(name: &str, length: usize, std: f32, seed: u64) -> Vec<f32> {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update(name.as_bytes());
    let mut rng = ChaCha8Rng::from_seed(hasher.finalize().into());
    let distribution = Normal::new(0.0, std).expect("the standard deviation is finite and positive");
    (0..length).map(|_| distribution.sample(&mut rng)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backbone, Task};

    fn spec() -> ModelSpec {
        ModelSpec {
            backbone: Backbone::Atto,
            task: Task::Segmentation,
            bands: vec!["red".to_owned()],
            classes: vec!["a".to_owned(), "b".to_owned()],
            target: None,
        }
    }

    #[test]
    fn the_seed_decides_every_value() {
        let weights = initial_weights(&spec(), 7);
        assert_eq!(weights, initial_weights(&spec(), 7));
        assert_ne!(weights["stem.0.weight"], initial_weights(&spec(), 8)["stem.0.weight"]);
        let kinds = ["stem.1.weight", "stem.0.bias", "stages.0.blocks.0.mlp.grn.weight"];
        assert_eq!(kinds.map(|name| weights[name][0]), [1.0, 0.0, 0.0]);
        let signature = signature(&spec());
        assert!(
            signature.0.iter().all(|(name, shape)| weights[name].len() == shape.iter().product::<usize>())
        );
    }

    #[test]
    fn standard_deviations_are_as_documented() {
        let weights = initial_weights(&spec(), 1);
        let std = |name: &str| {
            let values = &weights[name];
            (values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
        };
        assert!((std("stages.3.blocks.0.mlp.fc1.weight") - 0.02).abs() < 2e-4);
        let kaiming = (2.0 / (4.0 * 128.0 * 9.0_f64)).sqrt();
        assert!((std("decoder.fuse.conv.weight") / kaiming - 1.0).abs() < 0.02);
    }
}
