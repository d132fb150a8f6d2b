//! The list of TIFF files that are read: all their tags have values that are known to be read rightly. Every
//! other file is refused with the tag, the value found and a command that converts the file.

use tiff::tags::Tag;

use super::complex::Complex;
use super::directory::{Directories, Directory};
use super::formats::{
    COMPRESSIONS, Codec, Coding, GREY, NUMBERS, PHOTOMETRIC, PREDICTED, Predictor, RED_GREEN_BLUE, Reading,
    TRANSPARENCY_MASK, span,
};
use super::nodata::Nodata;
use super::refused::{LOSSY, REWRITE, Refused};
use super::values::Kind;

/// Keeps the indices of a palette.
pub(crate) const INDICES: &str = "-co PHOTOMETRIC=MINISBLACK -co NBITS=8";
const GREY_BYTES: &str = "-co PHOTOMETRIC=MINISBLACK -co NBITS=8";
const GREY_WORDS: &str = "-co PHOTOMETRIC=MINISBLACK -co NBITS=16";

/// Extra facts of T.4 and T.6 in tags that the library does not name.
const T4_OPTIONS: u16 = 292;
const T6_OPTIONS: u16 = 293;
/// Of the first: rows may be differences, and rows begin at a byte.
const TWO_DIMENSIONS: u64 = 1;
const FILLED_UP: u64 = 4;
/// The version of LERC and what its stream is compressed with in addition.
const LERC_PARAMETERS: u16 = 50674;

/// What the pixels of a file are wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Bands of an image, or a quantity: the index of a colour is neither.
    Image,
    /// Classes: the indices of a palette are read.
    Labels,
    /// Which pixels of another directory have data.
    Mask,
}

/// How the pixels of an accepted file are stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Accepted {
    pub(super) codec: Codec,
    /// Bands.
    pub(super) samples: usize,
    /// Whether each strip or tile holds one band.
    pub(super) planar: bool,
    /// Stored bits of one number.
    pub(super) bits: usize,
    /// The type of a decoded number.
    pub(super) kind: Kind,
    pub(super) predictor: Predictor,
    /// Whether the lowest bit of a byte comes first.
    pub(super) lowest_bit_first: bool,
    /// Whether the lowest byte of a number comes first.
    pub(super) little: bool,
    /// Whether JPEG holds brightness and colour differences.
    pub(super) ycbcr: bool,
    /// What LERC is compressed with in addition.
    pub(super) lerc: Codec,
    /// What complex numbers become; nothing if there are none.
    pub(super) complex: Option<Complex>,
    /// The value of missing pixels.
    pub(super) nodata: Option<Nodata>,
}

impl Accepted {
    /// Bands in one strip or tile.
    pub(super) const fn samples_in_chunk(&self) -> usize {
        if self.planar { 1 } else { self.samples }
    }

    /// Bytes that a decoded number takes before it becomes a 32-bit float, and at least those of that.
    pub(super) const fn bytes_in_memory(&self) -> usize {
        if self.kind.bytes() > 4 { self.kind.bytes() } else { 4 }
    }

    /// Whether the stored bits of a number are those of its type.
    pub(super) const fn whole_bytes(&self) -> bool {
        self.bits == self.kind.bytes() * 8
    }
}

/// A tag's value, for a sentence.
fn shown(found: Option<u64>, name: Option<&str>) -> String {
    let Some(value) = found else { return "nothing".to_owned() };
    name.map_or_else(|| format!("`{value}`"), |name| format!("`{value}` ({name})"))
}

