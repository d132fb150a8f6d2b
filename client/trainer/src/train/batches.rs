//! Batches of samples in random order, with random transforms that are alike for image and label.
//!
//! Randomness is drawn on the processor, sample by sample. The transforms are then done for all samples of a
//! batch that are turned alike at once, so that a GPU is given few and large things to do.

use std::collections::BTreeMap;

use eosfed_common::plan::Augmentation;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::tensors::{Shape, TensorDataset};

/// Random changes to training samples.
#[derive(Debug, Clone, Default)]
pub struct Transforms {
    /// Augmentations.
    pub augment: Vec<Augmentation>,
    /// Side in pixels of the random square crop; absent: whole samples.
    pub crop: Option<u32>,
}

/// The samples of a step, or a part of them.
#[derive(Debug)]
pub struct Batch {
    /// Images, `[N, C, H, W]`.
    pub images: Tensor,
    /// Their labels, as in [`TensorDataset`].
    pub labels: Tensor,
    /// Where each comes from.
    pub windows: Vec<Window>,
    /// Whether each may have a label; a batch without any has no loss.
    pub labelled: Vec<bool>,
}

/// A sample of a data set, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The number of the sample.
    pub sample: usize,
    /// First row, first column and side in pixels of the part; absent: all.
    pub crop: Option<[usize; 3]>,
}

impl Batch {
    /// Whole samples as they are, from the sample `first` on. They may have labels.
    pub(super) fn plain(images: Tensor, labels: Tensor, first: usize) -> Self {
        let count = images.size()[0] as usize;
        let window = |sample| Window { sample, crop: None };
        let windows = (first..first + count).map(window).collect();
        Self { images, labels, windows, labelled: vec![true; count] }
    }

    /// The samples from `start` on, at most `size`.
    #[must_use]
    pub fn part(&self, start: usize, size: usize) -> Self {
        let size = size.min(self.windows.len() - start);
        let take = |tensor: &Tensor| tensor.narrow(0, start as i64, size as i64);
        Self {
            images: take(&self.images),
            labels: take(&self.labels),
            windows: self.windows[start..start + size].to_vec(),
            labelled: self.labelled[start..start + size].to_vec(),
        }
    }
}

/// How a sample is turned: mirrored left to right, mirrored top to bottom, then rows and columns exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Turn {
    across: bool,
    down: bool,
    transposed: bool,
}

impl Turn {
    /// Then a number of quarter turns, as of libtorch's `rot90`. Before them, nothing is transposed.
    const fn then(self, quarters: i64) -> Self {
        Self {
            across: self.across != matches!(quarters, 1 | 2),
            down: self.down != matches!(quarters, 2 | 3),
            transposed: quarters % 2 == 1,
        }
    }

    fn apply(self, tensor: &Tensor) -> Tensor {
        let mut axes = Vec::new();
        if self.across {
            axes.push(-1);
        }
        if self.down {
            axes.push(-2);
        }
        let turned = if axes.is_empty() { tensor.shallow_clone() } else { tensor.flip(axes) };
        if self.transposed { turned.transpose(-2, -1) } else { turned }
    }
}

/// What was drawn for a sample.
#[derive(Debug, Clone)]
pub(super) struct Draw {
    pub(super) window: Window,
    turn: Turn,
    /// Factors and offsets of the bands; empty without jitter.
    jitter: Vec<f32>,
}

impl Draw {
    /// The whole sample as it is.
    pub(super) fn plain(sample: usize) -> Self {
        Self { window: Window { sample, crop: None }, turn: Turn::default(), jitter: Vec::new() }
    }

    /// The same of another sample.
    pub(super) fn of(&self, sample: usize) -> Self {
        Self { window: Window { sample, crop: self.window.crop }, ..self.clone() }
    }
}

/// What is drawn for the batches of one epoch. It depends on the seed only.
#[derive(Debug)]
pub(super) struct Draws {
    shape: Shape,
    transforms: Transforms,
    order: Vec<u32>,
    size: usize,
    at: usize,
    rng: ChaCha8Rng,
}

impl Draws {
    /// For the batches of an epoch of this seed.
    pub(super) fn new(shape: Shape, size: usize, transforms: &Transforms, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<u32> = (0..u32::try_from(shape.samples).unwrap_or(u32::MAX)).collect();
        order.shuffle(&mut rng);
        Self { shape, transforms: transforms.clone(), order, size, at: 0, rng }
    }

    fn has_next(&self) -> bool {
        self.at < self.order.len()
    }

