//! Samples as tensors, and random batches of them, the same for image and mask.

use eosfed_common::card::BandNormalisation;
use eosfed_common::plan::Augmentation;
use eosfed_data::{DataError, IGNORE, Sample, Target};
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

/// Normalised samples of one size, ready for the network.
#[derive(Debug)]
pub struct Prepared {
    /// `[N, bands, H, W]`, float; pixels without data are 0, the mean.
    pub images: Tensor,
    /// `[N]` classes, or `[N, h, w]` masks with 255 for no label; 64-bit integers.
    pub labels: Tensor,
}

impl Prepared {
    /// Normalises samples and brings them to one size: images to `input_size` squares when given
    /// (bilinear). Masks keep their size when all have the same, else they go along (nearest).
    ///
    /// # Errors
    /// If sizes differ and no `input_size` is given, or are no multiples of 32.
    pub fn new(
        samples: &[Sample],
        normalisation: &[BandNormalisation],
        input_size: Option<u32>,
        device: Device,
    ) -> Result<Self, DataError> {
        let sizes = || samples.iter().map(|sample| (sample.height, sample.width));
        let first = sizes().next().unwrap_or_default();
        let alike = sizes().all(|size| size == first);
        let target = input_size.map_or(first, |size| (size as usize, size as usize));
        if (!alike && input_size.is_none())
            || !target.0.is_multiple_of(32)
            || !target.1.is_multiple_of(32)
            || target.0 == 0
        {
            let reason =
                "images must all have one size that is a multiple of 32, or the plan must give `input_size`";
            let other = sizes().find(|size| *size != first).unwrap_or(first);
            let reason = format!("{reason}; found `{}x{}` and `{}x{}`", first.0, first.1, other.0, other.1);
            return Err(DataError::Unfit { path: samples[0].key.clone().into(), reason });
        }
        let images: Vec<Tensor> = samples.iter().map(|sample| image(sample, normalisation, target)).collect();
        let labels: Vec<Tensor> =
            samples.iter().map(|sample| label(sample, (!alike).then_some(target))).collect();
        Ok(Self {
            images: Tensor::cat(&images, 0).to_device(device),
            labels: Tensor::stack(&labels, 0).to_device(device),
        })
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.images.size()[0] as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// `[1, bands, H, W]`
fn image(sample: &Sample, normalisation: &[BandNormalisation], (height, width): (usize, usize)) -> Tensor {
    let size = sample.height * sample.width;
    let mut values = Vec::with_capacity(sample.image.len());
    for (band, BandNormalisation { mean, std, .. }) in sample.image.chunks_exact(size).zip(normalisation) {
        let (mean, scale) = (*mean as f32, (1.0 / std) as f32);
        values.extend(band.iter().map(|value| if value.is_finite() { (value - mean) * scale } else { 0.0 }));
    }
    let shape = [1, normalisation.len() as i64, sample.height as i64, sample.width as i64];
    let image = Tensor::from_slice(&values).reshape(shape);
    if (height, width) == (sample.height, sample.width) {
        return image;
    }
    image.upsample_bilinear2d([height as i64, width as i64], false, None, None)
}

fn label(sample: &Sample, resize_to: Option<(usize, usize)>) -> Tensor {
    match &sample.target {
        Target::Class(class) => Tensor::from(*class as i64),
        Target::Mask(mask) => {
            let values: Vec<i64> = mask.iter().map(|class| i64::from(*class)).collect();
            let mask = Tensor::from_slice(&values).reshape([sample.height as i64, sample.width as i64]);
            match resize_to {
                Some((height, width)) => mask
                    .to_kind(Kind::Float)
                    .unsqueeze(0)
                    .unsqueeze(0)
                    .upsample_nearest2d([height as i64, width as i64], None, None)
                    .to_kind(Kind::Int64)
                    .reshape([height as i64, width as i64]),
                None => mask,
            }
        }
    }
}

/// The batches of one epoch, in an order and with changes that follow from the seed alone.
#[derive(Debug)]
pub struct Batches<'a> {
    data: &'a Prepared,
    augment: &'a [Augmentation],
    order: Vec<i64>,
    size: usize,
    at: usize,
    rng: ChaCha8Rng,
}

impl<'a> Batches<'a> {
    /// Shuffles for one epoch.
    #[must_use]
    pub fn new(data: &'a Prepared, size: usize, augment: &'a [Augmentation], seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<i64> = (0..data.len() as i64).collect();
        order.shuffle(&mut rng);
        Self { data, augment, order, size, at: 0, rng }
    }

    /// Number of batches in an epoch.
    #[must_use]
    pub fn count(samples: usize, size: usize) -> usize {
        samples.div_ceil(size)
    }

