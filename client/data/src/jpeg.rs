//! JPEG streams (ITU-T T.81), in files of their own and in TIFF files. libjpeg decodes them, as it does for GDAL and
//! Pillow, so the numbers are theirs. It goes on with grey where a stream is damaged; here it stops.

use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mozjpeg::ColorSpace;
use mozjpeg::decompress::DecompressBuilder;
use mozjpeg_sys::{jpeg_common_struct, jpeg_error_mgr, jpeg_std_error};

const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;
/// Huffman coded: baseline, extended sequential and progressive.
const SUPPORTED_FRAMES: [u8; 3] = [0xc0, 0xc1, 0xc2];
/// Most scans of a stream. Encoders write about ten; each one costs a pass over all pixels.
const MOST_SCANS: usize = 100;

/// What is wrong with a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JpegError {
    /// Other programs can rewrite it.
    #[error("{0}")]
    Unsupported(String),
    /// It cannot be repaired.
    #[error("{0}")]
    Damaged(String),
}

/// The numbers of a decoded stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colours {
    /// Grey, or red, green and blue.
    Shown,
    /// As they are stored.
    Stored,
    /// Red, green and blue; what is stored is YCbCr, whatever the stream says of itself.
    FromYCbCr,
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Width in pixels.
    pub(crate) width: u16,
    /// Height in pixels.
    pub(crate) height: u16,
    /// 1, 3 or 4.
    pub(crate) components: u8,
}

/// Checks a whole stream.
///
/// # Errors
/// If it is cut short, or has other than 1, 3 or 4 components of 8 bits.
pub(crate) fn check_stream(stream: &[u8]) -> Result<Frame, JpegError> {
    let mut walk = Walk { stream, at: 0 };
    if walk.marker()? != START_OF_IMAGE {
        return Err(damaged("a JPEG stream must begin with marker SOI (0xFFD8)"));
    }
    let mut frame: Option<Frame> = None;
    let mut scans = 0;
    loop {
        match walk.marker()? {
            END_OF_IMAGE => break,
            // Restart markers and TEM stand alone.
            0xd0..=0xd7 | 0x01 => {}
            START_OF_SCAN => {
                frame.ok_or_else(|| damaged("marker SOS must follow a frame header (SOF)"))?;
                walk.segment()?;
                scans += 1;
                if scans > MOST_SCANS {
                    let found =
                        format!("a JPEG stream must have at most {MOST_SCANS} scans (SOS), found more");
                    return Err(JpegError::Unsupported(found));
                }
                walk.skip_entropy_coded();
            }
            // DHT, JPG and DAC lie among the frame headers.
            marker @ 0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                if frame.is_some() {
                    return Err(unsupported("a JPEG stream must have one frame header (SOF), found several"));
                }
                frame = Some(frame_header(marker, walk.segment()?)?);
            }
            _ => drop(walk.segment()?),
        }
    }
    let frame = frame.filter(|_| scans > 0);
    frame.ok_or_else(|| damaged("a JPEG stream must have a frame header (SOF) and a scan (SOS)"))
}

/// Whether a mask follows the stream in its file, as GDAL writes it: compressed bits, and then in 4 bytes where they begin.
pub(crate) fn has_mask_behind(file: &[u8]) -> bool {
    let Some((rest, place)) = file.split_last_chunk::<4>() else { return false };
    let begin = u32::from_le_bytes(*place) as usize;
    begin < rest.len() && rest[..begin].ends_with(&[0xff, END_OF_IMAGE])
}

/// The numbers of all pixels, component by component within a pixel, row by row, of a stream that
/// [`check_stream`] has accepted. Colours that are coarser than brightness are smoothed. CMYK becomes red, green
/// and blue under [`Colours::Shown`].
///
/// # Errors
/// If the stream is damaged, or contradicts [`Colours::FromYCbCr`].
pub(crate) fn decode(stream: &[u8], colours: Colours) -> Result<Vec<u8>, JpegError> {
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_or_unwind(stream, colours)));
    decoded.unwrap_or_else(|cause| match cause.downcast::<String>() {
        Ok(said) => Err(JpegError::Damaged(*said)),
        Err(cause) => resume_unwind(cause),
    })
}

/// Like [`decode`], but libjpeg's errors unwind with their text.
fn decode_or_unwind(stream: &[u8], colours: Colours) -> Result<Vec<u8>, JpegError> {
    let fail =
        |error: std::io::Error| JpegError::Damaged(format!("the JPEG stream cannot be decoded: {error}"));
    let decoder = DecompressBuilder::new().with_err(strict()).from_mem(stream).map_err(fail)?;
    let wanted = match (colours, decoder.color_space()) {
        (Colours::Stored, stored) | (Colours::Shown, stored @ ColorSpace::JCS_GRAYSCALE) => stored,
        (Colours::Shown, ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK) => ColorSpace::JCS_CMYK,
        (Colours::FromYCbCr, ColorSpace::JCS_YCbCr) | (Colours::Shown, _) => ColorSpace::JCS_RGB,
        (Colours::FromYCbCr, stored) => {
            let found = format!("a JPEG stream of YCbCr must not say that it is other, found `{stored:?}`");
            return Err(JpegError::Unsupported(found));
        }
    };
    let mut started = decoder.to_colorspace(wanted).map_err(fail)?;
    let pixels: Vec<u8> = started.read_scanlines().map_err(fail)?;
    started.finish().map_err(fail)?;
    Ok(if colours == Colours::Shown && wanted == ColorSpace::JCS_CMYK { from_cmyk(&pixels) } else { pixels })
}

