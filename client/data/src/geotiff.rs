//! GeoTIFF in and out: any number of bands, integers and floats, strips and tiles, interleaved or
//! planar, with the georeference carried through as the tags that hold it.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, Write};
use std::path::Path;

use tiff::decoder::{Decoder, DecodingResult};
use tiff::encoder::TiffEncoder;
use tiff::tags::Tag;

use crate::error::DataError;
use crate::raster::{Limits, Raster};

/// The tags that say where on Earth a raster lies (OGC GeoTIFF 1.1, section 7), kept as they are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GeoReference {
    /// Pixel size in units of the reference system: x, y, z.
    pub pixel_scale: Vec<f64>,
    /// Pixel coordinates and their model coordinates, six numbers a point.
    pub tie_point: Vec<f64>,
    /// Affine transformation, 16 numbers; instead of the two above.
    pub transformation: Vec<f64>,
    /// Keys of the reference system.
    pub keys: Vec<u16>,
    /// Floating-point parameters of the keys.
    pub doubles: Vec<f64>,
    /// Text parameters of the keys.
    pub text: String,
}

impl GeoReference {
    /// The reference of a window whose upper left pixel is (`left`, `top`).
    #[must_use]
    pub fn shifted(&self, left: f64, top: f64) -> Self {
        let mut moved = self.clone();
        for point in moved.tie_point.chunks_exact_mut(6) {
            point[0] -= left;
            point[1] -= top;
        }
        if let [a, b, _, tx, e, f, _, ty, ..] = &mut moved.transformation[..] {
            *tx += *a * left + *b * top;
            *ty += *e * left + *f * top;
        }
        moved
    }
}

/// Reads a GeoTIFF. Pixels with the file's GDAL_NODATA value become NaN.
pub(crate) fn read_geotiff(path: &Path, limits: &Limits) -> Result<Raster, DataError> {
    let file = File::open(path).map_err(|error| DataError::file(path, error))?;
    let fail = |error: tiff::TiffError| DataError::file(path, error);
    let mut allowed = tiff::decoder::Limits::default();
    let bytes = usize::try_from(limits.bytes).unwrap_or(usize::MAX);
    (allowed.decoding_buffer_size, allowed.intermediate_buffer_size) = (bytes, bytes);
    let mut decoder = Decoder::new(BufReader::new(file)).map_err(fail)?.with_limits(allowed);
    let (width, height) = decoder.dimensions().map_err(fail)?;
    let bands = decoder.find_tag_unsigned::<u32>(Tag::SamplesPerPixel).map_err(fail)?.unwrap_or(1);
    limits.check(path, width, height, bands)?;
    let mut raster = Raster {
        width: width as usize,
        height: height as usize,
        bands: bands as usize,
        data: vec![f32::NAN; width as usize * height as usize * bands as usize],
        reference: reference(&mut decoder),
    };
    read_chunks(path, &mut decoder, &mut raster)?;
    let nodata = decoder.get_tag_ascii_string(Tag::GdalNodata).ok();
    if let Some(nodata) = nodata.and_then(|text| text.trim_matches(['\0', ' ']).parse::<f64>().ok()) {
        let nodata = nodata as f32;
        raster.data.iter_mut().filter(|value| **value == nodata).for_each(|value| *value = f32::NAN);
    }
    Ok(raster)
}

