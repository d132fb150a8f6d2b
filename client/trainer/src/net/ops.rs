//! Convolutions and linear layers, in 32 or 16 bits. A network spends most of its time in them.
//!
//! In bfloat16, inputs and weights are rounded at the entry of a convolution or a linear layer.
//! Everything else (norms, activations, residuals, losses) and the stored weights keep 32 bits, so no
//! loss scaling is needed. libtorch's automatic casting is not used because its binding offers half
//! precision only.

use eosfed_common::plan::Precision;
use tch::{Device, Kind, Tensor};

/// Precision of convolutions and linear layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComputePrecision(Kind);

impl ComputePrecision {
    /// 32 bits.
    pub const FULL: Self = Self(Kind::Float);
    /// bfloat16.
    pub const HALF: Self = Self(Kind::BFloat16);

    /// The precision that a plan requests, if the device has it. Processors emulate bfloat16 slowly, so
    /// they always use 32 bits.
    #[must_use]
    pub const fn choose(requested: Precision, device: Device) -> Self {
        match (requested, device) {
            (Precision::Bf16, Device::Cuda(_)) => Self::HALF,
            (Precision::Bf16 | Precision::Full, _) => Self::FULL,
        }
    }

    fn cast(self, tensor: &Tensor) -> Tensor {
        tensor.to_kind(self.0)
    }

    /// A 2-d convolution with or without a bias.
    pub(super) fn conv2d(
        self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: i64,
        padding: i64,
        groups: i64,
    ) -> Tensor {
        let bias = bias.map(|bias| self.cast(bias));
        self.cast(x).conv2d(&self.cast(weight), bias, stride, padding, 1, groups).to_kind(Kind::Float)
    }

    /// A linear layer over the last dimension. Its weight is stored as `[out, in]`, or as the 1x1
    /// convolution `[out, in, 1, 1]`.
    pub(super) fn linear(self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let [out, inputs] = [weight.size()[0], weight.size()[1]];
        let mut size = x.size();
        let rows: i64 = size[..size.len() - 1].iter().product();
        let (x, bias) = (self.cast(x), bias.map(|bias| self.cast(bias)));
        let y = match row_groups(rows) {
            Some(groups) if x.device() == Device::Cpu => {
                let x = x.reshape([groups, 1, rows / groups, inputs]).permute([0, 3, 1, 2]);
                let weight = self.cast(&weight.view([out, inputs, 1, 1]));
                let y = x.conv2d(&weight, bias.as_ref(), 1, 0, 1, 1).permute([0, 2, 3, 1]);
                if let Some(last) = size.last_mut() {
                    *last = out;
                }
                y.reshape(&size)
            }
            _ => x.linear(&self.cast(&weight.view([out, inputs])), bias.as_ref()),
        };
        y.to_kind(Kind::Float)
    }

    /// A convolution of one pixel of maps `[N, C, H, W]`, as a linear layer over their channels.
    pub(super) fn conv1x1(self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        self.linear(&x.permute([0, 2, 3, 1]), weight, bias).permute([0, 3, 1, 2])
    }
}

/// Into how many images the rows of a matrix are divided where a convolution of one pixel computes a linear
/// layer. On processors, libtorch has oneDNN compute convolutions of at least 16 images, with the widest
/// vectors that the processor has; MKL, which computes its linear layers, uses narrower ones on those of AMD.
fn row_groups(rows: i64) -> Option<i64> {
    (16..=64).find(|groups| rows % groups == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cuda_uses_sixteen_bits() {
        assert_eq!(ComputePrecision::choose(Precision::Bf16, Device::Cuda(0)), ComputePrecision::HALF);
        assert_eq!(ComputePrecision::choose(Precision::Bf16, Device::Cpu), ComputePrecision::FULL);
        assert_eq!(ComputePrecision::choose(Precision::Full, Device::Cuda(0)), ComputePrecision::FULL);
    }

    #[test]
    fn a_linear_layer_is_the_same_whoever_computes_it() {
        // 34 rows are 17 groups, 67 are none.
        for (rows, groups) in [([2, 17], Some(17)), ([1, 67], None)] {
            assert_eq!(row_groups(rows.iter().product()), groups);
            // The same numbers each time: with random ones, sums near zero now and then differ by more than is allowed.
            let leaf = |size: &[i64]| {
                let numbers = Tensor::arange(size.iter().product::<i64>(), (Kind::Float, Device::Cpu));
                (numbers * 0.7312).sin().view(size).set_requires_grad(true)
            };
            let (x, weight, bias) = (leaf(&[rows[0], rows[1], 5]), leaf(&[3, 5, 1, 1]), leaf(&[3]));
            let leaves = [&x, &weight, &bias];
            let gradients =
                |y: &Tensor| Tensor::run_backward(&[y.sin().sum(Kind::Float)], &leaves, false, false);
            let ours = ComputePrecision::FULL.linear(&x, &weight, Some(&bias));
            let plain = x.linear(&weight.view([3, 5]), Some(&bias));
            assert_eq!(ours.size(), plain.size());
            for (ours, plain) in gradients(&ours).iter().zip(gradients(&plain)).chain([(&ours, plain)]) {
                assert!(ours.allclose(&plain, 1e-5, 1e-5, false), "{rows:?}: {ours} {plain}");
            }
        }
    }

    #[test]
    fn sixteen_bits_round_and_gradients_keep_thirty_two() {
        let x = Tensor::randn([1, 3, 8, 8], (Kind::Float, Device::Cpu));
        let weight = Tensor::randn([4, 3, 3, 3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let full = ComputePrecision::FULL.conv2d(&x, &weight, None, 1, 1, 1);
        let half = ComputePrecision::HALF.conv2d(&x, &weight, None, 1, 1, 1);
        assert_eq!(half.kind(), Kind::Float);
        let difference = (&full - &half).abs().max().double_value(&[]);
        assert!(difference > 0.0 && difference < 0.2, "{difference}");
        half.sum(Kind::Float).backward();
        assert_eq!(weight.grad().kind(), Kind::Float);
    }
}
