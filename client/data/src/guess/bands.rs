//! What one image says of its bands, and which of many are proposed.

use std::path::Path;

use eosfed_common::model::MAX_BANDS;

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
    /// Looks at windows of a file, so that its size does not matter. Of one with more bands than a model can have, the proposed
    /// ones are read.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn at(path: &Path, limits: &Limits) -> Result<Self, DataError> {
        let numbers = Numbers { complex: Some(Complex::Amplitude), ..Numbers::default() };
        let mut file = WindowReader::open(path, limits, numbers, 1)?;
        let names = file.name_of_each_band();
        if let Some((_, proposed)) = proposed(&names) {
            let positions = choose(&proposed, &names).map_err(|error| DataError::file(path, error))?;
            file.choose(&positions);
        }
        let mut high = f32::MIN;
        let [width, height] = file.size();
        for top in places(height) {
            for left in places(width) {
                let values = file.window([left, top], [width.min(WINDOW), height.min(WINDOW)])?;
                high = values.into_iter().filter(|value| value.is_finite()).fold(high, f32::max);
            }
        }
        Ok(Self { names, complex: file.is_complex(), high })
    }

    /// With another image whose bands are stacked on it.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.names.extend(other.names);
        Self { names: self.names, complex: self.complex || other.complex, high: self.high.max(other.high) }
    }
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
