//! The list of TIFF files that are read: all their tags have values that are known to be read rightly. Every
//! other file is refused with the tag, the value found and a command that converts the file.

use std::io::{Read, Seek};
use std::path::Path;

use tiff::tags::Tag;

use super::directory::{Directories, Directory};
use super::nodata::Nodata;

/// Why a file is refused: a sentence, and the options with which `gdal_translate` makes a readable file of
/// it.
pub(super) struct Refused {
    sentence: String,
    options: &'static str,
}

impl Refused {
    pub(super) fn new(sentence: String, options: &'static str) -> Self {
        Self { sentence, options }
    }

    /// With a command for the file.
    pub(super) fn about(&self, path: &Path) -> String {
        format!("{}; {}", self.sentence, conversion(self.options, path))
    }
}

/// How to convert a file.
pub(crate) fn conversion(options: &str, path: &Path) -> String {
    format!("convert it with `gdal_translate {options} {} converted.tif`", path.display())
}

/// Options that make an equal file with plain compression.
pub(crate) const REWRITE: &str = "-co COMPRESS=DEFLATE";
const RED_GREEN_BLUE: &str = "-b 1 -b 2 -b 3 -co PHOTOMETRIC=RGB -co COMPRESS=DEFLATE";
const GREY: &str = "-co PHOTOMETRIC=MINISBLACK";
const GREY_BYTES: &str = "-co PHOTOMETRIC=MINISBLACK -co NBITS=8";
const GREY_WORDS: &str = "-co PHOTOMETRIC=MINISBLACK -co NBITS=16";
const BAND_BY_BAND: &str = "-co INTERLEAVE=BAND";

const BLACK_IS_ZERO: u64 = 1;
const RGB: u64 = 2;
const LZW: u64 = 5;
pub(super) const JPEG: u64 = 7;
const NO_COMPRESSION: u64 = 1;
const DEFLATE: [u64; 2] = [8, 32946];
const PACK_BITS: u64 = 32773;
const PLANAR: u64 = 2;
const UNSIGNED: u64 = 1;
const SIGNED: u64 = 2;
const FLOAT: u64 = 3;
const ALPHA: [u64; 2] = [1, 2];

/// How the pixels of an accepted file are stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Accepted {
    pub(super) compression: u64,
    /// Bands.
    pub(super) samples: u64,
    /// Whether each strip or tile holds one band.
    pub(super) planar: bool,
    /// Bits of one value.
    pub(super) bits: u64,
    /// The value of missing pixels.
    pub(super) nodata: Option<Nodata>,
}

impl Accepted {
    /// Bands in one strip or tile.
    pub(super) const fn samples_in_chunk(&self) -> u64 {
        if self.planar { 1 } else { self.samples }
    }

    pub(super) const fn is_compressed(&self) -> bool {
        self.compression != NO_COMPRESSION
    }
}

/// A tag's value, for a sentence.
fn shown(found: Option<u64>, names: &[(u64, &str)]) -> String {
    let Some(value) = found else { return "nothing".to_owned() };
    let name = names.iter().find(|(known, _)| *known == value);
    name.map_or_else(|| format!("`{value}`"), |(_, name)| format!("`{value}` ({name})"))
}

/// The tags of the first directory.
pub(super) struct Tags<'a, 'b, R> {
    pub(super) file: &'a mut Directories<'b, R>,
    pub(super) directory: &'a Directory,
}

impl<R: Read + Seek> Tags<'_, '_, R> {
    fn list(&mut self, tag: Tag) -> Result<Vec<u64>, Refused> {
        let found = self.file.numbers(self.directory, tag).map_err(|text| Refused::new(text, REWRITE))?;
        Ok(found.unwrap_or_default())
    }

    fn one(&mut self, tag: Tag) -> Result<Option<u64>, Refused> {
        Ok(self.list(tag)?.first().copied())
    }

