//! Optical bands: the probable unit of the values, and whether `scale` and `offset` convert it to
//! reflectance.
//!
//! Reflectance of land and water lies between 0 and about 1, of clouds and glint up to 1.6. Products
//! store it in whole numbers: Sentinel-2 times 10,000, since processing baseline 04.00 (January 2022)
//! plus 1,000 (ESA, Sentinel-2 Products Specification Document); Landsat Collection 2 as
//! (reflectance + 0.2) / 0.0000275 in 16 bits (USGS LSDS-1619); photographs as 0 to 255.

use eosfed_common::band_values::ValueUnit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pixels::{Pixels, share};
use super::{Finding, NamedBand, Rule};

/// What a data set has applied to the files' values of a band: `value * scale + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaling {
    /// What values were multiplied by.
    pub scale: f64,
    /// What was then added.
    pub offset: f64,
}

impl Default for Scaling {
    /// Values as they are in the files.
    fn default() -> Self {
        Self { scale: 1.0, offset: 0.0 }
    }
}

/// A unit that values of optical bands are given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OpticalUnit {
    /// Reflectance, 0 to about 1.
    Reflectance,
    /// Reflectance times 10,000.
    TenThousandths,
    /// 8-bit numbers, 0 to 255.
    EightBit,
    /// 16-bit numbers with a scale and an offset of their own.
    SixteenBit,
    /// None of these.
    Unknown,
}

impl From<OpticalUnit> for Option<ValueUnit> {
    fn from(unit: OpticalUnit) -> Self {
        match unit {
            OpticalUnit::Reflectance => Some(ValueUnit::Reflectance),
            OpticalUnit::TenThousandths => Some(ValueUnit::TenThousandths),
            OpticalUnit::EightBit => Some(ValueUnit::EightBit),
            OpticalUnit::SixteenBit => Some(ValueUnit::SixteenBit),
            OpticalUnit::Unknown => None,
        }
    }
}

impl OpticalUnit {
    /// By the value that 98 % of the pixels do not exceed. Below 0.003 not even deep water in surface
    /// reflectance has no brighter band; 20,000 is twice a white cloud.
    fn of(high: f64, whole: bool) -> Self {
        match high {
            high if high < 0.003 => Self::Unknown,
            high if high <= 2.0 => Self::Reflectance,
            _ if !whole && high <= 255.0 => Self::Unknown,
            high if high <= 255.0 => Self::EightBit,
            high if high <= 20_000.0 => Self::TenThousandths,
            high if high <= 65_535.0 => Self::SixteenBit,
            _ => Self::Unknown,
        }
    }

    /// A description with the settings that give reflectance.
    const fn advice(self) -> &'static str {
        match self {
            Self::Reflectance => "reflectance already: set `scale = 1` and `offset = 0`",
            Self::TenThousandths => {
                "reflectance x 10000: set `scale = 0.0001` (and `offset = -0.1` for Sentinel-2 since baseline 04.00)"
            }
            Self::EightBit => "8-bit numbers: set `scale = 1` and `offset = 0`",
            Self::SixteenBit => {
                "16-bit numbers: set the product's own, for Landsat Collection 2 `scale = 0.0000275` and `offset = -0.2`"
            }
            Self::Unknown => "no common unit: see the product's description",
        }
    }
}

/// The conversion of values to reflectance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Levels {
    factor: f64,
    floor: f64,
}

impl Levels {
    pub(super) fn reflectance(self, value: f32) -> f64 {
        f64::from(value) * self.factor - self.floor
    }

    pub(super) fn mean(self, pixels: &Pixels, channel: usize) -> f64 {
        pixels.mean(channel) * self.factor - self.floor
    }
}

/// The levels of all optical bands together.
pub(super) struct OpticalSummary {
    pub unit: OpticalUnit,
    /// The value that 98 % of the pixels of the brightest band do not exceed.
    high: f64,
    /// The largest value that 99 % of the pixels of *every* band exceed.
    dark: f64,
    /// Whether all values are whole numbers.
    whole: bool,
    channels: Vec<usize>,
}

/// Dark pixels of all bands above this reflectance carry an offset of 0.1: deep shadow and water are
/// below it in some band, and a cirrus band everywhere.
const LIFTED: f64 = 0.09;
/// Fewer bands may all be bright: sand in red and near infrared.
const BANDS_FOR_OFFSET: usize = 4;
/// Reflectance below which a value is no noise of the atmosphere's correction, and the share of pixels
/// that it is tolerated in.
const NEGATIVE: (f64, f64) = (-0.02, 0.05);

