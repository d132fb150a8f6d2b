//! The two operations in which a network spends its time, in 32 or 16 bits.
//!
//! In bfloat16 inputs and weights are rounded where they enter a convolution or a linear layer, which
//! accumulates and answers in its own precision; everything between (norms, activations, residuals,
//! losses) and the weights themselves stay at 32 bits, so no loss scaling is needed. libtorch's
//! automatic casting is not used because its binding offers half precision only.

use eosfed_common::plan::Precision;
use tch::{Device, Kind, Tensor};

/// Kind in which convolutions and linear layers compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compute(Kind);

impl Compute {
    /// 32 bits.
    pub const FULL: Self = Self(Kind::Float);
    /// bfloat16.
    pub const HALF: Self = Self(Kind::BFloat16);

    /// What a plan's wish means on a device: processors emulate bfloat16 and lose by it.
    #[must_use]
    pub const fn choose(wish: Precision, device: Device) -> Self {
        match (wish, device) {
            (Precision::Bf16, Device::Cuda(_)) => Self::HALF,
            (Precision::Bf16 | Precision::Full, _) => Self::FULL,
        }
    }

    fn enter(self, tensor: &Tensor) -> Tensor {
        tensor.to_kind(self.0)
    }

    /// A 2-d convolution with bias or without.
    pub(super) fn conv2d(
        self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: i64,
        padding: i64,
        groups: i64,
    ) -> Tensor {
        let bias = bias.map(|bias| self.enter(bias));
        self.enter(x).conv2d(&self.enter(weight), bias, stride, padding, 1, groups).to_kind(Kind::Float)
    }

    /// A linear layer over the last dimension, whose weight is stored as `[out, in]` or as the 1x1
    /// convolution `[out, in, 1, 1]`.
    pub(super) fn linear(self, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
        let size = weight.size();
        let weight = self.enter(&weight.view([size[0], size[1]]));
        self.enter(x).linear(&weight, Some(&self.enter(bias))).to_kind(Kind::Float)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cuda_computes_in_sixteen_bits() {
        assert_eq!(Compute::choose(Precision::Bf16, Device::Cuda(0)), Compute::HALF);
        assert_eq!(Compute::choose(Precision::Bf16, Device::Cpu), Compute::FULL);
        assert_eq!(Compute::choose(Precision::Full, Device::Cuda(0)), Compute::FULL);
    }

    #[test]
    fn sixteen_bits_round_and_give_gradients_of_thirty_two() {
        let x = Tensor::randn([1, 3, 8, 8], (Kind::Float, Device::Cpu));
        let weight = Tensor::randn([4, 3, 3, 3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let full = Compute::FULL.conv2d(&x, &weight, None, 1, 1, 1);
        let half = Compute::HALF.conv2d(&x, &weight, None, 1, 1, 1);
        assert_eq!(half.kind(), Kind::Float);
        let difference = (&full - &half).abs().max().double_value(&[]);
        assert!(difference > 0.0 && difference < 0.2, "{difference}");
        half.sum(Kind::Float).backward();
        assert_eq!(weight.grad().kind(), Kind::Float);
    }
}