    fn draw(&mut self, sample: usize) -> Draw {
        let has = |kind| self.transforms.augment.contains(&kind);
        let [height, width] = self.shape.size.map(|side| side as i64);
        let crop = self.transforms.crop.map(|side| {
            let side = i64::from(side).min(height).min(width);
            let top = self.rng.random_range(0..=height - side);
            let left = self.rng.random_range(0..=width - side);
            [top as usize, left as usize, side as usize]
        });
        let mut turn = Turn::default();
        if has(Augmentation::Flip) {
            turn.across = self.rng.random();
            turn.down = self.rng.random();
        }
        if has(Augmentation::Rotate90) {
            // All samples of a batch must keep one shape.
            let square = crop.is_some() || self.shape.square;
            let step = if square { 1 } else { 2 };
            turn = turn.then(self.rng.random_range(0..4 / step) * step);
        }
        let mut jitter = Vec::new();
        if has(Augmentation::Jitter) {
            for (low, high) in [(0.9_f32, 1.1), (-0.1, 0.1)] {
                jitter.extend((0..self.shape.channels).map(|_| self.rng.random_range(low..high)));
            }
        }
        Draw { window: Window { sample, crop }, turn, jitter }
    }
}

impl Iterator for Draws {
    type Item = Vec<Draw>;

    fn next(&mut self) -> Option<Vec<Draw>> {
        if !self.has_next() {
            return None;
        }
        let end = (self.at + self.size).min(self.order.len());
        let chosen = self.order[self.at..end].to_vec();
        self.at = end;
        Some(chosen.into_iter().map(|sample| self.draw(sample as usize)).collect())
    }
}

/// The batches of one epoch. Their order and transforms depend on the seed only.
#[derive(Debug)]
pub struct Batches<'a> {
    data: &'a TensorDataset,
    draws: Draws,
}

impl<'a> Batches<'a> {
    /// The batches of an epoch of this seed. Of each sample they say that it may have a label.
    #[must_use]
    pub fn new(data: &'a TensorDataset, size: usize, transforms: &Transforms, seed: u64) -> Self {
        Self { data, draws: Draws::new(data.shape(), size, transforms, seed) }
    }

    /// Whether there is another batch.
    #[must_use]
    pub fn has_next(&self) -> bool {
        self.draws.has_next()
    }
}

impl Iterator for Batches<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        self.draws.next().map(|draws| assemble(self.data, &draws))
    }
}

/// The samples that were drawn, transformed.
pub(super) fn assemble(data: &TensorDataset, draws: &[Draw]) -> Batch {
    let mut turns: BTreeMap<Turn, Vec<usize>> = BTreeMap::new();
    for (position, draw) in draws.iter().enumerate() {
        turns.entry(draw.turn).or_default().push(position);
    }
    let positions: Vec<usize> = turns.values().flatten().copied().collect();
    let samples = positions.iter().map(|position| draws[*position].window.sample);
    // All numbers of samples and positions go to the device together.
    let numbers: Vec<i64> = samples.chain(positions.iter().copied()).map(|number| number as i64).collect();
    let numbers = Tensor::from_slice(&numbers).to_device(data.images.device());
    let count = draws.len() as i64;
    let gather = |tensor: &Tensor| {
        let pixels = tensor.dim() > 2;
        let mut parts = Vec::new();
        let mut start = 0;
        for (turn, positions) in &turns {
            let size = positions.len() as i64;
            let index = numbers.narrow(0, start, size);
            start += size;
            let windows = positions.iter().map(|position| draws[*position].window);
            let part = pick(tensor, windows, &index);
            parts.push(if pixels { turn.apply(&part) } else { part });
        }
        match &parts[..] {
            // All are turned alike, and so in their order already.
            [one] => one.shallow_clone(),
            _ => {
                let order = numbers.narrow(0, count, count).argsort(0, false);
                Tensor::cat(&parts, 0).index_select(0, &order)
            }
        }
    };
    let images = jittered(gather(&data.images), draws);
    let windows = draws.iter().map(|draw| draw.window).collect();
    let labelled = vec![true; draws.len()];
    Batch { images, labels: gather(&data.labels), windows, labelled }
}

/// Samples, or where pixels are cropped, parts of them.
fn pick(tensor: &Tensor, windows: impl Iterator<Item = Window>, index: &Tensor) -> Tensor {
    let crops: Option<Vec<Tensor>> = windows
        .map(|Window { sample, crop }| {
            let [top, left, side] = crop.filter(|_| tensor.dim() > 2)?.map(|number| number as i64);
            Some(tensor.narrow(0, sample as i64, 1).narrow(-2, top, side).narrow(-1, left, side))
        })
        .collect();
    crops.map_or_else(|| tensor.index_select(0, index), |crops| Tensor::cat(&crops, 0))
}

