//! Decoding one strip or tile.

use eosfed_common::counted::counted;

use super::accept::Accepted;
use super::chunks::{Chunks, Place};
use super::codec::{Shape, lerc, unpack};
use super::formats::{Codec, Predictor};
use super::predictor::undo;
use super::refused::{REWRITE, Refused, conversion};
use super::source::Source;
use super::values::{Kind, Values};
use crate::error::DataError;
use crate::jpeg::{Colours, JpegError, check_stream, decode};

/// The marker at the end of the shared JPEG tables and of every stream.
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

/// What is needed to decode the strips or tiles of a directory.
pub(super) struct Layout {
    pub(super) accepted: Accepted,
    pub(super) chunks: Chunks,
    /// Most bytes of a strip or tile in the file.
    pub(super) most_bytes: u64,
}

/// Why a strip or tile cannot be decoded.
enum Failure {
    /// Other programs can rewrite it.
    Unsupported(String),
    /// The file is damaged, or of a kind that others may read.
    Damaged(String),
}

impl Layout {
    /// The numbers of a strip or tile, those of a pixel together, row by row; `None` if the file leaves it out.
    ///
    /// # Errors
    /// If it is damaged.
    pub(super) fn decode(&self, source: &Source, at: usize) -> Result<Option<Values>, DataError> {
        let Place::At(offset, length) = self.chunks.place(at) else { return Ok(None) };
        let decoded = self.numbers(source, at, offset, length);
        decoded.map(Some).map_err(|failure| {
            let path = source.path();
            let what = self.chunks.name(at);
            let said = match failure {
                Failure::Unsupported(sentence) => Refused::new(sentence, REWRITE).about(path),
                Failure::Damaged(sentence) => {
                    let remedy = conversion(REWRITE, path);
                    format!("{sentence}; if other programs can read the file, {remedy}")
                }
            };
            DataError::file(path, format!("{what}: {said}"))
        })
    }

    fn shape(&self, at: usize) -> Shape {
        let [width, height] = self.chunks.stored(at);
        Shape { width, height, samples: self.accepted.samples_in_chunk() }
    }

    fn numbers(&self, source: &Source, at: usize, offset: u64, length: u64) -> Result<Values, Failure> {
        let damaged = |error: std::io::Error| Failure::Damaged(error.to_string());
        let Accepted { codec, kind, .. } = self.accepted;
        let shape = self.shape(at);
        let count = shape.width * shape.height * shape.samples;
        if length > self.most_bytes {
            let most = self.most_bytes;
            return Err(Failure::Damaged(format!("it may take {most} bytes in the file, found `{length}`")));
        }
        if codec == Codec::None && self.accepted.whole_bytes() {
            let mut values = kind.zeros(count);
            source.fill(offset, values.bytes_mut()).map_err(damaged)?;
            self.order_bits(values.bytes_mut());
            self.order(values.bytes_mut());
            return Ok(values);
        }
        let mut packed = source.bytes(offset, length).map_err(damaged)?;
        self.order_bits(&mut packed);
        match codec {
            Codec::None => Ok(self.widen(&packed, shape)),
            Codec::Jpeg => self.jpeg(&packed, at, shape).map(Values::U8),
            Codec::Lerc => {
                let mut values = kind.zeros(count);
                lerc(self.accepted.lerc, &packed, &mut values, shape).map_err(Failure::Damaged)?;
                Ok(values)
            }
            _ => self.unpack(&packed, at, shape).map_err(Failure::Damaged),
        }
    }

    /// What a general compression holds.
    fn unpack(&self, packed: &[u8], at: usize, shape: Shape) -> Result<Values, String> {
        let Accepted { codec, kind, predictor, .. } = self.accepted;
        if !self.accepted.whole_bytes() {
            let mut bytes = vec![0; self.chunks.bytes(at, &self.accepted)];
            unpack(codec, packed, &mut bytes, shape, self.most_bytes)?;
            return Ok(self.widen(&bytes, shape));
        }
        let mut values = kind.zeros(shape.width * shape.height * shape.samples);
        let bytes = values.bytes_mut();
        unpack(codec, packed, bytes, shape, self.most_bytes)?;
        // Floats with a predictor are planes of bytes.
        if predictor != Predictor::Float {
            self.order(bytes);
        }
        undo(predictor, bytes, shape.width, shape.samples, kind.bytes());
        Ok(values)
    }

