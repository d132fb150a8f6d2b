//! Rasters in memory and the one door through which image files are read: GeoTIFF, PNG and JPEG,
//! with limits that hold before anything is allocated.

use std::path::Path;

use image::{DynamicImage, ImageDecoder as _, ImageReader};

use crate::error::DataError;
use crate::geotiff::{GeoReference, read_geotiff};
use crate::stored::read_stored;

/// What a file may at most ask for.
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
    /// A whole Sentinel-2 tile of ten metres with 13 bands is 6.3 GB; one with four bands fits.
    fn default() -> Self {
        Self { side: 32_768, bands: 64, bytes: 2 << 30 }
    }
}

impl Limits {
    /// Checks declared dimensions and their product before they are believed.
    pub(crate) fn check(&self, path: &Path, width: u32, height: u32, bands: u32) -> Result<(), DataError> {
        self.check_shape(path, width, height, bands)?;
        self.check_size(path, "an image", "cut it into parts", [width, height, bands])
    }

    /// Checks the part of a strip or tile that lies inside the image: one is decoded as a whole.
    pub(crate) fn check_chunk(
        &self,
        path: &Path,
        width: u32,
        height: u32,
        samples: u32,
    ) -> Result<(), DataError> {
        self.check_size(path, "a strip or tile", "write it with smaller ones", [width, height, samples])
    }

    fn check_size(&self, path: &Path, what: &str, remedy: &str, shape: [u32; 3]) -> Result<(), DataError> {
        // Saturating: the sides of a chunk are whatever the file says.
        let needed = shape.into_iter().map(u64::from).fold(4_u64, u64::saturating_mul);
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
            let found = format!("an image may be 1 to {side} pixels wide and high, found `{width}x{height}`");
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
    /// Where on Earth it lies, when the file says so.
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
}

impl Raster {
    /// Another size, bilinear between pixel centres; a pixel without data spoils those it would weigh in.
    #[must_use]
    pub fn resampled(&self, width: usize, height: usize) -> Self {
        let at = |to: usize, from: usize, len: usize| {
            let place = ((to as f32 + 0.5) * from as f32 / len as f32 - 0.5).clamp(0.0, from as f32 - 1.0);
            let low = place as usize;
            (low, (low + 1).min(from - 1), place - low as f32)
        };
        let columns: Vec<_> = (0..width).map(|x| at(x, self.width, width)).collect();
        let mut data = Vec::with_capacity(self.bands * width * height);
        for band in 0..self.bands {
            let values = self.band(band);
            for y in 0..height {
                let (top, bottom, down) = at(y, self.height, height);
                let (top, bottom) = (&values[top * self.width..], &values[bottom * self.width..]);
                data.extend(columns.iter().map(|(left, right, across)| {
                    let upper = mix(top[*left], top[*right], *across);
                    mix(upper, mix(bottom[*left], bottom[*right], *across), down)
                }));
            }
        }
        Self { width, height, bands: self.bands, data, reference: None }
    }
}

/// Between `a` and `b`; what has no weight cannot spoil it.
fn mix(a: f32, b: f32, share: f32) -> f32 {
    if share == 0.0 { a } else { a + (b - a) * share }
}

/// Reads an image file of any supported kind, told by its first bytes. Indexed colours become red,
/// green, blue and, where the file has it, opacity.
///
/// # Errors
/// If the file cannot be read, is damaged, is of another kind, or exceeds `limits`.
pub fn read_raster(path: &Path, limits: &Limits) -> Result<Raster, DataError> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let mut reader = reader.map_err(|error| DataError::file(path, error))?;
    match reader.format() {
        Some(image::ImageFormat::Tiff) => read_geotiff(path, limits),
        Some(image::ImageFormat::Png | image::ImageFormat::Jpeg) => {
            let mut allowed = image::Limits::default();
            (allowed.max_image_width, allowed.max_image_height) = (Some(limits.side), Some(limits.side));
            allowed.max_alloc = Some(limits.bytes);
            reader.limits(allowed);
            let fail = |error| DataError::file(path, error);
            let decoder = reader.into_decoder().map_err(fail)?;
            // By what the header says, before a pixel is decoded.
            let ((width, height), bands) = (decoder.dimensions(), decoder.color_type().channel_count());
            limits.check(path, width, height, u32::from(bands))?;
            Ok(from_image(&DynamicImage::from_decoder(decoder).map_err(fail)?))
        }
        _ => Err(DataError::file(path, "not a GeoTIFF, PNG or JPEG file")),
    }
}

