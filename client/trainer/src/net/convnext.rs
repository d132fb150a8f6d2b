//! ConvNeXtV2 (Woo et al. 2023), computed like timm's `convnext.py`, so that weights can be exchanged
//! with timm unchanged.

use eosfed_common::model::BackboneShape;
use tch::{Kind, Tensor};

use super::{ComputePrecision, Maps};
use crate::parameters::Parameters;

/// timm's epsilon of layer normalisation and of GRN.
const EPS: f64 = 1e-6;
/// Keeps the derivative of a norm finite where all values are 0; far below what 32 bits resolve elsewhere.
const NORM_EPS: f64 = 1e-24;

/// Layer normalisation over channels.
#[derive(Debug)]
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    pub(super) fn new(parameters: &Parameters, name: &str) -> Self {
        Self {
            weight: parameters.get(&format!("{name}.weight")),
            bias: parameters.get(&format!("{name}.bias")),
        }
    }

    /// Over the last dimension.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), EPS, false)
    }

    /// `[N, C, H, W]`, over C.
    fn forward_maps(&self, x: &Tensor) -> Tensor {
        self.forward(&x.permute([0, 2, 3, 1])).permute([0, 3, 1, 2])
    }
}

#[derive(Debug)]
struct Block {
    conv_dw: (Tensor, Tensor),
    norm: LayerNorm,
    fc1: (Tensor, Tensor),
    grn: (Tensor, Tensor),
    fc2: (Tensor, Tensor),
    drop_path: f64,
    precision: ComputePrecision,
}

impl Block {
    fn new(parameters: &Parameters, name: &str, drop_path: f64, precision: ComputePrecision) -> Self {
        let pair = |part: &str| {
            let get = |kind: &str| parameters.get(&format!("{name}.{part}.{kind}"));
            (get("weight"), get("bias"))
        };
        Self {
            conv_dw: pair("conv_dw"),
            norm: LayerNorm::new(parameters, &format!("{name}.norm")),
            fc1: pair("mlp.fc1"),
            grn: pair("mlp.grn"),
            fc2: pair("mlp.fc2"),
            drop_path,
            precision,
        }
    }

    /// `[N, C, H, W]` to `[N, C, H, W]`.
    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let channels = x.size()[1];
        if !train {
            return self.infer(x);
        }
        let linear =
            |x: &Tensor, (weight, bias): &(Tensor, Tensor)| self.precision.linear(x, weight, Some(bias));
        let (weight, bias) = &self.conv_dw;
        let y = self.precision.conv2d(x, weight, None, 1, 3, channels);
        // [N, H, W, C] from here. The bias is added apart, since oneDNN takes longer for its gradient.
        let y = self.norm.forward(&(y.permute([0, 2, 3, 1]) + bias));
        let y = linear(&y, &self.fc1).gelu("none");
        let y = linear(&self.response_norm(&y), &self.fc2);
        x + drop_path(&y.permute([0, 3, 1, 2]), self.drop_path)
    }

    /// The same where no gradient is wanted: what is computed takes the place of what it is computed from.
    fn infer(&self, x: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        let linear =
            |x: &Tensor, (weight, bias): &(Tensor, Tensor)| self.precision.linear(x, weight, Some(bias));
        let (weight, bias) = &self.conv_dw;
        let y = self.precision.conv2d(x, weight, Some(bias), 1, 3, x.size()[1]);
        let y = self.norm.forward(&y.permute([0, 2, 3, 1]));
        let y = linear(&y, &self.fc1).gelu_("none");
        let (_, beta) = &self.grn;
        let _ = beta.addcmul_out(&y, &y, &self.response(&y));
        linear(&y, &self.fc2).permute([0, 3, 1, 2]).g_add_(x)
    }

    /// Global response normalisation (paper, equation 4), over the spatial dimensions of `[N, H, W, C]`:
    /// `x + beta + gamma * x * relative` in one pass over `x`. The norm is written out because the derivative
    /// of libtorch's needs more passes.
    fn response_norm(&self, x: &Tensor) -> Tensor {
        let (_, beta) = &self.grn;
        beta.addcmul(x, &self.response(x))
    }

    /// `1 + gamma * relative` of `[N, H, W, C]`, `[N, 1, 1, C]`: the norm of each channel, relative to the mean of
    /// all.
    fn response(&self, x: &Tensor) -> Tensor {
        let (gamma, _) = &self.grn;
        let squares = x.square().sum_dim_intlist([1_i64, 2].as_slice(), true, Kind::Float);
        let global = (squares + NORM_EPS).sqrt();
        let relative = &global / (global.mean_dim(-1, true, Kind::Float) + EPS);
        gamma * relative + 1.0
    }
}

