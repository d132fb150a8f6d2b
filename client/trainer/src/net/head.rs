//! The head of a network, which depends on its task.

use eosfed_common::model::Task;
use tch::Tensor;

use super::{Classifier, ComputePrecision, Maps, UperNet};
use crate::parameters::Parameters;

/// A head over four feature maps.
#[derive(Debug)]
pub enum Head {
    /// Outputs for each image.
    Image(Classifier),
    /// Outputs for each pixel.
    Dense(UperNet),
}

impl Head {
    /// The head for `task` over `parameters`.
    #[must_use]
    pub fn new(task: Task, parameters: &Parameters, precision: ComputePrecision) -> Self {
        if task.is_dense() {
            Self::Dense(UperNet::new(parameters, precision))
        } else {
            Self::Image(Classifier::new(parameters))
        }
    }

    /// Outputs: `[N, classes]`, or `[N, classes, H/4, W/4]` for dense tasks. The maps of a second date
    /// follow those of the first along the channels.
    pub fn forward(&self, maps: &Maps) -> Tensor {
        self.forward_dropping(maps, 0.0)
    }

    /// The same in training, where a share of the inputs of the last layer is dropped.
    pub(super) fn forward_dropping(&self, maps: &Maps, dropout: f64) -> Tensor {
        match self {
            Self::Image(head) => head.forward(maps, dropout),
            Self::Dense(head) => head.forward(maps, dropout),
        }
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::model::{DecoderChannels, head_signature, initial_tensors};
    use tch::{Device, Kind};

    use super::*;

    /// timm's head: normalisation, dropout, linear layer; mmsegmentation's: fusion, dropout of channels,
    /// convolution. Where everything is dropped, the bias is left.
    #[test]
    fn dropout_is_before_the_last_layer_and_keeps_the_mean() {
        let dims = [8, 8, 8, 8];
        for (task, bias) in
            [(Task::Classification, "head.fc.bias"), (Task::Segmentation, "decoder.classify.bias")]
        {
            let signature = head_signature(task, &dims, 2, DecoderChannels::DEFAULT);
            let mut values = initial_tensors(&signature, 1);
            values.insert(bias.to_owned(), vec![5.0, -5.0]);
            let parameters = Parameters::new(signature, &values, Device::Cpu);
            let head = Head::new(task, &parameters, ComputePrecision::FULL);
            tch::manual_seed(1);
            let maps =
                [16, 8, 4, 2].map(|side| Tensor::randn([1, 8, side, side], (Kind::Float, Device::Cpu)));
            let all = head.forward_dropping(&maps, 1.0);
            let shape: Vec<i64> = (0..all.dim() as i64).map(|axis| if axis == 1 { 2 } else { 1 }).collect();
            let bias = Tensor::from_slice(&[5.0_f32, -5.0]).view(shape.as_slice());
            assert_eq!((all - bias).abs().max().double_value(&[]), 0.0);
            let plain = head.forward(&maps);
            let many: Vec<Tensor> = (0..100).map(|_| head.forward_dropping(&maps, 0.5)).collect();
            let many = Tensor::stack(&many, 0);
            assert!(many.std(false).double_value(&[]) > 0.0);
            let mean = many.mean_dim([0_i64].as_slice(), false, Kind::Float);
            let spread = many.std_dim([0_i64].as_slice(), false, false) / 10.0;
            let far = ((&mean - &plain).abs() / (spread + 1e-6)).max().double_value(&[]);
            assert!(far < 6.0, "{task}: {far} standard errors from the outputs without dropout");
        }
    }
}
