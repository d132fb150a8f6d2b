//! Reads and writes GeoTIFF: any number of bands, integers and floats, strips and tiles, interleaved or
//! planar, with the tags of the georeference kept as they are.

mod accept;
mod band_names;
mod chunks;
mod codec;
mod complex;
mod decode;
mod directory;
mod formats;
mod head;
mod items;
mod map;
mod map_layout;
mod map_tags;
mod mask;
mod metadata;
mod nodata;
mod numbers;
mod overviews;
mod packed;
mod pixels;
mod predictor;
mod reader;
mod refused;
mod source;
mod stated;
mod values;

use std::io::{BufWriter, Seek, Write};
use std::path::Path;

use eosfed_common::files::folder_of;

#[cfg(feature = "gdal")]
pub(crate) use accept::INDICES;
pub(crate) use accept::Role;
pub(crate) use band_names::{BandName, wavelength};
pub use complex::Complex;
pub use formats::Format;
#[cfg(feature = "gdal")]
pub(crate) use formats::GREY;
pub(crate) use formats::tiff_formats;
pub(crate) use items::unkept;
pub use map::{WrittenFile, unwritable, write_map, write_public};
pub use map_layout::{MAP_TILE, MapBand, MapKind, MapLayout, PutTile};
pub(crate) use mask::hide;
pub(crate) use metadata::{Baseline, MERGE, Metadata, check_beside};
pub(crate) use nodata::Nodata;
pub use numbers::BaselineOffset;
pub(crate) use numbers::Numbers;
#[cfg(feature = "gdal")]
pub(crate) use pixels::unheld;
pub use reader::GeoTiff;
#[cfg(feature = "gdal")]
pub(crate) use reader::reference_in;
#[cfg(feature = "gdal")]
pub(crate) use refused::Refused;
pub(crate) use refused::{LOSSY, REWRITE, conversion};
pub use stated::FileScaling;
pub(crate) use stated::{Stated, StatedBand};
use tiff::TiffError;
use tiff::encoder::{DirectoryEncoder, TiffEncoder, TiffKind, TiffValue};
use tiff::tags::Tag;
#[cfg(feature = "gdal")]
pub(crate) use values::{Kind, Rows, Values};

use crate::error::DataError;
use crate::georeference::GeoReference;
use crate::raster::Raster;

/// Writes 32-bit float bands as an uncompressed planar GeoTIFF. NaN is declared as nodata. The file is
/// written atomically.
///
/// # Errors
/// If the file cannot be written or is larger than TIFF allows.
pub fn write_geotiff(path: &Path, raster: &Raster) -> Result<(), DataError> {
    write_described(path, raster, &Metadata::default())
}

/// The same, with what there is to say of its bands and its baseline.
///
/// # Errors
/// As [`write_geotiff`].
pub(crate) fn write_described(path: &Path, raster: &Raster, metadata: &Metadata) -> Result<(), DataError> {
    let file =
        tempfile::NamedTempFile::new_in(folder_of(path)).map_err(|error| DataError::file(path, error))?;
    encode(BufWriter::new(file.as_file()), raster, metadata).map_err(|error| DataError::file(path, error))?;
    file.persist(path).map_err(|error| DataError::file(path, error.error))?;
    Ok(())
}

fn encode<W: Write + Seek>(writer: W, raster: &Raster, metadata: &Metadata) -> Result<(), TiffError> {
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
    if let Some(items) = metadata.xml() {
        directory.write_tag(Tag::Unknown(metadata::GDAL_METADATA), &items[..])?;
    }
    if let Some(reference) = &raster.reference {
        write_reference(&mut directory, reference)?;
    }
    directory.finish()
}

/// Takes the tags of an image.
trait PutTag {
    fn put_tag<T: TiffValue>(&mut self, tag: Tag, value: T) -> Result<(), TiffError>;
}

impl<W: Write + Seek, K: TiffKind> PutTag for DirectoryEncoder<'_, W, K> {
    fn put_tag<T: TiffValue>(&mut self, tag: Tag, value: T) -> Result<(), TiffError> {
        self.write_tag(tag, value)
    }
}

impl PutTag for head::ImageTags {
    fn put_tag<T: TiffValue>(&mut self, tag: Tag, value: T) -> Result<(), TiffError> {
        self.put(tag, value);
        Ok(())
    }
}

fn write_reference(tags: &mut impl PutTag, reference: &GeoReference) -> Result<(), TiffError> {
    let GeoReference { pixel_scale, tie_point, transformation, keys, doubles, text } = reference;
    for (tag, values) in [
        (Tag::ModelPixelScaleTag, pixel_scale),
        (Tag::ModelTiepointTag, tie_point),
        (Tag::ModelTransformationTag, transformation),
        (Tag::GeoDoubleParamsTag, doubles),
    ] {
        if !values.is_empty() {
            tags.put_tag(tag, &values[..])?;
        }
    }
    if !keys.is_empty() {
        tags.put_tag(Tag::GeoKeyDirectoryTag, &keys[..])?;
    }
    if !text.is_empty() {
        tags.put_tag(Tag::GeoAsciiParamsTag, text.as_str())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
