//! timm's `NormMlpClassifierHead` without its hidden layer: pooling, normalisation and a linear layer.

use tch::{Kind, Tensor};

use super::Maps;
use super::convnext::LayerNorm;
use crate::parameters::Parameters;

/// A classifier of images by their last feature map.
#[derive(Debug)]
pub struct Classifier {
    norm: LayerNorm,
    weight: Tensor,
    bias: Tensor,
}

impl Classifier {
    /// The classifier over `parameters`.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Self {
        let get = |name: &str| parameters.get(name);
        Self {
            norm: LayerNorm::new(parameters, "head.norm"),
            weight: get("head.fc.weight"),
            bias: get("head.fc.bias"),
        }
    }

    /// Logits `[N, classes]`. This share of the inputs of the linear layer is dropped, as of timm's `drop_rate`.
    pub fn forward(&self, maps: &Maps, dropout: f64) -> Tensor {
        let pooled = maps[3].mean_dim([2_i64, 3].as_slice(), false, Kind::Float);
        let features = self.norm.forward(&pooled);
        let features = if dropout > 0.0 { features.dropout(dropout, true) } else { features };
        features.linear(&self.weight, Some(&self.bias))
    }
}
