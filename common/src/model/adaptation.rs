//! Band adaptation: maps the bands of a data set to those that an encoder was trained on.
//!
//! By name: the band itself, one with the same common name, the nearest in wavelength, the mean of the
//! two on either side of it, and, only when allowed, a repeated one. Nothing is ever filled with
//! zeros. The reference implementation of EoS-FM decides by the number of channels alone; its rules
//! are here under the name `eosfm`, so that results can be compared.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bands::{BandInfo, known};

/// Largest relative distance of the centre wavelengths of a band and its substitute.
const NEAR: f64 = 0.04;
/// Largest relative distance of two bands whose mean replaces a band between them.
const BETWEEN: f64 = 0.35;

/// A band by name, with its properties.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedBand {
    /// The name.
    pub name: String,
    /// Its properties.
    pub info: BandInfo,
}

impl NamedBand {
    /// A band with its entry in the table, or without known properties.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self { name: name.to_owned(), info: known(name).unwrap_or_default() }
    }

    /// Its STAC common name.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.info.common_name.as_deref()
    }

    /// Whether it measures reflected sunlight (0.4 to 2.5 um), so that values are between 0 and about 1.
    #[must_use]
    pub fn is_reflective(&self) -> bool {
        self.info.wavelength_um.is_some_and(|um| (0.4..=2.5).contains(&um))
    }
}

/// How bands are adapted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BandRule {
    /// By names and wavelengths of bands.
    #[default]
    ByName,
    /// The same; if no band fits, the nearest band is repeated.
    ByNameOrRepeat,
    /// By the number of bands, as the reference implementation does.
    Eosfm,
}

/// The source of each input channel of an encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adaptation {
    /// For each channel, the names of the data's bands that are averaged for it.
    pub sources: Vec<Vec<String>>,
    /// A description of each step. Empty if all bands are present by name.
    pub words: Vec<String>,
}

/// All ways to compute the input of an encoder with `wanted` bands from data with bands `there`. There is one
/// way, except for the rules by count, which have two for some pairs.
///
/// # Errors
/// If a band has no source. A sentence that names it and the bands of the data.
pub fn adapt(wanted: &[NamedBand], there: &[NamedBand], rule: BandRule) -> Result<Vec<Adaptation>, String> {
    match rule {
        BandRule::Eosfm => by_count(wanted, there),
        BandRule::ByName | BandRule::ByNameOrRepeat => {
            let repeat = rule == BandRule::ByNameOrRepeat;
            let mut adaptation = Adaptation { sources: Vec::new(), words: Vec::new() };
            for band in wanted {
                let (sources, words) = source_of(band, there, repeat)?;
                adaptation.sources.push(sources);
                adaptation.words.extend(words);
            }
            Ok(vec![adaptation])
        }
    }
}

/// The sources of one band among `there`, and a description unless the band itself is there.
///
/// # Errors
/// If it has none, a sentence that names it and the bands that are there.
pub(super) fn source_of(
    wanted: &NamedBand,
    there: &[NamedBand],
    repeat: bool,
) -> Result<(Vec<String>, Option<String>), String> {
    let name = &wanted.name;
    let one = |band: &NamedBand| vec![band.name.clone()];
    if let Some(band) = there.iter().find(|band| band.name == *name) {
        return Ok((one(band), None));
    }
    if let Some(common) = &wanted.info.common_name
        && let Some(band) = there.iter().find(|band| band.info.common_name.as_ref() == Some(common))
    {
        return Ok((one(band), Some(format!("{name} is taken from {}: both are {common}", band.name))));
    }
    if let Some(found) = by_wavelength(wanted, there) {
        return Ok(found);
    }
    match nearest(wanted, there).filter(|_| repeat) {
        Some(band) => {
            let words = format!("{name} repeats {}, the nearest band; expect worse features", band.name);
            Ok((one(band), Some(words)))
        }
        None => {
            let names: Vec<_> = there.iter().map(|band| band.name.as_str()).collect();
            Err(format!(
                "there is no band for `{name}` among {}; leave the encoder out, or allow repeated bands",
                names.join(", ")
            ))
        }
    }
}

