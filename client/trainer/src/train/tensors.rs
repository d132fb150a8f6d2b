//! Samples as tensors: normalised, of one size, with the labels that losses and metrics expect.

use eosfed_common::card::BandNormalisation;
use eosfed_common::model::{STRIDE, TargetScale};
use eosfed_data::{DataError, IGNORE, Sample, Target};
use tch::{Device, Kind, Tensor};

use super::orientation::is_square;

/// Label of pixels that have none; losses and metrics ignore it.
pub(crate) const IGNORE_INDEX: i64 = IGNORE as i64;

/// How samples become tensors.
#[derive(Debug, Clone, Default)]
pub struct Preprocessing {
    /// Normalisation of each band in the order of the samples' channels; empty: values and NaN stay.
    pub normalisation: Vec<BandNormalisation>,
    /// Side in pixels to which images are resized; absent: they keep their size.
    pub input_size: Option<u32>,
    /// Whether masks and target rasters are resized with their images (nearest). Otherwise they keep
    /// their size, if all have the same.
    pub resize_labels: bool,
    /// Offset and scale that bring regression targets near 0 and 1.
    pub target: TargetScale,
}

/// Normalised samples of one size.
#[derive(Debug)]
pub struct TensorDataset {
    /// `[N, dates * bands, H, W]`, float; pixels without data are 0, which is the mean.
    pub images: Tensor,
    /// `[N]` classes, `[N, classes]` zeros and ones (float), `[N, h, w]` masks with 255 for no label
    /// (64-bit integers), or `[N, h, w]` values with NaN for none (float).
    pub labels: Tensor,
}