/// Red, green and blue of inks that are stored as Adobe's programs do: 255 is none.
fn from_cmyk(pixels: &[u8]) -> Vec<u8> {
    let colour = |ink: u8, black: u8| (u16::from(ink) * u16::from(black) / 255) as u8;
    pixels.chunks_exact(4).flat_map(|inks| [0, 1, 2].map(|at: usize| colour(inks[at], inks[3]))).collect()
}

/// What libjpeg does at errors and warnings: it stops at both.
fn strict() -> jpeg_error_mgr {
    // All fields are numbers, or pointers that may be null; libjpeg then fills them.
    #[allow(unsafe_code)]
    let mut errors = unsafe {
        let mut errors: jpeg_error_mgr = std::mem::zeroed();
        jpeg_std_error(&mut errors);
        errors
    };
    errors.error_exit = Some(stop);
    errors.emit_message = Some(stop_at_warnings);
    errors
}

extern "C-unwind" fn stop(decoder: &mut jpeg_common_struct) {
    resume_unwind(Box::new(format!("the JPEG stream cannot be decoded: {}", said(decoder))));
}

/// A negative level is a warning: damaged data, which libjpeg would fill with grey. Bytes between segments are
/// harmless.
extern "C-unwind" fn stop_at_warnings(decoder: &mut jpeg_common_struct, level: c_int) {
    if level < 0 && !said(decoder).contains("extraneous bytes") {
        stop(decoder);
    }
}

/// The text of libjpeg's present message, with `%u` for its numbers.
fn said(decoder: &jpeg_common_struct) -> String {
    // libjpeg sets the error manager before it calls, and its code is a position in its table of C strings.
    #[allow(unsafe_code)]
    unsafe {
        let errors = &*decoder.err;
        if !(0..=errors.last_jpeg_message).contains(&errors.msg_code) {
            return format!("message {}", errors.msg_code);
        }
        let text = *errors.jpeg_message_table.add(errors.msg_code as usize);
        CStr::from_ptr(text.cast()).to_string_lossy().into_owned()
    }
}

impl Frame {
    /// Numbers in a pixel when decoded to these colours.
    pub(crate) const fn channels(&self, colours: Colours) -> u8 {
        match (colours, self.components) {
            (Colours::Shown, 4) => 3,
            (_, components) => components,
        }
    }
}

fn frame_header(marker: u8, segment: &[u8]) -> Result<Frame, JpegError> {
    if !SUPPORTED_FRAMES.contains(&marker) {
        let found = format!(
            "the frame header of a JPEG stream must be SOF0, SOF1 or SOF2, found `SOF{}`",
            marker - 0xc0
        );
        return Err(JpegError::Unsupported(found));
    }
    let [precision, h1, h0, w1, w0, components, parts @ ..] = segment else {
        return Err(damaged("the frame header (SOF) of a JPEG stream is too short"));
    };
    let width = u16::from_be_bytes([*w1, *w0]);
    let height = u16::from_be_bytes([*h1, *h0]);
    if *precision != 8 {
        let found = format!("marker SOF of a JPEG stream must say 8 bits per sample, found `{precision}`");
        return Err(JpegError::Unsupported(found));
    }
    if !matches!(components, 1 | 3 | 4) {
        let found =
            format!("marker SOF of a JPEG stream must say 1, 3 or 4 components, found `{components}`");
        return Err(JpegError::Unsupported(found));
    }
    if width == 0 || height == 0 {
        let found = format!("marker SOF of a JPEG stream must say its size, found `{width}x{height}`");
        return Err(JpegError::Unsupported(found));
    }
    if parts.len() < usize::from(*components) * 3 {
        return Err(damaged("the frame header (SOF) of a JPEG stream is too short"));
    }
    Ok(Frame { width, height, components: *components })
}

fn damaged(text: &str) -> JpegError {
    JpegError::Damaged(text.to_owned())
}

fn unsupported(text: &str) -> JpegError {
    JpegError::Unsupported(text.to_owned())
}

/// A walk from marker to marker.
struct Walk<'a> {
    stream: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn cut_short(&self) -> JpegError {
        let length = self.stream.len();
        JpegError::Damaged(format!(
            "the JPEG stream is cut short: its {length} bytes end without the end-of-image marker (EOI, 0xFFD9); copy or \
             download the file again"
        ))
    }

    fn byte(&mut self) -> Result<u8, JpegError> {
        let byte = self.stream.get(self.at).copied().ok_or_else(|| self.cut_short())?;
        self.at += 1;
        Ok(byte)
    }

    /// The next marker. It may follow any number of fill bytes (0xFF), and zeros. Others are what is left of a segment whose
    /// marker is damaged.
    fn marker(&mut self) -> Result<u8, JpegError> {
        loop {
            match self.byte()? {
                0xff => {}
                0 => continue,
                other => {
                    let at = self.at - 1;
                    let found = format!(
                        "a JPEG stream must have a marker after each segment, found `{other:#04x}` at {at}; it is damaged"
                    );
                    return Err(JpegError::Damaged(found));
                }
            }
            let mut code = 0xff;
            while code == 0xff {
                code = self.byte()?;
            }
            if code != 0 {
                return Ok(code);
            }
        }
    }

    /// The segment after a marker: its length, which includes itself, and that many bytes.
    fn segment(&mut self) -> Result<&'a [u8], JpegError> {
        let length = usize::from(u16::from_be_bytes([self.byte()?, self.byte()?]));
        let end = self.at + length.saturating_sub(2);
        let segment = self.stream.get(self.at..end).ok_or_else(|| self.cut_short())?;
        self.at = end;
        Ok(segment)
    }

    /// Goes to the marker that ends a scan. Within it 0xFF is followed by 0 or by a restart marker.
    fn skip_entropy_coded(&mut self) {
        let rest = &self.stream[self.at..];
        let ends = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff);
        let length = rest.windows(2).position(ends).unwrap_or(rest.len());
        self.at += length;
    }
}
