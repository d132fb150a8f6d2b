//! Reading image files of all supported kinds: GeoTIFF, PNG and JPEG, and what GDAL reads in a build with it.

use std::io::{BufReader, Read as _};
use std::path::Path;

use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader};

use crate::error::DataError;
use crate::gdal_file::FileKind;
use crate::georeference::Grid;
use crate::geotiff::{LOSSY, MERGE, Numbers, REWRITE, Role, check_beside, conversion};
use crate::image_file::ImageFile;
use crate::jpeg::{Colours, JpegError, check_stream, decode, has_mask_behind};
use crate::open::open_regular;
use crate::raster::{Limits, Raster};
use crate::stored::read_stored;

/// Reads an image file of any supported kind, which its first bytes identify. Indexed colours of a PNG file
/// become red, green, blue and, where the file has it, opacity, and a grey one with fewer than eight bits gives the numbers
/// as they are stored; a GeoTIFF file with indexed colours is refused, and so is one that states a scale or an offset of its
/// bands.
///
/// # Errors
/// If the file cannot be read, is damaged, is of another kind, or exceeds `limits`.
pub fn read_raster(path: &Path, limits: &Limits) -> Result<Raster, DataError> {
    read_as(FileKind::of(path)?, Role::Image, path, limits, Numbers::default())
}

fn read_as(
    kind: FileKind,
    role: Role,
    path: &Path,
    limits: &Limits,
    numbers: Numbers,
) -> Result<Raster, DataError> {
    if matches!(kind, FileKind::Jpeg | FileKind::Png) {
        check_beside(path)?;
    }
    match kind {
        FileKind::GeoTiff | FileKind::Gdal(_) => {
            ImageFile::of_kind(kind, role, path, limits, numbers)?.whole(limits)
        }
        FileKind::Jpeg if role == Role::Labels => Err(DataError::file(path, LOSSY)),
        FileKind::Jpeg => read_jpeg(path, limits),
        FileKind::Png => match read_stored(role, path, limits)? {
            Some(stored) => Ok(stored),
            None => read_png(path, limits),
        },
        FileKind::Unknown => Err(DataError::file(path, "not a GeoTIFF, PNG or JPEG file")),
    }
}

/// Reads a PNG file.
fn read_png(path: &Path, limits: &Limits) -> Result<Raster, DataError> {
    let mut reader = ImageReader::with_format(BufReader::new(open_regular(path)?), ImageFormat::Png);
    let mut allowed = image::Limits::default();
    allowed.max_image_width = Some(limits.side);
    allowed.max_image_height = Some(limits.side);
    allowed.max_alloc = Some(limits.bytes);
    reader.limits(allowed);
    let fail = |error| DataError::file(path, error);
    let decoder = reader.into_decoder().map_err(fail)?;
    // Checks the header before a pixel is decoded.
    let (width, height) = decoder.dimensions();
    limits.check(path, width, height, u32::from(decoder.color_type().channel_count()))?;
    Ok(from_image(&DynamicImage::from_decoder(decoder).map_err(fail)?))
}

/// Reads a JPEG file: grey, or red, green and blue.
fn read_jpeg(path: &Path, limits: &Limits) -> Result<Raster, DataError> {
    let fail = |error| DataError::file(path, error);
    let file = open_regular(path)?;
    let length = file.metadata().map_err(fail)?.len();
    if length > limits.bytes {
        let found = format!("a JPEG file may take {} bytes, found `{length}`", limits.bytes);
        return Err(DataError::file(path, found));
    }
    let mut stream = Vec::new();
    file.take(limits.bytes).read_to_end(&mut stream).map_err(fail)?;
    let refuse = |error: JpegError| match error {
        JpegError::Unsupported(sentence) => {
            let remedy = conversion(REWRITE, path);
            DataError::file(path, format!("{sentence}; {remedy}"))
        }
        JpegError::Damaged(sentence) => DataError::file(path, sentence),
    };
    let frame = check_stream(&stream).map_err(refuse)?;
    if has_mask_behind(&stream) {
        let remedy = conversion(MERGE, path);
        return Err(DataError::file(
            path,
            format!("a mask of missing pixels follows its stream, which is not read; {remedy}"),
        ));
    }
    let width = frame.width;
    let height = frame.height;
    let bands = frame.channels(Colours::Shown);
    limits.check(path, width.into(), height.into(), bands.into())?;
    let pixels = decode(&stream, Colours::Shown).map_err(refuse)?;
    let interleaved: Vec<f32> = pixels.into_iter().map(f32::from).collect();
    let bands = usize::from(bands);
    let data = sequential(&interleaved, bands);
    Ok(Raster { width: width.into(), height: height.into(), bands, data, reference: None })
}

/// Reads a mask: like [`read_raster`], but a PNG or GeoTIFF file with indexed colours gives the indices.
///
/// # Errors
/// Like [`read_raster`].
pub fn read_labels(path: &Path, limits: &Limits) -> Result<Raster, DataError> {
    read_as(FileKind::of(path)?, Role::Labels, path, limits, Numbers::default())
}

/// The grid that a file lies on; for a GeoTIFF no pixel is read.
///
/// # Errors
/// Like [`read_raster`].
pub(crate) fn read_grid(path: &Path, limits: &Limits) -> Result<Grid, DataError> {
    match ImageFile::with_windows(Role::Labels, path, limits, Numbers::STORED)? {
        Some(file) => Ok(file.grid()),
        None => Ok(read_raster(path, limits)?.grid()),
    }
}

/// Channel-interleaved pixels to band-sequential values. Values stay in the file's own units.
fn from_image(decoded: &DynamicImage) -> Raster {
    let width = decoded.width() as usize;
    let height = decoded.height() as usize;
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
        picture.save_with_format(&path, ImageFormat::Png).unwrap();
        let raster = read_raster(&path, &Limits::default()).unwrap();
        assert_eq!((raster.width, raster.height, raster.bands), (4, 3, 3));
        assert_eq!(raster.band(0)[..4], [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(raster.band(2), [9.0; 12]);
        assert_eq!(raster.window(1, 1, 2, 1), [1.0, 2.0, 1.0, 1.0, 9.0, 9.0]);
        let small = Limits { side: 3, ..Limits::default() };
        assert!(read_raster(&path, &small).is_err());
        let jpeg = folder.path().join("x.jpg");
        picture.save_with_format(&jpeg, ImageFormat::Jpeg).unwrap();
        assert_eq!(read_raster(&jpeg, &Limits::default()).unwrap().bands, 3);
    }

    /// Found by fuzzing: pixels were decoded up to the limit before the values were found not to fit.
    #[test]
    fn limits_are_checked_before_a_pixel_is_decoded() {
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
        for name in ["x.tif", "x.png", "x.jpg", "x"] {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            let error = read_raster(&path, &Limits::default()).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("is empty: it has 0 bytes"), "{error}");
        }
    }
}