/// Reads a mask: like [`read_raster`], but of PNG files with indexed colours the indices, and of grey
/// ones with fewer than eight bits the numbers as they are stored.
///
/// # Errors
/// Like [`read_raster`].
pub fn read_labels(path: &Path, limits: &Limits) -> Result<Raster, DataError> {
    read_stored(path, limits)?.map_or_else(|| read_raster(path, limits), Ok)
}

/// Channel-interleaved pixels to band-sequential values. Values stay in the file's own units.
fn from_image(decoded: &DynamicImage) -> Raster {
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    let bands = usize::from(decoded.color().channel_count());
    let interleaved: Vec<f32> = match decoded {
        DynamicImage::ImageLuma8(p) => p.as_raw().iter().map(|v| f32::from(*v)).collect(),
        DynamicImage::ImageLumaA8(p) => p.as_raw().iter().map(|v| f32::from(*v)).collect(),
        DynamicImage::ImageRgb8(p) => p.as_raw().iter().map(|v| f32::from(*v)).collect(),
        DynamicImage::ImageRgba8(p) => p.as_raw().iter().map(|v| f32::from(*v)).collect(),
        DynamicImage::ImageLuma16(p) => p.as_raw().iter().map(|v| f32::from(*v)).collect(),
        DynamicImage::ImageLumaA16(p) => p.as_raw().iter().map(|v| f32::from(*v)).collect(),
        DynamicImage::ImageRgb16(p) => p.as_raw().iter().map(|v| f32::from(*v)).collect(),
        DynamicImage::ImageRgba16(p) => p.as_raw().iter().map(|v| f32::from(*v)).collect(),
        other => other.to_rgb32f().into_raw(),
    };
    Raster { width, height, bands, data: sequential(&interleaved, bands), reference: None }
}

/// Reorders pixel-interleaved values by band.
pub(crate) fn sequential(interleaved: &[f32], bands: usize) -> Vec<f32> {
    (0..bands).flat_map(|band| interleaved.iter().skip(band).step_by(bands).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn png_and_jpeg_are_read_by_content_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rgb.dat");
        let picture = image::RgbImage::from_fn(4, 3, |x, y| image::Rgb([x as u8, y as u8, 9]));
        picture.save_with_format(&path, image::ImageFormat::Png).unwrap();
        let raster = read_raster(&path, &Limits::default()).unwrap();
        assert_eq!((raster.width, raster.height, raster.bands), (4, 3, 3));
        assert_eq!(raster.band(0)[..4], [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(raster.band(2), [9.0; 12]);
        assert_eq!(raster.window(1, 1, 2, 1), [1.0, 2.0, 1.0, 1.0, 9.0, 9.0]);
        let small = Limits { side: 3, ..Limits::default() };
        assert!(read_raster(&path, &small).is_err());
        let jpeg = folder.path().join("x.jpg");
        picture.save_with_format(&jpeg, image::ImageFormat::Jpeg).unwrap();
        assert_eq!(read_raster(&jpeg, &Limits::default()).unwrap().bands, 3);
    }

    /// Found by fuzzing: pixels were decoded up to the limit before the values were found not to fit.
    #[test]
    fn the_header_decides_before_a_pixel_is_decoded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.png");
        image::GrayImage::new(64, 64).save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let pixels = bytes.windows(4).position(|name| name == b"IDAT").unwrap();
        std::fs::write(&path, [&bytes[..pixels + 4], &[0xff; 20]].concat()).unwrap();
        let said =
            |bytes: u64| read_raster(&path, &Limits { bytes, ..Limits::default() }).unwrap_err().to_string();
        assert!(said(64 * 64 * 4 - 1).contains("an image may take 16383 bytes"), "{}", said(64 * 64 * 4 - 1));
        assert!(!said(64 * 64 * 4).contains("may take"), "the damaged pixels are the next to be found");
    }

    #[test]
    fn other_files_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.dat");
        std::fs::write(&path, "hello").unwrap();
        let error = read_raster(&path, &Limits::default()).unwrap_err().to_string();
        assert!(error.contains("notes.dat") && error.contains("not a GeoTIFF"), "{error}");
        assert!(read_raster(&folder.path().join("none.tif"), &Limits::default()).is_err());
    }
}
