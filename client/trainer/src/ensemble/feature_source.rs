//! Samples for training a head: their features from the frozen specialists, kept if they fit in memory. Where they
//! do not, samples are streamed and their features are computed in each epoch, so that memory does not depend on
//! the number of samples.
//!
//! Features are not kept on the disk: with eight encoders, those of a sample in eight orientations take 46 times
//! the room of the sample (docs/performance.md has the figures).

use eosfed_common::head::HeadFile;
use eosfed_common::model::Task;
use eosfed_common::plan::Augmentation;
use eosfed_common::weights::Tensors;
use eosfed_data::DataError;
use tch::Tensor;

use super::extractor::{FeatureCache, FeatureExtractor};
use crate::net::{ChannelMoments, split_dates};
use crate::parameters::to_vec;
use crate::train::{Batch, Orientation, Samples, StreamedDataset, Transforms};

/// Default limit of the memory for features, in bytes.
pub(super) const DEFAULT_CACHE: u64 = 2 << 30;
/// Samples that are in memory at once while something is computed of all of them.
const CHUNK_SIZE: usize = 16;

/// Samples for a head.
pub(super) struct FeatureSource<'a> {
    extractor: &'a FeatureExtractor,
    kept: Kept,
    /// Orientations in which the head sees each sample.
    orientations: &'static [Orientation],
}

enum Kept {
    /// Features in memory.
    Cached(FeatureCache),
    /// Images whose features are computed again in each epoch.
    Streamed(StreamedDataset),
}

impl<'a> FeatureSource<'a> {
    /// Training samples, in all orientations that keep their shape. Their features are kept if they need
    /// at most `memory` bytes, which then are taken from it.
    ///
    /// # Errors
    /// If a sample cannot be read.
    pub(super) fn training(
        extractor: &'a FeatureExtractor,
        data: StreamedDataset,
        head: &HeadFile,
        memory: &mut u64,
    ) -> Result<Self, DataError> {
        let orientations = Orientation::all(data.is_square());
        Self::new(extractor, data, head, orientations, memory)
    }

    /// Samples for scores, without changes.
    ///
    /// # Errors
    /// If a sample cannot be read.
    pub(super) fn held_back(
        extractor: &'a FeatureExtractor,
        data: StreamedDataset,
        head: &HeadFile,
        memory: &mut u64,
    ) -> Result<Self, DataError> {
        Self::new(extractor, data, head, &Orientation::UPRIGHT, memory)
    }

    fn new(
        extractor: &'a FeatureExtractor,
        data: StreamedDataset,
        head: &HeadFile,
        orientations: &'static [Orientation],
        memory: &mut u64,
    ) -> Result<Self, DataError> {
        let needed = bytes(&data, head, orientations.len());
        let left = memory.checked_sub(needed);
        *memory = left.unwrap_or(*memory);
        let kept = if left.is_some() {
            Kept::Cached(FeatureCache::new(extractor, &data, orientations)?)
        } else {
            tracing::info!(
                needed,
                memory,
                "the features of all samples do not fit in memory and are computed in each epoch"
            );
            Kept::Streamed(data)
        };
        Ok(Self { extractor, kept, orientations })
    }

    /// Epochs of the training loop. An epoch over cached features sees all orientations, an epoch over
    /// images sees a random one of each.
    pub(super) const fn epochs(&self, wanted: u32) -> u32 {
        match self.kept {
            Kept::Cached(_) => wanted,
            Kept::Streamed(_) => wanted * self.orientations.len() as u32,
        }
    }

    /// Random changes in the training loop: none where all orientations are cached.
    pub(super) fn transforms(&self) -> Transforms {
        match &self.kept {
            Kept::Cached(_) => Transforms::default(),
            Kept::Streamed(_) => {
                Transforms { augment: vec![Augmentation::Flip, Augmentation::Rotate90], crop: None }
            }
        }
    }

    /// Samples for the training loop: positions in the cache, or the images themselves.
    pub(super) const fn samples(&self) -> &dyn Samples {
        match &self.kept {
            Kept::Cached(cache) => cache.positions(),
            Kept::Streamed(data) => data,
        }
    }

    /// Features of samples of [`FeatureSource::samples`].
    pub(super) fn features(&self, samples: &Tensor) -> Vec<Tensor> {
        match &self.kept {
            Kept::Cached(cache) => cache.select(samples),
            Kept::Streamed(_) => self.extractor.features(samples),
        }
    }

    /// Inserts mean and variance of each channel of each map, if the composition normalises by them.
    ///
    /// # Errors
    /// If a sample cannot be read.
    pub(super) fn insert_moments(&self, values: &mut Tensors, dates: i64) -> Result<(), DataError> {
        if !values.contains_key("norm.0.0.mean") {
            return Ok(());
        }
        let mut moments: Vec<ChannelMoments> = Vec::new();
        let mut add = |maps: &[Tensor]| {
            moments.resize_with(maps.len(), ChannelMoments::default);
            moments.iter_mut().zip(maps).for_each(|(moments, map)| moments.add(&split_dates(map, dates)));
        };
        match &self.kept {
            Kept::Cached(cache) => add(cache.features()),
            Kept::Streamed(data) => {
                for batch in data.in_order(CHUNK_SIZE) {
                    let Batch { images, .. } = batch?;
                    add(&self.extractor.features(&images));
                }
            }
        }
        for (at, (mean, var)) in moments.into_iter().filter_map(ChannelMoments::finish).enumerate() {
            let name = format!("norm.{}.{}", at / 4, at % 4);
            values.insert(format!("{name}.mean"), to_vec(&mean));
            values.insert(format!("{name}.var"), to_vec(&var));
        }
        Ok(())
    }
}

/// Bytes of the maps and the labels of all samples in this number of orientations.
fn bytes(data: &StreamedDataset, head: &HeadFile, orientations: usize) -> u64 {
    let pixels = data.size().into_iter().product::<usize>() as u64;
    let values_of =
        |dims: [usize; 4]| (0..4).map(|level| (dims[level] as u64 * pixels) >> (4 + 2 * level)).sum::<u64>();
    let values: u64 = head.encoder_dims().into_iter().map(values_of).sum();
    let label = match head.task {
        Task::Classification | Task::Segmentation | Task::ChangeDetection => 8,
        Task::Multilabel | Task::Regression => 4,
    };
    let each = values * 4 * head.task.dates() as u64 + label * data.labels_of_sample() as u64;
    each * (data.len() * orientations) as u64
}
