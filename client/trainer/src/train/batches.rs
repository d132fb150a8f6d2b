//! Batches of samples in random order, with random transforms that are alike for image and label.

use eosfed_common::plan::Augmentation;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::orientation::is_square;
use super::tensors::TensorDataset;

/// Random changes to training samples.
#[derive(Debug, Clone, Default)]
pub struct Transforms {
    /// Augmentations.
    pub augment: Vec<Augmentation>,
    /// Side in pixels of the random square crop; absent: whole samples.
    pub crop: Option<u32>,
}

/// The batches of one epoch. Their order and transforms depend on the seed only.
#[derive(Debug)]
pub struct Batches<'a> {
    data: &'a TensorDataset,
    transforms: &'a Transforms,
    order: Vec<i64>,
    size: usize,
    at: usize,
    rng: ChaCha8Rng,
}

impl<'a> Batches<'a> {
    /// The batches of an epoch of this seed.
    #[must_use]
    pub fn new(data: &'a TensorDataset, size: usize, transforms: &'a Transforms, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<i64> = (0..data.len() as i64).collect();
        order.shuffle(&mut rng);
        Self { data, transforms, order, size, at: 0, rng }
    }

    fn transform(&mut self, image: Tensor, label: Tensor) -> (Tensor, Tensor) {
        let mut sample = Pair { image, label };
        let has = |kind| self.transforms.augment.contains(&kind);
        if let Some(side) = self.transforms.crop {
            let size = sample.image.size();
            let height = size[1];
            let width = size[2];
            let side = i64::from(side).min(height).min(width);
            let top = self.rng.random_range(0..=height - side);
            let left = self.rng.random_range(0..=width - side);
            sample.map(&|tensor| tensor.narrow(-2, top, side).narrow(-1, left, side));
        }
        if has(Augmentation::Flip) {
            for axis in [-1, -2] {
                if self.rng.random::<bool>() {
                    sample.map(&|tensor| tensor.flip([axis]));
                }
            }
        }
        if has(Augmentation::Rotate90) {
            // All samples of a batch must keep one shape.
            let step = if sample.is_square() { 1 } else { 2 };
            let turns = self.rng.random_range(0..4 / step) * step;
            sample.map(&|tensor| tensor.rot90(turns, [-2, -1]));
        }
        if has(Augmentation::Jitter) {
            let bands = sample.image.size()[0];
            let device = sample.image.device();
            let mut draw = |low: f32, high: f32| {
                let values: Vec<f32> = (0..bands).map(|_| self.rng.random_range(low..high)).collect();
                Tensor::from_slice(&values).reshape([bands, 1, 1]).to_device(device)
            };
            let scale = draw(0.9, 1.1);
            let shift = draw(-0.1, 0.1);
            sample.image = sample.image * scale + shift;
        }
        (sample.image, sample.label)
    }
}

/// One sample: an image `[C, H, W]` and its label.
struct Pair {
    image: Tensor,
    label: Tensor,
}

impl Pair {
    /// Whether pixels are labelled. A class is a scalar and several classes are a row.
    fn is_dense(&self) -> bool {
        self.label.dim() == 2
    }

    fn is_square(&self) -> bool {
        is_square(&self.image) && (!self.is_dense() || is_square(&self.label))
    }

    /// Transforms the image, and the label alike where pixels are labelled.
    fn map(&mut self, change: &dyn Fn(&Tensor) -> Tensor) {
        self.image = change(&self.image);
        if self.is_dense() {
            self.label = change(&self.label);
        }
    }
}

