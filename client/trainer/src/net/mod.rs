//! The networks: ConvNeXtV2 and a classifier as timm computes them, and UPerNet.

mod classifier;
mod composer;
mod convnext;
mod head;
mod ops;
mod pyramid;
mod uper;

use eosfed_common::model::{BackboneShape, ModelSpec};
use tch::Tensor;

pub use classifier::Classifier;
pub use composer::{ChannelMoments, Composer, StepCounter};
pub use convnext::ConvNeXt;
pub use head::Head;
pub use ops::ComputePrecision;
pub use uper::UperNet;

use crate::parameters::Parameters;

/// Four feature maps `[N, C_i, H_i, W_i]` of strides 4, 8, 16 and 32.
pub type Maps = [Tensor; 4];

/// An encoder with its task head.
#[derive(Debug)]
pub struct Network {
    encoder: ConvNeXt,
    head: Head,
    dates: i64,
    head_dropout: f64,
}

impl Network {
    /// The network of `spec` over `parameters`, which have its signature.
    #[must_use]
    pub fn new(
        spec: &ModelSpec,
        parameters: &Parameters,
        drop_path: f64,
        precision: ComputePrecision,
    ) -> Self {
        let shape: BackboneShape = spec.backbone.shape();
        Self {
            encoder: ConvNeXt::new(&shape, parameters, drop_path, precision),
            head: Head::new(spec.task, parameters, precision),
            dates: spec.task.dates() as i64,
            head_dropout: 0.0,
        }
    }

    /// Drops a share of the inputs of the head's last layer in training.
    #[must_use]
    pub fn with_head_dropout(self, head_dropout: f64) -> Self {
        Self { head_dropout, ..self }
    }

    /// Outputs: `[N, classes]`, or `[N, classes, H/4, W/4]` for dense tasks. `images` is
    /// `[N, dates * bands, H, W]`; all dates go through the same encoder.
    pub fn forward(&self, images: &Tensor, train: bool) -> Tensor {
        let maps = self.encoder.forward(&split_dates(images, self.dates), train);
        let dropout = if train { self.head_dropout } else { 0.0 };
        self.head.forward_dropping(&maps.map(|map| join_dates(&map, self.dates)), dropout)
    }
}

/// `[N, dates * C, H, W]` to `[N * dates, C, H, W]`.
pub(crate) fn split_dates(images: &Tensor, dates: i64) -> Tensor {
    let size = images.size();
    images.reshape([size[0] * dates, size[1] / dates, size[2], size[3]])
}

/// `[N * dates, C, H, W]` to `[N, dates * C, H, W]`.
pub(crate) fn join_dates(maps: &Tensor, dates: i64) -> Tensor {
    let size = maps.size();
    maps.reshape([size[0] / dates, size[1] * dates, size[2], size[3]])
}