    /// Checks that the file is of a kind that is read rightly.
    ///
    /// # Errors
    /// The first tag whose value is not on the list.
    pub(super) fn accept(&mut self) -> Result<Accepted, Refused> {
        let photometric = self.photometric()?;
        let compression = self.compression()?;
        self.fill_order()?;
        let bits = self.bits()?;
        self.sample_format(bits)?;
        let samples = self.one(Tag::SamplesPerPixel)?.unwrap_or(1);
        let planar = self.planar()?;
        self.extra_samples(photometric, samples, planar)?;
        self.predictor(compression, bits)?;
        let nodata = self.nodata()?;
        let accepted = Accepted { compression, samples, planar, bits, nodata };
        if compression == JPEG {
            self.jpeg(&accepted)?;
        }
        Ok(accepted)
    }

    fn photometric(&mut self) -> Result<u64, Refused> {
        const NAMES: [(u64, &str); 9] = [
            (0, "MinIsWhite"),
            (3, "palette; the command keeps the indices, or with the option `-expand rgb` alone the colours"),
            (4, "transparency mask"),
            (5, "CMYK"),
            (6, "YCbCr"),
            (8, "CIE L*a*b*"),
            (9, "ICC L*a*b*"),
            (10, "ITU L*a*b*"),
            (32803, "colour filter array"),
        ];
        let found = self.one(Tag::PhotometricInterpretation)?;
        let options = match found {
            Some(value @ (BLACK_IS_ZERO | RGB)) => return Ok(value),
            Some(3) => GREY_BYTES,
            Some(5 | 6) => RED_GREEN_BLUE,
            _ => GREY,
        };
        let shown = shown(found, &NAMES);
        let sentence =
            format!("tag 262 (PhotometricInterpretation) must be 1 (MinIsBlack) or 2 (RGB), found {shown}");
        Err(Refused::new(sentence, options))
    }

    fn compression(&mut self) -> Result<u64, Refused> {
        const NAMES: [(u64, &str); 10] = [
            (2, "CCITT RLE"),
            (3, "CCITT T.4"),
            (4, "CCITT T.6"),
            (6, "JPEG of TIFF 6.0"),
            (34712, "JPEG 2000"),
            (34887, "LERC"),
            (34925, "LZMA"),
            (50000, "ZSTD"),
            (50001, "WebP"),
            (50002, "JPEG XL"),
        ];
        let found = self.one(Tag::Compression)?.unwrap_or(NO_COMPRESSION);
        if [NO_COMPRESSION, LZW, JPEG, PACK_BITS].contains(&found) || DEFLATE.contains(&found) {
            return Ok(found);
        }
        let sentence = format!(
            "tag 259 (Compression) must be 1 (none), 5 (LZW), 7 (JPEG), 8 or 32946 (deflate) or 32773 (PackBits), found {}",
            shown(Some(found), &NAMES)
        );
        Err(Refused::new(sentence, REWRITE))
    }

    fn fill_order(&mut self) -> Result<(), Refused> {
        match self.one(Tag::FillOrder)? {
            None | Some(1) => Ok(()),
            found => {
                let shown = shown(found, &[(2, "lowest bit first")]);
                let sentence = format!("tag 266 (FillOrder) must be 1 (highest bit first), found {shown}");
                Err(Refused::new(sentence, REWRITE))
            }
        }
    }

    fn bits(&mut self) -> Result<u64, Refused> {
        let list = self.list(Tag::BitsPerSample)?;
        let bits = list.first().copied().unwrap_or(1);
        if [8, 16, 32, 64].contains(&bits) && list.iter().all(|other| *other == bits) {
            return Ok(bits);
        }
        let found = list.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let found = if list.is_empty() { "nothing, which means 1".to_owned() } else { format!("`{found}`") };
        let sentence =
            format!("tag 258 (BitsPerSample) must be 8, 16, 32 or 64 for all bands, found {found}");
        Err(Refused::new(sentence, if bits <= 8 { GREY_BYTES } else { GREY_WORDS }))
    }

    fn sample_format(&mut self, bits: u64) -> Result<(), Refused> {
        const NAMES: [(u64, &str); 3] = [(4, "undefined"), (5, "complex integers"), (6, "complex floats")];
        let list = self.list(Tag::SampleFormat)?;
        let format = list.first().copied().unwrap_or(UNSIGNED);
        let known = matches!(format, UNSIGNED | SIGNED) || (format == FLOAT && bits >= 16);
        if known && list.iter().all(|other| *other == format) {
            return Ok(());
        }
        let found: Vec<_> = list.iter().take(8).map(|format| shown(Some(*format), &NAMES)).collect();
        let sentence = format!(
            "tag 339 (SampleFormat) must be 1 (unsigned), 2 (signed) or 3 (floats of at least 16 bits) for all bands, found \
             {} of {bits} bits",
            found.join(", ")
        );
        Err(Refused::new(sentence, "-ot Float32"))
    }

