//! Rules about impossible reflectances: visible bands as dark as a cirrus band, or surfaces that are bright
//! in red and dark in near infrared.

use super::pixels::{Pixels, share};
use super::unit::Levels;
use super::{Finding, NamedBand, Rule};

/// The 1.375 um band lies in a strong absorption line of water vapour: above clear or cloudy ground
/// about 0.001 arrives, and 0.01 to 0.1 where there are cirrus clouds (Gao, Goetz & Wiscombe 1993). On
/// the development patches it is 0.4 to 2 % of the median band; the threshold leaves room for cirrus.
const CIRRUS_SHARE: f64 = 0.25;
/// Visible bands are never so far below the median of the others: air alone scatters 0.05 at 0.49 um,
/// and the darkest forest in surface reflectance has a quarter of the median.
const VISIBLE_SHARE: f64 = 0.02;
/// Red reflectance above which a surface is bright, and how often it may exceed the near infrared one
/// there. Soil, rock and plants rise from red to near infrared; water falls but is dark; snow falls by
/// a fifth and bare ice by half (Warren 1982).
const BRIGHT: f64 = 0.15;
const RED_TO_NIR: f64 = 2.5;
/// Share of pixels that may break this rule without a finding: glint, bright paint, broken lines.
const TOLERATED: f64 = 0.03;

/// `hint` is the order that fits better, if there is one.
pub(super) fn check(
    bands: &[NamedBand],
    pixels: &Pixels,
    levels: Option<Levels>,
    unusable: &[bool],
    hint: Option<&[String]>,
) -> Vec<Finding> {
    let Some(levels) = levels else { return Vec::new() };
    let hint = hint.map_or_else(String::new, |order| format!("; the bands look like {}", order.join(" ")));
    let usable = |channel: &usize| bands[*channel].is_reflective() && !unusable[*channel];
    let channels: Vec<usize> = (0..bands.len()).filter(usable).collect();
    let mut findings = dark(bands, pixels, levels, &channels, &hint);
    for (red, infrared) in pairs(bands, &channels) {
        let bright = pixels.channels[red].iter().zip(&pixels.channels[infrared]).map(|(red, infrared)| {
            let red = levels.reflectance(*red);
            let infrared = levels.reflectance(*infrared);
            red > BRIGHT && red > RED_TO_NIR * infrared
        });
        let part = share(bright);
        if part > TOLERATED {
            let names = [bands[red].name.as_str(), bands[infrared].name.as_str()];
            let message = format!(
                "band `{}` (red) must not be bright where `{}` (near infrared) is dark, as leaves are the other \
                 way round: reflectance above {BRIGHT} and {RED_TO_NIR} times the infrared one in {:.0} % of the \
                 pixels (means {:.4} and {:.4}){hint}; correct `bands`",
                names[0],
                names[1],
                part * 100.0,
                levels.mean(pixels, red),
                levels.mean(pixels, infrared)
            );
            findings.push(Finding::contradiction(Rule::Vegetation, &names, message));
        }
    }
    findings
}

/// Bands that are dark against the median of the others, or must be and are not.
fn dark(
    bands: &[NamedBand],
    pixels: &Pixels,
    levels: Levels,
    channels: &[usize],
    hint: &str,
) -> Vec<Finding> {
    if channels.len() < 4 {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for channel in channels {
        let mut others: Vec<f64> = channels
            .iter()
            .filter(|other| *other != channel)
            .map(|other| levels.mean(pixels, *other))
            .collect();
        others.sort_by(f64::total_cmp);
        let least = others[0];
        let median = others[others.len() / 2];
        let mean = levels.mean(pixels, *channel);
        let name = bands[*channel].name.as_str();
        let is_cirrus = bands[*channel].common_name() == Some("cirrus");
        let visible = bands[*channel].info.wavelength_um.is_some_and(|um| um < 0.7);
        let numbers = format!(
            "mean reflectance {mean:.4}, where the other bands have {least:.4} to {:.4}{hint}; correct `bands`",
            others[others.len() - 1]
        );
        let message = if is_cirrus && mean > least && mean > CIRRUS_SHARE * median {
            format!("band `{name}` (cirrus) must be near zero in top-of-atmosphere data: {numbers}")
        } else if visible && mean < VISIBLE_SHARE * median {
            format!("band `{name}` (visible) must not be near zero as a cirrus band is: {numbers}")
        } else {
            continue;
        };
        findings.push(Finding::contradiction(Rule::Cirrus, &[name], message));
    }
    findings
}

/// Red bands with the near infrared ones.
fn pairs(bands: &[NamedBand], channels: &[usize]) -> Vec<(usize, usize)> {
    let with = |wanted: &'static [&'static str]| {
        channels
            .iter()
            .copied()
            .filter(move |c| bands[*c].common_name().is_some_and(|name| wanted.contains(&name)))
    };
    with(&["red"]).flat_map(|red| with(&["nir", "nir08"]).map(move |infrared| (red, infrared))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bandcheck::testing::{bands, images};
    use crate::bandcheck::unit;

    /// Means of a green field at the top of the atmosphere, in the order B03 B04 B08 B10 B11.
    const FIELD: [f32; 5] = [0.09, 0.06, 0.33, 0.001, 0.2];

    fn found(names: &str, field: [f32; 5]) -> Vec<(Rule, Vec<String>)> {
        let bands = bands(names);
        let pixels = Pixels::sample(5, &images(5, |c, at| field[c] * (0.8 + 0.4 * at[c % 2])));
        let levels = unit::summarise(&bands, &pixels).and_then(|summary| summary.levels());
        assert!(levels.is_some());
        let findings = check(&bands, &pixels, levels, &[false; 5], None);
        findings.into_iter().map(|finding| (finding.rule, finding.bands)).collect()
    }

    #[test]
    fn a_field_water_and_thin_cirrus_give_no_finding() {
        assert_eq!(found("B03 B04 B08 B10 B11", FIELD), []);
        assert_eq!(found("B03 B04 B08 B10 B11", [0.09, 0.05, 0.01, 0.001, 0.005]), []);
        assert_eq!(found("B03 B04 B08 B10 B11", FIELD.map(|value| value + 0.015)), []);
    }

    #[test]
    fn wrong_names_are_found() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let cirrus = found("B03 B04 B08 B11 B10", FIELD);
        assert_eq!(cirrus, [(Rule::Cirrus, names(&["B10"]))]);
        let visible = found("B03 B11 B08 B04 B05", FIELD);
        assert_eq!(visible, [(Rule::Cirrus, names(&["B04"]))]);
        let infrared = found("B03 B08 B04 B10 B11", FIELD);
        assert_eq!(infrared, [(Rule::Vegetation, names(&["B04", "B08"]))]);
    }
}
