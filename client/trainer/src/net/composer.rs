//! Fusing the maps of several frozen encoders into four maps for a head, as a [`Composition`] describes.

use std::cell::Cell;

use eosfed_common::model::{Composition, FeatureNorm, Fusion, MapDims, Selection};
use tch::{Device, Kind, Tensor};

use super::Maps;
use crate::parameters::Parameters;

/// Epsilon of torch's layer and batch normalisation.
const EPS: f64 = 1e-5;
/// timm's epsilon of layer normalisation, for `FeatureNorm::Pixel`.
const PIXEL_EPS: f64 = 1e-6;
/// Slope of torch's leaky ReLU below zero.
const SLOPE: f64 = 0.01;
/// Share of a training during which a hard selection is varied at random.
const EXPLORATION_SHARE: f64 = 0.7;

/// Counts the forward passes of a training over all rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepCounter {
    /// Forward passes done.
    pub done: u64,
    /// Forward passes in total.
    pub total: u64,
}

/// Projection, selection and fusion over the parameters of a head.
#[derive(Debug)]
pub struct Composer {
    composition: Composition,
    /// For each encoder and level, weight and bias of its projection.
    projections: Vec<Vec<(Tensor, Tensor)>>,
    /// For each encoder and level, mean and variance of its channels.
    moments: Vec<Vec<(Tensor, Tensor)>>,
    select: Option<Tensor>,
    /// For each level, weights and biases of its convolutions.
    fuse: Vec<Vec<(Tensor, Tensor)>>,
    /// Position in the training; a hard selection is varied less and less.
    steps: Cell<StepCounter>,
    ablated: Option<usize>,
}

impl Composer {
    /// The composer over parameters with the signature of `composition`, at a position in a training.
    #[must_use]
    pub fn new(
        composition: Composition,
        encoders: &[MapDims],
        parameters: &Parameters,
        steps: StepCounter,
    ) -> Self {
        let pair = |name: String| {
            (parameters.get(&format!("{name}.weight")), parameters.get(&format!("{name}.bias")))
        };
        let of_each = |wanted: bool, get: &dyn Fn(usize, usize) -> (Tensor, Tensor)| {
            let encoders = 0..if wanted { encoders.len() } else { 0 };
            encoders.map(|encoder| (0..4).map(|level| get(encoder, level)).collect()).collect()
        };
        let moments = |encoder, level| {
            // Detached where they are used and not here: an optimiser moves the parameters to other memory.
            let get = |kind: &str| parameters.get(&format!("norm.{encoder}.{level}.{kind}"));
            (get("mean"), get("var"))
        };
        let fuse = |level: usize| match composition.fusion {
            Fusion::Conv1x1 { .. } => vec![pair(format!("fuse.{level}"))],
            Fusion::Mlp { .. } => ["fc1", "fc2"].map(|part| pair(format!("fuse.{level}.{part}"))).into(),
            Fusion::Concatenate | Fusion::Sum | Fusion::Product => Vec::new(),
        };
        Self {
            composition,
            projections: of_each(composition.projection, &|encoder, level| {
                pair(format!("project.{encoder}.{level}"))
            }),
            moments: of_each(composition.norm == FeatureNorm::Batch, &moments),
            select: match composition.selection {
                Selection::All => None,
                Selection::TopK { .. } | Selection::Smooth { .. } => Some(parameters.get("select.weight")),
            },
            fuse: (0..4).map(fuse).collect(),
            steps: Cell::new(steps),
            ablated: None,
        }
    }

    /// Leaves the maps of one encoder out.
    #[must_use]
    pub fn without(mut self, encoder: usize) -> Self {
        self.ablated = Some(encoder);
        self
    }

    /// The fused maps of the encoders' maps.
    pub fn forward(&self, maps: &[Maps], train: bool) -> Maps {
        let gates = self.gates(maps.len(), train, maps[0][0].device());
        [0, 1, 2, 3].map(|level: usize| {
            let each: Vec<Tensor> =
                maps.iter().enumerate().map(|(at, maps)| self.normalised(at, level, &maps[level])).collect();
            self.fused(level, &each, gates.as_ref())
        })
    }

    /// A map, normalised and projected.
    fn normalised(&self, encoder: usize, level: usize, map: &Tensor) -> Tensor {
        let none = None::<&Tensor>;
        let channels = map.size()[1];
        let map = match self.composition.norm {
            FeatureNorm::Pixel => map
                .permute([0, 2, 3, 1])
                .layer_norm([channels], none, none, PIXEL_EPS, false)
                .permute([0, 3, 1, 2])
                .contiguous(),
            FeatureNorm::Layer => map.group_norm(1, none, none, EPS, false),
            FeatureNorm::Batch => {
                let (mean, var) = &self.moments[encoder][level];
                let along = |tensor: &Tensor| tensor.detach().view([1, channels, 1, 1]);
                (map - along(mean)) / (along(var) + EPS).sqrt()
            }
            FeatureNorm::None => map.shallow_clone(),
        };
        match self.projections.get(encoder).map(|levels| &levels[level]) {
            Some((weight, bias)) => {
                let y = map.conv2d(weight, Some(bias), 1, 0, 1, 1);
                y.relu() - (-y).relu() * SLOPE
            }
            None => map,
        }
    }