impl OpticalSummary {
    /// How to read the values as reflectance, if they can be: 8-bit numbers have each band stretched
    /// on its own, so that levels of two bands cannot be compared.
    pub(super) fn levels(&self) -> Option<Levels> {
        let factor = self.factor()?;
        Some(Levels { factor, floor: if self.is_lifted() { 0.1 } else { 0.0 } })
    }

    const fn factor(&self) -> Option<f64> {
        match self.unit {
            OpticalUnit::Reflectance => Some(1.0),
            OpticalUnit::TenThousandths => Some(1e-4),
            OpticalUnit::EightBit | OpticalUnit::SixteenBit | OpticalUnit::Unknown => None,
        }
    }

    fn is_lifted(&self) -> bool {
        self.channels.len() >= BANDS_FOR_OFFSET
            && self.factor().is_some_and(|factor| (LIFTED..0.2).contains(&(self.dark * factor)))
    }
}

/// `None` without optical bands.
pub(super) fn summarise(bands: &[NamedBand], pixels: &Pixels) -> Option<OpticalSummary> {
    let channels: Vec<usize> = (0..bands.len()).filter(|channel| bands[*channel].is_reflective()).collect();
    let highest = channels.iter().map(|channel| pixels.quantile(*channel, 0.98));
    let high = highest.max_by(f64::total_cmp)?;
    let dark = channels.iter().map(|channel| pixels.quantile(*channel, 0.01)).min_by(f64::total_cmp)?;
    let whole = channels.iter().all(|channel| is_whole(pixels, *channel));
    Some(OpticalSummary { unit: OpticalUnit::of(high, whole), high, dark, whole, channels })
}

fn is_whole(pixels: &Pixels, channel: usize) -> bool {
    pixels.channels[channel].iter().all(|value| value.fract() == 0.0)
}

pub(super) fn check(
    bands: &[NamedBand],
    pixels: &Pixels,
    summary: Option<&OpticalSummary>,
    scaling: Option<Scaling>,
) -> Vec<Finding> {
    let Some(summary) = summary else { return Vec::new() };
    let mixed = mixed(bands, pixels, summary);
    if mixed.is_some() {
        return mixed.into_iter().collect();
    }
    // Where optical bands are scaled differently, no one setting can be advised: only their values are judged.
    let Some(scaling) = scaling else { return Vec::new() };
    let names: Vec<&str> = summary.channels.iter().map(|channel| bands[*channel].name.as_str()).collect();
    let mut findings: Vec<_> = scale(summary, scaling, &names).into_iter().collect();
    findings.extend(offset(pixels, summary, scaling, &names));
    findings
}

/// Some bands as reflectance between 0 and 1, others in whole numbers.
fn mixed(bands: &[NamedBand], pixels: &Pixels, summary: &OpticalSummary) -> Option<Finding> {
    let small = |channel: &usize| pixels.quantile(*channel, 0.98) <= 2.0 && !is_whole(pixels, *channel);
    let small: Vec<&str> =
        summary.channels.iter().filter(|c| small(c)).map(|c| bands[*c].name.as_str()).collect();
    (summary.high > 100.0 && !small.is_empty()).then(|| {
        let message = format!(
            "optical bands must all be in one unit, but {} look like reflectance of 0 to 1 where others reach \
             {:.0}: bring the files to one unit",
            small.join(", "),
            summary.high
        );
        Finding::contradiction(Rule::Unit, &small, message)
    })
}

fn scale(summary: &OpticalSummary, scaling: Scaling, names: &[&str]) -> Option<Finding> {
    let Scaling { scale, offset } = scaling;
    if scaling == Scaling::default() {
        if summary.unit != OpticalUnit::Unknown && summary.unit != OpticalUnit::SixteenBit {
            return None;
        }
        let message = format!(
            "optical bands must be in a known unit; 98 % of the values are below {}: {}",
            summary.high,
            summary.unit.advice()
        );
        return Some(Finding::notice(Rule::Unit, names, message));
    }
    if matches!(summary.unit, OpticalUnit::Reflectance | OpticalUnit::TenThousandths)
        && (summary.whole || summary.high <= 2.0)
    {
        return None;
    }
    let raw = (summary.high - offset) / scale;
    let unit = OpticalUnit::of(raw, true);
    let message = format!(
        "with `scale = {scale}` and `offset = {offset}` optical bands must be reflectance of 0 to about 1, but \
         98 % of the values reach {:.6}; the files reach {raw:.4}, which looks like {}",
        summary.high,
        unit.advice()
    );
    Some(Finding::contradiction(Rule::Scale, names, message))
}

