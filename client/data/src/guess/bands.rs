//! What one image says of its bands, and which of many are proposed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use eosfed_common::counted::counted;
use eosfed_common::model::MAX_BANDS;

use super::Draft;
use super::text::{list, quoted};

use crate::config::FileBand;
use crate::dataset::{WindowReader, choose};
use crate::error::DataError;
use crate::geotiff::{BandName, Complex, Numbers};
use crate::raster::Limits;

/// Bands that are proposed of files with more than a model can have: their names here, and where they are.
const PROPOSED: [(&str, &str); 6] = [
    ("blue", "490 nm"),
    ("green", "560 nm"),
    ("red", "665 nm"),
    ("nir", "842 nm"),
    ("swir16", "1610 nm"),
    ("swir22", "2200 nm"),
];

/// Side in pixels of the windows that are looked at.
const WINDOW: usize = 256;
/// Most windows along each axis.
const WINDOWS: usize = 4;
/// Numbers that often mark missing pixels.
const MARKS: [f32; 4] = [-9999.0, -32_768.0, -99_999.0, f32::MIN];

/// An image that was looked at.
pub(super) struct Looked {
    /// Of each band.
    pub(super) names: Vec<BandName>,
    pub(super) complex: bool,
    /// The smallest number of the bands that were read; infinity if there is none.
    pub(super) low: f32,
    /// The largest one; minus infinity if there is none.
    pub(super) high: f32,
}

impl Default for Looked {
    fn default() -> Self {
        Self { names: Vec::new(), complex: false, low: f32::INFINITY, high: f32::NEG_INFINITY }
    }
}

impl Looked {
    /// Looks at windows of a file, so that its size does not matter. Of one with more bands than a model can have, the proposed
    /// ones are read.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn at(path: &Path, limits: &Limits) -> Result<Self, DataError> {
        let mut file = image(path, limits)?;
        let names = file.name_of_each_band();
        if let Some((_, proposed)) = proposed(&names) {
            let positions = choose(&proposed, &names).map_err(|error| DataError::file(path, error))?;
            file.choose(&positions);
        }
        let Self { mut low, mut high, .. } = Self::default();
        let [width, height] = file.size();
        for top in places(height) {
            for left in places(width) {
                let values = file.window([left, top], [width.min(WINDOW), height.min(WINDOW)])?;
                for value in values.into_iter().filter(|value| value.is_finite()) {
                    (low, high) = (low.min(value), high.max(value));
                }
            }
        }
        Ok(Self { names, complex: file.is_complex(), low, high })
    }

    /// With another image whose bands are stacked on it.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.names.extend(other.names);
        Self {
            names: self.names,
            complex: self.complex || other.complex,
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }

    /// The smallest number, if it is one that often marks missing pixels.
    pub(super) fn mark(&self) -> Option<f32> {
        MARKS.contains(&self.low).then_some(self.low)
    }
}

/// Opens an image, also one of complex numbers.
pub(super) fn image(path: &Path, limits: &Limits) -> Result<WindowReader, DataError> {
    let numbers = Numbers { complex: Some(Complex::Amplitude), ..Numbers::default() };
    WindowReader::open(path, limits, numbers, 1)
}

/// The first pixels, along an axis of so many, of windows that are spread evenly over it and touch both ends. Short axes are
/// covered.
fn places(length: usize) -> impl Iterator<Item = usize> {
    let windows = length.div_ceil(WINDOW).clamp(1, WINDOWS);
    (0..windows).map(move |at| at * length.saturating_sub(WINDOW) / (windows - 1).max(1))
}

/// Names of bands, and where they are in the files, where there are more than a model can have; none otherwise.
pub(super) fn proposed(names: &[BandName]) -> Option<(Vec<String>, Vec<FileBand>)> {
    if names.len() <= MAX_BANDS {
        return None;
    }
    let near = PROPOSED.into_iter().filter_map(|(name, wavelength)| {
        let band = FileBand::Text(wavelength.to_owned());
        choose(std::slice::from_ref(&band), names).is_ok().then(|| (name.to_owned(), band))
    });
    let (mut bands, mut chosen): (Vec<String>, Vec<FileBand>) = near.unzip();
    if choose(&chosen, names).is_err() || bands.is_empty() {
        const FIRST: u32 = 6;
        bands = (1..=FIRST).map(|number| format!("b{number}")).collect();
        chosen = (1..=FIRST).map(FileBand::Number).collect();
    }
    Some((bands, chosen))
}

