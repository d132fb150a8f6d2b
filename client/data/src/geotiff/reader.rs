//! Reading windows of a GeoTIFF: only the strips or tiles that a window touches are decoded, and a
//! bounded number of them is kept for the next window.

use std::path::Path;

use tiff::tags::Tag;

use super::accept::{Accepted, Role, Tags};
use super::band_names::BandName;
use super::chunks::Chunks;
use super::complex::Complex;
use super::decode::Layout;
use super::directory::{Directories, Directory};
use super::formats::Codec;
use super::mask::{alpha_band, check_nodata, find_mask, hide};
use super::metadata::{Baseline, MERGE, Metadata, check_beside};
use super::numbers::Numbers;
use super::pixels::{Pixels, Window};
use super::refused::Refused;
use super::source::Source;
use crate::bandcheck::Scaling;
use crate::error::DataError;
use crate::georeference::{GeoReference, contradicted_place};
use crate::raster::Limits;

/// Decoded strips and tiles that are kept, in bytes.
const CACHE: usize = 256 << 20;

/// An opened GeoTIFF.
pub struct GeoTiff {
    source: Source,
    pixels: Pixels,
    /// Pixels where this is 0 have no data.
    mask: Option<Pixels>,
    /// The band that says how opaque pixels are.
    alpha: Option<usize>,
    /// Whether that band is read beside the chosen ones, after them, since it is none of them: pixels where it is 0 have
    /// no data.
    hides: bool,
    reference: Option<GeoReference>,
    /// What is applied to each band; nothing if it is empty.
    scaling: Vec<Scaling>,
    baseline: Option<Baseline>,
    names: Vec<BandName>,
    numbers: Numbers,
}

