//! What this crate reads of GeoTIFF, in one table: the reader accepts files by it, and `data formats` prints it.

use schemars::JsonSchema;
use serde::Serialize;

use super::values::Kind;

/// Options of `gdal_translate` that give the three colours.
pub(super) const RED_GREEN_BLUE: &str = "-b 1 -b 2 -b 3 -co PHOTOMETRIC=RGB -co COMPRESS=DEFLATE";
/// Options of `gdal_translate` that give the numbers.
pub(crate) const GREY: &str = "-co PHOTOMETRIC=MINISBLACK";

/// How strips and tiles are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Ccitt(Coding),
    Lzw,
    Jpeg,
    Deflate,
    PackBits,
    Lerc,
    Lzma,
    Zstd,
    WebP,
}

/// How CCITT's codes make rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// T.4's runs without marks; each row begins at a byte.
    Rle,
    /// T.4's runs, with a mark before each row.
    OneDimension,
    /// The same, and rows as differences to the one before.
    TwoDimensions,
    /// Differences without marks.
    T6,
}

/// A value of tag 259 (Compression).
pub(super) struct CompressionFact {
    pub(super) value: u64,
    pub(super) name: &'static str,
    /// None if it is not read.
    pub(super) codec: Option<Codec>,
    /// What is read of it, if not all.
    note: &'static str,
}

impl CompressionFact {
    const fn read(value: u64, name: &'static str, codec: Codec, note: &'static str) -> Self {
        Self { value, name, codec: Some(codec), note }
    }

    const fn refused(value: u64, name: &'static str) -> Self {
        Self { value, name, codec: None, note: "" }
    }
}

pub(super) const COMPRESSIONS: [CompressionFact; 16] = [
    CompressionFact::read(1, "none", Codec::None, ""),
    CompressionFact::read(2, "CCITT RLE", Codec::Ccitt(Coding::Rle), "one band of 1 bit"),
    CompressionFact::read(3, "CCITT T.4", Codec::Ccitt(Coding::OneDimension), "one band of 1 bit"),
    CompressionFact::read(4, "CCITT T.6", Codec::Ccitt(Coding::T6), "one band of 1 bit"),
    CompressionFact::read(5, "LZW", Codec::Lzw, ""),
    CompressionFact::refused(6, "JPEG of TIFF 6.0"),
    CompressionFact::read(7, "JPEG", Codec::Jpeg, "1, 3 or 4 bands in a strip or tile, of unsigned 8 bits"),
    CompressionFact::read(8, "deflate", Codec::Deflate, ""),
    CompressionFact::read(32773, "PackBits", Codec::PackBits, ""),
    CompressionFact::read(32946, "deflate of Adobe", Codec::Deflate, ""),
    CompressionFact::refused(34712, "JPEG 2000"),
    CompressionFact::read(
        34887,
        "LERC",
        Codec::Lerc,
        "also with deflate or ZSTD; no 16-bit floats, no integers of 64 bits",
    ),
    CompressionFact::read(34925, "LZMA", Codec::Lzma, ""),
    CompressionFact::read(50000, "ZSTD", Codec::Zstd, ""),
    CompressionFact::read(50001, "WebP", Codec::WebP, "3 or 4 bands of unsigned 8 bits"),
    CompressionFact::refused(50002, "JPEG XL"),
];

/// How a value of tag 262 (PhotometricInterpretation) is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// The stored numbers.
    Stored,
    /// The stored numbers, in masks and maps of classes only.
    Indices,
    /// Converted to red, green and blue; under JPEG only.
    YCbCr,
    /// Not read; the options make a readable file.
    Refused(&'static str),
}

impl Reading {
    const fn note(self) -> &'static str {
        match self {
            Self::Stored | Self::Refused(_) => "",
            Self::Indices => "the indices, in masks and maps of classes",
            Self::YCbCr => "under JPEG; converted to red, green and blue",
        }
    }
}

/// A value of tag 262 (PhotometricInterpretation).
pub(super) struct PhotometricFact {
    pub(super) value: u64,
    pub(super) name: &'static str,
    pub(super) reading: Reading,
}

const fn photometric(value: u64, name: &'static str, reading: Reading) -> PhotometricFact {
    PhotometricFact { value, name, reading }
}

