//! Radar bands: backscatter in dB, like polarisations above crossed ones.
//!
//! Over land, C-band backscatter (sigma or gamma nought) is between about -30 and +5 dB; calm water falls
//! below -25 in crossed polarisation. As linear power that is 0.001 to 3, never negative. Surfaces and
//! volumes return 5 to 10 dB less in the crossed polarisation (Woodhouse, Introduction to Microwave Remote
//! Sensing, 2006); only over calm water, at the noise floor, are both equal.

use eosfed_common::band_values::ValueUnit;

use super::pixels::{Pixels, share};
use super::{BandScaling, Finding, NamedBand, Rule, Scaling};

/// Means outside of this are not backscatter in dB.
const PLAUSIBLE_DB: std::ops::RangeInclusive<f64> = -40.0..=10.0;
/// Means of scenes in dB are below this: the brightest cities and slopes are not all of a data set.
const USUAL_DB: f64 = -2.0;
/// Means above this are not linear power.
const LARGEST_POWER: f64 = 5.0;

/// The polarisation that a band's name begins with: `VV_ascending` is `VV`.
fn polarisation(name: &str) -> Option<&'static str> {
    let start = name.split('_').next().unwrap_or_default();
    ["VV", "VH", "HH", "HV"].into_iter().find(|known| start.eq_ignore_ascii_case(known))
}

pub(super) fn check(bands: &[NamedBand], pixels: &Pixels, scaling: &BandScaling) -> Vec<Finding> {
    let radar: Vec<_> = bands
        .iter()
        .enumerate()
        .filter_map(|(channel, band)| Some((channel, band.name.as_str(), polarisation(&band.name)?)))
        .collect();
    let mut findings: Vec<_> = radar
        .iter()
        .filter_map(|(channel, name, _)| unit(name, *channel, pixels, scaling.of(*channel)))
        .collect();
    for pair in [("VV", "VH"), ("HH", "HV")] {
        let of = |wanted| radar.iter().filter(move |(.., polarisation)| *polarisation == wanted);
        // Several passes are stacked in the same order, so that the first of each belong together.
        for ((like, like_name, _), (crossed, crossed_name, _)) in of(pair.0).zip(of(pair.1)) {
            findings.extend(order([*like, *crossed], [like_name, crossed_name], pixels));
        }
    }
    findings
}

/// The unit of a radar band: power is never negative. `None` for other bands, and for digital numbers.
pub(super) fn unit_of(band: &NamedBand, channel: usize, pixels: &Pixels) -> Option<ValueUnit> {
    polarisation(&band.name)?;
    let mean = pixels.mean(channel);
    let negative = pixels.channels[channel].iter().any(|value| *value < 0.0);
    match negative {
        true => PLAUSIBLE_DB.contains(&mean).then_some(ValueUnit::Decibels),
        false => (mean < LARGEST_POWER).then_some(ValueUnit::LinearPower),
    }
}

/// Numbers of files that were in dB, and are not any more: a scale that is meant for other bands.
fn scaled(name: &str, channel: usize, pixels: &Pixels, scaling: Scaling) -> Option<Finding> {
    let Scaling { scale, offset } = scaling;
    let mean = pixels.mean(channel);
    let stored = (mean - offset) / scale;
    let was_db = (*PLAUSIBLE_DB.start()..USUAL_DB).contains(&stored);
    (scaling != Scaling::default() && was_db && !(*PLAUSIBLE_DB.start()..USUAL_DB).contains(&mean)).then(|| {
        let message = format!(
            "band `{name}` must be backscatter in dB, and the files have it so, with a mean of {stored:.2}; `scale = {scale}` and \
             `offset = {offset}` make {mean:.4} of that: write `band_scaling = {{ {name} = {{ scale = 1, offset = 0 }} }}` in \
             dataset.toml"
        );
        Finding::contradiction(Rule::Scale, &[name], message)
    })
}