fn read_chunks<R: std::io::Read + Seek>(
    path: &Path,
    decoder: &mut Decoder<R>,
    raster: &mut Raster,
) -> Result<(), DataError> {
    const PLANAR: u16 = 2;
    let fail = |error: tiff::TiffError| DataError::file(path, error);
    let planar = decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).map_err(fail)? == Some(PLANAR);
    let (chunk_width, chunk_height) = decoder.chunk_dimensions();
    let across = raster.width.div_ceil(chunk_width.max(1) as usize);
    let down = raster.height.div_ceil(chunk_height.max(1) as usize);
    let (planes, samples) = if planar { (raster.bands, 1) } else { (1, raster.bands) };
    for plane in 0..planes {
        for index in 0..across * down {
            let chunk = u32::try_from(plane * across * down + index).unwrap_or(u32::MAX);
            let (w, h) = decoder.chunk_data_dimensions(chunk % (across * down) as u32);
            let values = floats(decoder.read_chunk(chunk).map_err(fail)?);
            let (w, h) = (w as usize, h as usize);
            if values.len() < w * h * samples {
                let found =
                    format!("chunk {chunk} should hold {} values, found `{}`", w * h * samples, values.len());
                return Err(DataError::file(path, found));
            }
            let left = index % across * chunk_width as usize;
            let top = index / across * chunk_height as usize;
            for sample in 0..samples {
                let base = (plane + sample) * raster.width * raster.height;
                for y in 0..h {
                    let start = base + (top + y) * raster.width + left;
                    let row = values[y * w * samples..].iter().skip(sample).step_by(samples);
                    raster.data[start..start + w].iter_mut().zip(row).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }
    Ok(())
}

fn floats(decoded: DecodingResult) -> Vec<f32> {
    match decoded {
        DecodingResult::U8(v) => v.into_iter().map(f32::from).collect(),
        DecodingResult::U16(v) => v.into_iter().map(f32::from).collect(),
        DecodingResult::U32(v) => v.into_iter().map(|x| x as f32).collect(),
        DecodingResult::U64(v) => v.into_iter().map(|x| x as f32).collect(),
        DecodingResult::I8(v) => v.into_iter().map(f32::from).collect(),
        DecodingResult::I16(v) => v.into_iter().map(f32::from).collect(),
        DecodingResult::I32(v) => v.into_iter().map(|x| x as f32).collect(),
        DecodingResult::I64(v) => v.into_iter().map(|x| x as f32).collect(),
        DecodingResult::F16(v) => v.into_iter().map(f32::from).collect(),
        DecodingResult::F32(v) => v,
        DecodingResult::F64(v) => v.into_iter().map(|x| x as f32).collect(),
    }
}

fn reference<R: std::io::Read + Seek>(decoder: &mut Decoder<R>) -> Option<GeoReference> {
    let mut doubles = |tag| decoder.get_tag_f64_vec(tag).unwrap_or_default();
    let found = GeoReference {
        pixel_scale: doubles(Tag::ModelPixelScaleTag),
        tie_point: doubles(Tag::ModelTiepointTag),
        transformation: doubles(Tag::ModelTransformationTag),
        doubles: doubles(Tag::GeoDoubleParamsTag),
        keys: decoder.get_tag_u16_vec(Tag::GeoKeyDirectoryTag).unwrap_or_default(),
        text: decoder.get_tag_ascii_string(Tag::GeoAsciiParamsTag).unwrap_or_default(),
    };
    let known = !(found.keys.is_empty() && found.pixel_scale.is_empty() && found.transformation.is_empty());
    known.then_some(found)
}

/// Writes 32-bit float bands as an uncompressed planar GeoTIFF. NaN is declared as nodata. The file
/// appears whole or not at all.
///
/// # Errors
/// If the file cannot be written or is larger than TIFF allows.
pub fn write_geotiff(path: &Path, raster: &Raster) -> Result<(), DataError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder).map_err(|error| DataError::file(path, error))?;
    encode(BufWriter::new(file.as_file()), raster).map_err(|error| DataError::file(path, error))?;
    file.persist(path).map_err(|error| DataError::file(path, error.error))?;
    Ok(())
}

fn encode<W: Write + Seek>(writer: W, raster: &Raster) -> Result<(), tiff::TiffError> {
    const BLACK_IS_ZERO: u16 = 1;
    const PLANAR: u16 = 2;
    const FLOAT: u16 = 3;
    let mut encoder = TiffEncoder::new(writer)?;
    let mut directory = encoder.image_directory()?;
    let bands = raster.bands;
    let mut offsets = Vec::with_capacity(bands);
    for band in 0..bands {
        offsets.push(u32::try_from(directory.write_data(raster.band(band))?)?);
    }
    let strip = u32::try_from(raster.width * raster.height * 4)?;
    directory.write_tag(Tag::ImageWidth, u32::try_from(raster.width)?)?;
    directory.write_tag(Tag::ImageLength, u32::try_from(raster.height)?)?;
    directory.write_tag(Tag::BitsPerSample, &vec![32_u16; bands][..])?;
    directory.write_tag(Tag::Compression, 1_u16)?;
    directory.write_tag(Tag::PhotometricInterpretation, BLACK_IS_ZERO)?;
    directory.write_tag(Tag::StripOffsets, &offsets[..])?;
    directory.write_tag(Tag::SamplesPerPixel, u16::try_from(bands)?)?;
    directory.write_tag(Tag::RowsPerStrip, u32::try_from(raster.height)?)?;
    directory.write_tag(Tag::StripByteCounts, &vec![strip; bands][..])?;
    directory.write_tag(Tag::PlanarConfiguration, PLANAR)?;
    directory.write_tag(Tag::SampleFormat, &vec![FLOAT; bands][..])?;
    if bands > 1 {
        directory.write_tag(Tag::ExtraSamples, &vec![0_u16; bands - 1][..])?;
    }
    directory.write_tag(Tag::GdalNodata, "nan")?;
    if let Some(reference) = &raster.reference {
        let GeoReference { pixel_scale, tie_point, transformation, keys, doubles, text } = reference;
        for (tag, values) in [
            (Tag::ModelPixelScaleTag, pixel_scale),
            (Tag::ModelTiepointTag, tie_point),
            (Tag::ModelTransformationTag, transformation),
            (Tag::GeoDoubleParamsTag, doubles),
        ] {
            if !values.is_empty() {
                directory.write_tag(tag, &values[..])?;
            }
        }
        if !keys.is_empty() {
            directory.write_tag(Tag::GeoKeyDirectoryTag, &keys[..])?;
        }
        if !text.is_empty() {
            directory.write_tag(Tag::GeoAsciiParamsTag, text.as_str())?;
        }
    }
    directory.finish()
}

#[cfg(test)]
mod tests;