fn offset(pixels: &Pixels, summary: &OpticalSummary, scaling: Scaling, names: &[&str]) -> Option<Finding> {
    let factor = summary.factor()?;
    if summary.is_lifted() {
        let message = format!(
            "some optical band must be near zero in dark pixels, but in every band 99 % of them exceed {:.4}: \
             Sentinel-2 since baseline 04.00 has 1000 added; set `offset = {}`",
            summary.dark,
            scaling.offset - 0.1 / factor
        );
        return Some(Finding::notice(Rule::Offset, names, message));
    }
    let negative = summary
        .channels
        .iter()
        .flat_map(|c| &pixels.channels[*c])
        .map(|v| f64::from(*v) * factor < NEGATIVE.0);
    let part = share(negative);
    (part > NEGATIVE.1).then(|| {
        let message = format!(
            "reflectance must not be negative, but {:.0} % of the values of optical bands are below {}: \
             `offset = {}` looks subtracted from data that had none added, or twice",
            part * 100.0,
            NEGATIVE.0 / factor,
            scaling.offset
        );
        Finding::contradiction(Rule::Offset, names, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bandcheck::testing::{bands, images};

    /// Blue to near infrared with deep shadows, in ten-thousandths; as stored in files.
    fn dn(channel: usize, at: [f32; 2]) -> f32 {
        (([400.0, 700.0, 800.0, 3000.0][channel]) * at[channel % 2]).round() + 20.0
    }

    fn found(scaling: Scaling, file: impl Fn(usize, [f32; 2]) -> f32) -> (OpticalUnit, Vec<(Rule, String)>) {
        let bands = bands("B02 B03 B04 B08");
        let scaled = |c, at| (f64::from(file(c, at)) * scaling.scale + scaling.offset) as f32;
        let pixels = Pixels::sample(4, &images(4, scaled));
        let summary = summarise(&bands, &pixels);
        let findings = check(&bands, &pixels, summary.as_ref(), Some(scaling));
        (summary.unwrap().unit, findings.into_iter().map(|finding| (finding.rule, finding.message)).collect())
    }

    fn by(scale: f64, offset: f64) -> Scaling {
        Scaling { scale, offset }
    }

    #[test]
    fn common_units_are_recognised() {
        let plain = Scaling::default();
        assert_eq!(found(plain, dn), (OpticalUnit::TenThousandths, vec![]));
        assert_eq!(found(by(1e-4, 0.0), dn), (OpticalUnit::Reflectance, vec![]));
        assert_eq!(found(by(1e-4, -0.1), |c, at| dn(c, at) + 1000.0), (OpticalUnit::Reflectance, vec![]));
        assert_eq!(found(plain, |c, at| (dn(c, at) / 12.0).round()), (OpticalUnit::EightBit, vec![]));
        assert!(summarise(&bands("VV VH"), &Pixels::sample(2, &images(2, dn))).is_none());
    }

    #[test]
    fn a_wrong_scale_is_found_with_the_right_one() {
        for wrong in [1e-3, 1e-8, 1.0 / 255.0] {
            let (_, findings) = found(by(wrong, 0.0), dn);
            assert_eq!((findings.len(), findings[0].0), (1, Rule::Scale), "{wrong}");
            assert!(findings[0].1.contains("`scale = 0.0001`"), "{findings:?}");
        }
        let (_, findings) = found(by(1e-4, 0.0), |c, at| dn(c, at) / 1e4);
        assert!(findings[0].1.contains("`scale = 1`"), "{findings:?}");
        let (unit, findings) = found(Scaling::default(), |c, at| dn(c, at) / 1e8);
        assert_eq!((unit, findings[0].0), (OpticalUnit::Unknown, Rule::Unit));
    }

    #[test]
    fn a_missing_and_a_superfluous_offset_are_found() {
        let (_, findings) = found(Scaling::default(), |c, at| dn(c, at) + 1000.0);
        assert!(findings[0].0 == Rule::Offset && findings[0].1.contains("`offset = -1000`"), "{findings:?}");
        let (_, findings) = found(by(1e-4, 0.0), |c, at| dn(c, at) + 1000.0);
        assert!(findings[0].0 == Rule::Offset && findings[0].1.contains("`offset = -0.1`"), "{findings:?}");
        let (_, findings) = found(by(1e-4, -0.1), dn);
        assert!(findings[0].0 == Rule::Offset && findings[0].1.contains("negative"), "{findings:?}");
    }

    #[test]
    fn bands_in_two_units_are_found() {
        let (_, findings) =
            found(Scaling::default(), |c, at| if c == 1 { dn(c, at) / 1e4 } else { dn(c, at) });
        assert_eq!((findings.len(), findings[0].0), (1, Rule::Unit));
        assert!(findings[0].1.contains("B03 look"), "{findings:?}");
    }
}