    /// Brings the bits of bytes that are pixels as they are, or CCITT's, into the usual order: other codecs have
    /// an order of their own.
    fn order_bits(&self, bytes: &mut [u8]) {
        if self.accepted.lowest_bit_first && matches!(self.accepted.codec, Codec::None | Codec::Ccitt(_)) {
            bytes.iter_mut().for_each(|byte| *byte = byte.reverse_bits());
        }
    }

    /// Brings stored bytes into the order of this machine.
    fn order(&self, bytes: &mut [u8]) {
        let wide = self.accepted.kind.ordered_bytes();
        if wide > 1 && self.accepted.little != cfg!(target_endian = "little") {
            bytes.chunks_exact_mut(wide).for_each(<[u8]>::reverse);
        }
    }

    /// Numbers of fewer bits than their type has. Each row begins at a byte, and the highest bit of a number comes
    /// first.
    fn widen(&self, bytes: &[u8], shape: Shape) -> Values {
        let Accepted { bits, kind, .. } = self.accepted;
        let in_row = shape.width * shape.samples;
        let rows = bytes.chunks_exact((in_row * bits).div_ceil(8));
        let number = move |row: &[u8], at: usize| {
            let first = at * bits;
            let last = first + bits - 1;
            let joined =
                row[first / 8..=last / 8].iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte));
            (joined >> (7 - last % 8)) & ((1 << bits) - 1)
        };
        let numbers = rows.flat_map(|row| (0..in_row).map(move |at| number(row, at)));
        if kind == Kind::U8 {
            Values::U8(numbers.map(|number| number as u8).collect())
        } else {
            Values::U16(numbers.map(|number| number as u16).collect())
        }
    }

    /// The numbers of a JPEG stream of exactly a strip's or tile's shape. The last strip may hold rows below the
    /// image.
    fn jpeg(&self, own: &[u8], at: usize, shape: Shape) -> Result<Vec<u8>, Failure> {
        let convert = |error: JpegError| match error {
            JpegError::Unsupported(sentence) => Failure::Unsupported(sentence),
            JpegError::Damaged(sentence) => Failure::Damaged(sentence),
        };
        // The tables that all streams share, and the stream's own part.
        let tables = &self.chunks.jpeg_tables[..];
        let mut stream = tables.strip_suffix(&END_OF_IMAGE).unwrap_or(tables).to_vec();
        stream.extend_from_slice(if stream.is_empty() { own } else { own.get(2..).unwrap_or_default() });
        let frame = check_stream(&stream).map_err(convert)?;
        let found = [usize::from(frame.width), usize::from(frame.height)];
        let below = !self.chunks.tiled
            && self.chunks.is_last(at)
            && found[1] > shape.height
            && (found[0] * found[1] * shape.samples) as u64 <= self.most_bytes / 4;
        let rows = found[1] == shape.height || below;
        if found[0] != shape.width || !rows || usize::from(frame.components) != shape.samples {
            let sentence = format!(
                "its JPEG stream must have {}x{} pixels and {}, found `{}x{}` and `{}`",
                shape.width,
                shape.height,
                counted(shape.samples, "component"),
                found[0],
                found[1],
                frame.components
            );
            return Err(Failure::Unsupported(sentence));
        }
        let colours = if self.accepted.ycbcr { Colours::FromYCbCr } else { Colours::Stored };
        let mut pixels = decode(&stream, colours).map_err(convert)?;
        pixels.truncate(shape.width * shape.height * shape.samples);
        Ok(pixels)
    }
}