    fn fused(&self, level: usize, maps: &[Tensor], gates: Option<&Tensor>) -> Tensor {
        let gate = |at: usize| gates.map(|gates| gates.get(at as i64));
        let weighed = || {
            maps.iter().enumerate().map(|(at, map)| match gate(at) {
                Some(gate) => map * gate,
                None => map.shallow_clone(),
            })
        };
        let joined = || Tensor::cat(&weighed().collect::<Vec<_>>(), 1);
        let conv = |x: &Tensor, (weight, bias): &(Tensor, Tensor)| x.conv2d(weight, Some(bias), 1, 0, 1, 1);
        match self.composition.fusion {
            Fusion::Concatenate => joined(),
            Fusion::Conv1x1 { .. } => conv(&joined(), &self.fuse[level][0]),
            Fusion::Mlp { .. } => {
                let [first, second] = &self.fuse[level][..] else { unreachable!("an MLP has two layers") };
                conv(&conv(&joined(), first).relu(), second)
            }
            Fusion::Sum => {
                let mut weighed = weighed();
                let first = weighed.next().expect("a composition has an encoder");
                weighed.fold(first, |sum, map| sum + map)
            }
            Fusion::Product => {
                // An encoder that is not selected is a factor of 1.
                let factor = |(at, map): (usize, &Tensor)| match gate(at) {
                    Some(gate) => (map - 1.0) * gate + 1.0,
                    None => map.shallow_clone(),
                };
                let mut factors = maps.iter().enumerate().map(factor);
                let first = factors.next().expect("a composition has an encoder");
                factors.fold(first, |product, map| product * map)
            }
        }
    }

    /// Factor of each encoder's maps; `None` if all are 1.
    fn gates(&self, encoders: usize, train: bool, device: Device) -> Option<Tensor> {
        let gates = match (self.composition.selection, &self.select) {
            (Selection::TopK { k, scale }, Some(weights)) => Some(self.hard(weights, k, scale, train)),
            (Selection::Smooth { scale: true, .. }, Some(weights)) => Some(weights.shallow_clone()),
            (Selection::Smooth { scale: false, .. }, Some(weights)) => Some(weights.sigmoid()),
            (_, _) => None,
        };
        let Some(ablated) = self.ablated else { return gates };
        let keep = Tensor::ones([encoders as i64], (Kind::Float, device));
        let _ = keep.get(ablated as i64).fill_(0.0);
        Some(gates.map_or_else(|| keep.shallow_clone(), |gates| gates * &keep))
    }

    /// One for the `k` largest weights (or the weight itself when scaling) and zero for the others.
    /// The gradient passes straight through to all weights (Bengio et al. 2013), so an encoder that is
    /// not selected learns what it would contribute. At the start of a training, Gumbel noise varies
    /// the selection (Kool et al. 2019), so that the head learns to use the maps of each encoder.
    fn hard(&self, weights: &Tensor, k: usize, scale: bool, train: bool) -> Tensor {
        let progress = if train { self.advance() } else { 1.0 };
        let noise = (progress < 1.0).then(|| gumbel(weights) * (1.0 - progress));
        let scores = noise.map_or_else(|| weights.detach(), |noise| noise + weights.detach());
        // The sort is stable: of equal weights the first is selected.
        let order = scores.sort_stable(true, 0, true).1.narrow(0, 0, k as i64);
        let mask = weights.zeros_like().detach().index_fill(0, &order, 1.0);
        let pass = weights - weights.detach();
        // Scaling starts as the noise ends. Otherwise encoders that were selected early would grow,
        // whether they help or not.
        if scale { ((weights.detach() - 1.0) * progress + 1.0) * &mask + pass } else { mask + pass }
    }

    /// Counts a forward pass. Returns 0 at the first, and 1 when the selection is no longer varied.
    fn advance(&self) -> f64 {
        let StepCounter { done, total } = self.steps.get();
        self.steps.set(StepCounter { done: done + 1, total });
        (done as f64 / (total.max(1) as f64 * EXPLORATION_SHARE)).min(1.0)
    }

    /// Term that the selection adds to the loss, if any.
    #[must_use]
    pub fn penalty(&self) -> Option<Tensor> {
        match (self.composition.selection, &self.select) {
            (Selection::Smooth { penalty, scale }, Some(weights)) if penalty > 0.0 => {
                let gates = if scale { weights.abs() } else { weights.sigmoid() };
                Some(gates.mean(Kind::Float) * penalty)
            }
            (Selection::All | Selection::TopK { .. } | Selection::Smooth { .. }, _) => None,
        }
    }

    /// Factor of each encoder's maps when the head is used.
    #[must_use]
    pub fn weights(&self, encoders: usize) -> Vec<f32> {
        match self.gates(encoders, false, self.select.as_ref().map_or(Device::Cpu, Tensor::device)) {
            Some(gates) => crate::parameters::to_vec(&gates),
            None => vec![1.0; encoders],
        }
    }
}

/// Mean and variance of each channel over all images and positions of a map `[N, C, H, W]`.
pub fn channel_moments(map: &Tensor) -> (Tensor, Tensor) {
    let flat = map.transpose(0, 1).flatten(1, -1).to_kind(Kind::Double);
    let mean = flat.mean_dim([1_i64].as_slice(), false, Kind::Double);
    let var = flat.var_dim([1_i64].as_slice(), false, false);
    (mean.to_kind(Kind::Float), var.to_kind(Kind::Float))
}

/// Noise of the Gumbel distribution in the shape of `like`.
fn gumbel(like: &Tensor) -> Tensor {
    let uniform = like.detach().rand_like().clamp(1e-6, 1.0 - 1e-6);
    (uniform.log() * -1.0).log() * -1.0
}