/// `[N, C, H, W]` with the channels of a pixel side by side in memory, the order in which the layers compute.
fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// Stochastic depth (Huang et al. 2016): drops the residual branch of random samples and scales the
/// others.
fn drop_path(x: &Tensor, rate: f64) -> Tensor {
    if rate == 0.0 {
        return x.shallow_clone();
    }
    let keep = 1.0 - rate;
    let mask = Tensor::rand([x.size()[0], 1, 1, 1], (Kind::Float, x.device())).lt(keep).to_kind(Kind::Float);
    x * mask / keep
}

#[derive(Debug)]
struct Stage {
    /// Absent in the first stage, which follows the stem.
    downsample: Option<(LayerNorm, Tensor, Tensor)>,
    blocks: Vec<Block>,
}

/// The encoder.
#[derive(Debug)]
pub struct ConvNeXt {
    stem: (Tensor, Tensor, LayerNorm),
    stages: Vec<Stage>,
    precision: ComputePrecision,
}

impl ConvNeXt {
    /// The encoder over `parameters`. The drop-path rate rises linearly from 0 in the first block to
    /// `drop_path` in the last.
    #[must_use]
    pub fn new(
        shape: &BackboneShape,
        parameters: &Parameters,
        drop_path: f64,
        precision: ComputePrecision,
    ) -> Self {
        let total: usize = shape.depths.iter().sum();
        let mut done = 0;
        let stage = |(index, depth): (usize, &usize)| {
            let name = format!("stages.{index}");
            let downsample = (index > 0).then(|| {
                let norm = LayerNorm::new(parameters, &format!("{name}.downsample.0"));
                let get = |kind: &str| parameters.get(&format!("{name}.downsample.1.{kind}"));
                (norm, get("weight"), get("bias"))
            });
            let blocks = (0..*depth).map(|block| {
                let rate = drop_path * f64::from(done) / (total - 1).max(1) as f64;
                done += 1;
                Block::new(parameters, &format!("{name}.blocks.{block}"), rate, precision)
            });
            Stage { downsample, blocks: blocks.collect() }
        };
        let stages = shape.depths.iter().enumerate().map(stage).collect();
        let norm = LayerNorm::new(parameters, "stem.1");
        let stem = (parameters.get("stem.0.weight"), parameters.get("stem.0.bias"), norm);
        Self { stem, stages, precision }
    }

    /// The four feature maps of `[N, bands, H, W]`; H and W are multiples of 32.
    pub fn forward(&self, images: &Tensor, train: bool) -> Maps {
        let (weight, bias, norm) = &self.stem;
        let images = channels_last(images);
        let mut x = norm.forward_maps(&self.precision.conv2d(&images, weight, Some(bias), 4, 0, 1));
        let maps: Vec<Tensor> = self
            .stages
            .iter()
            .map(|Stage { downsample, blocks }| {
                if let Some((norm, weight, bias)) = downsample {
                    x = self.precision.conv2d(&norm.forward_maps(&x), weight, Some(bias), 2, 0, 1);
                }
                for block in blocks {
                    x = block.forward(&x, train);
                }
                x.shallow_clone()
            })
            .collect();
        maps.try_into().expect("every variant has four stages")
    }
}
