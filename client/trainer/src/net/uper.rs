//! UPerNet (Xiao et al. 2018): pyramid pooling over the last map and a feature pyramid over all four,
//! fused at stride 4. The layout is that of mmsegmentation, with group normalisation.

use eosfed_common::model::POOL_SCALES;
use tch::Tensor;

use super::pyramid::{fused, resize};
use super::{ComputePrecision, Maps};
use crate::parameters::Parameters;

/// Channels that are normalised together. With one, a map of 1x1 pixel would always be normalised to zero.
const GROUP: i64 = 4;
const EPS: f64 = 1e-5;

/// Group normalisation and ReLU.
#[derive(Debug)]
struct Norm {
    scale: Tensor,
    shift: Tensor,
}

impl Norm {
    fn forward(&self, y: &Tensor) -> Tensor {
        let groups = self.scale.size()[0] / GROUP;
        y.group_norm(groups, Some(&self.scale), Some(&self.shift), EPS, false).relu_()
    }
}

/// Convolution without bias, group normalisation, ReLU.
#[derive(Debug)]
struct ConvNorm {
    weight: Tensor,
    norm: Norm,
    precision: ComputePrecision,
}

impl ConvNorm {
    fn new(parameters: &Parameters, name: &str, precision: ComputePrecision) -> Self {
        let get = |part: &str| parameters.get(&format!("decoder.{name}.{part}"));
        let norm = Norm { scale: get("norm.weight"), shift: get("norm.bias") };
        Self { weight: get("conv.weight"), norm, precision }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let y = match self.weight.size()[2] / 2 {
            0 => self.precision.conv1x1(x, &self.weight, None),
            padding => self.precision.conv2d(x, &self.weight, None, 1, padding, 1),
        };
        self.norm.forward(&y)
    }
}

/// A decoder that gives outputs for each pixel (logits, or a regression's value) from all four maps.
#[derive(Debug)]
pub struct UperNet {
    pools: Vec<ConvNorm>,
    bottleneck: ConvNorm,
    laterals: Vec<ConvNorm>,
    pyramid: Vec<ConvNorm>,
    fuse: ConvNorm,
    classify: (Tensor, Tensor),
    precision: ComputePrecision,
}

impl UperNet {
    /// The decoder over `parameters`.
    #[must_use]
    pub fn new(parameters: &Parameters, precision: ComputePrecision) -> Self {
        let part = |name: &str| ConvNorm::new(parameters, name, precision);
        let parts = |name: &str, count| (0..count).map(|i| part(&format!("{name}.{i}"))).collect();
        Self {
            pools: parts("ppm", POOL_SCALES.len()),
            bottleneck: part("bottleneck"),
            laterals: parts("lateral", 3),
            pyramid: parts("fpn", 3),
            fuse: part("fuse"),
            classify: (parameters.get("decoder.classify.weight"), parameters.get("decoder.classify.bias")),
            precision,
        }
    }

    /// Outputs at stride 4, `[N, classes, H/4, W/4]`. This share of the channels that the last convolution takes
    /// is dropped, as of mmsegmentation's `dropout_ratio`.
    pub fn forward(&self, maps: &Maps, dropout: f64) -> Tensor {
        let mut levels: Vec<Tensor> =
            self.laterals.iter().zip(maps).map(|(conv, map)| conv.forward(map)).collect();
        levels.push(self.pool(&maps[3]));
        for level in (0..3).rev() {
            levels[level] = resize(&levels[level + 1], &levels[level]) + &levels[level];
        }
        for (level, conv) in self.pyramid.iter().enumerate() {
            levels[level] = conv.forward(&levels[level]);
        }
        let fused = self.fuse.norm.forward(&fused(&levels, &self.fuse.weight, self.precision));
        let fused = if dropout > 0.0 { fused.feature_dropout(dropout, true) } else { fused };
        self.precision.conv1x1(&fused, &self.classify.0, Some(&self.classify.1))
    }

    fn pool(&self, map: &Tensor) -> Tensor {
        let mut parts = vec![map.shallow_clone()];
        for (conv, scale) in self.pools.iter().zip(POOL_SCALES) {
            let pooled = map.adaptive_avg_pool2d([scale as i64; 2]);
            parts.push(resize(&conv.forward(&pooled), map));
        }
        self.bottleneck.forward(&Tensor::cat(&parts, 1))
    }
}
