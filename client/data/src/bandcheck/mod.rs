//! Checks the declared bands of a data set against its pixels.
//!
//! A model trains on bands in a wrong order without an error, and predicts badly. So these checks come
//! before any training: bands that are constant or copies, values in another unit than the declared one, and
//! orders that fit the physics of the named bands clearly better than the declared order. Each rule is
//! in the file of its name, with its source and its thresholds. The checks are pure and use about
//! 8,000 pixels, always the same ones.
//!
//! They compare pixels with names. They cannot detect that *all* of a data set shows another place or date,
//! and they report nothing where the pixels do not decide; see [`check_bands`].

mod evidence;
mod finding;
mod moments;
mod order;
mod pair;
mod pixels;
mod radar;
mod scaling;
mod shift;
mod spectrum;
#[cfg(test)]
mod testing;
mod unit;
mod values;

use eosfed_common::band_values::BandValues;
use eosfed_common::model::NamedBand;
use schemars::JsonSchema;
use serde::Serialize;

use crate::sample::Sample;
pub use finding::{Finding, Rule, Severity};
pub use moments::compare_moments;
pub use pair::Moments;
pub(crate) use pixels::PixelSampler;
use pixels::Pixels;
pub use scaling::BandScaling;
pub use unit::{OpticalUnit, Scaling};

/// The result of checking the declared bands against the pixels.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BandReport {
    /// The findings; empty where pixels and names agree or the pixels do not decide.
    pub findings: Vec<Finding>,
    /// The unit that the values of the optical bands look like.
    pub unit: Option<OpticalUnit>,
    /// The order of names that fits clearly better than the declared one, channel by channel.
    pub likely_order: Option<Vec<String>>,
    /// Pixels used: those of the sample that are valid in every band.
    pub pixels: usize,
    /// What the numbers of each band look like, in the order of the declared names; unknown without pixels.
    pub values: Vec<Option<BandValues>>,
}

impl BandReport {
    /// The findings that contradict the declared names.
    pub fn contradictions(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Contradiction)
    }
}

/// With fewer valid pixels nothing is checked.
const FEWEST_PIXELS: usize = 200;

/// Checks the names, the order and the unit of bands against pixels.
///
/// `bands` names the channels of every sample in order; `scaling` is what the data set has already
/// applied to the files' values of each (the samples hold the results). A sample of several dates counts as
/// several images.
///
/// The report stays empty below 200 valid pixels. A swap of two bands is not always detectable: without red
/// edge and short-wave infrared bands, and in 8-bit photographs, the order of blue and red has too little
/// effect on the pixels.
///
/// # Panics
/// If `bands` is empty or a sample's image is not a whole number of such stacks.
#[must_use]
pub fn check_bands(bands: &[NamedBand], scaling: impl Into<BandScaling>, samples: &[Sample]) -> BandReport {
    check_pixels(bands, &scaling.into(), &Pixels::sample(bands.len(), samples))
}

/// As [`check_bands`], of pixels that were taken already.
pub(crate) fn check_sampled(bands: &[NamedBand], scaling: &BandScaling, sampler: PixelSampler) -> BandReport {
    check_pixels(bands, scaling, &sampler.finish())
}

fn check_pixels(bands: &[NamedBand], scaling: &BandScaling, pixels: &Pixels) -> BandReport {
    let optical = (pixels.count() > 0).then(|| unit::summarise(bands, pixels)).flatten();
    let mut report = BandReport {
        findings: Vec::new(),
        unit: None,
        likely_order: None,
        pixels: pixels.count(),
        values: values::describe(bands, pixels, optical.as_ref().map(|summary| summary.unit)),
    };
    if pixels.count() < FEWEST_PIXELS {
        return report;
    }
    let (mut findings, unusable) = values::check(bands, pixels);
    findings.extend(radar::check(bands, pixels, scaling));
    findings.extend(unit::check(bands, pixels, optical.as_ref(), scaling.of_light(bands)));
    let levels = optical.as_ref().and_then(unit::OpticalSummary::levels);
    let better = order::check(bands, pixels, levels, &unusable);
    let hint = better.as_ref().map(|(_, order)| order.as_slice());
    findings.extend(spectrum::check(bands, pixels, levels, &unusable, hint));
    if let Some((finding, order)) = better {
        findings.push(finding);
        report.likely_order = Some(order);
    }
    findings.sort_by_key(|finding| finding.severity);
    report.findings = findings;
    report.unit = optical.map(|summary| summary.unit);
    report
}
