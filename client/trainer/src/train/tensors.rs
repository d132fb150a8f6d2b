//! Samples as tensors: normalised, of one size, with the labels that losses and metrics expect.

use std::path::Path;

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
    /// Whether larger images are filtered as they are resized.
    pub antialias: bool,
    /// Whether masks and target rasters are resized with their images (nearest). Otherwise they keep
    /// their size, if all have the same.
    pub resize_labels: bool,
    /// Offset and scale that bring regression targets near 0 and 1.
    pub target: TargetScale,
}

impl Preprocessing {
    /// The height and width that labels of pixels get, if they do not keep theirs.
    pub(super) fn resize(&self, first: [usize; 2], alike: bool, size: [usize; 2]) -> Option<[usize; 2]> {
        (!alike || (self.resize_labels && size != first)).then_some(size)
    }
}

/// Height and width of the images that the network takes. `first` is the size of the first sample, and
/// `other` one that differs from it, if there is one.
///
/// # Errors
/// If sizes differ and no `input_size` is given, or if they are not multiples of 32.
pub(super) fn input_size(
    path: &Path,
    first: [usize; 2],
    other: Option<[usize; 2]>,
    input_size: Option<u32>,
) -> Result<[usize; 2], DataError> {
    let size = input_size.map_or(first, |size| [size as usize; 2]);
    let whole = |side: usize| side > 0 && side.is_multiple_of(STRIDE as usize);
    if (other.is_none() || input_size.is_some()) && size.into_iter().all(whole) {
        return Ok(size);
    }
    let reason = "images must all have one size that is a multiple of 32, or be cut (`layout.tile`), or the plan must give `input_size`";
    let other = other.unwrap_or(first);
    let reason = format!("{reason}; found `{}x{}` and `{}x{}`", first[0], first[1], other[0], other[1]);
    Err(DataError::Unfit { path: path.to_owned(), reason })
}

/// What must be known of samples to draw for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Number of samples.
    pub(super) samples: usize,
    /// Dates times bands.
    pub(super) channels: usize,
    /// Height and width in pixels.
    pub(super) size: [usize; 2],
    /// Whether images, and labels of pixels, are square.
    pub(super) square: bool,
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
        let sizes = || samples.iter().map(|sample| [sample.height, sample.width]);
        let first = sizes().next().unwrap_or_default();
        let other = sizes().find(|size| *size != first);
        let path = Path::new(&samples[0].key);
        let size = input_size(path, first, other, preprocessing.input_size)?;
        let alike = other.is_none();
        let resize = preprocessing.resize(first, alike, size);
        let images: Vec<Tensor> = samples.iter().map(|sample| image(sample, preprocessing, size)).collect();
        let labels: Vec<Tensor> =
            samples.iter().map(|sample| sample_label(sample, &preprocessing.target, resize)).collect();
        Ok(Self {
            images: Tensor::cat(&images, 0).to_device(device),
            labels: whole_labels(&Tensor::stack(&labels, 0).to_device(device)),
        })
    }

    /// What must be known of the samples to draw for them.
    pub(super) fn shape(&self) -> Shape {
        // Where features are looked up instead of computed, an image is a single number.
        let sizes = self.images.size();
        let at = |axis: usize| sizes.get(axis).map_or(1, |size| *size as usize);
        Shape {
            samples: at(0),
            channels: at(1),
            size: [at(2), at(3)],
            square: sizes.len() < 4 || self.is_square(),
        }
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
fn image(sample: &Sample, preprocessing: &Preprocessing, [height, width]: [usize; 2]) -> Tensor {
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
    if [height, width] == [sample.height, sample.width] {
        return image;
    }
    resized(&image, [height as i64, width as i64], preprocessing.antialias)
}

/// Images `[N, C, H, W]` at another height and width: bilinear between pixel centres, as PyTorch's `interpolate`
/// does it. With `antialias`, the filter of images that become smaller is as wide as a pixel of the result.
pub(crate) fn resized(images: &Tensor, size: [i64; 2], antialias: bool) -> Tensor {
    if antialias {
        images.internal_upsample_bilinear2d_aa(size, false, None, None)
    } else {
        images.upsample_bilinear2d(size, false, None, None)
    }
}

fn sample_label(sample: &Sample, scale: &TargetScale, resize: Option<[usize; 2]>) -> Tensor {
    label(&sample.target, [sample.height, sample.width], scale, resize)
}

/// The label of a sample of this height and width. A mask is of bytes; see [`whole_labels`].
pub(super) fn label(
    label: &Target,
    size: [usize; 2],
    scale: &TargetScale,
    resize: Option<[usize; 2]>,
) -> Tensor {
    let shape = size.map(|side| side as i64);
    match label {
        Target::Class(class) => Tensor::from(*class as i64),
        Target::Classes(present) => {
            Tensor::from_slice(&present.iter().map(|has| if *has { 1.0 } else { 0.0 }).collect::<Vec<f32>>())
        }
        Target::Mask(mask) => nearest(&Tensor::from_slice(mask).reshape(shape), resize),
        Target::Values(values) => {
            let offset = scale.offset as f32;
            let by = scale.scale as f32;
            let values: Vec<f32> = values.iter().map(|value| (value - offset) / by).collect();
            nearest(&Tensor::from_slice(&values).reshape(shape), resize)
        }
    }
}

/// Labels with classes as 64-bit integers, which losses take. Bytes are what is sent to the device.
pub(super) fn whole_labels(labels: &Tensor) -> Tensor {
    if labels.kind() == Kind::Uint8 { labels.to_kind(Kind::Int64) } else { labels.shallow_clone() }
}

/// `[h, w]` at another size, each pixel a copy of the nearest.
fn nearest(label: &Tensor, size: Option<[usize; 2]>) -> Tensor {
    let Some([height, width]) = size else { return label.shallow_clone() };
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
        Sample {
            key: "s".to_owned(),
            height: side,
            width: side,
            image: values,
            target: Target::Mask(mask),
            judged: None,
        }
    }

    /// A normalisation that changes nothing.
    pub(in crate::train) fn identity() -> Preprocessing {
        normalised(0.0, 1.0)
    }

    fn normalised(mean: f64, std: f64) -> Preprocessing {
        let mean = Finite::literal(mean);
        let std = Finite::literal(std);
        let normalisation = vec![BandNormalisation { band: "b".to_owned(), mean, std, values: None }];
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

    #[test]
    fn images_are_resized_as_pytorch_does_it() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../goldens/resize.json")).unwrap();
        let shape =
            |value: &serde_json::Value| -> Vec<i64> { serde_json::from_value(value.clone()).unwrap() };
        let numbers = |value: &serde_json::Value| {
            let list: Vec<f32> = serde_json::from_value(value.clone()).unwrap();
            Tensor::from_slice(&list)
        };
        let images = numbers(&golden["images"]).view(&shape(&golden["shape"])[..]);
        for case in golden["cases"].as_array().unwrap() {
            let [height, width] = shape(&case["size"])[..] else { panic!("{case}") };
            let antialias = case["antialias"].as_bool().unwrap();
            let found = resized(&images, [height, width], antialias);
            let worst = (found.view([-1]) - numbers(&case["images"])).abs().max().double_value(&[]);
            assert!(worst < 1e-6, "{height}x{width} antialias {antialias}: {worst}");
            // Only where an image becomes smaller, the filter is another one.
            let other = resized(&images, [height, width], !antialias);
            let differs = (found - other).abs().max().double_value(&[]) > 1e-3;
            assert_eq!(differs, height < 20 || width < 28, "{height}x{width}");
        }
    }
}
