//! Synthetic images with a few physical regularities, for tests without imagery.

use super::NamedBand;
use crate::sample::{Sample, Target};

/// A sample of one class.
pub(super) fn sample(height: usize, width: usize, image: Vec<f32>) -> Sample {
    Sample { key: "a".to_owned(), height, width, image, target: Target::Class(0), judged: None }
}

/// Bands that the table knows.
pub(super) fn bands(names: &str) -> Vec<NamedBand> {
    names.split_whitespace().map(NamedBand::of).collect()
}

/// Images of one row of pixels each: `value` gives a channel's value from the number of the pixel
/// and two numbers between 0 and 1 that are always the same for it.
pub(super) fn images(channels: usize, value: impl Fn(usize, [f32; 2]) -> f32) -> Vec<Sample> {
    (0..20)
        .map(|image| {
            let at = |channel, x| {
                let pixel = (image * 64 + x) as f32;
                value(channel, [(pixel * 0.618_034).fract(), (pixel * 0.754_878).fract()])
            };
            sample(
                1,
                64,
                (0..channels).flat_map(|c| (0..64).map(move |x| (c, x))).map(|(c, x)| at(c, x)).collect(),
            )
        })
        .collect()
}