fn by_wavelength(wanted: &NamedBand, there: &[NamedBand]) -> Option<(Vec<String>, Option<String>)> {
    let name = &wanted.name;
    let centre = wanted.info.wavelength_um?;
    let at = |band: &NamedBand| band.info.wavelength_um;
    let near = nearest(wanted, there)?;
    let found = at(near)?;
    if (found - centre).abs() <= NEAR * centre {
        let words = format!("{name} ({centre} um) is taken from {} ({found} um)", near.name);
        return Some((vec![near.name.clone()], Some(words)));
    }
    let order =
        |a: &&NamedBand, b: &&NamedBand| at(a).partial_cmp(&at(b)).unwrap_or(std::cmp::Ordering::Equal);
    let below = there.iter().filter(|band| at(band).is_some_and(|um| um < centre)).max_by(order)?;
    let above = there.iter().filter(|band| at(band).is_some_and(|um| um > centre)).min_by(order)?;
    if at(above)? - at(below)? > BETWEEN * centre {
        return None;
    }
    let words = format!("{name} ({centre} um) is the mean of {} and {}", below.name, above.name);
    Some((vec![below.name.clone(), above.name.clone()], Some(words)))
}

/// The band nearest in wavelength; for radar, any other radar band.
fn nearest<'a>(wanted: &NamedBand, there: &'a [NamedBand]) -> Option<&'a NamedBand> {
    let Some(centre) = wanted.info.wavelength_um else {
        return there.iter().find(|band| band.info.wavelength_um.is_none());
    };
    let distance = |band: &&NamedBand| (band.info.wavelength_um.unwrap_or(f64::INFINITY) - centre).abs();
    let optical = there.iter().filter(|band| band.info.wavelength_um.is_some());
    optical.min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

fn by_count(wanted: &[NamedBand], there: &[NamedBand]) -> Result<Vec<Adaptation>, String> {
    let ways = positions(wanted.len(), there.len());
    if ways.is_empty() {
        return Err(format!(
            "there is no rule by count from {} bands to {}; adapt by name instead",
            there.len(),
            wanted.len()
        ));
    }
    let adaptation = |positions: Vec<usize>| {
        let names: Vec<&str> = positions.iter().map(|at| there[*at].name.as_str()).collect();
        let same = names.iter().zip(wanted).all(|(name, band)| *name == band.name);
        let words = format!(
            "by count, {} of {} bands: {} replace {}",
            wanted.len(),
            there.len(),
            names.join(", "),
            wanted.iter().map(|band| band.name.as_str()).collect::<Vec<_>>().join(", ")
        );
        Adaptation {
            sources: names.iter().map(|name| vec![(*name).to_owned()]).collect(),
            words: if same { Vec::new() } else { vec![words] },
        }
    };
    Ok(ways.into_iter().map(adaptation).collect())
}

