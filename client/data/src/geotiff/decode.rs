//! Decoding one strip or tile.

use tiff::decoder::DecodingResult;

use super::GeoTiff;
use super::accept::{JPEG, REWRITE, Refused, conversion};
use super::nodata::floats;
use crate::error::DataError;
use crate::jpeg::{Colours, JpegError, check_stream, decode};

impl GeoTiff {
    /// The values of a strip or tile of `width` by `height` pixels.
    pub(super) fn decode(&mut self, chunk: u32, width: usize, height: usize) -> Result<Vec<f32>, DataError> {
        let decoded = if self.accepted.compression == JPEG {
            self.jpeg(chunk as usize, width, height)?
        } else {
            self.decoder.read_chunk(chunk).map_err(|error| {
                let remedy = conversion(REWRITE, &self.path);
                DataError::file(&self.path, format!("{error}; if other programs can read the file, {remedy}"))
            })?
        };
        floats(decoded, self.accepted.nodata).map_err(|value| {
            let sentence = format!(
                "pixel values must be numbers that 32-bit floats hold exactly, or at all if they are floats, found `{value}` (if \
                 it marks missing data, add `-a_nodata {value}`)"
            );
            DataError::file(&self.path, Refused::new(sentence, "-ot Float32").about(&self.path))
        })
    }

    /// The numbers of a JPEG stream of exactly a strip's or tile's shape. The last strip may hold rows below
    /// the image.
    fn jpeg(&mut self, chunk: usize, width: usize, height: usize) -> Result<DecodingResult, DataError> {
        let fail = |reason: String| {
            let what = if self.chunks.tiled { "tile" } else { "strip" };
            DataError::file(&self.path, format!("{what} {chunk}: {reason}"))
        };
        let stream = self.chunks.jpeg_stream(chunk, self.decoder.inner(), self.most_bytes).map_err(&fail)?;
        let convert = |error: JpegError| match error {
            JpegError::Unsupported(sentence) => fail(Refused::new(sentence, REWRITE).about(&self.path)),
            JpegError::Damaged(sentence) => fail(sentence),
        };
        let frame = check_stream(&stream).map_err(convert)?;
        let wanted = if self.chunks.tiled { self.chunk } else { (width, height) };
        let found = (usize::from(frame.width), usize::from(frame.height));
        let below = !self.chunks.tiled && chunk + 1 == self.chunks.offsets.len() && found.1 > wanted.1;
        let samples = self.accepted.samples_in_chunk();
        if found.0 != wanted.0 || !(found.1 == wanted.1 || below) || u64::from(frame.components) != samples {
            let sentence = format!(
                "its JPEG stream must have {}x{} pixels and {samples} component(s), found `{}x{}` and `{}`",
                wanted.0, wanted.1, found.0, found.1, frame.components
            );
            return Err(convert(JpegError::Unsupported(sentence)));
        }
        let pixels = decode(&stream, frame, Colours::Stored).map_err(convert)?;
        let samples = usize::from(frame.components);
        let rows = pixels.chunks_exact(found.0 * samples).take(height);
        Ok(DecodingResult::U8(rows.flat_map(|row| &row[..width * samples]).copied().collect()))
    }
}