impl GeoTiff {
    /// Opens an image. Its size does not matter, only that of its strips or tiles. Its values are its stored numbers.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, exceeds the limits of side and bands, or is of a kind that is not
    /// known to be read rightly; then with the tag, the value found and a command that converts it. Also if it
    /// states a scale or an offset of its bands.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, DataError> {
        Self::open_as(Role::Image, path, limits, Numbers::default())
    }

    /// Opens a mask or map of classes: as [`Self::open`], and the indices of a palette are read.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_labels(path: &Path, limits: &Limits) -> Result<Self, DataError> {
        Self::open_as(Role::Labels, path, limits, Numbers::default())
    }

    /// Opens an image: as [`Self::open`], and complex numbers become what `complex` says.
    ///
    /// # Errors
    /// As [`Self::open`], but for complex numbers.
    pub fn open_complex(path: &Path, limits: &Limits, complex: Complex) -> Result<Self, DataError> {
        Self::open_as(Role::Image, path, limits, Numbers { complex: Some(complex), ..Numbers::default() })
    }

    pub(crate) fn open_as(
        role: Role,
        path: &Path,
        limits: &Limits,
        numbers: Numbers,
    ) -> Result<Self, DataError> {
        check_beside(path)?;
        let fail = |reason: String| DataError::file(path, reason);
        let refuse = |refused: Refused| DataError::file(path, refused.about(path));
        let source = Source::open(path)?;
        let (file, first) = Directories::open(&source).map_err(fail)?;
        let directory = file.read(first).map_err(|error| {
            fail(format!("its first directory, at {first}, cannot be read: {error}; it is damaged"))
        })?;
        file.check_lengths(&directory).map_err(fail)?;
        let read = |role, directory: &Directory| {
            let complex = numbers.complex.filter(|_| role != Role::Mask);
            let tags = Tags { file: &file, directory, role, complex };
            let accepted = tags.accept().map_err(refuse)?;
            let chunks = Chunks::read(&tags, &accepted, path, limits)?;
            Ok(Layout { accepted, chunks, most_bytes: limits.bytes })
        };
        let layout = read(role, &directory)?;
        let mask = match find_mask(&file, &directory, first).map_err(refuse)? {
            Some(mask) => {
                check_nodata(layout.accepted.nodata.is_some()).map_err(refuse)?;
                Some(read(Role::Mask, &mask)?)
            }
            None => None,
        };
        if let Some(mask) = &mask {
            let found = [mask.chunks.width, mask.chunks.height, mask.accepted.samples];
            let wanted = [layout.chunks.width, layout.chunks.height, 1];
            if found != wanted {
                let reason = format!(
                    "the mask inside it must have {}x{} pixels and 1 band, found `{}x{}` and `{}`; it is damaged",
                    wanted[0], wanted[1], found[0], found[1], found[2]
                );
                return Err(fail(reason));
            }
        }
        let reference = reference(&file, &directory);
        if let Some(said) = reference.as_ref().and_then(|own| contradicted_place(path, own)) {
            return Err(refuse(Refused::new(said, MERGE)));
        }
        let bands = layout.accepted.samples;
        let metadata = Metadata::read(&file, &directory, bands, path).map_err(refuse)?;
        let alpha = alpha_band(&file, &directory, bands).or(metadata.alpha);
        let scaling = numbers.scaling_of_file(&metadata, bands, path)?;
        let complex = layout.accepted.complex;
        if complex.is_some() && !scaling.is_empty() {
            let reason = "a scale or an offset that is stated of complex numbers cannot count, and one is stated of its; for the \
                          stored numbers, write `file_scaling = \"ignore\"` in dataset.toml, or for a map `predict \
                          --file-scaling ignore`";
            return Err(fail(reason.to_owned()));
        }
        let own = layout.accepted.nodata;
        let stated = numbers.stated.as_ref().map(|stated| stated.nodata(own, mask.is_some(), bands));
        let baseline = metadata.baseline;
        let mask = mask.map(|layout| Pixels::new(layout, CACHE / 8));
        let mut pixels = Pixels::new(layout, CACHE);
        pixels.stated_nodata = stated.transpose().map_err(fail)?.flatten();
        // An amplitude of 0 has no decibels, and 0 dB is a number.
        let nodata = numbers.nodata.filter(|_| complex != Some(Complex::Decibels));
        let numbers = Numbers { nodata, ..numbers };
        let names = metadata.names;
        Ok(Self { source, pixels, mask, alpha, hides: false, reference, scaling, baseline, names, numbers })
    }

    /// Width in pixels.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.pixels.layout.chunks.width
    }

    /// Height in pixels.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.pixels.layout.chunks.height
    }

    /// Number of bands that are read.
    #[must_use]
    pub fn bands(&self) -> usize {
        let read = self.pixels.chosen.as_ref().map_or(self.pixels.layout.accepted.samples, Vec::len);
        read - usize::from(self.hides)
    }

    /// What it says of each of its bands; empty if it says nothing of any.
    pub(crate) fn names(&self) -> &[BandName] {
        &self.names
    }

    pub(crate) fn path(&self) -> &Path {
        self.source.path()
    }

    /// The band that says how opaque pixels are.
    pub(crate) const fn alpha(&self) -> Option<usize> {
        self.alpha
    }

    /// Reads these of its bands only, in this order; they must be there.
    pub(crate) fn choose(&mut self, bands: &[usize]) {
        if !self.scaling.is_empty() {
            self.scaling = bands.iter().map(|band| self.scaling[*band]).collect();
        }
        let alpha = self.alpha.filter(|alpha| !bands.contains(alpha));
        self.hides = alpha.is_some();
        self.pixels.chosen = Some(bands.iter().copied().chain(alpha).collect());
    }

    /// The georeference, if the file has one.
    #[must_use]
    pub const fn reference(&self) -> Option<&GeoReference> {
        self.reference.as_ref()
    }

    /// Whether its stored numbers are complex.
    pub(crate) const fn is_complex(&self) -> bool {
        self.pixels.layout.accepted.kind.is_complex()
    }

    /// The processing baseline of the Sentinel-2 product, if the file says it.
    pub(crate) const fn baseline(&self) -> Option<Baseline> {
        self.baseline
    }

    /// Whether every pixel has data in every band by what the file says of itself.
    pub(crate) const fn is_complete(&self) -> bool {
        let Accepted { kind, codec, nodata, .. } = &self.pixels.layout.accepted;
        // Floats may be no number, zero has no decibels, and LERC has a mask of its own.
        let whole = !kind.is_float() && !kind.is_complex() && !matches!(codec, Codec::Lerc);
        let stated = self.pixels.stated_nodata.is_some() || self.numbers.nodata.is_some();
        let marked = nodata.is_some() || stated;
        whole && !marked && self.mask.is_none() && !self.hides
    }

    /// Whether it says of pixels that they have no data.
    #[cfg(feature = "gdal")]
    pub(crate) const fn marks_missing(&self) -> bool {
        self.pixels.layout.accepted.nodata.is_some() || self.mask.is_some()
    }

    /// Width and height in pixels of a strip or tile, which is decoded as a whole.
    pub(crate) const fn chunk(&self) -> [usize; 2] {
        self.pixels.layout.chunks.size
    }

    /// Keeps at most so many bytes of decoded strips and tiles for the next window, and one in any case.
    pub(crate) const fn keep_at_most(&mut self, bytes: usize) {
        self.pixels.most = bytes;
        if let Some(mask) = &mut self.mask {
            mask.most = bytes / 8;
        }
    }

    /// The values inside a window, in the order band, row, column. Pixels outside the file, pixels
    /// with its value of missing data and pixels that its mask, or an alpha band that was not chosen, hides are NaN.
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
        let window = Window { left, top, width, height };
        let mut data = self.pixels.window(&self.source, window)?;
        if self.hides {
            let alpha = data.split_off(data.len() - width * height);
            data.chunks_exact_mut(alpha.len().max(1)).for_each(|band| hide(band, &alpha));
        }
        if let Some(mask) = &mut self.mask {
            let mask = mask.window(&self.source, window)?;
            for band in data.chunks_exact_mut(mask.len().max(1)) {
                hide(band, &mask);
            }
        }
        self.numbers.finish(&mut data, width * height, &self.scaling);
        Ok(data)
    }
}