/// The reference implementation's choice of channels for an encoder of `wanted` bands.
fn positions(wanted: usize, there: usize) -> Vec<Vec<usize>> {
    match (wanted, there) {
        _ if wanted == there => vec![(0..there).collect()],
        (3, 12) => vec![vec![3, 2, 1]],
        (3, 13) => vec![vec![3, 2, 1], vec![7, 3, 2]],
        (3, 14) => vec![vec![5, 4, 3]],
        (3, 2) => vec![vec![0, 1, 1]],
        (3, 4) => vec![vec![3, 0, 1], vec![0, 1, 2]],
        (3, 5) => vec![vec![0, 1, 2], vec![3, 4, 4]],
        (12, 14) => vec![(2..14).collect()],
        (2, 14) => vec![vec![0, 1]],
        (12..=14, 2..=4) => vec![(0..wanted).map(|at| at % there).collect()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bands::Sensor;

    /// All optical bands of the table, each with its own name.
    const ALL: [&str; 15] = [
        "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12", "VV", "VH",
    ];

    proptest! {
        #[test]
        fn present_bands_are_found_in_any_order(
            there in Just(ALL.to_vec()).prop_shuffle(),
            wanted in proptest::sample::subsequence(ALL.to_vec(), 1..15).prop_shuffle(),
        ) {
            let found = adapt(&bands(&wanted), &bands(&there), BandRule::ByName).unwrap().remove(0);
            let names: Vec<Vec<String>> = wanted.iter().map(|name| vec![(*name).to_owned()]).collect();
            prop_assert_eq!(found, Adaptation { sources: names, words: Vec::new() });
        }

        #[test]
        fn every_source_exists_and_every_step_is_described(
            there in proptest::sample::subsequence(ALL.to_vec(), 1..15),
            wanted in proptest::sample::subsequence(ALL.to_vec(), 1..15),
            rule in proptest::sample::select(vec![BandRule::ByName, BandRule::ByNameOrRepeat, BandRule::Eosfm]),
        ) {
            let Ok(ways) = adapt(&bands(&wanted), &bands(&there), rule) else { return Ok(()) };
            for Adaptation { sources, words } in ways {
                prop_assert_eq!(sources.len(), wanted.len());
                prop_assert!(sources.iter().all(|bands| !bands.is_empty()));
                prop_assert!(sources.iter().flatten().all(|band| there.contains(&band.as_str())));
                let same = sources.iter().zip(&wanted).all(|(bands, name)| bands == &[(*name).to_owned()]);
                prop_assert_eq!(same, words.is_empty());
            }
        }
    }

    fn bands(names: &[&str]) -> Vec<NamedBand> {
        names.iter().map(|name| NamedBand::of(name)).collect()
    }

    fn sources(wanted: &[&str], there: &[&str]) -> Vec<String> {
        let found = adapt(&bands(wanted), &bands(there), BandRule::ByName).unwrap();
        found[0].sources.iter().map(|source| source.join("+")).collect()
    }

    #[test]
    fn the_order_of_bands_does_not_matter() {
        assert_eq!(sources(&["B04", "B03", "B02"], &["B02", "B03", "B04", "B08"]), ["B04", "B03", "B02"]);
        let eurosat =
            ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B8A"];
        let standard = Sensor::Sentinel2L1c.bands();
        assert_eq!(sources(standard, &eurosat), standard);
    }

    #[test]
    fn common_names_then_wavelengths_then_means() {
        assert_eq!(sources(&["red", "nir08"], &["B02", "B04", "B8A", "B08"]), ["B04", "B8A"]);
        assert_eq!(sources(&["nir08"], &["B04", "B08"]), ["B08"]);
        assert_eq!(sources(&["pan"], &["red", "green", "blue"]), ["green+red"]);
        let found = adapt(&bands(&["nir08"]), &bands(&["B04", "B08"]), BandRule::ByName).unwrap();
        assert_eq!(found[0].words, ["nir08 (0.865 um) is taken from B08 (0.842 um)"]);
    }

    #[test]
    fn a_band_is_repeated_only_if_allowed() {
        let rgb = bands(&["red", "green", "blue"]);
        for missing in ["swir16", "VV", "mystery"] {
            let error = adapt(&bands(&[missing]), &rgb, BandRule::ByName).unwrap_err();
            assert!(error.contains(missing) && error.contains("red, green, blue"), "{error}");
        }
        let found = adapt(&bands(&["swir16"]), &rgb, BandRule::ByNameOrRepeat).unwrap();
        assert_eq!(found[0].sources, [["red"]]);
        assert!(found[0].words[0].contains("repeats red"), "{:?}", found[0].words);
        // Radar cannot be computed from optical bands, even then.
        assert!(adapt(&bands(&["VV"]), &rgb, BandRule::ByNameOrRepeat).is_err());
    }

    #[test]
    fn the_rules_by_count_equal_those_of_the_reference() {
        let pick = |wanted: usize, there: usize| positions(wanted, there);
        assert_eq!(pick(3, 13), [[3, 2, 1], [7, 3, 2]]);
        assert_eq!(pick(3, 2), [[0, 1, 1]]);
        assert_eq!(pick(12, 14)[0], (2..14).collect::<Vec<_>>());
        assert_eq!(pick(13, 4)[0], [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0]);
        assert_eq!(pick(4, 4), [[0, 1, 2, 3]]);
        assert!(pick(4, 13).is_empty());
        let sentinel = bands(Sensor::Sentinel2L1c.bands());
        let found = adapt(&bands(&["red", "green", "blue"]), &sentinel, BandRule::Eosfm).unwrap();
        assert_eq!(found[0].sources, [["B04"], ["B03"], ["B02"]]);
        assert_eq!(found[1].sources, [["B08"], ["B04"], ["B03"]]);
        assert!(
            adapt(&bands(&["red", "nir"]), &sentinel, BandRule::Eosfm).unwrap_err().contains("13 bands to 2")
        );
    }
}
