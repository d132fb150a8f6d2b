//! Fusing the maps of several frozen encoders into four maps for a head, as a [`Composition`] describes.

use std::cell::Cell;

use eosfed_common::model::{Composition, FeatureNorm, Fusion, MapDims, Selection};
use tch::{Device, Kind, Tensor};

use super::{ComputePrecision, Maps};
use crate::parameters::Parameters;

/// Epsilon of torch's layer and batch normalisation.
const EPS: f64 = 1e-5;
/// timm's epsilon of layer normalisation, for `FeatureNorm::Pixel`.
const PIXEL_EPS: f64 = 1e-6;
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
    /// Channels of the maps of each encoder.
    dims: Vec<MapDims>,
    /// For each encoder and level, weight and bias of its projection.
    projections: Vec<Vec<(Tensor, Tensor)>>,
    /// For each encoder and level, mean and variance of its channels.
    moments: Vec<Vec<(Tensor, Tensor)>>,
    select: Option<Tensor>,
    /// For each level, weights and biases of its convolutions.
    fuse: Vec<Vec<(Tensor, Tensor)>>,
    /// Position in the training; a hard selection is varied less and less.
    steps: Cell<StepCounter>,
    /// Positions of the encoders that are left out.
    ablated: Vec<usize>,
    /// Positions of the encoders whose maps are given; `None`: all.
    given: Option<Vec<usize>>,
}

impl Composer {
    /// The composer over parameters with the signature of `composition`, at a position in a training.
    #[must_use]
    pub fn new(
        composition: Composition,
        dims: &[MapDims],
        parameters: &Parameters,
        steps: StepCounter,
    ) -> Self {
        let pair = |name: String| {
            (parameters.get(&format!("{name}.weight")), parameters.get(&format!("{name}.bias")))
        };
        let of_each = |wanted: bool, get: &dyn Fn(usize, usize) -> (Tensor, Tensor)| {
            let encoders = 0..if wanted { dims.len() } else { 0 };
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
            dims: dims.to_vec(),
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
            ablated: Vec::new(),
            given: None,
        }
    }

    /// Positions of the encoders that count when the head is used. The others have a factor of 0, so their
    /// maps do not have to be computed.
    #[must_use]
    pub fn chosen(&self) -> Vec<usize> {
        match (self.composition.selection, &self.select) {
            (Selection::TopK { k, .. }, Some(weights)) => {
                let mut chosen = Vec::try_from(strongest(weights, k)).expect("positions are whole numbers");
                chosen.sort_unstable();
                chosen.into_iter().map(|at: i64| at as usize).collect()
            }
            (_, _) => (0..self.dims.len()).collect(),
        }
    }

    /// Takes only the maps of the encoders that count, in their order.
    #[must_use]
    pub fn given(mut self, chosen: Vec<usize>) -> Self {
        self.given = Some(chosen);
        self
    }

    /// Leaves the maps of the encoders at some positions out.
    #[must_use]
    pub fn without(mut self, encoders: &[usize]) -> Self {
        self.ablated = encoders.to_vec();
        self
    }

