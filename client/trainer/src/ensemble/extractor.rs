//! The frozen part of an ensemble: the maps of each specialist for an image, or its own output.
//!
//! The specialists never change, so their features are computed once and kept if they fit in memory.
//! For training they are kept in all orientations, which is the augmentation of a head.

use std::cell::Cell;
use std::path::Path;

use eosfed_common::head::{HeadEncoder, HeadFile};
use eosfed_common::model::{Method, ModelSpec, TargetScale};
use eosfed_data::DataError;
use tch::{Device, Kind, Tensor};

use super::error::EnsembleError;
use super::release::Release;
use crate::net::{ConvNeXt, Network, join_dates, split_dates};
use crate::train::{Batch, Orientation, Samples, TensorDataset};

/// Images that go through an encoder at once.
const BATCH_SIZE: i64 = 16;

thread_local! {
    static ENCODED: Cell<u64> = const { Cell::new(0) };
}

/// How many images of one date this thread has put through encoders, for tests of what is computed.
#[must_use]
pub fn encoded() -> u64 {
    ENCODED.get()
}

/// A specialist with the bands of the data that it takes.
#[derive(Debug)]
struct BoundSpecialist {
    network: FrozenNetwork,
    /// For each input channel, the positions of the bands whose mean it is.
    sources: Vec<Vec<i64>>,
    /// `[1, channels, 1, 1]`
    mean: Tensor,
    /// `[1, channels, 1, 1]`
    std: Tensor,
}

#[derive(Debug)]
enum FrozenNetwork {
    /// An encoder, which gives four maps.
    Encoder(ConvNeXt),
    /// A whole specialist, which gives its own output. A factor and a summand convert it to the head's
    /// scale.
    Whole(Network, f64, f64),
}

/// All specialists under a head.
#[derive(Debug)]
pub struct FeatureExtractor {
    specialists: Vec<BoundSpecialist>,
    bands: Vec<String>,
    dates: i64,
}

impl FeatureExtractor {
    /// Loads the specialists of `head` from a release.
    ///
    /// # Errors
    /// If a specialist is missing or damaged, or if its own output is needed and is of another task.
    pub fn load(release: &Release, head: &HeadFile, device: Device) -> Result<Self, EnsembleError> {
        let all: Vec<usize> = (0..head.encoders.len()).collect();
        Self::load_chosen(release, head, &all, device)
    }

    /// Loads only the specialists at these positions. The bands stay those of all: where there are no data
    /// must not depend on a selection.
    ///
    /// # Errors
    /// As [`FeatureExtractor::load`].
    pub(super) fn load_chosen(
        release: &Release,
        head: &HeadFile,
        chosen: &[usize],
        device: Device,
    ) -> Result<Self, EnsembleError> {
        let bands = head.bands();
        let specialists = chosen.iter().map(|at| bind(release, head, &head.encoders[*at], &bands, device));
        Ok(Self {
            specialists: specialists.collect::<Result<_, _>>()?,
            bands,
            dates: head.task.dates() as i64,
        })
    }

    /// Names of the bands of the data that it needs, in the order in which it takes them.
    #[must_use]
    pub fn bands(&self) -> &[String] {
        &self.bands
    }

    /// Features of `images`, `[N, dates * bands, H, W]` in the data's units, NaN where there is no data:
    /// four maps of each specialist, or one output of each. The maps of a second date follow those of
    /// the first along the channels.
    #[must_use]
    pub fn features(&self, images: &Tensor) -> Vec<Tensor> {
        let _guard = tch::no_grad_guard();
        let total = images.size()[0];
        let batches: Vec<Vec<Tensor>> = (0..total)
            .step_by(BATCH_SIZE as usize)
            .map(|start| self.batch(&images.narrow(0, start, BATCH_SIZE.min(total - start))))
            .collect();
        let count = batches.first().map_or(0, Vec::len);
        let joined = |at: usize| Tensor::cat(&batches.iter().map(|batch| &batch[at]).collect::<Vec<_>>(), 0);
        (0..count).map(joined).collect()
    }

    fn batch(&self, images: &Tensor) -> Vec<Tensor> {
        let each_date = split_dates(images, self.dates);
        ENCODED.set(ENCODED.get() + each_date.size()[0] as u64 * self.specialists.len() as u64);
        let features = |specialist: &BoundSpecialist| match &specialist.network {
            FrozenNetwork::Encoder(encoder) => {
                let maps = encoder.forward(&specialist.input(&each_date), false);
                maps.map(|map| join_dates(&map, self.dates)).into()
            }
            FrozenNetwork::Whole(network, factor, summand) => {
                let input = join_dates(&specialist.input(&each_date), self.dates);
                vec![network.forward(&input, false) * *factor + *summand]
            }
        };
        self.specialists.iter().flat_map(features).collect::<Vec<Tensor>>()
    }
}