fn unit(name: &str, channel: usize, pixels: &Pixels, scaling: Scaling) -> Option<Finding> {
    if let Some(finding) = scaled(name, channel, pixels, scaling) {
        return Some(finding);
    }
    let mean = pixels.mean(channel);
    let low = pixels.quantile(channel, 0.01);
    let high = pixels.quantile(channel, 0.99);
    let numbers = format!("mean {mean:.2}, 98 % of the pixels between {low:.2} and {high:.2}");
    let negative = share(pixels.channels[channel].iter().map(|value| *value < 0.0));
    let reason = if negative == 0.0 && (mean == 0.0 || low >= 0.0) && mean < LARGEST_POWER {
        "they look like linear power: take 10 log10 of them"
    } else if negative == 0.0 {
        "they look like digital numbers: calibrate them to backscatter and take 10 log10"
    } else if !PLAUSIBLE_DB.contains(&mean) {
        "check `scale`, `offset` and `nodata`"
    } else {
        return None;
    };
    let message = format!(
        "band `{name}` must be backscatter in dB (means -40 to 10, mostly negative): {numbers}; {reason}"
    );
    Some(Finding::contradiction(Rule::RadarUnit, &[name], message))
}

/// Also true of linear power, which is monotone in dB.
fn order(channels: [usize; 2], names: [&str; 2], pixels: &Pixels) -> Option<Finding> {
    let [like, crossed] = channels.map(|channel| &pixels.channels[channel]);
    let above = share(like.iter().zip(crossed).map(|(like, crossed)| like > crossed));
    // Pixels of noise are right with probability one half, so even over a calm sea about half of them are.
    (above < 0.3).then(|| {
        let message = format!(
            "band `{}` must return more than `{}`, but does so in only {:.0} % of the pixels (means {:.2} \
             and {:.2}): exchange the two names in `bands`",
            names[0],
            names[1],
            above * 100.0,
            pixels.mean(channels[0]),
            pixels.mean(channels[1])
        );
        Finding::contradiction(Rule::RadarOrder, &names, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bandcheck::testing::{bands, images};

    fn found(names: &str, value: impl Fn(usize, [f32; 2]) -> f32) -> Vec<(Rule, String)> {
        let bands = bands(names);
        let samples = images(bands.len(), value);
        let findings = check(&bands, &Pixels::sample(bands.len(), &samples), &Scaling::default().into());
        findings.into_iter().map(|finding| (finding.rule, finding.message)).collect()
    }

    /// Like polarisation around -10 dB, crossed around -17.
    fn db(channel: usize, at: [f32; 2]) -> f32 {
        [-10.0, -17.0][channel % 2] + 8.0 * (at[channel % 2] - 0.5)
    }

    #[test]
    fn decibels_in_order_are_fine_also_in_several_passes() {
        assert_eq!(found("VV VH", db), []);
        assert_eq!(found("VV_ascending VH_ascending vv_descending vh_descending", db), []);
        assert_eq!(found("red green", db), [], "not radar");
    }

    #[test]
    fn a_scale_that_is_meant_for_other_bands_is_found() {
        let bands = bands("VV VH");
        let found = |scaling: Scaling, file: fn(usize, [f32; 2]) -> f32| {
            let scaled = |c, at| (f64::from(file(c, at)) * scaling.scale + scaling.offset) as f32;
            let pixels = Pixels::sample(2, &images(2, scaled));
            check(&bands, &pixels, &scaling.into())
        };
        let wrong = found(Scaling { scale: 1e-4, offset: -0.1 }, db);
        assert_eq!(wrong.iter().map(|finding| finding.rule).collect::<Vec<_>>(), [Rule::Scale; 2]);
        for part in
            ["`VV`", "mean of -9.9", "`scale = 0.0001`", "band_scaling = { VV = { scale = 1, offset = 0 } }"]
        {
            assert!(wrong[0].message.contains(part), "{part}: {}", wrong[0]);
        }
        // Hundredths of a decibel become what they are.
        assert_eq!(found(Scaling { scale: 0.01, offset: 0.0 }, |c, at| 100.0 * db(c, at)), []);
        assert_eq!(found(Scaling::default(), db), []);
    }

    #[test]
    fn crossed_names_linear_power_digital_numbers_and_markers_are_found() {
        let wrong = found("VH VV", db);
        assert_eq!((wrong.len(), wrong[0].0), (1, Rule::RadarOrder));
        assert!(wrong[0].1.contains("exchange"), "{wrong:?}");
        let linear = found("VV VH", |channel, at| 10_f32.powf(db(channel, at) / 10.0));
        assert_eq!(linear.len(), 2, "{linear:?}");
        assert!(linear.iter().all(|(rule, text)| *rule == Rule::RadarUnit && text.contains("linear power")));
        assert!(found("VV", |c, at| 100.0 - db(c, at))[0].1.contains("digital numbers"));
        assert!(found("VV", |c, at| if at[0] < 0.1 { -9999.0 } else { db(c, at) })[0].1.contains("nodata"));
    }
}
