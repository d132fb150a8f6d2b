//! Bands without information: constant, zero-filled, copied, or full of markers of missing data.

use eosfed_common::band_values::BandValues;
use eosfed_common::finite::Finite;

use super::pixels::{Pixels, share};
use super::{Finding, NamedBand, OpticalUnit, Rule, radar};

/// The ends of a band's range, as shares of its pixels.
const RANGE: [f64; 2] = [0.01, 0.99];

/// Values by which products commonly mark missing data; no sensor measures them in any unit.
const MARKERS: [f32; 4] = [-9999.0, -32768.0, -99999.0, -3.402_823_5e38];

/// The findings, and for each channel whether the order of bands cannot be judged from it.
pub(super) fn check(bands: &[NamedBand], pixels: &Pixels) -> (Vec<Finding>, Vec<bool>) {
    let mut findings = Vec::new();
    let mut unusable = vec![false; bands.len()];
    for (channel, band) in bands.iter().enumerate() {
        if let Some(finding) = empty(&band.name, channel, pixels) {
            unusable[channel] = true;
            findings.push(finding);
        }
        findings.extend(markers(&band.name, &pixels.channels[channel]));
    }
    for first in 0..bands.len() {
        for second in first + 1..bands.len() {
            if unusable[first] || unusable[second] || pixels.channels[first] != pixels.channels[second] {
                continue;
            }
            unusable[second] = true;
            let names = [bands[first].name.as_str(), bands[second].name.as_str()];
            let message = format!(
                "bands `{}` and `{}` must differ, but are equal in all {} pixels looked at: one was \
                 written twice; write the missing band, or remove it from `bands` and the files",
                names[0],
                names[1],
                pixels.count()
            );
            findings.push(Finding::contradiction(Rule::Copy, &names, message));
        }
    }
    (findings, unusable)
}

/// What the numbers of each band look like. `optical` is the unit of the optical bands together.
pub(super) fn describe(
    bands: &[NamedBand],
    pixels: &Pixels,
    optical: Option<OpticalUnit>,
) -> Vec<Option<BandValues>> {
    let of = |(channel, band): (usize, &NamedBand)| {
        if pixels.count() == 0 {
            return None;
        }
        let unit = match optical {
            Some(unit) if band.is_reflective() => unit.into(),
            _ => radar::unit_of(band, channel, pixels),
        };
        let end = |share| Finite::new(pixels.quantile(channel, share));
        Some(BandValues { unit, low: end(RANGE[0])?, high: end(RANGE[1])? })
    };
    bands.iter().enumerate().map(of).collect()
}

/// A band without any variation, or without any in some of the images.
fn empty(name: &str, channel: usize, pixels: &Pixels) -> Option<Finding> {
    let values = &pixels.channels[channel];
    if values.iter().all(|value| *value == values[0]) {
        let value = values[0];
        let count = values.len();
        let message = format!(
            "band `{name}` must vary, but is {value} in all {count} pixels looked at: a missing band \
             was filled; remove it from `bands` and the files, or supply it"
        );
        return Some(Finding::contradiction(Rule::Constant, &[name], message));
    }
    let zero = pixels.zero_images[channel];
    let images = pixels.images;
    let others = pixels.zero_images.iter().min().copied().unwrap_or_default();
    (zero > others).then(|| {
        let message = format!(
            "band `{name}` must hold data in every image, but is 0 throughout {zero} of {images}: where a \
             band is missing, declare 0 as `nodata` or leave the image out"
        );
        Finding::notice(Rule::ZeroFilled, &[name], message)
    })
}

/// A marker of missing data that was taken for a value.
fn markers(name: &str, values: &[f32]) -> Option<Finding> {
    let (marker, part) = MARKERS
        .iter()
        .map(|marker| (marker, share(values.iter().map(|value| value == marker))))
        .find(|(_, part)| *part > 0.0)?;
    let message = format!(
        "band `{name}` must not hold markers of missing data, but {marker} stands in {:.1} % of the pixels: \
         set `nodata = {marker}`",
        part * 100.0
    );
    Some(Finding::contradiction(Rule::NoData, &[name], message))
}

#[cfg(test)]
mod tests {
    use eosfed_common::band_values::ValueUnit;

    use super::*;
    use crate::bandcheck::testing::{bands, images};

    fn rules(value: impl Fn(usize, [f32; 2]) -> f32) -> Vec<(Rule, Vec<String>)> {
        let pixels = Pixels::sample(3, &images(3, value));
        let (findings, _) = check(&bands("red green blue"), &pixels);
        findings.into_iter().map(|finding| (finding.rule, finding.bands)).collect()
    }

    #[test]
    fn independent_bands_give_no_finding() {
        assert_eq!(rules(|channel, at| at[channel % 2] + channel as f32), []);
    }

    #[test]
    fn bands_are_described_by_their_range_and_their_unit() {
        let described = |names: &str, unit, value: fn(usize, [f32; 2]) -> f32| {
            let pixels = Pixels::sample(2, &images(2, value));
            let said = describe(&bands(names), &pixels, unit);
            said.into_iter()
                .map(Option::unwrap)
                .map(|one| (one.unit, *one.low, *one.high))
                .collect::<Vec<_>>()
        };
        let optical = described("red nir", Some(OpticalUnit::Reflectance), |channel, at| at[channel]);
        for (unit, low, high) in optical {
            assert_eq!(unit, Some(ValueUnit::Reflectance));
            assert!((0.0..0.03).contains(&low) && (0.97..1.0).contains(&high), "{low} {high}");
        }
        let unit = |names, value| described(names, None, value)[0].0;
        assert_eq!(unit("VV VH", |_, at| -20.0 + 10.0 * at[0]), Some(ValueUnit::Decibels));
        assert_eq!(unit("VV VH", |_, at| at[0]), Some(ValueUnit::LinearPower));
        assert_eq!(unit("VV VH", |_, at| 500.0 * at[0]), None, "numbers of no known unit");
        assert_eq!(unit("red nir", |_, at| at[0]), None, "whose optical bands have no common unit");
        assert_eq!(describe(&bands("red nir"), &Pixels::sample(2, &[]), None), [None, None]);
    }

    #[test]
    fn constants_copies_and_markers_are_found() {
        let found = rules(|channel, at| if channel == 1 { 0.0 } else { at[channel / 2] });
        assert_eq!(found, [(Rule::Constant, vec!["green".to_owned()])]);
        let found = rules(|channel, at| at[channel / 2]);
        assert_eq!(found, [(Rule::Copy, vec!["red".to_owned(), "green".to_owned()])]);
        let found =
            rules(
                |channel, at| {
                    if channel == 2 && at[1] < 0.1 { -9999.0 } else { at[channel % 2] + channel as f32 }
                },
            );
        assert_eq!(found, [(Rule::NoData, vec!["blue".to_owned()])]);
    }

    #[test]
    fn a_band_that_is_empty_in_some_images_is_noticed_but_empty_images_are_not() {
        let with = |empty: std::ops::Range<usize>| {
            let mut samples = images(3, |channel, at| at[channel % 2] + channel as f32 + 0.1);
            for sample in &mut samples[..4] {
                sample.image[64 * empty.start..64 * empty.end].fill(0.0);
            }
            check(&bands("red green blue"), &Pixels::sample(3, &samples)).0
        };
        assert_eq!(with(0..3), []);
        let found = with(1..2);
        assert_eq!((found.len(), found[0].rule), (1, Rule::ZeroFilled));
        assert!(found[0].message.contains("throughout 4 of 20"), "{}", found[0]);
    }
}
