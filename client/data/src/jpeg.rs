//! JPEG streams (ITU-T T.81), in files of their own and in TIFF files. The decoder shows grey where a stream
//! is cut short, and wrong colours where components are not interleaved, so a stream is checked before it
//! is decoded.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;
/// Huffman coded: baseline, extended sequential and progressive.
const SUPPORTED_FRAMES: [u8; 3] = [0xc0, 0xc1, 0xc2];
const PROGRESSIVE: u8 = 0xc2;

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
    /// Whether a component has fewer samples than there are pixels.
    pub(crate) subsampled: bool,
    progressive: bool,
    /// Whether there are no bytes between segments.
    clean: bool,
}

/// Checks a whole stream.
///
/// # Errors
/// If it is cut short or damaged, or if the decoder would read it wrongly: other than 1, 3 or 4 components,
/// components that are not interleaved, or a first component that is coarser across than another.
pub(crate) fn check_stream(stream: &[u8]) -> Result<Frame, JpegError> {
    let mut walk = Walk { stream, at: 0, clean: true };
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
                let frame = frame.ok_or_else(|| damaged("marker SOS must follow a frame header (SOF)"))?;
                check_scan(walk.segment()?, frame)?;
                scans += 1;
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
    let frame =
        frame.ok_or_else(|| damaged("a JPEG stream must have a frame header (SOF) and a scan (SOS)"))?;
    Ok(Frame { clean: walk.clean, ..frame })
}

/// The numbers of all pixels, component by component within a pixel, row by row. [`check_stream`] gives the
/// frame. CMYK becomes red, green and blue under [`Colours::Shown`].
///
/// # Errors
/// If the stream is damaged, or contradicts [`Colours::FromYCbCr`].
pub(crate) fn decode(stream: &[u8], frame: Frame, colours: Colours) -> Result<Vec<u8>, JpegError> {
    let options = DecoderOptions::default()
        .set_max_width(usize::from(frame.width))
        .set_max_height(usize::from(frame.height))
        // Damaged data is an error, not grey; bytes between segments are harmless.
        .set_strict_mode(frame.clean);
    let fail = |error| damaged(&format!("{error:?}"));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(stream), options);
    decoder.decode_headers().map_err(fail)?;
    let stored =
        decoder.input_colorspace().ok_or_else(|| damaged("a JPEG stream must have a colour space"))?;
    let wanted = match (colours, stored) {
        (Colours::Stored, stored) | (Colours::Shown, stored @ ColorSpace::Luma) => stored,
        (Colours::FromYCbCr, ColorSpace::YCbCr) | (Colours::Shown, _) => ColorSpace::RGB,
        (Colours::FromYCbCr, stored) => {
            let found = format!("a JPEG stream of YCbCr must not say that it is other, found `{stored:?}`");
            return Err(JpegError::Unsupported(found));
        }
    };
    decoder.set_options(options.jpeg_set_out_colorspace(wanted));
    decoder.decode().map_err(fail)
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
    let parts: Vec<&[u8]> = parts.chunks_exact(3).take(usize::from(*components)).collect();
    if parts.len() < usize::from(*components) {
        return Err(damaged("the frame header (SOF) of a JPEG stream is too short"));
    }
    check_sampling(&parts)?;
    let subsampled = parts.iter().any(|part| part[1] != parts[0][1]);
    let progressive = marker == PROGRESSIVE;
    Ok(Frame { width, height, components: *components, subsampled, progressive, clean: true })
}

/// Checks that no component is finer across than the first one: the decoder assumes this.
fn check_sampling(parts: &[&[u8]]) -> Result<(), JpegError> {
    let factors: Vec<[u8; 2]> = parts.iter().map(|part| [part[1] >> 4, part[1] & 0xf]).collect();
    let first = factors[0][0];
    if factors.iter().all(|[across, _]| (1..=first).contains(across)) {
        return Ok(());
    }
    let found: Vec<String> = factors.iter().map(|[across, down]| format!("{across}x{down}")).collect();
    Err(JpegError::Unsupported(format!(
        "marker SOF of a JPEG stream must give its first component the largest horizontal sampling factor, found `{}`",
        found.join(", ")
    )))
}

fn check_scan(segment: &[u8], frame: Frame) -> Result<(), JpegError> {
    let Some(components) = segment.first() else {
        return Err(damaged("the scan header (SOS) of a JPEG stream is too short"));
    };
    // A progressive stream stores the components of its later scans one by one; the decoder handles that.
    if frame.progressive || *components == frame.components {
        return Ok(());
    }
    Err(JpegError::Unsupported(format!(
        "marker SOS of a JPEG stream must name all {} components, since they must be interleaved, found `{components}`",
        frame.components
    )))
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
    clean: bool,
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

    /// The next marker. It may follow any number of fill bytes (0xFF).
    fn marker(&mut self) -> Result<u8, JpegError> {
        loop {
            if self.byte()? != 0xff {
                self.clean = false;
                continue;
            }
            let mut code = 0xff;
            while code == 0xff {
                code = self.byte()?;
            }
            if code != 0 {
                return Ok(code);
            }
            self.clean = false;
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
