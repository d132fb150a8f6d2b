//! The learned part of an ensemble: from the features of the specialists to one output.

use eosfed_common::head::HeadFile;
use eosfed_common::model::Method;
use tch::{Kind, Tensor};

use crate::net::{Composer, ComputePrecision, Head, Maps, StepCounter, join_dates, split_dates};
use crate::parameters::Parameters;

/// Combines the features of frozen specialists.
#[derive(Debug)]
pub enum Combiner {
    /// Fuses maps, then decodes them.
    Fusion {
        /// Fuses the maps of one date.
        composer: Box<Composer>,
        /// Decodes the fused maps of all dates.
        head: Box<Head>,
        /// Number of dates in a sample.
        dates: i64,
    },
    /// The mean of the specialists' outputs.
    Mean,
    /// The specialists' outputs, weighted by a linear layer over all of them.
    Router {
        /// `[specialists, specialists * classes]`
        weight: Tensor,
        /// `[specialists]`
        bias: Tensor,
    },
}

impl Combiner {
    /// The combiner of `head` over parameters with its signature, at a position in a training.
    #[must_use]
    pub fn new(head: &HeadFile, parameters: &Parameters, steps: StepCounter) -> Self {
        match head.method {
            Method::Fusion => {
                let composer = Composer::new(head.composition, &head.encoder_dims(), parameters, steps);
                Self::Fusion {
                    composer: Box::new(composer),
                    head: Box::new(Head::new(head.task, parameters, ComputePrecision::FULL)),
                    dates: head.task.dates() as i64,
                }
            }
            Method::MeanLogits => Self::Mean,
            Method::Router => {
                Self::Router { weight: parameters.get("router.weight"), bias: parameters.get("router.bias") }
            }
        }
    }

    /// Positions of the specialists whose features count when the head is used, of `count`.
    #[must_use]
    pub fn chosen(&self, count: usize) -> Vec<usize> {
        match self {
            Self::Fusion { composer, .. } => composer.chosen(),
            Self::Mean | Self::Router { .. } => (0..count).collect(),
        }
    }

    /// Takes only the features of the specialists that count.
    #[must_use]
    pub(super) fn given(self, chosen: &[usize]) -> Self {
        match self {
            Self::Fusion { composer, head, dates } => {
                Self::Fusion { composer: Box::new(composer.given(chosen.to_vec())), head, dates }
            }
            other @ (Self::Mean | Self::Router { .. }) => other,
        }
    }

    /// Leaves the encoders at some places out.
    #[must_use]
    pub fn without(self, places: &[usize]) -> Self {
        match self {
            Self::Fusion { composer, head, dates } => {
                Self::Fusion { composer: Box::new(composer.without(places)), head, dates }
            }
            other @ (Self::Mean | Self::Router { .. }) => other,
        }
    }

    /// The four fused maps; `None` where outputs are combined.
    #[must_use]
    pub fn maps(&self, features: &[Tensor]) -> Option<Maps> {
        match self {
            Self::Fusion { composer, dates, .. } => Some(fused(composer, features, *dates, false)),
            Self::Mean | Self::Router { .. } => None,
        }
    }

    /// Outputs: `[N, classes]`, or `[N, classes, H/4, W/4]` for dense tasks.
    pub fn forward(&self, features: &[Tensor], train: bool) -> Tensor {
        match self {
            Self::Fusion { composer, head, dates } => head.forward(&fused(composer, features, *dates, train)),
            Self::Mean => Tensor::stack(features, 0).mean_dim([0_i64].as_slice(), false, Kind::Float),
            Self::Router { weight, bias } => {
                let last = Tensor::cat(features, 1).movedim_int(1, -1);
                let gates = last.linear(weight, Some(bias)).softmax(-1, Kind::Float).movedim_int(-1, 1);
                let weighted = |(at, output): (usize, &Tensor)| output * gates.narrow(1, at as i64, 1);
                let each: Vec<Tensor> = features.iter().enumerate().map(weighted).collect();
                Tensor::stack(&each, 0).sum_dim_intlist([0_i64].as_slice(), false, Kind::Float)
            }
        }
    }

    /// Term that a selection adds to the loss, if any.
    #[must_use]
    pub fn penalty(&self) -> Option<Tensor> {
        match self {
            Self::Fusion { composer, .. } => composer.penalty(),
            Self::Mean | Self::Router { .. } => None,
        }
    }

    /// Factors of the maps of `count` specialists; `None` where outputs are combined.
    #[must_use]
    pub fn weights(&self, count: usize) -> Option<Vec<f32>> {
        match self {
            Self::Fusion { composer, .. } => Some(composer.weights(count)),
            Self::Mean | Self::Router { .. } => None,
        }
    }
}

/// The fused maps of features, four for each encoder. A second date follows the first along the
/// channels, and each date is fused separately.
pub(super) fn fused(composer: &Composer, features: &[Tensor], dates: i64, train: bool) -> Maps {
    let maps: Vec<Maps> = features
        .chunks_exact(4)
        .map(|maps| [0, 1, 2, 3].map(|level: usize| split_dates(&maps[level], dates)))
        .collect();
    composer.forward(&maps, train).map(|map| join_dates(&map, dates))
}

#[cfg(test)]
mod tests {
    use super::*;
    use eosfed_common::weights::Signature;
    use tch::Device;

    fn outputs() -> [Tensor; 2] {
        [[2.0_f32, 0.0], [0.0, 6.0]].map(|output| Tensor::from_slice(&output).view([1, 2]))
    }

    #[test]
    fn outputs_are_averaged() {
        assert_eq!(
            Combiner::Mean.forward(&outputs(), false),
            Tensor::from_slice(&[1.0_f32, 3.0]).view([1, 2])
        );
    }

    #[test]
    fn a_router_weights_outputs_for_images_and_for_pixels() {
        let shapes = [("router.weight".to_owned(), vec![2, 4]), ("router.bias".to_owned(), vec![2])];
        let values =
            [("router.weight".to_owned(), vec![0.0; 8]), ("router.bias".to_owned(), vec![200.0, 0.0])];
        let parameters = Parameters::new(Signature(shapes.into()), &values.into(), Device::Cpu);
        let get = |name: &str| parameters.get(name);
        let router = Combiner::Router { weight: get("router.weight"), bias: get("router.bias") };
        assert_eq!(router.forward(&outputs(), false), outputs()[0]);
        let dense = outputs().map(|output| output.view([1, 2, 1, 1]).expand([1, 2, 3, 5], false));
        assert_eq!(router.forward(&dense, false), dense[0]);
    }
}
