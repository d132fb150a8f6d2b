//! A deterministic sample of pixels, with the numbers of each channel that the rules need.

use crate::sample::Sample;

/// About this many pixels are used, for any size of the data set.
const PIXELS: usize = 8192;
/// At least this many pixels of each image are used, so that a band that is empty in one image is detected.
const FEWEST_PER_IMAGE: usize = 16;
/// At most about this many images are used, evenly spread, so that the pixels stay few for any data set.
const MOST_IMAGES: usize = 16_384;
/// Distance in pixels at which the 10 m and 20 m bands of Sentinel-2 have both changed.
const FAR: usize = 4;

/// Values of the sampled pixels that are valid in every channel.
#[derive(Debug)]
pub(super) struct Pixels {
    /// For each channel its values. All channels have the same pixel positions.
    pub channels: Vec<Vec<f32>>,
    /// For each channel, the ratio of the mean change over 1 pixel to that over 4 pixels; 0 if it does not
    /// change.
    pub roughness: Vec<f64>,
    /// Images with valid pixels; each date of a sample is one.
    pub images: usize,
    /// For each channel the images in which it is 0 in every sampled pixel.
    pub zero_images: Vec<usize>,
}

/// Takes pixels of images one after another, so that they need not be in memory together.
#[derive(Debug)]
pub(crate) struct PixelSampler {
    pixels: Pixels,
    near: Vec<f64>,
    far: Vec<f64>,
    /// Pixels that are taken of an image.
    each: usize,
    /// Of this many images, one is used.
    every: usize,
    seen: usize,
}

impl PixelSampler {
    /// For about this many images of `channels` bands.
    #[must_use]
    pub(crate) fn new(channels: usize, images: usize) -> Self {
        let pixels = Pixels {
            channels: vec![Vec::new(); channels],
            roughness: Vec::new(),
            images: 0,
            zero_images: vec![0; channels],
        };
        Self {
            pixels,
            near: vec![0.0; channels],
            far: vec![0.0; channels],
            each: PIXELS.div_ceil(images.max(1)).max(FEWEST_PER_IMAGE),
            every: images.div_ceil(MOST_IMAGES).max(1),
            seen: 0,
        }
    }

    /// Takes pixels of each date of a sample.
    ///
    /// # Panics
    /// If its image is not a whole number of stacks of the bands.
    pub(crate) fn add(&mut self, sample: &Sample) {
        let channels = self.pixels.channels.len();
        let stack = channels * sample.height * sample.width;
        assert_eq!(sample.image.len() % stack, 0, "an image is a whole number of stacks of bands");
        sample.image.chunks_exact(stack).for_each(|image| self.add_image(image, sample.width));
    }

    /// Takes pixels of an image of this width with all of the bands.
    pub(crate) fn add_image(&mut self, image: &[f32], width: usize) {
        self.seen += 1;
        if (self.seen - 1).is_multiple_of(self.every) {
            self.take(image, width);
        }
    }

    /// How many pixels were taken, and values of the first channel that shares of them do not exceed; none without pixels.
    pub(crate) fn quantiles<const N: usize>(self, shares: [f64; N]) -> Option<(usize, [f64; N])> {
        let pixels = self.finish();
        let of = |share| pixels.quantile(0, share);
        (pixels.count() > 0).then(|| (pixels.count(), shares.map(of)))
    }

    fn take(&mut self, image: &[f32], width: usize) {
        let Self { pixels, near, far, .. } = self;
        let size = image.len() / pixels.channels.len();
        let before = pixels.count();
        for place in places(size, self.each) {
            pixels.take(image, size, place);
            changes(image, size, width, place, near, far);
        }
        pixels.finish_image(before);
    }

    /// The pixels that were taken.
    pub(super) fn finish(self) -> Pixels {
        let Self { mut pixels, near, far, .. } = self;
        pixels.roughness = near.iter().zip(&far).map(|(n, f)| if *f > 0.0 { n / f } else { 0.0 }).collect();
        pixels
    }
}

impl Pixels {
    /// Samples `channels` bands of each date of the samples.
    pub(super) fn sample(channels: usize, samples: &[Sample]) -> Self {
        let dates = |sample: &Sample| sample.image.len() / (channels * sample.height * sample.width).max(1);
        let mut sampler = PixelSampler::new(channels, samples.iter().map(dates).sum());
        samples.iter().for_each(|sample| sampler.add(sample));
        sampler.finish()
    }