impl BoundSpecialist {
    /// Its input channels, normalised, 0 where there is no data.
    fn input(&self, images: &Tensor) -> Tensor {
        let channel = |sources: &Vec<i64>| {
            let bands: Vec<Tensor> = sources.iter().map(|at| images.narrow(1, *at, 1)).collect();
            bands.iter().skip(1).fold(bands[0].shallow_clone(), |sum, band| sum + band) / sources.len() as f64
        };
        let channels = Tensor::cat(&self.sources.iter().map(channel).collect::<Vec<_>>(), 1);
        let mut channels = channels - &self.mean;
        channels.g_div_(&self.std).nan_to_num_(0.0, 0.0, 0.0)
    }
}

fn bind(
    release: &Release,
    head: &HeadFile,
    entry: &HeadEncoder,
    bands: &[String],
    device: Device,
) -> Result<BoundSpecialist, EnsembleError> {
    let position = |band: &String| bands.iter().position(|known| known == band).unwrap_or_default() as i64;
    let channels = entry.normalisation.len() as i64;
    let along = |get: &dyn Fn(usize) -> f64| {
        let values: Vec<f32> = (0..channels as usize).map(|at| get(at) as f32).collect();
        Tensor::from_slice(&values).view([1, channels, 1, 1]).to_device(device)
    };
    let network = match head.method {
        Method::Fusion => FrozenNetwork::Encoder(release.encoder(entry, device)?),
        Method::MeanLogits | Method::Router => {
            let (spec, network) = release.specialist(entry, device)?;
            check_output(release.folder(), entry, &spec, head)?;
            let own = spec.target.unwrap_or_default();
            let TargetScale { offset, scale, .. } = head.target.clone().unwrap_or_default();
            FrozenNetwork::Whole(network, own.scale / scale, (own.offset - offset) / scale)
        }
    };
    Ok(BoundSpecialist {
        network,
        sources: entry.sources.iter().map(|sources| sources.iter().map(position).collect()).collect(),
        mean: along(&|at| entry.normalisation[at].mean.get()),
        std: along(&|at| entry.normalisation[at].std.get()),
    })
}

/// Whether a specialist's own output answers the question of the head.
fn check_output(
    folder: &Path,
    entry: &HeadEncoder,
    spec: &ModelSpec,
    head: &HeadFile,
) -> Result<(), EnsembleError> {
    if spec.task == head.task && spec.classes == head.classes {
        return Ok(());
    }
    let reason = format!(
        "the outputs of specialists can be combined only if they have the task and the classes of the data; `{}` is \
         for {} of {}, the data for {} of {}; choose others with `--encoders`, or use `--method fusion`",
        entry.name,
        spec.task,
        spec.classes.join(", "),
        head.task,
        head.classes.join(", ")
    );
    Err(EnsembleError::file(folder, reason))
}

/// Features of samples in several orientations, and their labels.
#[derive(Debug)]
pub struct FeatureCache {
    features: Vec<Tensor>,
    positions: TensorDataset,
}

impl FeatureCache {
    /// Computes the features of all samples in these orientations. Each sample is read once.
    ///
    /// # Errors
    /// If a sample cannot be read.
    pub fn new(
        extractor: &FeatureExtractor,
        data: &dyn Samples,
        orientations: &[Orientation],
    ) -> Result<Self, DataError> {
        let samples = data.len();
        let mut all = Rows { tensors: Vec::new(), rows: (samples * orientations.len()) as i64 };
        let mut first = 0;
        for batch in data.in_order(BATCH_SIZE as usize) {
            let Batch { images, labels, .. } = batch?;
            for (at, orientation) in orientations.iter().enumerate() {
                let mut rows = vec![orientation.apply(&labels)];
                rows.extend(extractor.features(&orientation.apply(&images).contiguous()));
                all.put((at * samples + first) as i64, &rows);
            }
            first += images.size()[0] as usize;
        }
        let mut tensors = all.tensors.into_iter();
        let labels = tensors.next().unwrap_or_default();
        let count = (Kind::Int64, data.device());
        let positions = TensorDataset { images: Tensor::arange(all.rows, count).unsqueeze(1), labels };
        Ok(Self { features: tensors.collect(), positions })
    }

    /// Positions of the samples, `[N, 1]`, in place of their images: the training loop shuffles them, and
    /// [`FeatureCache::select`] turns them into features.
    #[must_use]
    pub const fn positions(&self) -> &TensorDataset {
        &self.positions
    }

    /// The features of the samples at these positions.
    #[must_use]
    pub fn select(&self, positions: &Tensor) -> Vec<Tensor> {
        let positions = positions.view([-1]);
        self.features.iter().map(|features| features.index_select(0, &positions)).collect()
    }

    /// The features of all samples.
    pub fn features(&self) -> &[Tensor] {
        &self.features
    }
}

/// Tensors that are filled part by part, so that there is never a second copy of all of them.
struct Rows {
    tensors: Vec<Tensor>,
    /// Length of each along its first axis.
    rows: i64,
}

impl Rows {
    /// Puts parts of each tensor at a row.
    fn put(&mut self, start: i64, parts: &[Tensor]) {
        for (at, part) in parts.iter().enumerate() {
            let mut size = part.size();
            let count = std::mem::replace(&mut size[0], self.rows);
            if self.tensors.len() == at {
                self.tensors.push(Tensor::empty(&size[..], (part.kind(), part.device())));
            }
            self.tensors[at].narrow(0, start, count).copy_(part);
        }
    }
}
