//! Opened files of scenes, kept for the next window. They are few, and so is the memory of what they have decoded.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use eosfed_common::model::Task;

use super::grids::Header;
use crate::error::DataError;
use crate::gdal_file::FileKind;
use crate::georeference::GeoReference;
use crate::geotiff::{BandName, Baseline, BaselineOffset, Numbers, Role, hide};
use crate::image_file::ImageFile;
use crate::raster::{Limits, Raster};
use crate::read::{read_labels, read_raster};

/// Decoded pixels that the files of one scene keep, in bytes.
const KEPT: usize = 64 << 20;
/// Scenes whose files are open and not in use.
const MOST_IDLE: usize = 8;
/// Bytes of rasters that are idle: those of formats without windows.
const MOST_BYTES: usize = 1 << 30;

/// How the pixels of one or more files are stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    /// Whether every pixel has data in every band, without a look at the pixels.
    pub(super) complete: bool,
    /// Width and height in pixels of what is decoded together.
    pub(super) block: [usize; 2],
}

impl Stored {
    /// Of both files together.
    pub(super) fn and(self, other: Self) -> Self {
        let larger = |axis: usize| self.block[axis].max(other.block[axis]);
        Self { complete: self.complete && other.complete, block: [larger(0), larger(1)] }
    }
}

/// A file of which windows are read.
pub(crate) struct WindowReader(Pixels);

enum Pixels {
    /// Strips or tiles are decoded as they are needed.
    Windows(ImageFile),
    /// The format has no windows.
    Whole(Raster),
}

impl WindowReader {
    /// Opens an image, one of `files` of a scene.
    pub(crate) fn open(
        path: &Path,
        limits: &Limits,
        numbers: Numbers,
        files: usize,
    ) -> Result<Self, DataError> {
        let kind = FileKind::of(path)?;
        if !kind.has_windows() {
            return Self::whole(path, read_raster(path, limits)?, &numbers);
        }
        Ok(Self::windows(ImageFile::of_kind(kind, Role::Image, path, limits, numbers)?, files))
    }

    /// Opens a mask or target raster.
    pub(crate) fn open_label(
        path: &Path,
        limits: &Limits,
        numbers: Numbers,
        task: Task,
        files: usize,
    ) -> Result<Self, DataError> {
        // The target of a regression is the shown value; the index of a colour is not a quantity.
        if task == Task::Regression {
            return Self::open(path, limits, numbers, files);
        }
        let kind = FileKind::of(path)?;
        if !kind.has_windows() {
            return Self::whole(path, read_labels(path, limits)?, &numbers);
        }
        Ok(Self::windows(ImageFile::of_kind(kind, Role::Labels, path, limits, numbers)?, files))
    }

    fn windows(mut file: ImageFile, files: usize) -> Self {
        file.keep_at_most(KEPT / files.max(1));
        Self(Pixels::Windows(file))
    }

    /// An image of a format that states neither a scale, a value of missing pixels nor a baseline.
    fn whole(path: &Path, mut raster: Raster, numbers: &Numbers) -> Result<Self, DataError> {
        if numbers.baseline_offset == Some(BaselineOffset::Remove) {
            let reason = "must be a GeoTIFF, which can say its processing baseline, where `baseline_offset` is `remove`";
            return Err(DataError::file(path, reason));
        }
        let marked = raster.data.iter_mut().filter(|value| Some(**value) == numbers.nodata);
        marked.for_each(|value| *value = f32::NAN);
        numbers.apply_stated(&mut raster).map_err(|reason| DataError::file(path, reason))?;
        Ok(Self(Pixels::Whole(raster)))
    }

