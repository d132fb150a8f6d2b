//! Samples for a head: what the frozen specialists make of them, kept where that fits in memory.

use eosfed_common::head::HeadFile;
use eosfed_common::plan::Augmentation;
use eosfed_common::weights::Tensors;
use tch::Tensor;

use super::extract::{Extractor, FeatureBank};
use crate::net::{apart, channel_moments};
use crate::train::{Changes, Orientation, Prepared};

/// Samples for a head.
pub(super) struct Feed<'a> {
    samples: Samples<'a>,
    /// The orientations in which a head learns from each sample.
    orientations: &'static [Orientation],
}

/// Kept maps, or images that go through the specialists every time.
enum Samples<'a> {
    Kept(FeatureBank),
    Live(&'a Extractor, Prepared),
}

impl<'a> Feed<'a> {
    /// Samples to learn from: in all orientations that keep their shape. Their maps are kept if they
    /// need at most `cache` bytes.
    pub(super) fn training(extractor: &'a Extractor, data: Prepared, head: &HeadFile, cache: u64) -> Self {
        let orientations = Orientation::all(&data.images, &data.labels);
        Self::new(extractor, data, head, orientations, cache)
    }

    /// Samples to validate on: as they are.
    pub(super) fn validation(extractor: &'a Extractor, data: Prepared, head: &HeadFile, cache: u64) -> Self {
        Self::new(extractor, data, head, &Orientation::UPRIGHT, cache)
    }

    fn new(
        extractor: &'a Extractor,
        data: Prepared,
        head: &HeadFile,
        orientations: &'static [Orientation],
        cache: u64,
    ) -> Self {
        let needed = kept_bytes(&data, head, orientations.len());
        let samples = if needed > cache {
            tracing::info!(
                needed,
                cache,
                "the maps of all samples do not fit in the cache and are computed in every pass"
            );
            Samples::Live(extractor, data)
        } else {
            Samples::Kept(FeatureBank::new(extractor, &data, orientations))
        };
        Self { samples, orientations }
    }

    /// A pass over kept maps sees all orientations, one over images a random one of each.
    pub(super) const fn epochs(&self, wanted: u32) -> u32 {
        match self.samples {
            Samples::Kept(_) => wanted,
            Samples::Live(..) => wanted * self.orientations.len() as u32,
        }
    }

    /// What a pass does at random: nothing where all orientations are kept.
    pub(super) fn changes(&self) -> Changes {
        match &self.samples {
            Samples::Kept(_) => Changes::default(),
            Samples::Live(..) => {
                Changes { augment: vec![Augmentation::Flip, Augmentation::Rotate90], crop: None }
            }
        }
    }

    /// For the training loop: positions in the bank, or the images themselves.
    pub(super) fn samples(&self) -> Prepared {
        match &self.samples {
            Samples::Kept(bank) => bank.indices(),
            Samples::Live(_, data) => {
                Prepared { images: data.images.shallow_clone(), labels: data.labels.shallow_clone() }
            }
        }
    }

    /// What the specialists make of samples of [`Feed::samples`].
    pub(super) fn parts(&self, images: &Tensor) -> Vec<Tensor> {
        match &self.samples {
            Samples::Kept(bank) => bank.pick(images),
            Samples::Live(extractor, _) => extractor.parts(images),
        }
    }

    /// Puts mean and variance of each channel of each map where a composition keeps them.
    pub(super) fn moments(&self, values: &mut Tensors, dates: i64) {
        if !values.contains_key("norm.0.0.mean") {
            return;
        }
        let parts = match &self.samples {
            Samples::Kept(bank) => bank.parts().iter().map(Tensor::shallow_clone).collect(),
            Samples::Live(extractor, data) => extractor.parts(&data.images),
        };
        for (at, part) in parts.iter().enumerate() {
            let (mean, var) = channel_moments(&apart(part, dates));
            let name = format!("norm.{}.{}", at / 4, at % 4);
            values.insert(format!("{name}.mean"), crate::parameters::to_vec(&mean));
            values.insert(format!("{name}.var"), crate::parameters::to_vec(&var));
        }
    }
}

/// Bytes of the maps of all samples in so many orientations.
fn kept_bytes(data: &Prepared, head: &HeadFile, orientations: usize) -> u64 {
    let size = data.images.size();
    let pixels = (size[2] * size[3]) as u64;
    let of =
        |dims: [usize; 4]| (0..4).map(|level| (dims[level] as u64 * pixels) >> (4 + 2 * level)).sum::<u64>();
    let values: u64 = head.encoder_dims().into_iter().map(of).sum();
    values * 4 * (data.len() * head.task.dates() * orientations) as u64
}