impl Iterator for Batches<'_> {
    type Item = (Tensor, Tensor);

    fn next(&mut self) -> Option<(Tensor, Tensor)> {
        let end = (self.at + self.size).min(self.order.len());
        let chosen = self.order[self.at..end].to_vec();
        self.at = end;
        let transformed = chosen.iter().map(|index| {
            let image = self.data.images.get(*index);
            let label = self.data.labels.get(*index);
            self.transform(image, label)
        });
        let (images, labels): (Vec<_>, Vec<_>) = transformed.unzip();
        (!images.is_empty()).then(|| (Tensor::stack(&images, 0), Tensor::stack(&labels, 0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::tensors::tests::{identity, sample};
    use tch::{Device, Kind};

    fn transforms(augment: &[Augmentation], crop: Option<u32>) -> Transforms {
        Transforms { augment: augment.to_vec(), crop }
    }

    #[test]
    fn image_and_mask_get_the_same_transforms_of_a_seed() {
        let samples: Vec<_> = (0..5).map(|i| sample(64, i)).collect();
        let data = TensorDataset::new(&samples, &identity(), Device::Cpu).unwrap();
        let all = transforms(&[Augmentation::Flip, Augmentation::Rotate90], Some(32));
        let epoch = |seed| Batches::new(&data, 2, &all, seed).collect::<Vec<_>>();
        let batches = epoch(3);
        assert_eq!(batches.iter().map(|(images, _)| images.size()[0]).collect::<Vec<_>>(), [2, 2, 1]);
        for (images, labels) in &batches {
            assert_eq!(images.size()[1..], [1, 32, 32]);
            assert_eq!(images.squeeze_dim(1).to_kind(Kind::Int64), *labels);
        }
        assert!(batches.iter().zip(epoch(3)).all(|(a, b)| a.0 == b.0));
        assert!(batches.iter().zip(epoch(4)).any(|(a, b)| a.0 != b.0));
    }

    #[test]
    fn samples_that_are_not_square_are_turned_by_half_turns_only() {
        let values: Vec<f32> = (0..32 * 64).map(|value| value as f32).collect();
        let images = Tensor::from_slice(&values).view([1, 1, 32, 64]).repeat([4, 1, 1, 1]);
        let data = TensorDataset { labels: images.squeeze_dim(1).to_kind(Kind::Int64), images };
        let turn = transforms(&[Augmentation::Rotate90], None);
        let mut corners = std::collections::BTreeSet::new();
        for seed in 0..16 {
            let (images, labels) = Batches::new(&data, 4, &turn, seed).next().unwrap();
            assert_eq!(images.size(), [4, 1, 32, 64]);
            assert_eq!(images.squeeze_dim(1).to_kind(Kind::Int64), labels);
            corners.extend((0..4).map(|at| labels.int64_value(&[at, 0, 0])));
        }
        // As it was, and turned by 180 degrees.
        assert_eq!(corners.into_iter().collect::<Vec<_>>(), [0, 32 * 64 - 1]);
    }

    #[test]
    fn both_dates_get_the_same_transforms() {
        let mut one = sample(64, 0);
        one.image.extend(one.image.clone());
        let data = TensorDataset::new(&[one], &identity(), Device::Cpu).unwrap();
        let all = transforms(&[Augmentation::Flip, Augmentation::Rotate90], Some(32));
        for seed in 0..8 {
            let (images, labels) = Batches::new(&data, 1, &all, seed).next().unwrap();
            assert_eq!(images.narrow(1, 0, 1), images.narrow(1, 1, 1));
            assert_eq!(images.narrow(1, 1, 1).squeeze_dim(1).to_kind(Kind::Int64), labels);
        }
    }

    #[test]
    fn jitter_changes_images_only_and_image_labels_are_never_transformed() {
        let data = TensorDataset::new(&[sample(32, 0)], &identity(), Device::Cpu).unwrap();
        let jitter = transforms(&[Augmentation::Jitter], None);
        let (images, labels) = Batches::new(&data, 1, &jitter, 1).next().unwrap();
        assert!(images != data.images && labels == data.labels);
        let rows = Tensor::from_slice(&[1.0_f32, 0.0, 0.0]).view([1, 3]);
        let data = TensorDataset { images: data.images.shallow_clone(), labels: rows };
        let all = transforms(&[Augmentation::Flip, Augmentation::Rotate90], Some(32));
        for seed in 0..8 {
            assert_eq!(Batches::new(&data, 1, &all, seed).next().unwrap().1, data.labels);
        }
    }
}
