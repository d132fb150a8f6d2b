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
        match self {
            Self::Image(head) => head.forward(maps),
            Self::Dense(head) => head.forward(maps),
        }
    }
}
