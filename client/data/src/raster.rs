//! Rasters in memory, and the limits that are checked before one is allocated.

use std::convert::Infallible;
use std::path::Path;

use crate::error::DataError;
use crate::georeference::{GeoReference, Grid};

/// A value that is a whole number which 32-bit floats hold exactly.
pub(crate) fn whole_number(value: f32) -> Option<i64> {
    /// Up to here they hold all of them.
    const EXACT: f32 = 16_777_216.0;
    (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64)
}

/// The largest file that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Width and height in pixels.
    pub side: u32,
    /// Bands.
    pub bands: u32,
    /// Decoded size: 4 bytes for each value.
    pub bytes: u64,
}

impl Default for Limits {
    /// A whole Sentinel-2 tile of ten metres with 13 bands is 6.3 GB; one with four bands fits. Imaging
    /// spectrometers have a few hundred bands.
    fn default() -> Self {
        Self { side: 32_768, bands: 1024, bytes: 2 << 30 }
    }
}

impl Limits {
    /// Width and height in pixels of a scene that is only read in windows, with a bounded number of these in memory. A scene
    /// of half a metre is then 500 km wide. Data sets have the smaller limit, since they keep a place for each of their tiles.
    pub const SCENE_SIDE: u32 = 1_000_000;

    /// Those of a scene of which only windows are read.
    #[must_use]
    pub fn of_scene() -> Self {
        Self { side: Self::SCENE_SIDE, ..Self::default() }
    }

    /// Checks declared dimensions and their product before anything is allocated.
    pub(crate) fn check(&self, path: &Path, width: u32, height: u32, bands: u32) -> Result<(), DataError> {
        self.check_shape(path, width, height, bands)?;
        self.check_size(path, "an image", "cut it into parts", [width, height, bands], 4)
    }

    /// Checks a strip or tile, which is decoded as a whole to numbers of `bytes`.
    pub(crate) fn check_chunk(
        &self,
        path: &Path,
        [width, height]: [u32; 2],
        samples: u32,
        bytes: u64,
    ) -> Result<(), DataError> {
        let remedy = "write it with smaller ones";
        self.check_size(path, "a strip or tile", remedy, [width, height, samples], bytes)
    }

    fn check_size(
        &self,
        path: &Path,
        what: &str,
        remedy: &str,
        shape: [u32; 3],
        each: u64,
    ) -> Result<(), DataError> {
        // The product saturates, since a file may declare any size of a chunk.
        let needed = shape.into_iter().map(u64::from).fold(each, u64::saturating_mul);
        let bytes = self.bytes;
        if needed > bytes {
            let found = format!("{what} may take {bytes} bytes in memory, found `{needed}`; {remedy}");
            return Err(DataError::file(path, found));
        }
        Ok(())
    }

    /// Checks declared dimensions for a file of which only windows are read.
    pub(crate) fn check_shape(
        &self,
        path: &Path,
        width: u32,
        height: u32,
        bands: u32,
    ) -> Result<(), DataError> {
        let Self { side, bands: most, bytes: _ } = *self;
        if width == 0 || height == 0 || width > side || height > side {
            let remedy = if width == 0 || height == 0 {
                "it is damaged"
            } else {
                "cut it into parts, as `gdal_translate -srcwin LEFT TOP WIDTH HEIGHT` does"
            };
            let found = format!(
                "an image may be 1 to {side} pixels wide and high where it is read so, found `{width}x{height}`; {remedy}"
            );
            return Err(DataError::file(path, found));
        }
        if bands == 0 || bands > most {
            return Err(DataError::file(
                path,
                format!("an image may have 1 to {most} bands, found `{bands}`"),
            ));
        }
        Ok(())
    }
}

/// Pixel values of all bands.
#[derive(Debug, Clone, PartialEq)]
pub struct Raster {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Number of bands.
    pub bands: usize,
    /// Values in the order band, row, column; NaN where the file has no data.
    pub data: Vec<f32>,
    /// The georeference, if the file has one.
    pub reference: Option<GeoReference>,
}