    /// The whole raster, in memory.
    pub(super) fn into_raster(self, limits: &Limits) -> Result<Raster, DataError> {
        match self.0 {
            Pixels::Windows(file) => file.whole(limits),
            Pixels::Whole(raster) => Ok(raster),
        }
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> [usize; 2] {
        match &self.0 {
            Pixels::Windows(file) => [file.width(), file.height()],
            Pixels::Whole(raster) => [raster.width, raster.height],
        }
    }

    /// Number of bands that are read.
    pub(crate) fn bands(&self) -> usize {
        match &self.0 {
            Pixels::Windows(file) => file.bands(),
            Pixels::Whole(raster) => raster.bands,
        }
    }

    /// The georeference, if the file has one.
    pub(crate) fn reference(&self) -> Option<&GeoReference> {
        match &self.0 {
            Pixels::Windows(file) => file.reference(),
            Pixels::Whole(raster) => raster.reference.as_ref(),
        }
    }

    /// What the file says of each of its bands, also where that is nothing.
    pub(crate) fn name_of_each_band(&self) -> Vec<BandName> {
        match &self.0 {
            Pixels::Windows(file) => file.name_of_each_band(),
            Pixels::Whole(raster) => vec![BandName::default(); raster.bands],
        }
    }

    /// The processing baseline of the Sentinel-2 product, if the file says it.
    pub(crate) fn baseline(&self) -> Option<Baseline> {
        match &self.0 {
            Pixels::Windows(file) => file.baseline(),
            Pixels::Whole(_) => None,
        }
    }

    /// The band that says how opaque pixels are.
    pub(crate) fn alpha(&self) -> Option<usize> {
        match &self.0 {
            Pixels::Windows(file) => file.alpha(),
            Pixels::Whole(raster) => alpha_of(raster),
        }
    }

    /// Whether its stored numbers are complex.
    pub(crate) fn is_complex(&self) -> bool {
        match &self.0 {
            Pixels::Windows(file) => file.is_complex(),
            Pixels::Whole(_) => false,
        }
    }

    /// What the file says about its raster.
    pub(super) fn header(&self) -> Header {
        match &self.0 {
            Pixels::Windows(file) => Header {
                size: self.size(),
                bands: file.bands(),
                reference: file.reference().cloned(),
                baseline: file.baseline(),
                names: file.names().to_vec(),
            },
            Pixels::Whole(raster) => Header::from(raster),
        }
    }

    /// Reads these of its bands only, in this order; they must be there.
    pub(crate) fn choose(&mut self, bands: &[usize]) {
        match &mut self.0 {
            Pixels::Windows(file) => file.choose(bands),
            Pixels::Whole(raster) => {
                hide_transparent(raster, bands);
                raster.data = bands.iter().flat_map(|band| raster.band(*band).to_vec()).collect();
                raster.bands = bands.len();
            }
        }
    }

    /// How its pixels are stored.
    pub(super) fn stored(&self) -> Stored {
        match &self.0 {
            Pixels::Windows(file) => Stored { complete: file.is_complete(), block: file.chunk() },
            Pixels::Whole(raster) => Stored {
                complete: raster.data.iter().all(|value| value.is_finite()),
                block: [raster.width, raster.height],
            },
        }
    }

    /// The values inside a window, in the order band, row, column.
    pub(crate) fn window(
        &mut self,
        [left, top]: [usize; 2],
        [width, height]: [usize; 2],
    ) -> Result<Vec<f32>, DataError> {
        match &mut self.0 {
            Pixels::Windows(file) => file.window(left, top, width, height),
            Pixels::Whole(raster) => Ok(raster.window(left, top, width, height)),
        }
    }

    fn bytes(&self) -> usize {
        match &self.0 {
            Pixels::Windows(_) => 0,
            Pixels::Whole(raster) => raster.data.len() * 4,
        }
    }
}

/// The alpha band of a PNG: the second of two bands and the fourth of four. No other format that is decoded as a whole has
/// as many.
const fn alpha_of(raster: &Raster) -> Option<usize> {
    if matches!(raster.bands, 2 | 4) { Some(raster.bands - 1) } else { None }
}

/// Makes missing what the alpha band of a PNG hides, if that is none of the chosen bands.
fn hide_transparent(raster: &mut Raster, chosen: &[usize]) {
    let Some(alpha) = alpha_of(raster).filter(|alpha| !chosen.contains(alpha)) else { return };
    let opaque = raster.band(alpha).to_vec();
    raster.data.chunks_exact_mut(opaque.len().max(1)).for_each(|band| hide(band, &opaque));
}

/// The opened files of a scene.
pub(super) struct Opened {
    /// For each date the files whose bands are stacked.
    pub(super) dates: Vec<Vec<WindowReader>>,
    pub(super) label: Option<WindowReader>,
}

impl Opened {
    fn bytes(&self) -> usize {
        self.dates.iter().flatten().chain(&self.label).map(WindowReader::bytes).sum()
    }
}

/// Opened files that are not in use, by the number of their scene; those used last are at the end.
#[derive(Default)]
pub(super) struct Readers(Mutex<VecDeque<(usize, Opened)>>);

impl Readers {
    /// Does something with the files of a scene, which are opened if they are not there.
    pub(super) fn with<T>(
        &self,
        scene: usize,
        open: impl FnOnce() -> Result<Opened, DataError>,
        work: impl FnOnce(&mut Opened) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        let idle = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let at = all.iter().rposition(|(of, _)| *of == scene);
            at.and_then(|at| all.remove(at))
        };
        let mut opened = match idle {
            Some((_, opened)) => opened,
            None => open()?,
        };
        let done = work(&mut opened)?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back((scene, opened));
        while all.len() > MOST_IDLE || all.iter().map(|(_, one)| one.bytes()).sum::<usize>() > MOST_BYTES {
            all.pop_front();
        }
        Ok(done)
    }
}
