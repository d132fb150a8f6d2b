//! The networks: ConvNeXtV2 as timm computes it, UPerNet, and timm's classifier.

mod classifier;
mod convnext;
mod head;
mod uper;

use eosfed_common::model::{BackboneShape, ModelSpec};
use tch::Tensor;

pub use classifier::Classifier;
pub use convnext::ConvNeXt;
pub use head::Head;
pub use uper::UperNet;

use crate::parameters::Parameters;

/// Four feature maps of strides 4, 8, 16 and 32, `[N, C_i, H_i, W_i]` each.
pub type Maps = [Tensor; 4];

/// An encoder with its task head.
#[derive(Debug)]
pub struct Network {
    encoder: ConvNeXt,
    head: Head,
}

impl Network {
    /// The network of `spec` over `parameters`, which hold its signature.
    #[must_use]
    pub fn new(spec: &ModelSpec, parameters: &Parameters, drop_path: f64) -> Self {
        let shape: BackboneShape = spec.backbone.shape();
        Self { encoder: ConvNeXt::new(&shape, parameters, drop_path), head: Head::new(spec.task, parameters) }
    }

    /// Logits: `[N, classes]`, or `[N, classes, H/4, W/4]` for dense tasks. `images` is `[N, bands, H, W]`.
    pub fn forward(&self, images: &Tensor, train: bool) -> Tensor {
        self.head.forward(&self.encoder.forward(images, train))
    }
}