/// Words with commas, and `or` before the last one.
fn listed(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// The tags of one directory.
pub(super) struct Tags<'a, 'b> {
    pub(super) file: &'a Directories<'b>,
    pub(super) directory: &'a Directory,
    pub(super) role: Role,
    /// What complex numbers become; without it, they are refused.
    pub(super) complex: Option<Complex>,
}

impl Tags<'_, '_> {
    fn list(&self, tag: Tag) -> Result<Vec<u64>, Refused> {
        let found = self.file.numbers(self.directory, tag).map_err(|text| Refused::new(text, REWRITE))?;
        Ok(found.unwrap_or_default())
    }

    pub(super) fn one(&self, tag: Tag) -> Result<Option<u64>, Refused> {
        Ok(self.list(tag)?.first().copied())
    }

    /// Checks that the file is of a kind that is read rightly.
    ///
    /// # Errors
    /// The first tag whose value is not on the list.
    pub(super) fn accept(&self) -> Result<Accepted, Refused> {
        let codec = self.ccitt(self.compression()?)?;
        let ycbcr = self.photometric(codec)?;
        let bits = self.bits()?;
        let kind = self.kind(bits)?;
        let accepted = Accepted {
            codec,
            samples: usize::try_from(self.one(Tag::SamplesPerPixel)?.unwrap_or(1)).unwrap_or(usize::MAX),
            planar: self.planar()?,
            bits: bits as usize,
            kind,
            predictor: self.predictor(codec, bits, kind)?,
            lowest_bit_first: self.fill_order(codec)?,
            little: self.file.little,
            ycbcr,
            lerc: self.lerc(codec)?,
            complex: self.complex.filter(|_| kind.is_complex()),
            nodata: self.nodata(kind)?,
        };
        self.check_codec(&accepted)?;
        Ok(accepted)
    }

    /// Gives whether the pixels are YCbCr.
    fn photometric(&self, codec: Codec) -> Result<bool, Refused> {
        let found = self.one(Tag::PhotometricInterpretation)?;
        // Without the tag, GDAL takes the numbers as they are.
        let Some(value) = found else { return Ok(false) };
        let fact = PHOTOMETRIC.iter().find(|fact| fact.value == value);
        let options = match (fact.map(|fact| fact.reading), self.role) {
            (Some(Reading::Stored), _) => return Ok(false),
            (Some(Reading::Indices), Role::Labels | Role::Mask) => return Ok(false),
            (Some(Reading::YCbCr), _) if codec == Codec::Jpeg => return Ok(true),
            (_, Role::Mask) if value == TRANSPARENCY_MASK => return Ok(false),
            (Some(Reading::Indices), Role::Image) => INDICES,
            (Some(Reading::YCbCr), _) => RED_GREEN_BLUE,
            (Some(Reading::Refused(options)), _) => options,
            (None, _) => GREY,
        };
        let name = match fact {
            Some(fact) if fact.reading == Reading::Indices => Some(
                "palette; the command keeps the indices, or with the option `-expand rgb` alone the colours",
            ),
            fact => fact.map(|fact| fact.name),
        };
        let sentence = format!(
            "tag 262 (PhotometricInterpretation) must be 0 (MinIsWhite), 1 (MinIsBlack), 2 (RGB), 3 (palette) in a mask or \
             map of classes, or 6 (YCbCr) under JPEG, found {}",
            shown(found, name)
        );
        Err(Refused::new(sentence, options))
    }

    fn compression(&self) -> Result<Codec, Refused> {
        let found = self.one(Tag::Compression)?.unwrap_or(1);
        let fact = COMPRESSIONS.iter().find(|fact| fact.value == found);
        if let Some(codec) = fact.and_then(|fact| fact.codec) {
            return Ok(codec);
        }
        let read = COMPRESSIONS.iter().filter(|fact| fact.codec.is_some());
        let read = listed(read.map(|fact| format!("{} ({})", fact.value, fact.name)));
        let sentence = format!(
            "tag 259 (Compression) must be {read}, found {}",
            shown(Some(found), fact.map(|fact| fact.name))
        );
        Err(Refused::new(sentence, REWRITE))
    }

    /// With what the options of CCITT say.
    fn ccitt(&self, codec: Codec) -> Result<Codec, Refused> {
        let (tag, known) = match codec {
            Codec::Ccitt(Coding::OneDimension) => (T4_OPTIONS, TWO_DIMENSIONS | FILLED_UP),
            Codec::Ccitt(Coding::T6) => (T6_OPTIONS, 0),
            _ => return Ok(codec),
        };
        let options = self.one(Tag::Unknown(tag))?.unwrap_or(0);
        if options & !known != 0 {
            let name = if tag == T4_OPTIONS { "T4Options" } else { "T6Options" };
            let sentence =
                format!("tag {tag} ({name}) must not say that rows may be uncompressed, found `{options}`");
            return Err(Refused::new(sentence, REWRITE));
        }
        let two = options & TWO_DIMENSIONS != 0;
        Ok(if two { Codec::Ccitt(Coding::TwoDimensions) } else { codec })
    }

    /// Gives whether the lowest bit of a byte comes first.
    fn fill_order(&self, codec: Codec) -> Result<bool, Refused> {
        match self.one(Tag::FillOrder)? {
            None | Some(1) => Ok(false),
            Some(2) if matches!(codec, Codec::None | Codec::Ccitt(_)) => Ok(true),
            found => {
                let name = (found == Some(2)).then_some("lowest bit first");
                let sentence = format!(
                    "tag 266 (FillOrder) must be 1 (highest bit first), or 2 without compression or under CCITT, found {}",
                    shown(found, name)
                );
                Err(Refused::new(sentence, REWRITE))
            }
        }
    }

    fn bits(&self) -> Result<u64, Refused> {
        let list = self.list(Tag::BitsPerSample)?;
        let bits = list.first().copied().unwrap_or(1);
        if list.iter().all(|other| *other == bits) {
            return Ok(bits);
        }
        let found = list.iter().take(16).map(u64::to_string).collect::<Vec<_>>().join(", ");
        let sentence = format!("tag 258 (BitsPerSample) must be the same for all bands, found `{found}`");
        Err(Refused::new(sentence, if list.iter().all(|bits| *bits <= 8) { GREY_BYTES } else { GREY_WORDS }))
    }

    fn kind(&self, bits: u64) -> Result<Kind, Refused> {
        const UNDEFINED: (u64, &str) = (4, "undefined");
        let list = self.list(Tag::SampleFormat)?;
        let format = list.first().copied().unwrap_or(1);
        let fact = NUMBERS.iter().find(|fact| fact.value == format);
        let name = |value: u64| {
            let read = NUMBERS.iter().find(|fact| fact.value == value).map(|fact| fact.name);
            read.or_else(|| (UNDEFINED.0 == value).then_some(UNDEFINED.1))
        };
        let Some(fact) = fact.filter(|_| list.iter().all(|other| *other == format)) else {
            let read = NUMBERS.iter().map(|fact| format!("{} ({})", fact.value, fact.name));
            let found: Vec<_> =
                list.iter().take(8).map(|format| shown(Some(*format), name(*format))).collect();
            let sentence = format!(
                "tag 339 (SampleFormat) must be {} for all bands, found {} of {bits} bits",
                listed(read),
                found.join(", ")
            );
            return Err(Refused::new(sentence, "-ot Float32"));
        };
        let fits = fact.bits.iter().find(|(from, to, _)| (*from..=*to).contains(&bits));
        let kind = fits.map(|(_, _, kind)| *kind).ok_or_else(|| {
            let read = fact.bits.iter().map(|(from, to, _)| span(*from, *to));
            let sentence =
                format!("tag 258 (BitsPerSample) of {} must be {}, found `{bits}`", fact.name, listed(read));
            Refused::new(sentence, if bits <= 8 { GREY_BYTES } else { GREY_WORDS })
        })?;
        if kind.is_complex() && self.complex.is_none() {
            let found = shown(Some(format), name(format));
            let sentence = format!(
                "tag 339 (SampleFormat) must be of real numbers unless it is said what complex ones become, found {found} of \
                 {bits} bits; in a data set, write `complex = \"amplitude\"` or `complex = \"decibels\"` in dataset.toml for \
                 its images, and for a map `predict --complex decibels` or `amplitude`"
            );
            return Err(Refused::complex(sentence));
        }
        Ok(kind)
    }

    fn planar(&self) -> Result<bool, Refused> {
        match self.one(Tag::PlanarConfiguration)? {
            None | Some(1) => Ok(false),
            Some(2) => Ok(true),
            found => {
                let sentence =
                    format!("tag 284 (PlanarConfiguration) must be 1 or 2, found {}", shown(found, None));
                Err(Refused::new(sentence, REWRITE))
            }
        }
    }

    fn predictor(&self, codec: Codec, bits: u64, kind: Kind) -> Result<Predictor, Refused> {
        let found = self.one(Tag::Predictor)?.unwrap_or(1);
        // Differences of complex numbers are those of their bits as one number, of at most 8 bytes.
        let complex = !kind.is_complex() || (self.file.little && kind.bytes() <= 8);
        let known = PREDICTED.contains(&codec) && bits as usize == kind.bytes() * 8 && complex;
        match found {
            1 => return Ok(Predictor::None),
            2 if known => return Ok(Predictor::Horizontal),
            3 if known && kind.is_float() => return Ok(Predictor::Float),
            _ => {}
        }
        let compression = self.one(Tag::Compression)?.unwrap_or(1);
        let sentence = format!(
            "tag 317 (Predictor) must be 1 (none), or under LZW, deflate, ZSTD or LZMA for whole bytes 2 (horizontal) or for \
             floats 3, found `{found}` under compression {compression} and {bits} bits"
        );
        Err(Refused::new(sentence, REWRITE))
    }

    /// What LERC is compressed with in addition.
    fn lerc(&self, codec: Codec) -> Result<Codec, Refused> {
        if codec != Codec::Lerc {
            return Ok(Codec::None);
        }
        match self.list(Tag::Unknown(LERC_PARAMETERS))?.get(1) {
            None | Some(0) => Ok(Codec::None),
            Some(1) => Ok(Codec::Deflate),
            Some(2) => Ok(Codec::Zstd),
            found => {
                let shown = shown(found.copied(), None);
                let sentence = format!(
                    "tag {LERC_PARAMETERS} (LercParameters) must say compression 0 (none), 1 (deflate) or 2 (ZSTD), found {shown}"
                );
                Err(Refused::new(sentence, REWRITE))
            }
        }
    }

    fn nodata(&self, kind: Kind) -> Result<Option<Nodata>, Refused> {
        const LONGEST: usize = 40;
        let found = self.file.bytes(self.directory, Tag::GdalNodata);
        let Some(text) = found.map_err(|text| Refused::new(text, "-a_nodata VALUE"))? else {
            return Ok(None);
        };
        let refuse = |rule: &str| {
            let text = String::from_utf8_lossy(&text);
            let found: String = text.trim_end_matches('\0').chars().take(LONGEST).collect();
            let sentence =
                format!("tag 42113 (GDAL_NODATA) must be {rule}, found `{}`", found.escape_debug());
            Refused::new(sentence, "-a_nodata VALUE")
        };
        let nodata = Nodata::parse(&text).map_err(|()| refuse("one number"))?;
        // Some programs take the whole number below it, and others none.
        if !kind.is_float() && !kind.is_complex() && nodata.is_some_and(|nodata| nodata.is_fraction()) {
            return Err(refuse("a whole number where pixels are"));
        }
        Ok(nodata)
    }

    /// Checks what a compression needs of the other tags.
    fn check_codec(&self, accepted: &Accepted) -> Result<(), Refused> {
        let Accepted { codec, kind, bits, .. } = *accepted;
        let bands = accepted.samples_in_chunk();
        let bytes = kind == Kind::U8 && bits == 8;
        let (read, rule) = match codec {
            Codec::Jpeg if self.role == Role::Labels => return Err(Refused::for_good(LOSSY.to_owned())),
            Codec::Jpeg if accepted.ycbcr => (
                bytes && bands == 3,
                "7 (JPEG) of YCbCr unless a strip or tile holds 3 bands of unsigned 8 bits",
            ),
            Codec::Jpeg => (
                bytes && matches!(bands, 1 | 3 | 4),
                "7 (JPEG) unless a strip or tile holds 1, 3 or 4 bands of unsigned 8 bits",
            ),
            Codec::WebP => (
                bytes && matches!(bands, 3 | 4),
                "50001 (WebP) unless a strip or tile holds 3 or 4 bands of unsigned 8 bits",
            ),
            Codec::Ccitt(_) => {
                (bands == 1 && bits == 1, "2, 3 or 4 (CCITT) unless a strip or tile holds 1 band of 1 bit")
            }
            Codec::Lerc => (
                accepted.whole_bytes()
                    && !matches!(kind, Kind::F16 | Kind::U64 | Kind::I64)
                    && !kind.is_complex()
                    && (accepted.little || kind.bytes() == 1),
                "34887 (LERC) unless the numbers are 32-bit or 64-bit floats, or integers of 8, 16 or 32 bits, in a file that \
                 stores the lowest byte of a number first",
            ),
            _ => return Ok(()),
        };
        if read {
            return Ok(());
        }
        let sentence = format!("tag 259 (Compression) must not be {rule}, found {bands} of {bits} bits");
        Err(Refused::new(sentence, REWRITE))
    }
}
