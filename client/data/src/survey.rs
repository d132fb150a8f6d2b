//! What bands look like in samples that come one after another: their moments, their units and ranges, and whether
//! they contradict their names. One of them decides what data are compared with a training by, wherever they come from.

use eosfed_common::model::NamedBand;

use crate::bandcheck::{BandReport, BandScaling, PixelSampler, check_sampled};
use crate::sample::Sample;
use crate::statistics::BandStatistics;

/// Bands that are being looked at. Its memory does not depend on the number of samples.
#[derive(Debug)]
pub struct BandSurvey {
    bands: Vec<NamedBand>,
    statistics: Vec<BandStatistics>,
    pixels: PixelSampler,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Surveyed {
    /// Moments of each band.
    pub statistics: Vec<BandStatistics>,
    /// What the pixels say of each band.
    pub report: BandReport,
}

impl BandSurvey {
    /// Of about so many images, each date of a sample being one, that have these bands.
    #[must_use]
    pub fn new(bands: Vec<NamedBand>, images: usize) -> Self {
        Self {
            statistics: bands.iter().map(|band| BandStatistics::new(&band.name)).collect(),
            pixels: PixelSampler::new(bands.len(), images),
            bands,
        }
    }

    /// The names of its bands.
    pub(crate) fn names(&self) -> Vec<String> {
        self.bands.iter().map(|band| band.name.clone()).collect()
    }

    /// Looks at a sample whose values are scaled. Moments are of the pixels that it judges.
    ///
    /// # Panics
    /// If its image is not a whole number of stacks of the bands.
    pub fn add(&mut self, sample: &Sample) {
        let bands = self.statistics.len().max(1);
        // A second date has the same bands again.
        for (channel, values) in sample.judged_channels().enumerate() {
            self.statistics[channel % bands].add(&values);
        }
        self.pixels.add(sample);
    }

    /// What was found. `scaling` is what was applied to the files' values of each band.
    #[must_use]
    pub fn finish(self, scaling: &BandScaling) -> Surveyed {
        Surveyed { report: check_sampled(&self.bands, scaling, self.pixels), statistics: self.statistics }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bandcheck::{Scaling, check_bands};
    use crate::sample::Target;
    use crate::statistics::band_statistics;

    #[test]
    fn samples_one_by_one_give_what_all_of_them_give() {
        let names = ["red".to_owned(), "nir".to_owned()];
        let bands: Vec<NamedBand> = names.iter().map(|name| NamedBand::of(name)).collect();
        // Two dates, and a missing pixel.
        let sample = |seed: usize| {
            let value = |at: usize| ((at * 7919 + seed * 104_729) % 3001) as f32 / 1e4;
            let mut image: Vec<f32> = (0..4 * 20 * 30).map(value).collect();
            image[seed] = f32::NAN;
            Sample {
                key: seed.to_string(),
                width: 30,
                height: 20,
                image,
                target: Target::Class(0),
                judged: None,
            }
        };
        let samples: Vec<Sample> = (0..5).map(sample).collect();
        let mut survey = BandSurvey::new(bands.clone(), 10);
        samples.iter().for_each(|sample| survey.add(sample));
        let Surveyed { statistics, report } = survey.finish(&Scaling::default().into());
        assert_eq!(statistics, band_statistics(&names, samples.iter()));
        assert_eq!(report, check_bands(&bands, Scaling::default(), &samples));
        assert!(report.values.iter().all(Option::is_some), "{report:?}");
    }
}
