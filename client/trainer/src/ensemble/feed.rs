//! Samples for a head: what the frozen specialists make of them, kept where that fits in memory.

use eosfed_common::head::HeadFile;
use eosfed_common::plan::Augmentation;
use eosfed_common::weights::Tensors;
use tch::Tensor;

use super::extract::{Extractor, FeatureBank};
use crate::net::{apart, channel_moments};
use crate::train::{Changes, Prepared};

/// The training samples, as kept maps or as images that go through the specialists every time.
pub(super) enum Feed<'a> {
    Kept(FeatureBank),
    Live(&'a Extractor, Prepared),
}

impl<'a> Feed<'a> {
    /// Keeps the maps of all samples in so many orientations if they need at most `cache` bytes.
    pub(super) fn new(
        extractor: &'a Extractor,
        data: Prepared,
        head: &HeadFile,
        orientations: usize,
        cache: u64,
    ) -> Self {
        let size = data.images.size();
        let pixels = (size[2] * size[3]) as u64;
        let of = |dims: [usize; 4]| {
            (0..4).map(|level| (dims[level] as u64 * pixels) >> (4 + 2 * level)).sum::<u64>()
        };
        let values: u64 = head.encoder_dims().into_iter().map(of).sum();
        let images = (data.len() * head.task.dates() * orientations) as u64;
        let needed = values * 4 * images;
        if needed > cache {
            tracing::info!(
                needed,
                cache,
                "maps of all samples do not fit in the cache and are computed in every pass"
            );
            return Self::Live(extractor, data);
        }
        Self::Kept(FeatureBank::new(extractor, &data, orientations))
    }

    /// A pass over kept maps sees all orientations, one over images a random one of each.
    pub(super) const fn epochs(&self, wanted: u32) -> u32 {
        match self {
            Self::Kept(_) => wanted,
            Self::Live(..) => wanted * FeatureBank::ORIENTATIONS as u32,
        }
    }

    /// What a pass does at random: nothing where all orientations are kept.
    pub(super) fn changes(&self) -> Changes {
        match self {
            Self::Kept(_) => Changes::default(),
            Self::Live(..) => {
                Changes { augment: vec![Augmentation::Flip, Augmentation::Rotate90], crop: None }
            }
        }
    }

    /// For the training loop: positions in the bank, or the images themselves.
    pub(super) fn samples(&self) -> Prepared {
        match self {
            Self::Kept(bank) => bank.indices(),
            Self::Live(_, data) => {
                Prepared { images: data.images.shallow_clone(), labels: data.labels.shallow_clone() }
            }
        }
    }

    /// What the specialists make of samples of [`Feed::samples`].
    pub(super) fn parts(&self, images: &Tensor) -> Vec<Tensor> {
        match self {
            Self::Kept(bank) => bank.pick(images),
            Self::Live(extractor, _) => extractor.parts(images),
        }
    }

    /// Puts mean and variance of each channel of each map where a composition keeps them.
    pub(super) fn moments(&self, values: &mut Tensors, dates: i64) {
        if !values.contains_key("norm.0.0.mean") {
            return;
        }
        let parts = match self {
            Self::Kept(bank) => bank.parts().iter().map(Tensor::shallow_clone).collect(),
            Self::Live(extractor, data) => extractor.parts(&data.images),
        };
        for (at, part) in parts.iter().enumerate() {
            let (mean, var) = channel_moments(&apart(part, dates));
            let name = format!("norm.{}.{}", at / 4, at % 4);
            values.insert(format!("{name}.mean"), crate::parameters::to_vec(&mean));
            values.insert(format!("{name}.var"), crate::parameters::to_vec(&var));
        }
    }
}
