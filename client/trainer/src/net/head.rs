//! The part of a network that depends on its task.

use eosfed_common::model::Task;
use tch::Tensor;

use super::{Classifier, Maps, UperNet};
use crate::parameters::Parameters;

/// A task head over four feature maps.
#[derive(Debug)]
pub enum Head {
    /// One class for each image.
    Classification(Classifier),
    /// One class for each pixel.
    Segmentation(UperNet),
}

impl Head {
    /// The head for `task` over `parameters`.
    #[must_use]
    pub fn new(task: Task, parameters: &Parameters) -> Self {
        match task {
            Task::Classification => Self::Classification(Classifier::new(parameters)),
            Task::Segmentation => Self::Segmentation(UperNet::new(parameters)),
        }
    }

    /// Logits: `[N, classes]`, or `[N, classes, H/4, W/4]` for dense tasks.
    pub fn forward(&self, maps: &Maps) -> Tensor {
        match self {
            Self::Classification(head) => head.forward(maps),
            Self::Segmentation(head) => head.forward(maps),
        }
    }
}