/// Images with the factors and offsets of their bands.
fn jittered(images: Tensor, draws: &[Draw]) -> Tensor {
    let values: Vec<f32> = draws.iter().flat_map(|draw| draw.jitter.iter().copied()).collect();
    if values.is_empty() {
        return images;
    }
    let count = draws.len() as i64;
    let bands = values.len() as i64 / count / 2;
    let values = Tensor::from_slice(&values).view([count, 2 * bands, 1, 1]).to_device(images.device());
    images * values.narrow(1, 0, bands) + values.narrow(1, bands, bands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::tensors::tests::{identity, sample};
    use tch::{Device, Kind};

    fn pair(batch: Batch) -> (Tensor, Tensor) {
        (batch.images, batch.labels)
    }

    fn transforms(augment: &[Augmentation], crop: Option<u32>) -> Transforms {
        Transforms { augment: augment.to_vec(), crop }
    }

    #[test]
    fn image_and_mask_get_the_same_transforms_of_a_seed() {
        let samples: Vec<_> = (0..5).map(|i| sample(64, i)).collect();
        let data = TensorDataset::new(&samples, &identity(), Device::Cpu).unwrap();
        let all = transforms(&[Augmentation::Flip, Augmentation::Rotate90], Some(32));
        let epoch = |seed| Batches::new(&data, 2, &all, seed).map(pair).collect::<Vec<_>>();
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
            let (images, labels) = Batches::new(&data, 4, &turn, seed).next().map(pair).unwrap();
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
            let (images, labels) = Batches::new(&data, 1, &all, seed).next().map(pair).unwrap();
            assert_eq!(images.narrow(1, 0, 1), images.narrow(1, 1, 1));
            assert_eq!(images.narrow(1, 1, 1).squeeze_dim(1).to_kind(Kind::Int64), labels);
        }
    }

    #[test]
    fn jitter_changes_images_only_and_image_labels_are_never_transformed() {
        let data = TensorDataset::new(&[sample(32, 0)], &identity(), Device::Cpu).unwrap();
        let jitter = transforms(&[Augmentation::Jitter], None);
        let (images, labels) = Batches::new(&data, 1, &jitter, 1).next().map(pair).unwrap();
        assert!(images != data.images && labels == data.labels);
        let rows = Tensor::from_slice(&[1.0_f32, 0.0, 0.0]).view([1, 3]);
        let data = TensorDataset { images: data.images.shallow_clone(), labels: rows };
        let all = transforms(&[Augmentation::Flip, Augmentation::Rotate90], Some(32));
        for seed in 0..8 {
            assert_eq!(Batches::new(&data, 1, &all, seed).next().map(pair).unwrap().1, data.labels);
        }
    }

    /// Mirrors and `rot90`, one sample after another, as the batches were made before.
    #[test]
    fn samples_that_are_turned_together_are_those_that_are_turned_one_by_one() {
        let values: Vec<f32> = (0..2 * 32 * 32).map(|value| value as f32).collect();
        let image = Tensor::from_slice(&values).view([2, 32, 32]);
        for across in [false, true] {
            for down in [false, true] {
                for quarters in 0..4 {
                    let mut wanted = image.shallow_clone();
                    for (axis, mirrored) in [(-1, across), (-2, down)] {
                        wanted = if mirrored { wanted.flip([axis]) } else { wanted };
                    }
                    let turn = Turn { across, down, transposed: false }.then(quarters);
                    assert_eq!(turn.apply(&image), wanted.rot90(quarters, [-2, -1]), "{turn:?} {quarters}");
                }
            }
        }
    }

    #[test]
    fn a_part_of_a_batch_knows_where_its_samples_are_from() {
        let samples: Vec<_> = (0..5).map(|i| sample(64, i)).collect();
        let data = TensorDataset::new(&samples, &identity(), Device::Cpu).unwrap();
        let crops = transforms(&[Augmentation::Flip], Some(32));
        let batch = Batches::new(&data, 5, &crops, 1).next().unwrap();
        let part = batch.part(3, 3);
        assert_eq!((part.images.size()[0], part.labels.size()[0], part.windows.len()), (2, 2, 2));
        assert!(part.images == batch.images.narrow(0, 3, 2) && part.windows == batch.windows[3..]);
        assert!(batch.windows.iter().all(|window| matches!(window.crop, Some([0..=32, 0..=32, 32]))));
    }
}
