//! The target of a regression: moments of all of its pixels, and percentiles of some.

use schemars::JsonSchema;
use serde::Serialize;

use crate::bandcheck::PixelSampler;
use crate::statistics::BandStatistics;

/// The target of a regression.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct TargetStatistics {
    /// Moments and extremes of all pixels with a target, in the unit of the files.
    #[serde(flatten)]
    pub moments: BandStatistics,
    /// Standard deviation of these pixels; 0 without pixels.
    pub std: f64,
    /// `target_unit` of the data set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Percentiles; absent if no pixel has a target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percentiles: Option<TargetPercentiles>,
}

/// Percentiles of the target, in the unit of the files.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct TargetPercentiles {
    /// Pixels that they are of, spread evenly over the samples and over each.
    pub pixels: usize,
    /// The value that 2 % of these pixels do not exceed.
    pub p2: f64,
    /// The median.
    pub p50: f64,
    /// The value that 98 % of these pixels do not exceed.
    pub p98: f64,
}

/// A target that is being looked at.
pub(super) struct TargetSurvey {
    moments: BandStatistics,
    pixels: PixelSampler,
}

impl TargetSurvey {
    /// Of about so many samples.
    pub(super) fn new(name: &str, samples: usize) -> Self {
        Self { moments: BandStatistics::new(name), pixels: PixelSampler::new(1, samples) }
    }

    /// Adds the values of a sample of this width; those that are not finite are no target.
    pub(super) fn add(&mut self, values: &[f32], width: usize) {
        self.moments.add(values);
        self.pixels.add_image(values, width);
    }

    /// What was found.
    pub(super) fn finish(self, unit: Option<String>) -> TargetStatistics {
        let Self { moments, pixels } = self;
        let percentiles = pixels
            .quantiles([0.02, 0.5, 0.98])
            .map(|(pixels, [p2, p50, p98])| TargetPercentiles { pixels, p2, p50, p98 });
        TargetStatistics { std: moments.std(), moments, unit, percentiles }
    }
}
