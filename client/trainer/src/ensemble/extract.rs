//! The frozen part: what each specialist makes of an image, its maps or its own answer.
//!
//! Since it never changes, it is computed once and kept when that fits in memory: for training in all
//! eight orientations, which is the augmentation of a head.

use std::path::Path;

use eosfed_common::head::{HeadEncoder, HeadFile};
use eosfed_common::model::{Method, ModelSpec, TargetScale};
use tch::{Device, Tensor};

use super::error::EnsembleError;
use super::release::Release;
use crate::net::{ConvNeXt, Network, apart, together};
use crate::train::{Orientation, Prepared};

/// Images that go through an encoder at once.
const BATCH: i64 = 16;

/// A specialist fed from the bands of the data.
#[derive(Debug)]
struct Fed {
    network: Frozen,
    /// For each input channel, positions among the data's bands.
    sources: Vec<Vec<i64>>,
    /// `[1, channels, 1, 1]`
    mean: Tensor,
    std: Tensor,
}

#[derive(Debug)]
enum Frozen {
    /// Gives its four maps.
    Encoder(ConvNeXt),
    /// Gives its own answer, brought from its own scale to the head's (factor, summand).
    Whole(Network, f64, f64),
}

/// All specialists of a head.
#[derive(Debug)]
pub struct Extractor {
    fed: Vec<Fed>,
    bands: Vec<String>,
    dates: i64,
}

impl Extractor {
    /// Loads what `head` needs from a release.
    ///
    /// # Errors
    /// If a specialist is missing, damaged, or its own answer is asked for and is another task's.
    pub fn load(release: &Release, head: &HeadFile, device: Device) -> Result<Self, EnsembleError> {
        let bands = head.bands();
        let fed = head.encoders.iter().map(|entry| feed(release, head, entry, &bands, device));
        Ok(Self { fed: fed.collect::<Result<_, _>>()?, bands, dates: head.task.dates() as i64 })
    }

    /// Names of the bands of the data that it needs, in the order in which it takes them.
    #[must_use]
    pub fn bands(&self) -> &[String] {
        &self.bands
    }

    /// What each specialist makes of `images`, `[N, dates * bands, H, W]` in the data's units, NaN
    /// where there is no data: four maps each, or one answer each. The maps of a second date follow
    /// those of the first along the channels.
    #[must_use]
    pub fn parts(&self, images: &Tensor) -> Vec<Tensor> {
        let _guard = tch::no_grad_guard();
        let total = images.size()[0];
        let batches = (0..total).step_by(BATCH as usize);
        let batches: Vec<Vec<Tensor>> =
            batches.map(|start| self.batch(&images.narrow(0, start, BATCH.min(total - start)))).collect();
        let count = batches.first().map_or(0, Vec::len);
        (0..count).map(|part| Tensor::cat(&batches.iter().map(|b| &b[part]).collect::<Vec<_>>(), 0)).collect()
    }

    fn batch(&self, images: &Tensor) -> Vec<Tensor> {
        let apart_images = apart(images, self.dates);
        let each = |fed: &Fed| match &fed.network {
            Frozen::Encoder(encoder) => {
                let maps = encoder.forward(&fed.input(&apart_images), false);
                maps.map(|map| together(&map, self.dates)).into()
            }
            Frozen::Whole(network, factor, summand) => {
                let input = together(&fed.input(&apart_images), self.dates);
                vec![network.forward(&input, false) * *factor + *summand]
            }
        };
        self.fed.iter().flat_map(each).collect::<Vec<Tensor>>()
    }
}

impl Fed {
    /// Its own normalised channels, 0 where there is no data.
    fn input(&self, images: &Tensor) -> Tensor {
        let channel = |sources: &Vec<i64>| {
            let bands: Vec<Tensor> = sources.iter().map(|at| images.narrow(1, *at, 1)).collect();
            bands.iter().skip(1).fold(bands[0].shallow_clone(), |sum, band| sum + band) / sources.len() as f64
        };
        let channels = Tensor::cat(&self.sources.iter().map(channel).collect::<Vec<_>>(), 1);
        ((channels - &self.mean) / &self.std).nan_to_num(0.0, 0.0, 0.0)
    }
}

fn feed(
    release: &Release,
    head: &HeadFile,
    entry: &HeadEncoder,
    bands: &[String],
    device: Device,
) -> Result<Fed, EnsembleError> {
    let position = |band: &String| bands.iter().position(|known| known == band).unwrap_or_default() as i64;
    let channels = entry.normalisation.len() as i64;
    let along = |get: &dyn Fn(usize) -> f64| {
        let values: Vec<f32> = (0..channels as usize).map(|at| get(at) as f32).collect();
        Tensor::from_slice(&values).view([1, channels, 1, 1]).to_device(device)
    };
    let network = match head.method {
        Method::Fusion => Frozen::Encoder(release.encoder(entry, device)?),
        Method::MeanLogits | Method::Router => {
            let (spec, network) = release.specialist(entry, device)?;
            same_answer(release.folder(), entry, &spec, head)?;
            let own = spec.target.unwrap_or_default();
            let TargetScale { offset, scale, .. } = head.target.clone().unwrap_or_default();
            Frozen::Whole(network, own.scale / scale, (own.offset - offset) / scale)
        }
    };
    Ok(Fed {
        network,
        sources: entry.sources.iter().map(|sources| sources.iter().map(position).collect()).collect(),
        mean: along(&|at| entry.normalisation[at].mean.get()),
        std: along(&|at| entry.normalisation[at].std.get()),
    })
}

fn same_answer(
    folder: &Path,
    entry: &HeadEncoder,
    spec: &ModelSpec,
    head: &HeadFile,
) -> Result<(), EnsembleError> {
    if spec.task == head.task && spec.classes == head.classes {
        return Ok(());
    }
    let reason = format!(
        "the answers of specialists can be combined only if they have the data's task and classes; `{}` is for {} of {}, \
         the data for {} of {}; choose others with `--encoders`, or use `--method fusion`",
        entry.name,
        spec.task,
        spec.classes.join(", "),
        head.task,
        head.classes.join(", ")
    );
    Err(EnsembleError::file(folder, reason))
}

/// What the specialists make of samples in several orientations, and the labels.
#[derive(Debug)]
pub struct FeatureBank {
    parts: Vec<Tensor>,
    labels: Tensor,
}

impl FeatureBank {
    /// Computes the parts of all samples in these orientations.
    #[must_use]
    pub fn new(extractor: &Extractor, data: &Prepared, orientations: &[Orientation]) -> Self {
        let all = |tensor: &Tensor| {
            let turned: Vec<Tensor> =
                orientations.iter().map(|orientation| orientation.apply(tensor)).collect();
            Tensor::cat(&turned, 0)
        };
        Self { parts: extractor.parts(&all(&data.images)), labels: all(&data.labels) }
    }

    /// For the training loop, which moves "images": the position of each sample in the bank, `[N, 1]`.
    #[must_use]
    pub fn indices(&self) -> Prepared {
        let count = self.labels.size()[0];
        let images = Tensor::arange(count, (tch::Kind::Int64, self.labels.device())).unsqueeze(1);
        Prepared { images, labels: self.labels.shallow_clone() }
    }

    /// The parts of the samples at these positions.
    #[must_use]
    pub fn pick(&self, positions: &Tensor) -> Vec<Tensor> {
        let positions = positions.view([-1]);
        self.parts.iter().map(|part| part.index_select(0, &positions)).collect()
    }

    /// All parts.
    pub fn parts(&self) -> &[Tensor] {
        &self.parts
    }
}