    /// Number of pixels.
    pub(super) fn count(&self) -> usize {
        self.channels[0].len()
    }

    fn take(&mut self, image: &[f32], size: usize, place: usize) {
        if (0..self.channels.len()).all(|channel| image[channel * size + place].is_finite()) {
            for (channel, values) in self.channels.iter_mut().enumerate() {
                values.push(image[channel * size + place]);
            }
        }
    }

    fn finish_image(&mut self, before: usize) {
        if self.count() == before {
            return;
        }
        self.images += 1;
        for (values, zero) in self.channels.iter().zip(&mut self.zero_images) {
            *zero += usize::from(values[before..].iter().all(|value| *value == 0.0));
        }
    }

    /// Mean of a channel.
    pub(super) fn mean(&self, channel: usize) -> f64 {
        mean(&self.channels[channel])
    }

    /// The value of a channel that a share of its pixels does not exceed.
    pub(super) fn quantile(&self, channel: usize, share: f64) -> f64 {
        let mut values = self.channels[channel].clone();
        let index = ((values.len() - 1) as f64 * share).round() as usize;
        f64::from(*values.select_nth_unstable_by(index, f32::total_cmp).1)
    }
}

/// Mean of values; 0 if there are none.
pub(super) fn mean(values: &[f32]) -> f64 {
    values.iter().copied().map(f64::from).sum::<f64>() / values.len().max(1) as f64
}

/// Share of values that are `true`.
pub(super) fn share(flags: impl Iterator<Item = bool>) -> f64 {
    let mut yes = 0_u64;
    let mut all = 0_u64;
    for flag in flags {
        (yes, all) = (yes + u64::from(flag), all + 1);
    }
    yes as f64 / all.max(1) as f64
}

/// Positions spread evenly over an image by multiples of the golden ratio. A constant stride that divides the
/// width would hit few columns.
fn places(size: usize, count: usize) -> impl Iterator<Item = usize> {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    (0..count.min(size))
        .map(move |k| ((((k as f64 + 0.5) * GOLDEN).fract() * size as f64) as usize).min(size - 1))
}

/// Adds the changes from a pixel to its neighbour and to one further along the row, in each channel.
fn changes(image: &[f32], size: usize, width: usize, place: usize, near: &mut [f64], far: &mut [f64]) {
    if place % width + FAR >= width {
        return;
    }
    let finite = |band: &[f32]| [0, 1, FAR].iter().all(|step| band[place + step].is_finite());
    if !image.chunks_exact(size).all(finite) {
        return;
    }
    for (channel, band) in image.chunks_exact(size).enumerate() {
        near[channel] += f64::from((band[place + 1] - band[place]).abs());
        far[channel] += f64::from((band[place + FAR] - band[place]).abs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bandcheck::testing::sample;

    #[test]
    fn invalid_pixels_are_left_out_in_every_channel_and_dates_count_as_images() {
        let mut image: Vec<f32> = (0..2 * 2 * 64).map(|v| v as f32).collect();
        image[3] = f32::NAN;
        let pixels = Pixels::sample(2, &[sample(8, 8, image)]);
        assert_eq!(pixels.images, 2);
        let rows = pixels.channels[0].iter().zip(&pixels.channels[1]);
        assert!(rows.clone().all(|(a, b)| b - a == 64.0), "places agree between channels");
        assert!(rows.clone().all(|(a, _)| *a != 3.0) && rows.count() > 60);
    }

    #[test]
    fn positions_are_on_many_columns_even_if_their_number_divides_the_width() {
        let columns: std::collections::BTreeSet<_> = places(64 * 64, 64).map(|place| place % 64).collect();
        assert!(columns.len() > 30, "{columns:?}");
    }

    #[test]
    fn coarse_bands_are_smoother() {
        let at = |x: usize| [(x % 2) as f32, (x / 4 % 2) as f32];
        let image = [0, 1].map(|band| (0..256).map(|i| at(i % 16)[band]).collect::<Vec<_>>()).concat();
        let pixels = Pixels::sample(2, &[sample(16, 16, image)]);
        assert_eq!(pixels.roughness[0], 0.0, "what repeats every 2 pixels has not changed after 4");
        assert!((pixels.roughness[1] - 0.25).abs() < 0.1, "{:?}", pixels.roughness);
        assert!((pixels.quantile(0, 1.0), pixels.quantile(0, 0.0)) == (1.0, 0.0));
    }
}
