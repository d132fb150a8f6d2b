//! Samples for training a head: their features from the frozen specialists, kept if they fit in memory.

use eosfed_common::head::HeadFile;
use eosfed_common::plan::Augmentation;
use eosfed_common::weights::Tensors;
use tch::Tensor;

use super::extractor::{FeatureCache, FeatureExtractor};
use crate::net::{channel_moments, split_dates};
use crate::parameters::to_vec;
use crate::train::{Orientation, TensorDataset, Transforms};

/// Default limit of the memory for features, in bytes.
pub(super) const DEFAULT_CACHE: u64 = 2 << 30;

/// Samples for a head.
pub(super) struct FeatureSource<'a> {
    samples: Samples<'a>,
    /// Orientations in which the head sees each sample.
    orientations: &'static [Orientation],
}

enum Samples<'a> {
    /// Features in memory.
    Cached(FeatureCache),
    /// Images whose features are computed again in each epoch.
    Streamed(&'a FeatureExtractor, TensorDataset),
}

impl<'a> FeatureSource<'a> {
    /// Training samples, in all orientations that keep their shape. Their features are kept if they need
    /// at most `cache` bytes.
    pub(super) fn training(
        extractor: &'a FeatureExtractor,
        data: TensorDataset,
        head: &HeadFile,
        cache: u64,
    ) -> Self {
        let orientations = Orientation::all(&data.images, &data.labels);
        Self::new(extractor, data, head, orientations, cache)
    }

    /// Validation samples, without changes.
    pub(super) fn validation(
        extractor: &'a FeatureExtractor,
        data: TensorDataset,
        head: &HeadFile,
        cache: u64,
    ) -> Self {
        Self::new(extractor, data, head, &Orientation::UPRIGHT, cache)
    }

    fn new(
        extractor: &'a FeatureExtractor,
        data: TensorDataset,
        head: &HeadFile,
        orientations: &'static [Orientation],
        cache: u64,
    ) -> Self {
        let needed = feature_bytes(&data, head, orientations.len());
        let samples = if needed > cache {
            tracing::info!(
                needed,
                cache,
                "the features of all samples do not fit in the cache and are computed in each epoch"
            );
            Samples::Streamed(extractor, data)
        } else {
            Samples::Cached(FeatureCache::new(extractor, &data, orientations))
        };
        Self { samples, orientations }
    }

    /// Epochs of the training loop. An epoch over cached features sees all orientations, an epoch over
    /// images sees a random one of each.
    pub(super) const fn epochs(&self, wanted: u32) -> u32 {
        match self.samples {
            Samples::Cached(_) => wanted,
            Samples::Streamed(..) => wanted * self.orientations.len() as u32,
        }
    }

    /// Random changes in the training loop: none where all orientations are cached.
    pub(super) fn transforms(&self) -> Transforms {
        match &self.samples {
            Samples::Cached(_) => Transforms::default(),
            Samples::Streamed(..) => {
                Transforms { augment: vec![Augmentation::Flip, Augmentation::Rotate90], crop: None }
            }
        }
    }

    /// Samples for the training loop: positions in the cache, or the images themselves.
    pub(super) fn samples(&self) -> TensorDataset {
        match &self.samples {
            Samples::Cached(cache) => cache.positions(),
            Samples::Streamed(_, data) => {
                TensorDataset { images: data.images.shallow_clone(), labels: data.labels.shallow_clone() }
            }
        }
    }

    /// Features of samples of [`FeatureSource::samples`].
    pub(super) fn features(&self, samples: &Tensor) -> Vec<Tensor> {
        match &self.samples {
            Samples::Cached(cache) => cache.select(samples),
            Samples::Streamed(extractor, _) => extractor.features(samples),
        }
    }

    /// Inserts mean and variance of each channel of each map, if the composition normalises by them.
    pub(super) fn insert_moments(&self, values: &mut Tensors, dates: i64) {
        if !values.contains_key("norm.0.0.mean") {
            return;
        }
        let features = match &self.samples {
            Samples::Cached(cache) => cache.features().iter().map(Tensor::shallow_clone).collect(),
            Samples::Streamed(extractor, data) => extractor.features(&data.images),
        };
        for (at, map) in features.iter().enumerate() {
            let (mean, var) = channel_moments(&split_dates(map, dates));
            let name = format!("norm.{}.{}", at / 4, at % 4);
            values.insert(format!("{name}.mean"), to_vec(&mean));
            values.insert(format!("{name}.var"), to_vec(&var));
        }
    }
}

/// Bytes of the maps of all samples in this number of orientations.
fn feature_bytes(data: &TensorDataset, head: &HeadFile, orientations: usize) -> u64 {
    let size = data.images.size();
    let pixels = (size[2] * size[3]) as u64;
    let values_of =
        |dims: [usize; 4]| (0..4).map(|level| (dims[level] as u64 * pixels) >> (4 + 2 * level)).sum::<u64>();
    let values: u64 = head.encoder_dims().into_iter().map(values_of).sum();
    values * 4 * (data.len() * head.task.dates() * orientations) as u64
}