/// The georeference of a GeoTIFF in memory, which sentences call `path`; `None` if it has none.
///
/// # Errors
/// If it is none.
#[cfg(feature = "gdal")]
pub(crate) fn reference_in(path: &Path, bytes: Vec<u8>) -> Result<Option<GeoReference>, DataError> {
    let fail = |reason: String| DataError::file(path, reason);
    let source = Source::of_bytes(path, bytes);
    let (file, first) = Directories::open(&source).map_err(fail)?;
    let directory = file.read(first).map_err(|error| fail(error.to_string()))?;
    Ok(reference(&file, &directory))
}

fn reference(file: &Directories<'_>, directory: &Directory) -> Option<GeoReference> {
    let doubles = |tag| file.floats(directory, tag);
    let keys = file.numbers(directory, Tag::GeoKeyDirectoryTag).ok().flatten().unwrap_or_default();
    let keys: Result<Vec<u16>, _> = keys.into_iter().map(u16::try_from).collect();
    let text = file.bytes(directory, Tag::GeoAsciiParamsTag).ok().flatten().unwrap_or_default();
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let found = GeoReference {
        pixel_scale: doubles(Tag::ModelPixelScaleTag),
        tie_point: doubles(Tag::ModelTiepointTag),
        transformation: doubles(Tag::ModelTransformationTag),
        doubles: doubles(Tag::GeoDoubleParamsTag),
        keys: keys.unwrap_or_default(),
        text: String::from_utf8(text.to_vec()).unwrap_or_default(),
    };
    let known = !(found.keys.is_empty() && found.pixel_scale.is_empty() && found.transformation.is_empty());
    known.then_some(found)
}