pub(super) const PALETTE: u64 = 3;
pub(super) const TRANSPARENCY_MASK: u64 = 4;
pub(super) const PHOTOMETRIC: [PhotometricFact; 11] = [
    photometric(0, "MinIsWhite", Reading::Stored),
    photometric(1, "MinIsBlack", Reading::Stored),
    photometric(2, "RGB", Reading::Stored),
    photometric(PALETTE, "palette", Reading::Indices),
    photometric(TRANSPARENCY_MASK, "transparency mask", Reading::Refused(GREY)),
    photometric(5, "CMYK", Reading::Refused(RED_GREEN_BLUE)),
    photometric(6, "YCbCr", Reading::YCbCr),
    photometric(8, "CIE L*a*b*", Reading::Refused(GREY)),
    photometric(9, "ICC L*a*b*", Reading::Refused(GREY)),
    photometric(10, "ITU L*a*b*", Reading::Refused(GREY)),
    photometric(32803, "colour filter array", Reading::Refused(GREY)),
];

/// A value of tag 339 (SampleFormat) with the bits that are read of it.
pub(super) struct NumberFact {
    pub(super) value: u64,
    pub(super) name: &'static str,
    /// The stored bits, from and to, and the type in memory.
    pub(super) bits: &'static [(u64, u64, Kind)],
}

pub(super) const NUMBERS: [NumberFact; 5] = [
    NumberFact {
        value: 1,
        name: "unsigned integers",
        bits: &[(1, 8, Kind::U8), (9, 16, Kind::U16), (32, 32, Kind::U32), (64, 64, Kind::U64)],
    },
    NumberFact {
        value: 2,
        name: "signed integers",
        bits: &[(8, 8, Kind::I8), (16, 16, Kind::I16), (32, 32, Kind::I32), (64, 64, Kind::I64)],
    },
    NumberFact {
        value: 3,
        name: "floats",
        bits: &[(16, 16, Kind::F16), (32, 32, Kind::F32), (64, 64, Kind::F64)],
    },
    NumberFact {
        value: 5,
        name: "complex integers",
        bits: &[(32, 32, Kind::ComplexI16), (64, 64, Kind::ComplexI32)],
    },
    NumberFact {
        value: 6,
        name: "complex floats",
        bits: &[(64, 64, Kind::ComplexF32), (128, 128, Kind::ComplexF64)],
    },
];

/// A value of tag 317 (Predictor).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Predictor {
    None,
    Horizontal,
    Float,
}

/// The compressions under which differences are stored.
pub(super) const PREDICTED: [Codec; 4] = [Codec::Lzw, Codec::Deflate, Codec::Zstd, Codec::Lzma];

/// One value of a tag.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Format {
    /// The value of the tag.
    pub value: u64,
    /// Its name.
    pub name: String,
    /// Whether such files are read; others are refused by name.
    pub read: bool,
    /// What is read of it, if not all.
    pub note: String,
}

/// What this build reads of GeoTIFF, from the tables by which files are accepted: compressions, numbers, and what bands
/// mean.
pub(crate) fn tiff_formats() -> [Vec<Format>; 3] {
    let format = |value: u64, name: &str, read: bool, note: String| Format {
        value,
        name: name.to_owned(),
        read,
        note,
    };
    let bits = |fact: &NumberFact| {
        let spans = fact.bits.iter().map(|(from, to, _)| span(*from, *to));
        let complex = fact.bits.iter().any(|(_, _, kind)| kind.is_complex());
        let asked = if complex { " of both parts together, where a data set says `complex`" } else { "" };
        format!("{} bits{asked}", spans.collect::<Vec<_>>().join(", "))
    };
    let compressions = COMPRESSIONS
        .iter()
        .map(|fact| format(fact.value, fact.name, fact.codec.is_some(), fact.note.to_owned()));
    let numbers = NUMBERS.iter().map(|fact| format(fact.value, fact.name, true, bits(fact)));
    let photometric = PHOTOMETRIC.iter().map(|fact| {
        let read = !matches!(fact.reading, Reading::Refused(_));
        format(fact.value, fact.name, read, fact.reading.note().to_owned())
    });
    [compressions.collect(), numbers.collect(), photometric.collect()]
}

/// Numbers from and to, for sentences.
pub(super) fn span(from: u64, to: u64) -> String {
    if from == to { from.to_string() } else { format!("{from} to {to}") }
}
