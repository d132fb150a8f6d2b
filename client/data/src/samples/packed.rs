//! A sample in its narrowest form: whole numbers from 0 to 255 or to 65,535 as they are in the files, or 32-bit
//! floats where the values need them.

use crate::sample::{Sample, Target};

/// The values of all dates and bands of an image, in the order date, band, row, column.
#[derive(Debug, Clone, PartialEq)]
pub enum Pixels {
    /// Whole numbers up to 255.
    U8(Vec<u8>),
    /// Whole numbers up to 65,535.
    U16(Vec<u16>),
    /// Any values; NaN where there is no data.
    F32(Vec<f32>),
}

/// A sample whose values are not scaled yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Packed {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Its values, as in the files.
    pub pixels: Pixels,
    /// For whole numbers: 1 for each pixel (row-major) without data, and 0 for the others; absent if all have
    /// data.
    pub invalid: Option<Vec<u8>>,
    /// Its label.
    pub target: Target,
}

impl Pixels {
    /// Number of values.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::F32(values) => values.len(),
        }
    }

    /// Whether there are no values.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Packed {
    /// A sample with the values of its files, NaN where there is no data.
    #[must_use]
    pub fn new(sample: Sample) -> Self {
        let Sample { key: _, height, width, image, target, judged: _ } = sample;
        let Some(largest) = largest(&image) else {
            return Self { height, width, pixels: Pixels::F32(image), invalid: None, target };
        };
        // What is invalid in one band is so in all.
        let missing = |value: &f32| u8::from(value.is_nan());
        let invalid: Vec<u8> = image.iter().take(height * width).map(missing).collect();
        let pixels = if largest <= f32::from(u8::MAX) {
            Pixels::U8(image.into_iter().map(|value| value as u8).collect())
        } else {
            Pixels::U16(image.into_iter().map(|value| value as u16).collect())
        };
        Self { height, width, pixels, invalid: invalid.contains(&1).then_some(invalid), target }
    }

    /// Its values as 32-bit floats, NaN where there is no data.
    #[must_use]
    pub fn values(&self) -> Vec<f32> {
        let mut values: Vec<f32> = match &self.pixels {
            Pixels::U8(values) => values.iter().map(|value| f32::from(*value)).collect(),
            Pixels::U16(values) => values.iter().map(|value| f32::from(*value)).collect(),
            Pixels::F32(values) => return values.clone(),
        };
        if let Some(invalid) = &self.invalid {
            for band in values.chunks_exact_mut(invalid.len().max(1)) {
                band.iter_mut()
                    .zip(invalid)
                    .filter(|(_, bad)| **bad != 0)
                    .for_each(|(value, _)| *value = f32::NAN);
            }
        }
        values
    }

    /// Dates times bands.
    #[must_use]
    pub const fn channels(&self) -> usize {
        match self.height * self.width {
            0 => 0,
            size => self.pixels.len() / size,
        }
    }
}

/// The largest value, if all are missing or whole numbers from 0 to 65,535.
fn largest(values: &[f32]) -> Option<f32> {
    let mut largest = 0.0_f32;
    for value in values.iter().filter(|value| !value.is_nan()) {
        if !(0.0..=f32::from(u16::MAX)).contains(value) || value.fract() != 0.0 {
            return None;
        }
        largest = largest.max(*value);
    }
    Some(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(image: Vec<f32>) -> Packed {
        let sample = Sample {
            key: "s".to_owned(),
            height: 1,
            width: 2,
            image,
            target: Target::Class(1),
            judged: None,
        };
        Packed::new(sample)
    }

    #[test]
    fn values_take_the_narrowest_form_that_keeps_them() {
        assert_eq!(packed(vec![0.0, 255.0, 3.0, 4.0]).pixels, Pixels::U8(vec![0, 255, 3, 4]));
        assert_eq!(packed(vec![0.0, 256.0]).pixels, Pixels::U16(vec![0, 256]));
        for wide in [-1.0, 0.5, 65_536.0, f32::INFINITY] {
            assert_eq!(packed(vec![wide, 1.0]).pixels, Pixels::F32(vec![wide, 1.0]));
        }
    }

    #[test]
    fn pixels_without_data_come_back() {
        let image = vec![f32::NAN, 7.0, f32::NAN, 65_535.0];
        let found = packed(image.clone());
        assert_eq!((&found.pixels, &found.invalid), (&Pixels::U16(vec![0, 7, 0, 65_535]), &Some(vec![1, 0])));
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(found.values()), bits(image));
        assert_eq!((found.channels(), packed(vec![1.0, 2.0]).invalid), (2, None));
    }
}
