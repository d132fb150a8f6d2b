//! Samples: an image or a tile of one with its label.

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
}
