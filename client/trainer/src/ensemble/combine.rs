//! The learned part: from what the specialists say to one answer.

use eosfed_common::head::HeadFile;
use eosfed_common::model::Method;
use tch::{Kind, Tensor};

use crate::net::{Composer, Compute, Head, Maps, Passes, apart, together};
use crate::parameters::Parameters;

/// What stands over frozen specialists.
#[derive(Debug)]
pub enum Combiner {
    /// Maps are fused, then decoded.
    Fusion {
        /// Fuses the maps of one date.
        composer: Box<Composer>,
        /// Decodes those of all dates.
        head: Box<Head>,
        /// Dates in a sample.
        dates: i64,
    },
    /// The mean of answers.
    Mean,
    /// Answers weighed by what a linear layer says of all of them.
    Router {
        /// `[specialists, specialists * classes]`
        weight: Tensor,
        /// `[specialists]`
        bias: Tensor,
    },
}

impl Combiner {
    /// Over the parameters of the head's signature, for a training of `passes` forward passes.
    #[must_use]
    pub fn new(head: &HeadFile, parameters: &Parameters, passes: Passes) -> Self {
        match head.method {
            Method::Fusion => {
                let composer = Composer::new(head.composition, &head.encoder_dims(), parameters, passes);
                Self::Fusion {
                    composer: Box::new(composer),
                    head: Box::new(Head::new(head.task, parameters, Compute::FULL)),
                    dates: head.task.dates() as i64,
                }
            }
            Method::MeanLogits => Self::Mean,
            Method::Router => {
                Self::Router { weight: parameters.get("router.weight"), bias: parameters.get("router.bias") }
            }
        }
    }

    /// The same with one specialist left out.
    #[must_use]
    pub fn without(self, specialist: usize) -> Self {
        match self {
            Self::Fusion { composer, head, dates } => {
                Self::Fusion { composer: Box::new(composer.without(specialist)), head, dates }
            }
            other @ (Self::Mean | Self::Router { .. }) => other,
        }
    }

    /// The four fused maps; `None` where answers are combined.
    #[must_use]
    pub fn maps(&self, parts: &[Tensor]) -> Option<Maps> {
        match self {
            Self::Fusion { composer, dates, .. } => Some(fused(composer, parts, *dates, false)),
            Self::Mean | Self::Router { .. } => None,
        }
    }

    /// Outputs: `[N, classes]`, or `[N, classes, H/4, W/4]` for dense tasks.
    pub fn forward(&self, parts: &[Tensor], train: bool) -> Tensor {
        match self {
            Self::Fusion { composer, head, dates } => head.forward(&fused(composer, parts, *dates, train)),
            Self::Mean => Tensor::stack(parts, 0).mean_dim([0_i64].as_slice(), false, Kind::Float),
            Self::Router { weight, bias } => {
                let last = Tensor::cat(parts, 1).movedim_int(1, -1);
                let gates = last.linear(weight, Some(bias)).softmax(-1, Kind::Float).movedim_int(-1, 1);
                let weighed = |(at, part): (usize, &Tensor)| part * gates.narrow(1, at as i64, 1);
                let each: Vec<Tensor> = parts.iter().enumerate().map(weighed).collect();
                Tensor::stack(&each, 0).sum_dim_intlist([0_i64].as_slice(), false, Kind::Float)
            }
        }
    }

    /// What a selection adds to the loss, if there is one that does.
    #[must_use]
    pub fn penalty(&self) -> Option<Tensor> {
        match self {
            Self::Fusion { composer, .. } => composer.penalty(),
            Self::Mean | Self::Router { .. } => None,
        }
    }

    /// What each of `count` specialists' maps are multiplied by; `None` where answers are combined.
    #[must_use]
    pub fn weights(&self, count: usize) -> Option<Vec<f32>> {
        match self {
            Self::Fusion { composer, .. } => Some(composer.weights(count)),
            Self::Mean | Self::Router { .. } => None,
        }
    }
}

/// The fused maps of parts, four for each encoder, in which a second date follows the first along
/// the channels: each date is fused by itself.
pub(super) fn fused(composer: &Composer, parts: &[Tensor], dates: i64, train: bool) -> Maps {
    let maps: Vec<Maps> = parts
        .chunks_exact(4)
        .map(|maps| [0, 1, 2, 3].map(|level: usize| apart(&maps[level], dates)))
        .collect();
    composer.forward(&maps, train).map(|map| together(&map, dates))
}

#[cfg(test)]
mod tests {
    use super::*;
    use eosfed_common::weights::Signature;
    use tch::Device;

    fn answers() -> [Tensor; 2] {
        [[2.0_f32, 0.0], [0.0, 6.0]].map(|answer| Tensor::from_slice(&answer).view([1, 2]))
    }

    #[test]
    fn answers_are_averaged() {
        assert_eq!(
            Combiner::Mean.forward(&answers(), false),
            Tensor::from_slice(&[1.0_f32, 3.0]).view([1, 2])
        );
    }

    #[test]
    fn a_router_weighs_by_what_it_sees_also_for_each_pixel() {
        let shapes = [("router.weight".to_owned(), vec![2, 4]), ("router.bias".to_owned(), vec![2])];
        let values =
            [("router.weight".to_owned(), vec![0.0; 8]), ("router.bias".to_owned(), vec![200.0, 0.0])];
        let parameters = Parameters::new(Signature(shapes.into()), &values.into(), Device::Cpu);
        let get = |name: &str| parameters.get(name);
        let router = Combiner::Router { weight: get("router.weight"), bias: get("router.bias") };
        assert_eq!(router.forward(&answers(), false), answers()[0]);
        let dense = answers().map(|answer| answer.view([1, 2, 1, 1]).expand([1, 2, 3, 5], false));
        assert_eq!(router.forward(&dense, false), dense[0]);
    }
}