impl TensorDataset {
    /// Normalises samples and resizes them to one size.
    ///
    /// # Errors
    /// If sizes differ and no `input_size` is given, or if they are not multiples of 32.
    pub fn new(samples: &[Sample], preprocessing: &Preprocessing, device: Device) -> Result<Self, DataError> {
        let sizes = || samples.iter().map(|sample| (sample.height, sample.width));
        let first = sizes().next().unwrap_or_default();
        let alike = sizes().all(|size| size == first);
        let size = preprocessing.input_size.map_or(first, |size| (size as usize, size as usize));
        if (!alike && preprocessing.input_size.is_none())
            || !size.0.is_multiple_of(STRIDE as usize)
            || !size.1.is_multiple_of(STRIDE as usize)
            || size.0 == 0
        {
            let reason = "images must all have one size that is a multiple of 32, or be cut (`layout.tile`), or the plan must give `input_size`";
            let other = sizes().find(|size| *size != first).unwrap_or(first);
            let reason = format!("{reason}; found `{}x{}` and `{}x{}`", first.0, first.1, other.0, other.1);
            return Err(DataError::Unfit { path: samples[0].key.clone().into(), reason });
        }
        let resize = (!alike || (preprocessing.resize_labels && size != first)).then_some(size);
        let images: Vec<Tensor> = samples.iter().map(|sample| image(sample, preprocessing, size)).collect();
        let labels: Vec<Tensor> =
            samples.iter().map(|sample| label(sample, &preprocessing.target, resize)).collect();
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

    /// Whether images, and labels of pixels, are square.
    #[must_use]
    pub(super) fn is_square(&self) -> bool {
        is_square(&self.images) && (self.labels.dim() < 3 || is_square(&self.labels))
    }

    /// Whether there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// `[1, dates * bands, H, W]`
fn image(sample: &Sample, preprocessing: &Preprocessing, (height, width): (usize, usize)) -> Tensor {
    let size = sample.height * sample.width;
    let mut values = Vec::with_capacity(sample.image.len());
    if preprocessing.normalisation.is_empty() {
        values.extend_from_slice(&sample.image);
    }
    // A second date has the same bands again.
    for (band, entry) in sample.image.chunks_exact(size).zip(preprocessing.normalisation.iter().cycle()) {
        let mean = entry.mean.get() as f32;
        let scale = (1.0 / entry.std.get()) as f32;
        values.extend(band.iter().map(|value| if value.is_finite() { (value - mean) * scale } else { 0.0 }));
    }
    let shape = [1, (sample.image.len() / size) as i64, sample.height as i64, sample.width as i64];
    let image = Tensor::from_slice(&values).reshape(shape);
    if (height, width) == (sample.height, sample.width) {
        return image;
    }
    image.upsample_bilinear2d([height as i64, width as i64], false, None, None)
}

fn label(sample: &Sample, target: &TargetScale, resize: Option<(usize, usize)>) -> Tensor {
    let shape = [sample.height as i64, sample.width as i64];
    match &sample.target {
        Target::Class(class) => Tensor::from(*class as i64),
        Target::Classes(present) => {
            Tensor::from_slice(&present.iter().map(|has| if *has { 1.0 } else { 0.0 }).collect::<Vec<f32>>())
        }
        Target::Mask(mask) => {
            let values: Vec<i64> = mask.iter().map(|class| i64::from(*class)).collect();
            nearest(&Tensor::from_slice(&values).reshape(shape), resize)
        }
        Target::Values(values) => {
            let offset = target.offset as f32;
            let scale = target.scale as f32;
            let values: Vec<f32> = values.iter().map(|value| (value - offset) / scale).collect();
            nearest(&Tensor::from_slice(&values).reshape(shape), resize)
        }
    }
}

/// `[h, w]` at another size, each pixel a copy of the nearest.
fn nearest(label: &Tensor, size: Option<(usize, usize)>) -> Tensor {
    let Some((height, width)) = size else { return label.shallow_clone() };
    let size = [height as i64, width as i64];
    let resized = label.to_kind(Kind::Float).view([1, 1, label.size()[0], label.size()[1]]);
    resized.upsample_nearest2d(size, None, None).to_kind(label.kind()).view(size)
}

#[cfg(test)]
pub(super) mod tests {
    use eosfed_common::finite::Finite;

    use super::*;

    /// A sample whose mask equals its image: a change to only one of them makes a difference.
    pub(in crate::train) fn sample(side: usize, first: usize) -> Sample {
        let values: Vec<f32> = (0..side * side).map(|v| ((v + first) % 200) as f32).collect();
        let mask = values.iter().map(|v| *v as u8).collect();
        Sample { key: "s".to_owned(), height: side, width: side, image: values, target: Target::Mask(mask) }
    }

    /// A normalisation that changes nothing.
    pub(in crate::train) fn identity() -> Preprocessing {
        normalised(0.0, 1.0)
    }

    fn normalised(mean: f64, std: f64) -> Preprocessing {
        let mean = Finite::literal(mean);
        let std = Finite::literal(std);
        let normalisation = vec![BandNormalisation { band: "b".to_owned(), mean, std }];
        Preprocessing { normalisation, ..Preprocessing::default() }
    }

    #[test]
    fn pixels_without_data_become_the_mean() {
        let mut one = sample(32, 0);
        one.image[7] = f32::NAN;
        let data = TensorDataset::new(&[one], &normalised(4.0, 2.0), Device::Cpu).unwrap();
        let at = |x| data.images.double_value(&[0, 0, 0, x]);
        assert_eq!((at(7), at(6)), (0.0, 1.0));
    }

    #[test]
    fn a_second_date_is_normalised_like_the_first() {
        let mut one = sample(32, 0);
        one.image.extend(one.image.clone());
        let data = TensorDataset::new(&[one], &normalised(4.0, 2.0), Device::Cpu).unwrap();
        assert_eq!(data.images.size(), [1, 2, 32, 32]);
        assert_eq!(data.images.narrow(1, 0, 1), data.images.narrow(1, 1, 1));
    }

    #[test]
    fn regression_targets_are_scaled_and_pixels_without_one_stay_nan() {
        let mut one = sample(32, 0);
        one.target = Target::Values((0..1024).map(|v| if v == 3 { f32::NAN } else { v as f32 }).collect());
        let target = TargetScale { offset: 10.0, scale: 5.0, unit: String::new() };
        let data = TensorDataset::new(&[one], &Preprocessing { target, ..identity() }, Device::Cpu).unwrap();
        let at = |x| data.labels.double_value(&[0, 0, x]);
        assert_eq!((at(0), at(20)), (-2.0, 2.0));
        assert!(at(3).is_nan());
    }

    #[test]
    fn samples_of_different_sizes_are_refused_or_resized() {
        let at = |input_size, resize_labels| Preprocessing { input_size, resize_labels, ..identity() };
        let mixed = [sample(32, 0), sample(64, 0)];
        let error = TensorDataset::new(&mixed, &identity(), Device::Cpu).unwrap_err().to_string();
        assert!(error.contains("`32x32` and `64x64`"), "{error}");
        let data = TensorDataset::new(&mixed, &at(Some(64), false), Device::Cpu).unwrap();
        assert_eq!((data.images.size(), data.labels.size()), (vec![2, 1, 64, 64], vec![2, 64, 64]));
        assert!(TensorDataset::new(&[sample(40, 0)], &identity(), Device::Cpu).is_err());
        let kept = TensorDataset::new(&[sample(32, 0)], &at(Some(64), false), Device::Cpu).unwrap();
        assert_eq!(kept.labels.size(), [1, 32, 32]);
        let along = TensorDataset::new(&[sample(32, 0)], &at(Some(64), true), Device::Cpu).unwrap();
        assert_eq!((along.labels.size(), along.labels.kind()), (vec![1, 64, 64], Kind::Int64));
    }
}