    fn planar(&mut self) -> Result<bool, Refused> {
        match self.one(Tag::PlanarConfiguration)? {
            None | Some(1) => Ok(false),
            Some(PLANAR) => Ok(true),
            found => {
                let shown = shown(found, &[]);
                let sentence = format!("tag 284 (PlanarConfiguration) must be 1 or 2, found {shown}");
                Err(Refused::new(sentence, REWRITE))
            }
        }
    }

    /// Of red, green and blue with more bands beside them, the decoder reads the whole of a pixel only if its
    /// bands are stored one after the other, or if the one further band is opacity.
    fn extra_samples(&mut self, photometric: u64, samples: u64, planar: bool) -> Result<(), Refused> {
        let extra = self.list(Tag::ExtraSamples)?;
        let colours = samples.checked_sub(extra.len() as u64);
        let opacity = matches!(extra[..], [first] if ALPHA.contains(&first));
        let read = match (photometric, colours) {
            (BLACK_IS_ZERO, Some(_)) => samples > 0,
            (RGB, Some(3 | 4)) if planar => true,
            (RGB, Some(3 | 4)) if extra.is_empty() => true,
            (RGB, Some(3)) => opacity,
            _ => false,
        };
        if read {
            return Ok(());
        }
        let found = extra.iter().take(16).map(u64::to_string).collect::<Vec<_>>().join(", ");
        let sentence = format!(
            "tag 338 (ExtraSamples) of an RGB image of {samples} interleaved bands must name the one band of opacity that \
             follows the colours, or be absent, found `{found}`"
        );
        Err(Refused::new(sentence, BAND_BY_BAND))
    }

    fn predictor(&mut self, compression: u64, bits: u64) -> Result<(), Refused> {
        let found = self.one(Tag::Predictor)?.unwrap_or(1);
        let compressed = compression == LZW || DEFLATE.contains(&compression);
        let float = self.one(Tag::SampleFormat)? == Some(FLOAT);
        let read = match found {
            1 => true,
            2 => compressed,
            3 => compressed && float && bits >= 16,
            _ => false,
        };
        if read {
            return Ok(());
        }
        let sentence = format!(
            "tag 317 (Predictor) must be 1 (none), or under LZW or deflate 2 (horizontal) or for floats 3, found `{found}` \
             under compression {compression}"
        );
        Err(Refused::new(sentence, REWRITE))
    }

    fn nodata(&mut self) -> Result<Option<Nodata>, Refused> {
        const LONGEST: usize = 40;
        let found = self.file.bytes(self.directory, Tag::GdalNodata);
        let Some(text) = found.map_err(|text| Refused::new(text, "-a_nodata VALUE"))? else {
            return Ok(None);
        };
        Nodata::parse(&text).map_err(|()| {
            let text = String::from_utf8_lossy(&text);
            let found: String = text.trim_end_matches('\0').chars().take(LONGEST).collect();
            let sentence =
                format!("tag 42113 (GDAL_NODATA) must be one number, found `{}`", found.escape_debug());
            Refused::new(sentence, "-a_nodata VALUE")
        })
    }

    fn jpeg(&mut self, accepted: &Accepted) -> Result<(), Refused> {
        let unsigned = self.one(Tag::SampleFormat)?.unwrap_or(UNSIGNED) == UNSIGNED;
        let components = accepted.samples_in_chunk();
        if accepted.bits == 8 && unsigned && matches!(components, 1 | 3 | 4) {
            return Ok(());
        }
        let sentence = format!(
            "tag 259 (Compression) must not be 7 (JPEG) unless a strip or tile holds 1, 3 or 4 bands of unsigned 8 bits, \
             found {components} of {} bits",
            accepted.bits
        );
        Err(Refused::new(sentence, REWRITE))
    }
}