    /// The fused maps of the encoders' maps.
    ///
    /// # Panics
    /// If the number of encoders is not the one that was promised, which is a bug of the caller.
    pub fn forward(&self, maps: &[Maps], train: bool) -> Maps {
        let places = self.given.clone().unwrap_or_else(|| (0..self.dims.len()).collect());
        assert_eq!(places.len(), maps.len(), "a composer takes the maps of the encoders that it was told");
        let gates = self.gates(self.dims.len(), train, maps[0][0].device());
        [0, 1, 2, 3].map(|level: usize| {
            let normalised = |(at, maps): (&usize, &Maps)| (*at, self.normalised(*at, level, &maps[level]));
            let each: Vec<(usize, Tensor)> = places.iter().zip(maps).map(normalised).collect();
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
                .permute([0, 3, 1, 2]),
            FeatureNorm::Layer => map.group_norm(1, none, none, EPS, false),
            FeatureNorm::Batch => {
                let (mean, var) = &self.moments[encoder][level];
                let along = |tensor: &Tensor| tensor.detach().view([1, channels, 1, 1]);
                (map - along(mean)) / (along(var) + EPS).sqrt()
            }
            FeatureNorm::None => map.shallow_clone(),
        };
        match self.projections.get(encoder).map(|levels| &levels[level]) {
            // With torch's slope below zero, 0.01.
            Some(pair) => conv(&map, pair).leaky_relu(),
            None => map,
        }
    }

    /// The combination of the maps of one level, each with the position of its encoder.
    fn fused(&self, level: usize, maps: &[(usize, Tensor)], gates: Option<&Tensor>) -> Tensor {
        let gate = |at: usize| gates.map(|gates| gates.get(at as i64));
        let weigh = |(at, map): &(usize, Tensor)| match gate(*at) {
            Some(gate) => map * gate,
            None => map.shallow_clone(),
        };
        match self.composition.fusion {
            Fusion::Concatenate => self.joined(level, maps.iter().map(|entry| (entry.0, weigh(entry)))),
            Fusion::Conv1x1 { .. } => self.mixed(level, maps, gates, &self.fuse[level][0]),
            Fusion::Mlp { .. } => {
                let [first, second] = &self.fuse[level][..] else { unreachable!("an MLP has two layers") };
                conv(&self.mixed(level, maps, gates, first).relu(), second)
            }
            Fusion::Sum => {
                let mut weighed = maps.iter().map(weigh);
                let first = weighed.next().expect("a composition has an encoder");
                weighed.fold(first, |sum, map| sum + map)
            }
            Fusion::Product => {
                // An encoder that is not selected is a factor of 1.
                let factor = |(at, map): &(usize, Tensor)| match gate(*at) {
                    Some(gate) => (map - 1.0) * gate + 1.0,
                    None => map.shallow_clone(),
                };
                let mut factors = maps.iter().map(factor);
                let first = factors.next().expect("a composition has an encoder");
                factors.fold(first, |product, map| product * map)
            }
        }
    }

    /// A 1x1 convolution over the maps that are given, side by side. Their factors go into its weights, which are
    /// fewer numbers, and an encoder whose map is not given is left out of both.
    fn mixed(
        &self,
        level: usize,
        maps: &[(usize, Tensor)],
        gates: Option<&Tensor>,
        (weight, bias): &(Tensor, Tensor),
    ) -> Tensor {
        let start = |at: usize| self.dims[..at].iter().map(|dims| dims[level] as i64).sum::<i64>();
        let of = |at: usize| weight.narrow(1, start(at), self.dims[at][level] as i64);
        let weights: Vec<Tensor> = maps
            .iter()
            .map(|(at, _)| match gates {
                Some(gates) => of(*at) * gates.get(*at as i64),
                None => of(*at),
            })
            .collect();
        let maps: Vec<&Tensor> = maps.iter().map(|(_, map)| map).collect();
        conv(&Tensor::cat(&maps, 1), &(Tensor::cat(&weights, 1), bias.shallow_clone()))
    }

    /// The maps of all encoders along the channels. An encoder whose map is not given has a factor of 0, so
    /// zeros take its place.
    fn joined(&self, level: usize, maps: impl Iterator<Item = (usize, Tensor)>) -> Tensor {
        let mut maps = maps.peekable();
        let like = maps.peek().expect("a composition has an encoder").1.shallow_clone();
        let size = like.size();
        let all: Vec<Tensor> = (0..self.dims.len())
            .map(|at| match maps.next_if(|(given, _)| *given == at) {
                Some((_, map)) => map,
                None => like.new_zeros(
                    [size[0], self.dims[at][level] as i64, size[2], size[3]],
                    (like.kind(), like.device()),
                ),
            })
            .collect();
        Tensor::cat(&all, 1)
    }

    /// Factor of each encoder's maps; `None` if all are 1.
    fn gates(&self, encoders: usize, train: bool, device: Device) -> Option<Tensor> {
        let gates = match (self.composition.selection, &self.select) {
            (Selection::TopK { k, scale }, Some(weights)) => Some(self.hard(weights, k, scale, train)),
            (Selection::Smooth { scale: true, .. }, Some(weights)) => Some(weights.shallow_clone()),
            (Selection::Smooth { scale: false, .. }, Some(weights)) => Some(weights.sigmoid()),
            (_, _) => None,
        };
        if self.ablated.is_empty() {
            return gates;
        }
        let keep = Tensor::ones([encoders as i64], (Kind::Float, device));
        for ablated in &self.ablated {
            let _ = keep.get(*ablated as i64).fill_(0.0);
        }
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
        let mask = weights.zeros_like().detach().index_fill(0, &strongest(&scores, k), 1.0);
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

/// A 1x1 convolution of maps.
fn conv(maps: &Tensor, (weight, bias): &(Tensor, Tensor)) -> Tensor {
    ComputePrecision::FULL.conv1x1(maps, weight, Some(bias))
}

/// Positions of the `k` largest scores. The sort is stable: of equal scores the first is selected.
fn strongest(scores: &Tensor, k: usize) -> Tensor {
    scores.detach().sort_stable(true, 0, true).1.narrow(0, 0, k as i64)
}

/// Mean and variance of each channel over all images and positions of maps `[N, C, H, W]` that come one after
/// another (Chan, Golub & LeVeque 1979).
#[derive(Debug, Default)]
pub struct ChannelMoments {
    /// Positions so far, their mean, and the sum of squared deviations from it.
    sums: Option<(f64, Tensor, Tensor)>,
}

impl ChannelMoments {
    /// Adds maps.
    pub fn add(&mut self, map: &Tensor) {
        let flat = map.transpose(0, 1).flatten(1, -1).to_kind(Kind::Double);
        let m = flat.size()[1] as f64;
        let mean = flat.mean_dim([1_i64].as_slice(), false, Kind::Double);
        let m2 = flat.var_dim([1_i64].as_slice(), false, false) * m;
        self.sums = Some(match self.sums.take() {
            None => (m, mean, m2),
            Some((n, before, m2_before)) => {
                let delta = &mean - &before;
                let m2 = m2_before + m2 + delta.square() * (n * m / (n + m));
                (n + m, before + delta * (m / (n + m)), m2)
            }
        });
    }

    /// Mean and variance; `None` without maps.
    #[must_use]
    pub fn finish(self) -> Option<(Tensor, Tensor)> {
        let (count, mean, m2) = self.sums?;
        Some((mean.to_kind(Kind::Float), (m2 / count).to_kind(Kind::Float)))
    }
}

/// Noise of the Gumbel distribution in the shape of `like`.
fn gumbel(like: &Tensor) -> Tensor {
    let uniform = like.detach().rand_like().clamp(1e-6, 1.0 - 1e-6);
    (uniform.log() * -1.0).log() * -1.0
}
