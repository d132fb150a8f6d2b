//! Reading windows of a GeoTIFF: only the strips or tiles that a window touches are decoded, and a
//! bounded number of them is kept for the next window.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use tiff::decoder::{Decoder, DecodingResult};
use tiff::tags::Tag;

use super::header;
use crate::error::DataError;
use crate::georeference::{GeoReference, Grid};
use crate::raster::{Limits, Raster};

/// Decoded strips and tiles that are kept, in bytes.
const CACHE: usize = 256 << 20;
const PLANAR: u16 = 2;

/// An opened GeoTIFF.
pub struct GeoTiff {
    path: PathBuf,
    decoder: Decoder<BufReader<File>>,
    width: usize,
    height: usize,
    bands: usize,
    nodata: Option<f32>,
    reference: Option<GeoReference>,
    planar: bool,
    chunk: (usize, usize),
    kept: VecDeque<(u32, Vec<f32>)>,
    cache: usize,
}

impl GeoTiff {
    /// Opens a file. Its size does not matter, only that of its strips or tiles.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or exceeds the limits of side and bands.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, DataError> {
        let file = File::open(path).map_err(|error| DataError::file(path, error))?;
        let fail = |error: tiff::TiffError| DataError::file(path, error);
        let mut allowed = tiff::decoder::Limits::default();
        let bytes = usize::try_from(limits.bytes).unwrap_or(usize::MAX);
        (allowed.decoding_buffer_size, allowed.intermediate_buffer_size) = (bytes, bytes);
        let length = file.metadata().map_err(|error| DataError::file(path, error))?.len();
        let mut file = BufReader::new(file);
        header::check(&mut file, length).map_err(|reason| DataError::file(path, reason))?;
        let mut decoder = Decoder::new(file).map_err(fail)?.with_limits(allowed);
        let (width, height) = decoder.dimensions().map_err(fail)?;
        let bands = decoder.find_tag_unsigned::<u32>(Tag::SamplesPerPixel).map_err(fail)?.unwrap_or(1);
        limits.check_shape(path, width, height, bands)?;
        let planar =
            decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).map_err(fail)? == Some(PLANAR);
        let nodata = decoder.get_tag_ascii_string(Tag::GdalNodata).ok();
        let nodata = nodata.and_then(|text| text.trim_matches(['\0', ' ']).parse::<f64>().ok());
        let (chunk_width, chunk_height) = decoder.chunk_dimensions();
        let samples = if planar { 1 } else { bands };
        limits.check_chunk(path, chunk_width.min(width), chunk_height.min(height), samples)?;
        Ok(Self {
            path: path.to_owned(),
            reference: reference(&mut decoder),
            decoder,
            width: width as usize,
            height: height as usize,
            bands: bands as usize,
            nodata: nodata.map(|value| value as f32),
            planar,
            chunk: (chunk_width.max(1) as usize, chunk_height.max(1) as usize),
            kept: VecDeque::new(),
            cache: CACHE,
        })
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

    /// Where on Earth it lies, when the file says so.
    #[must_use]
    pub const fn reference(&self) -> Option<&GeoReference> {
        self.reference.as_ref()
    }

    /// The grid that it lies on.
    #[must_use]
    pub fn grid(&self) -> Grid {
        Grid::new(self.width, self.height, self.reference.as_ref())
    }

    /// Everything, in memory.
    pub(crate) fn whole(mut self, limits: &Limits) -> Result<Raster, DataError> {
        let shape = [self.width, self.height, self.bands].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        limits.check(&self.path, shape[0], shape[1], shape[2])?;
        self.cache = 0;
        let data = self.window(0, 0, self.width, self.height)?;
        let Self { width, height, bands, reference, .. } = self;
        Ok(Raster { width, height, bands, data, reference })
    }

    /// The values inside a window, in the order band, row, column. What lies outside the file, or
    /// has its GDAL_NODATA value, is NaN.
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
        let (right, bottom) = ((left + width).min(self.width), (top + height).min(self.height));
        if left >= right || top >= bottom {
            return Ok(window.data);
        }
        let across = self.width.div_ceil(self.chunk.0);
        let down = self.height.div_ceil(self.chunk.1);
        let planes = if self.planar { self.bands } else { 1 };
        for plane in 0..planes {
            for row in top / self.chunk.1..=(bottom - 1) / self.chunk.1 {
                for column in left / self.chunk.0..=(right - 1) / self.chunk.0 {
                    let index = plane * across * down + row * across + column;
                    self.copy(index, across * down, plane, (column, row), &mut window)?;
                }
            }
        }
        if let Some(nodata) = self.nodata {
            window.data.iter_mut().filter(|value| **value == nodata).for_each(|value| *value = f32::NAN);
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
        let (w, h) = (w as usize, h as usize);
        let samples = if self.planar { 1 } else { self.bands };
        let at = match self.kept.iter().position(|(kept, _)| *kept == chunk) {
            Some(at) => at,
            None => {
                let decoded =
                    self.decoder.read_chunk(chunk).map_err(|error| DataError::file(&self.path, error))?;
                let values = floats(decoded);
                if values.len() < w * h * samples {
                    let (wanted, found) = (w * h * samples, values.len());
                    let found = format!("chunk {chunk} should hold {wanted} values, found `{found}`");
                    return Err(DataError::file(&self.path, found));
                }
                self.keep(chunk, values)
            }
        };
        let values = &self.kept[at].1;
        let (chunk_left, chunk_top) = (column * self.chunk.0, row * self.chunk.1);
        let (from_x, to_x) = (window.left.max(chunk_left), (window.left + window.width).min(chunk_left + w));
        let (from_y, to_y) = (window.top.max(chunk_top), (window.top + window.height).min(chunk_top + h));
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

    /// Keeps a decoded chunk, lets the oldest go, and says where it is.
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

fn floats(decoded: DecodingResult) -> Vec<f32> {
    match decoded {
        DecodingResult::U8(v) => v.into_iter().map(f32::from).collect(),
        DecodingResult::U16(v) => v.into_iter().map(f32::from).collect(),
        DecodingResult::U32(v) => v.into_iter().map(|x| x as f32).collect(),
        DecodingResult::U64(v) => v.into_iter().map(|x| x as f32).collect(),
        DecodingResult::I8(v) => v.into_iter().map(f32::from).collect(),
        DecodingResult::I16(v) => v.into_iter().map(f32::from).collect(),
        DecodingResult::I32(v) => v.into_iter().map(|x| x as f32).collect(),
        DecodingResult::I64(v) => v.into_iter().map(|x| x as f32).collect(),
        DecodingResult::F16(v) => v.into_iter().map(f32::from).collect(),
        DecodingResult::F32(v) => v,
        DecodingResult::F64(v) => v.into_iter().map(|x| x as f32).collect(),
    }
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