impl Raster {
    /// One band, row-major.
    #[must_use]
    pub fn band(&self, index: usize) -> &[f32] {
        let size = self.width * self.height;
        &self.data[index * size..(index + 1) * size]
    }

    /// The values inside a window, in the order band, row, column. The window must lie inside.
    #[must_use]
    pub fn window(&self, left: usize, top: usize, width: usize, height: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.bands * width * height);
        for band in 0..self.bands {
            for row in self.band(band).chunks_exact(self.width).skip(top).take(height) {
                values.extend_from_slice(&row[left..left + width]);
            }
        }
        values
    }

    /// The grid that it lies on.
    #[must_use]
    pub fn grid(&self) -> Grid {
        Grid::new(self.width, self.height, self.reference.as_ref())
    }

    /// The upper left `covered` pixels (across and down, not always whole) at another size, by default bilinear between
    /// pixel centres. A pixel without data invalidates the pixels in which it has a weight.
    #[must_use]
    pub(crate) fn resampled(&self, width: usize, height: usize, covered: [f64; 2], by: Resampling) -> Self {
        let read = |[left, top]: [usize; 2], [width, height]: [usize; 2]| {
            Ok::<_, Infallible>(self.window(left, top, width, height))
        };
        let size = [self.width, self.height];
        let window = [[0, 0], [width, height]];
        let Ok(data) = resampled_window(size, [width, height], covered, by, window, read);
        Self { width, height, bands: self.bands, data, reference: None }
    }
}

/// How a raster gets another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resampling {
    /// Between the centres of pixels.
    Bilinear,
    /// The value of the nearest pixel, for numbers that are no quantity.
    Nearest,
}

/// A window (its first column and row, its width and height) of a raster of `size` pixels at the size `to`, as
/// [`Raster::resampled`] gives the whole. `read` gives the values of a window of the raster.
pub(crate) fn resampled_window<E>(
    size: [usize; 2],
    to: [usize; 2],
    covered: [f64; 2],
    by: Resampling,
    [[left, top], [width, height]]: [[usize; 2]; 2],
    read: impl FnOnce([usize; 2], [usize; 2]) -> Result<Vec<f32>, E>,
) -> Result<Vec<f32>, E> {
    let at = |place: usize, axis: usize| {
        let from = size[axis];
        let place = (place as f32 + 0.5) * covered[axis] as f32 / to[axis] as f32 - 0.5;
        let place = place.clamp(0.0, from as f32 - 1.0);
        if by == Resampling::Nearest {
            let nearest = place.round() as usize;
            return (nearest, nearest, 0.0);
        }
        let low = place as usize;
        (low, (low + 1).min(from - 1), place - low as f32)
    };
    let columns: Vec<_> = (left..left + width).map(|x| at(x, 0)).collect();
    let rows: Vec<_> = (top..top + height).map(|y| at(y, 1)).collect();
    let first = [&columns, &rows].map(|places| places.first().map_or(0, |place| place.0));
    let last = [&columns, &rows].map(|places| places.last().map_or(0, |place| place.1));
    let needed = [0, 1].map(|axis| last[axis] + 1 - first[axis]);
    let values = read(first, needed)?;
    let mut data = Vec::with_capacity(values.len() / (needed[0] * needed[1]) * width * height);
    for band in values.chunks_exact(needed[0] * needed[1]) {
        for (above, below, down) in &rows {
            let above = &band[(above - first[1]) * needed[0]..];
            let below = &band[(below - first[1]) * needed[0]..];
            data.extend(columns.iter().map(|(before, after, across)| {
                let before = before - first[0];
                let after = after - first[0];
                mix(
                    mix(above[before], above[after], *across),
                    mix(below[before], below[after], *across),
                    *down,
                )
            }));
        }
    }
    Ok(data)
}

/// Interpolates between `a` and `b`. A NaN without weight has no effect.
fn mix(a: f32, b: f32, share: f32) -> f32 {
    if share == 0.0 { a } else { a + (b - a) * share }
}