    fn change(&mut self, image: Tensor, label: Tensor) -> (Tensor, Tensor) {
        let (mut image, mut label) = (image, label);
        let dense = label.dim() > 0;
        let mut both = |change: &dyn Fn(&Tensor) -> Tensor| {
            image = change(&image);
            if dense {
                label = change(&label);
            }
        };
        let has = |kind| self.augment.contains(&kind);
        if has(Augmentation::Flip) {
            for axis in [-1, -2] {
                if self.rng.random::<bool>() {
                    both(&|tensor| tensor.flip([axis]));
                }
            }
        }
        if has(Augmentation::Rotate90) {
            let turns = self.rng.random_range(0..4);
            both(&|tensor| tensor.rot90(turns, [-2, -1]));
        }
        if has(Augmentation::Jitter) {
            let bands = image.size()[0];
            let mut draw = |low: f32, high: f32| {
                let values: Vec<f32> = (0..bands).map(|_| self.rng.random_range(low..high)).collect();
                Tensor::from_slice(&values).reshape([bands, 1, 1]).to_device(image.device())
            };
            let (scale, shift) = (draw(0.9, 1.1), draw(-0.1, 0.1));
            image = image * scale + shift;
        }
        (image, label)
    }
}

impl Iterator for Batches<'_> {
    type Item = (Tensor, Tensor);

    fn next(&mut self) -> Option<(Tensor, Tensor)> {
        let end = (self.at + self.size).min(self.order.len());
        let chosen = self.order[self.at..end].to_vec();
        self.at = end;
        let changed = chosen.iter().map(|index| {
            let (image, label) = (self.data.images.get(*index), self.data.labels.get(*index));
            self.change(image, label)
        });
        let (images, labels): (Vec<_>, Vec<_>) = changed.unzip();
        (!images.is_empty()).then(|| (Tensor::stack(&images, 0), Tensor::stack(&labels, 0)))
    }
}

/// Value of labels that count for nothing.
pub(crate) const IGNORED: i64 = IGNORE as i64;

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample whose mask is its own image, so that any change to one but not the other shows.
    fn sample(side: usize, first: usize) -> Sample {
        let values: Vec<f32> = (0..side * side).map(|v| ((v + first) % 200) as f32).collect();
        let mask = values.iter().map(|v| *v as u8).collect();
        Sample { key: "s".to_owned(), height: side, width: side, image: values, target: Target::Mask(mask) }
    }

    fn identity() -> Vec<BandNormalisation> {
        vec![BandNormalisation { band: "b".to_owned(), mean: 0.0, std: 1.0 }]
    }

    #[test]
    fn image_and_mask_change_alike_and_by_seed() {
        let samples: Vec<Sample> = (0..5).map(|i| sample(32, i)).collect();
        let data = Prepared::new(&samples, &identity(), None, Device::Cpu).unwrap();
        let all = [Augmentation::Flip, Augmentation::Rotate90];
        let epoch = |seed| Batches::new(&data, 2, &all, seed).collect::<Vec<_>>();
        let batches = epoch(3);
        assert_eq!(batches.iter().map(|(images, _)| images.size()[0]).collect::<Vec<_>>(), [2, 2, 1]);
        for (images, labels) in &batches {
            assert_eq!(images.squeeze_dim(1).to_kind(Kind::Int64), *labels);
        }
        assert!(batches.iter().zip(epoch(3)).all(|(a, b)| a.0 == b.0));
        assert!(batches.iter().zip(epoch(4)).any(|(a, b)| a.0 != b.0));
    }

    #[test]
    fn pixels_without_data_become_the_mean_and_jitter_leaves_labels_alone() {
        let mut one = sample(32, 0);
        one.image[7] = f32::NAN;
        let normalisation = vec![BandNormalisation { band: "b".to_owned(), mean: 4.0, std: 2.0 }];
        let data = Prepared::new(&[one], &normalisation, None, Device::Cpu).unwrap();
        assert_eq!(
            (data.images.double_value(&[0, 0, 0, 7]), data.images.double_value(&[0, 0, 0, 6])),
            (0.0, 1.0)
        );
        let (images, labels) = Batches::new(&data, 1, &[Augmentation::Jitter], 1).next().unwrap();
        assert!(images != data.images && labels == data.labels);
    }

    #[test]
    fn sizes_are_checked_and_resized() {
        let mixed = [sample(32, 0), sample(64, 0)];
        let error = Prepared::new(&mixed, &identity(), None, Device::Cpu).unwrap_err().to_string();
        assert!(error.contains("`32x32` and `64x64`"), "{error}");
        let data = Prepared::new(&mixed, &identity(), Some(64), Device::Cpu).unwrap();
        assert_eq!((data.images.size(), data.labels.size()), (vec![2, 1, 64, 64], vec![2, 64, 64]));
        assert!(Prepared::new(&[sample(40, 0)], &identity(), None, Device::Cpu).is_err());
        let kept = Prepared::new(&[sample(32, 0)], &identity(), Some(64), Device::Cpu).unwrap();
        assert_eq!(kept.labels.size(), [1, 32, 32]);
    }
}
