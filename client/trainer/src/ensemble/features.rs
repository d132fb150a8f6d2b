//! The frozen part of the forward pass: each encoder on its own bands, its four maps normalised
//! over channels without affine, and concatenated level by level (EoS-FM, section on fusion).
//!
//! Since the encoders never change, their maps are computed once and kept: for training in all
//! eight orientations, which is the augmentation of a head.

use eosfed_data::Sample;
use tch::{Device, Tensor};

use super::EnsembleError;
use super::head_file::HeadEncoder;
use super::release::Release;
use crate::net::Maps;
use crate::train::{Preparation, Prepared};

/// Loads the samples with the bands named.
pub(super) type Load<'a> = &'a dyn Fn(&[String]) -> Result<Vec<Sample>, EnsembleError>;

const EPS: f64 = 1e-6;
/// Samples that go through an encoder at once.
const BATCH: i64 = 16;

/// Fused maps of samples and their labels, in one or several orientations.
#[derive(Debug)]
pub struct FeatureBank {
    /// Each level `[orientations * N, C, H, W]`.
    pub maps: Maps,
    /// `[orientations * N]` or `[orientations * N, h, w]`.
    pub labels: Tensor,
    /// Samples.
    pub samples: usize,
}

impl FeatureBank {
    /// Runs the encoders over samples that hold all of the data set's `bands`.
    ///
    /// # Errors
    /// If a band is missing or an encoder cannot be loaded.
    pub fn extract(
        release: &Release,
        encoders: &[HeadEncoder],
        load: Load<'_>,
        input_size: Option<u32>,
        orientations: &[(i64, bool)],
        device: Device,
    ) -> Result<Self, EnsembleError> {
        let _guard = tch::no_grad_guard();
        let mut levels: [Vec<Tensor>; 4] = Default::default();
        let mut labels = None;
        let mut samples = 0;
        for entry in encoders {
            let network = release.encoder(entry, device)?;
            let how = Preparation {
                normalisation: entry.normalisation.clone(),
                input_size,
                ..Preparation::default()
            };
            let data = Prepared::new(&load(&entry.bands())?, &how, device)?;
            samples = data.len();
            let turned: Vec<Tensor> = orientations.iter().map(|turn| oriented(&data.images, *turn)).collect();
            let images = Tensor::cat(&turned, 0);
            let mut parts: [Vec<Tensor>; 4] = Default::default();
            for start in (0..images.size()[0]).step_by(BATCH as usize) {
                let length = BATCH.min(images.size()[0] - start);
                let maps = network.forward(&images.narrow(0, start, length), false);
                parts.iter_mut().zip(maps).for_each(|(part, map)| part.push(normalise(&map)));
            }
            levels.iter_mut().zip(parts).for_each(|(level, part)| level.push(Tensor::cat(&part, 0)));
            labels.get_or_insert_with(|| {
                let turned: Vec<Tensor> =
                    orientations.iter().map(|turn| oriented(&data.labels, *turn)).collect();
                Tensor::cat(&turned, 0)
            });
        }
        let maps = levels.map(|level| Tensor::cat(&level, 1));
        let labels = labels.expect("a choice of encoders is never empty");
        Ok(Self { maps, labels, samples })
    }
}

/// All eight orientations of a square, the first as it is.
pub(super) const ALL_ORIENTATIONS: [(i64, bool); 8] =
    [(0, false), (1, false), (2, false), (3, false), (0, true), (1, true), (2, true), (3, true)];
/// As it is.
pub(super) const UPRIGHT: [(i64, bool); 1] = [(0, false)];

fn oriented(tensor: &Tensor, (turns, mirrored): (i64, bool)) -> Tensor {
    if tensor.dim() < 3 {
        return tensor.shallow_clone();
    }
    let turned = tensor.rot90(turns, [-2, -1]);
    if mirrored { turned.flip([-1]) } else { turned }
}

/// Layer normalisation over the channels of `[N, C, H, W]` without affine.
fn normalise(map: &Tensor) -> Tensor {
    let channels = map.size()[1];
    let last = map.permute([0, 2, 3, 1]);
    last.layer_norm([channels], None::<Tensor>, None::<Tensor>, EPS, false).permute([0, 3, 1, 2]).contiguous()
}
