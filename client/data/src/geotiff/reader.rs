//! Reading windows of a GeoTIFF: only the strips or tiles that a window touches are decoded, and a
//! bounded number of them is kept for the next window.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use tiff::decoder::Decoder;
use tiff::tags::Tag;

use super::accept::{Accepted, Refused};
use super::chunks::Chunks;
use super::header::Header;
use crate::error::DataError;
use crate::georeference::{GeoReference, Grid};
use crate::open::open_regular;
use crate::raster::{Limits, Raster};

/// Decoded strips and tiles that are kept, in bytes.
const CACHE: usize = 256 << 20;

/// An opened GeoTIFF.
pub struct GeoTiff {
    pub(super) path: PathBuf,
    pub(super) decoder: Decoder<BufReader<File>>,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) bands: usize,
    pub(super) accepted: Accepted,
    pub(super) chunks: Chunks,
    pub(super) reference: Option<GeoReference>,
    /// Width and height of a strip or tile in pixels.
    pub(super) chunk: (usize, usize),
    pub(super) kept: VecDeque<(u32, Vec<f32>)>,
    pub(super) cache: usize,
    /// Most bytes of one strip or tile in the file.
    pub(super) most_bytes: u64,
}

impl GeoTiff {
    /// Opens a file. Its size does not matter, only that of its strips or tiles.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, exceeds the limits of side and bands, or is of a kind that is not
    /// known to be read rightly; then with the tag, the value found and a command that converts it.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, DataError> {
        let file = open_regular(path)?;
        let fail = |error: tiff::TiffError| DataError::file(path, error);
        let refuse = |refused: Refused| DataError::file(path, refused.about(path));
        let length = file.metadata().map_err(|error| DataError::file(path, error))?.len();
        let mut file = BufReader::new(file);
        let header = Header::read(&mut file, length).map_err(|reason| DataError::file(path, reason))?;
        let accepted = header.accepted.transpose().map_err(refuse)?;
        file.rewind().map_err(|error| DataError::file(path, error))?;
        let mut decoder = Decoder::new(file).map_err(fail)?.with_limits(allowed(limits));
        let (width, height) = decoder.dimensions().map_err(fail)?;
        // The decoder has read a directory that could not be read before.
        let (accepted, chunks) = accepted
            .ok_or_else(|| DataError::file(path, "its first directory cannot be read; it is damaged"))?;
        let bands = u32::try_from(accepted.samples).unwrap_or(u32::MAX);
        limits.check_shape(path, width, height, bands)?;
        let chunk = decoder.chunk_dimensions();
        let samples = u32::try_from(accepted.samples_in_chunk()).unwrap_or(u32::MAX);
        limits.check_chunk(path, chunk.0.min(width), chunk.1.min(height), samples)?;
        let found = Self {
            path: path.to_owned(),
            reference: reference(&mut decoder),
            decoder,
            width: width as usize,
            height: height as usize,
            bands: bands as usize,
            accepted,
            chunks,
            chunk: (chunk.0.max(1) as usize, chunk.1.max(1) as usize),
            kept: VecDeque::new(),
            cache: CACHE,
            most_bytes: limits.bytes,
        };
        found.chunks.check(&found.accepted, |at| found.bytes_of(at)).map_err(refuse)?;
        Ok(found)
    }

    /// Bytes of the pixels of a strip or tile.
    fn bytes_of(&self, at: usize) -> u64 {
        let (across, down) = self.across_and_down();
        let rows = if self.chunks.tiled {
            self.chunk.1
        } else {
            let row = at % (across * down).max(1);
            self.chunk.1.min(self.height.saturating_sub(row.saturating_mul(self.chunk.1)))
        };
        let row = (self.chunk.0 as u64 * self.accepted.samples_in_chunk() * self.accepted.bits).div_ceil(8);
        row.saturating_mul(rows as u64)
    }

    /// Strips or tiles in a row, and in a column, of one plane.
    fn across_and_down(&self) -> (usize, usize) {
        (self.width.div_ceil(self.chunk.0), self.height.div_ceil(self.chunk.1))
    }

    /// Width in pixels.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Number of bands.
    #[must_use]
    pub const fn bands(&self) -> usize {
        self.bands
    }

    /// The georeference, if the file has one.
    #[must_use]
    pub const fn reference(&self) -> Option<&GeoReference> {
        self.reference.as_ref()
    }

    /// The grid that it lies on.
    #[must_use]
    pub fn grid(&self) -> Grid {
        Grid::new(self.width, self.height, self.reference.as_ref())
    }

    /// Keeps at most so many bytes of decoded strips and tiles for the next window, and one in any case.
    pub(crate) const fn keep_at_most(&mut self, bytes: usize) {
        self.cache = bytes;
    }

    /// The whole raster, in memory.
    pub(crate) fn whole(mut self, limits: &Limits) -> Result<Raster, DataError> {
        let shape = [self.width, self.height, self.bands].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        limits.check(&self.path, shape[0], shape[1], shape[2])?;
        self.cache = 0;
        let data = self.window(0, 0, self.width, self.height)?;
        let Self { width, height, bands, reference, .. } = self;
        Ok(Raster { width, height, bands, data, reference })
    }

    /// The values inside a window, in the order band, row, column. Pixels outside the file, and pixels
    /// with its GDAL_NODATA value, are NaN.
    ///
    /// # Errors
    /// If the file is damaged there.
    pub fn window(
        &mut self,
        left: usize,
        top: usize,
        width: usize,
        height: usize,
    ) -> Result<Vec<f32>, DataError> {
        let mut window =
            Window { left, top, width, height, data: vec![f32::NAN; self.bands * width * height] };
        let right = (left + width).min(self.width);
        let bottom = (top + height).min(self.height);
        if left >= right || top >= bottom {
            return Ok(window.data);
        }
        let (across, down) = self.across_and_down();
        let planes = if self.accepted.planar { self.bands } else { 1 };
        for plane in 0..planes {
            for row in top / self.chunk.1..=(bottom - 1) / self.chunk.1 {
                for column in left / self.chunk.0..=(right - 1) / self.chunk.0 {
                    let index = plane * across * down + row * across + column;
                    self.copy(index, across * down, plane, (column, row), &mut window)?;
                }
            }
        }
        Ok(window.data)
    }

    /// Copies what a chunk has of the window.
    fn copy(
        &mut self,
        index: usize,
        in_plane: usize,
        plane: usize,
        (column, row): (usize, usize),
        window: &mut Window,
    ) -> Result<(), DataError> {
        let chunk = u32::try_from(index).unwrap_or(u32::MAX);
        let (w, h) = self.decoder.chunk_data_dimensions((index % in_plane) as u32);
        let w = w as usize;
        let h = h as usize;
        let samples = if self.accepted.planar { 1 } else { self.bands };
        let at = match self.kept.iter().position(|(kept, _)| *kept == chunk) {
            Some(at) => at,
            None => {
                let values = self.decode(chunk, w, h)?;
                if values.len() < w * h * samples {
                    let wanted = w * h * samples;
                    let found =
                        format!("chunk {chunk} should hold {wanted} values, found `{}`", values.len());
                    return Err(DataError::file(&self.path, found));
                }
                self.keep(chunk, values)
            }
        };
        let values = &self.kept[at].1;
        let chunk_left = column * self.chunk.0;
        let chunk_top = row * self.chunk.1;
        let from_x = window.left.max(chunk_left);
        let to_x = (window.left + window.width).min(chunk_left + w);
        let from_y = window.top.max(chunk_top);
        let to_y = (window.top + window.height).min(chunk_top + h);
        for sample in 0..samples {
            let base = (plane + sample) * window.width * window.height;
            for y in from_y..to_y {
                let start = base + (y - window.top) * window.width + (from_x - window.left);
                let source = ((y - chunk_top) * w + (from_x - chunk_left)) * samples + sample;
                let row = values[source..].iter().step_by(samples);
                let target = &mut window.data[start..start + to_x.saturating_sub(from_x)];
                target.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
            }
        }
        Ok(())
    }

    /// Keeps a decoded chunk, drops the oldest, and returns the position of the new one.
    fn keep(&mut self, chunk: u32, values: Vec<f32>) -> usize {
        let size = values.len() * 4;
        let most = (self.cache / size.max(1)).max(1);
        while self.kept.len() >= most {
            self.kept.pop_front();
        }
        self.kept.push_back((chunk, values));
        self.kept.len() - 1
    }
}

struct Window {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    data: Vec<f32>,
}

fn reference<R: Read + Seek>(decoder: &mut Decoder<R>) -> Option<GeoReference> {
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

/// The limits of the decoder.
fn allowed(limits: &Limits) -> tiff::decoder::Limits {
    let bytes = usize::try_from(limits.bytes).unwrap_or(usize::MAX);
    let mut allowed = tiff::decoder::Limits::default();
    allowed.decoding_buffer_size = bytes;
    allowed.intermediate_buffer_size = bytes;
    allowed
}
