//! Samples: an image or a tile of one with its label.

use std::borrow::Cow;
use std::ops::Range;

/// Mask value of pixels without label or without data.
pub const IGNORE: u8 = 255;

/// The label of a sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// The image's class.
    Class(usize),
    /// For each class, whether the image has it.
    Classes(Vec<bool>),
    /// The class of each pixel, row-major; [`IGNORE`] where there is none.
    Mask(Vec<u8>),
    /// The value of each pixel, row-major; NaN where there is none.
    Values(Vec<f32>),
}

/// One image or tile with its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its name within the data set.
    pub key: String,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Values in the order date, band, row, column, scaled; NaN in every band where any has no data.
    pub image: Vec<f32>,
    /// Its label.
    pub target: Target,
    /// The part of it that is judged; absent if all is.
    pub judged: Option<Judged>,
}

/// The columns and rows of a tile that are judged. Other pixels are what the network sees around them: they have no label, and
/// count where another tile judges them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Its columns, counted from the tile's first.
    pub columns: Range<usize>,
    /// Its rows.
    pub rows: Range<usize>,
}

impl Judged {
    /// Takes away the labels of all other pixels of a tile of this width.
    pub(crate) fn clear_others(&self, target: &mut Target, width: usize) {
        match target {
            Target::Mask(mask) => self.fill_others(mask, width, IGNORE),
            Target::Values(values) => self.fill_others(values, width, f32::NAN),
            Target::Class(_) | Target::Classes(_) => {}
        }
    }

    fn fill_others<T: Copy>(&self, pixels: &mut [T], width: usize, with: T) {
        for (at, row) in pixels.chunks_exact_mut(width).enumerate() {
            if self.rows.contains(&at) {
                row[..self.columns.start].fill(with);
                row[self.columns.end..].fill(with);
            } else {
                row.fill(with);
            }
        }
    }
}

impl Sample {
    /// The judged pixels of a raster of its size, row-major.
    pub(crate) fn judged_of<'a, T: Copy>(&self, pixels: &'a [T]) -> Cow<'a, [T]> {
        judged_of(self.judged.as_ref(), pixels, self.width)
    }

    /// The judged values of each channel, in the order date, band.
    pub(crate) fn judged_channels(&self) -> impl Iterator<Item = Cow<'_, [f32]>> {
        self.image.chunks_exact((self.height * self.width).max(1)).map(|channel| self.judged_of(channel))
    }
}

/// The pixels of a raster of this width that are judged, row-major.
pub(crate) fn judged_of<'a, T: Copy>(judged: Option<&Judged>, pixels: &'a [T], width: usize) -> Cow<'a, [T]> {
    let Some(Judged { columns, rows }) = judged else { return Cow::Borrowed(pixels) };
    let rows = rows.clone().map(|row| &pixels[row * width..][columns.clone()]);
    Cow::Owned(rows.flatten().copied().collect())
}