impl Draft<'_> {
    /// The bands of the files that are stacked, by their number.
    pub(super) fn bands(&mut self, files: &[PathBuf]) -> Result<(), DataError> {
        let looked = self.looked(files)?;
        let Looked { names, complex, high, .. } = &looked;
        match proposed(names) {
            Some((chosen, places)) => self.some_bands(names.len(), &chosen, &places),
            None => self.all_bands(names.len(), *high < 100.0 && !complex),
        }
        self.numbers(&looked);
        Ok(())
    }

    /// Looks at files that are stacked.
    pub(super) fn looked(&self, files: &[PathBuf]) -> Result<Looked, DataError> {
        let mut looked = Looked::default();
        for file in files {
            looked = looked.and(Looked::at(file, self.limits)?);
        }
        Ok(looked)
    }

    /// What is done to the numbers of the files.
    pub(super) fn numbers(&mut self, looked: &Looked) {
        let &Looked { complex, high, .. } = looked;
        if complex {
            let _ = writeln!(
                self.head,
                "# The files have complex numbers: \"amplitude\", or \"decibels\" for 20 log10 of it.\ncomplex = \"amplitude\""
            );
            self.ask(
                "the files have complex numbers, as radar processors write them before they are calibrated: should models see \
                 `amplitude` or `decibels`? The partners of a job need the same",
            );
        }
        if high > 255.0 && !complex {
            let _ = writeln!(self.head, "# Numbers reach {high}.\n# scale = 0.0001");
            self.ask(
                "which factor makes reflectance of the numbers? The partners of a job need the same unit",
            );
        }
        if let Some(mark) = looked.mark() {
            let _ = writeln!(
                self.head,
                "# The smallest number is {mark}, which often marks missing pixels.\nnodata = {mark:?}"
            );
            self.ask(format!("does {mark} mark missing pixels? The files do not say so (`nodata`)"));
        }
    }

    /// So many bands; whether they may be backscatter in decibels.
    fn all_bands(&mut self, bands: usize, decibels: bool) {
        let sensor = match bands {
            3 => "rgb",
            13 => "sentinel2_l1c",
            12 => "sentinel2_l2a",
            10 => "sentinel2_land",
            2 if decibels => "sentinel1",
            _ => "",
        };
        if sensor.is_empty() {
            let names = list((1..=bands).map(|band| format!("b{band}")));
            let _ = writeln!(self.head, "# The files have {}.\nbands = {names}", counted(bands, "band"));
            self.ask(
                "what are the bands? Write names as `B04`, `red`, `nir` or `VV` in the order of the files",
            );
        } else {
            let _ = writeln!(
                self.head,
                "# The files have {}.\nsensor = {}",
                counted(bands, "band"),
                quoted(sensor)
            );
            self.ask(format!(
                "are the bands those of `{sensor}`, in its order? If not, name them in `bands`"
            ));
        }
    }

    /// Some of more bands than a model can have.
    fn some_bands(&mut self, bands: usize, names: &[String], chosen: &[FileBand]) {
        let shown = chosen.iter().map(|band| match band {
            FileBand::Number(number) => number.to_string(),
            FileBand::Text(text) => quoted(text),
        });
        let chosen = shown.collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            self.head,
            "# The files have {bands} bands, more than a model can have: these are taken, by number from 1, description or \
             wavelength.\nbands = {}\nfile_bands = [{chosen}]",
            list(names.iter().cloned())
        );
        self.ask(format!(
            "which of the {bands} bands should models see? A partner's data need the same, of about the same wavelengths"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geotiff::write_geotiff;
    use crate::raster::Raster;

    #[test]
    fn windows_are_spread_over_an_axis_and_few() {
        let of = |length| places(length).collect::<Vec<_>>();
        assert_eq!((of(1), of(256), of(257)), (vec![0], vec![0], vec![0, 1]));
        assert_eq!((of(1024), of(10_980)), (vec![0, 256, 512, 768], vec![0, 3574, 7149, 10_724]));
    }

    /// The file is larger than what may be in memory.
    #[test]
    fn windows_of_a_large_file_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scene.tif");
        let [width, height] = [1100, 1100];
        let mut data = vec![7.0; 2 * width * height];
        *data.last_mut().unwrap() = 4000.0;
        write_geotiff(&path, &Raster { width, height, bands: 2, data, reference: None }).unwrap();
        let limits = Limits { bytes: 5_000_000, ..Limits::default() };
        let looked = Looked::at(&path, &limits).unwrap();
        assert_eq!((looked.names.len(), looked.high), (2, 4000.0), "the last window has the last pixel");
    }
}
