//! A band here beside the same band of a training.

use eosfed_common::band_values::BandValues;

use crate::statistics::BandStatistics;

/// Mean and standard deviation of a band, and what its numbers look like.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// The band's name.
    pub band: String,
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation.
    pub std: f64,
    /// Its unit and range, where they are known.
    pub values: Option<BandValues>,
}

impl From<&BandStatistics> for Moments {
    fn from(statistics: &BandStatistics) -> Self {
        Self { band: statistics.band.clone(), mean: statistics.mean, std: statistics.std(), values: None }
    }
}

/// A band here and there.
pub(super) type Pair<'a> = (&'a Moments, &'a Moments);

/// The names of the bands.
pub(super) fn names<'a>(pairs: &[Pair<'a>]) -> Vec<&'a str> {
    pairs.iter().map(|(here, _)| here.band.as_str()).collect()
}
