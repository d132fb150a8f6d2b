//! The numbers of a band in their own type.

use gdal::errors::GdalError;
use gdal::raster::{GdalType, RasterBand};

use crate::geotiff::{Kind, Nodata, Values};

/// How the numbers of a band are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BandNumbers {
    U8,
    /// Signed bytes of GDAL before 3.7, which gives them as unsigned ones.
    SignedByte,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl BandNumbers {
    /// Of a band.
    ///
    /// # Errors
    /// With GDAL's name of the type, if it is none of these.
    pub(super) fn of(band: &RasterBand<'_>) -> Result<Self, String> {
        use gdal::Metadata as _;
        let signed = || {
            let kind = band.metadata_item("PIXELTYPE", "IMAGE_STRUCTURE");
            kind.is_some_and(|kind| kind.eq_ignore_ascii_case("SIGNEDBYTE"))
        };
        match band.band_type().name().as_str() {
            "Byte" if signed() => Ok(Self::SignedByte),
            "Byte" => Ok(Self::U8),
            "UInt16" => Ok(Self::U16),
            // The wider type holds all numbers of the narrower one.
            "Int8" | "Int16" => Ok(Self::I16),
            "UInt32" => Ok(Self::U32),
            "Int32" => Ok(Self::I32),
            "UInt64" => Ok(Self::U64),
            "Int64" => Ok(Self::I64),
            "Float32" => Ok(Self::F32),
            "Float64" => Ok(Self::F64),
            // The library's binding has no name for complex numbers.
            "Unknown" | "" => Err("complex numbers, or a type that is not known".to_owned()),
            other => Err(other.to_owned()),
        }
    }

    /// The type in memory.
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::U8 => Kind::U8,
            Self::SignedByte => Kind::I8,
            Self::U16 => Kind::U16,
            Self::I16 => Kind::I16,
            Self::U32 => Kind::U32,
            Self::I32 => Kind::I32,
            Self::U64 => Kind::U64,
            Self::I64 => Kind::I64,
            Self::F32 => Kind::F32,
            Self::F64 => Kind::F64,
        }
    }

    /// The value that marks missing pixels of a band, in full.
    ///
    /// # Errors
    /// With the value, if it is no number.
    pub(super) fn nodata(self, band: &RasterBand<'_>) -> Result<Option<Nodata>, String> {
        let text = match self {
            Self::U64 => band.no_data_value_u64().map(|value| value.to_string()),
            Self::I64 => band.no_data_value_i64().map(|value| value.to_string()),
            _ => band.no_data_value().map(|value| value.to_string()),
        };
        let Some(text) = text else { return Ok(None) };
        Nodata::parse(text.as_bytes()).map_err(|()| text)
    }

    /// The stored numbers of a window, row by row.
    ///
    /// # Errors
    /// If the library cannot read them.
    pub(super) fn read(
        self,
        band: &RasterBand<'_>,
        from: [usize; 2],
        size: [usize; 2],
    ) -> Result<Values, GdalError> {
        Ok(match self {
            Self::U8 => Values::U8(read(band, from, size)?),
            Self::SignedByte => Values::I8(bytemuck::cast_vec(read::<u8>(band, from, size)?)),
            Self::U16 => Values::U16(read(band, from, size)?),
            Self::I16 => Values::I16(read(band, from, size)?),
            Self::U32 => Values::U32(read(band, from, size)?),
            Self::I32 => Values::I32(read(band, from, size)?),
            Self::U64 => Values::U64(read(band, from, size)?),
            Self::I64 => Values::I64(read(band, from, size)?),
            Self::F32 => Values::F32(read(band, from, size)?),
            Self::F64 => Values::F64(read(band, from, size)?),
        })
    }
}

/// A window of a band as numbers of this type.
///
/// # Errors
/// If the library cannot read it.
pub(super) fn read<T: Copy + GdalType>(
    band: &RasterBand<'_>,
    from: [usize; 2],
    size: [usize; 2],
) -> Result<Vec<T>, GdalError> {
    // Sides of images are bounded far below the largest number.
    let from = (from[0] as isize, from[1] as isize);
    let size = (size[0], size[1]);
    Ok(band.read_as::<T>(from, size, size, None)?.into_shape_and_vec().1)
}
