//! What one image says of its bands, and which of many are proposed.

use std::path::Path;

use eosfed_common::model::MAX_BANDS;

use crate::config::FileBand;
use crate::dataset::choose;
use crate::error::DataError;
use crate::geotiff::{BandName, Complex, Numbers, Role};
use crate::image_file::ImageFile;
use crate::raster::{Limits, Raster};
use crate::read::read_raster;

/// Bands that are proposed of files with more than a model can have: their names here, and where they are.
const PROPOSED: [(&str, &str); 6] = [
    ("blue", "490 nm"),
    ("green", "560 nm"),
    ("red", "665 nm"),
    ("nir", "842 nm"),
    ("swir16", "1610 nm"),
    ("swir22", "2200 nm"),
];

/// An image that was looked at.
#[derive(Default)]
pub(super) struct Looked {
    /// Of each band.
    pub(super) names: Vec<BandName>,
    pub(super) complex: bool,
    /// The largest number of the bands that were read.
    pub(super) high: f32,
}

impl Looked {
    /// Looks at a file. Of one with more bands than a model can have, the proposed ones are read.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn at(path: &Path, limits: &Limits) -> Result<Self, DataError> {
        let numbers = Numbers { complex: Some(Complex::Amplitude), ..Numbers::default() };
        let opened = ImageFile::with_windows(Role::Image, path, limits, numbers)?;
        let (names, complex, raster) = if let Some(mut file) = opened {
            let names = file.name_of_each_band();
            if let Some((_, proposed)) = proposed(&names) {
                let positions = choose(&proposed, &names).map_err(|error| DataError::file(path, error))?;
                file.choose(&positions);
            }
            (names, file.is_complex(), file.whole(limits)?)
        } else {
            let raster = read_raster(path, limits)?;
            (vec![BandName::default(); raster.bands], false, raster)
        };
        let Raster { data, .. } = raster;
        let high = data.into_iter().filter(|value| value.is_finite()).fold(f32::MIN, f32::max);
        Ok(Self { names, complex, high })
    }

    /// With another image whose bands are stacked on it.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.names.extend(other.names);
        Self { names: self.names, complex: self.complex || other.complex, high: self.high.max(other.high) }
    }
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
