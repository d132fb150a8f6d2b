//! Reflectance with a constant added or taken away on one side only, as by Sentinel-2's processing baseline 04.00
//! (1,000 in ten-thousandths, 0.1 of reflectance).
//!
//! Means move with land, but the darkest pixels hardly do: water and shadow reflect almost nothing, and what the air
//! adds to them is that of the product. So the ends of ranges are compared, of as few bands as there are:
//!
//! - *Below zero.* No surface reflects less than nothing. A band whose darkest pixels are clearly negative on one
//!   side, and far from those of the other, is shifted.
//! - *Lifted.* In visible bands (others have no dark pixel over crops) the darkest pixels of all are off by about
//!   0.1, and the bands vary about as much as there.
//!
//! Measured with blue, green and red, alone and together: the classes of EuroSAT (top of the atmosphere), parts of
//! BigEarthNet and dates of BioMassters (surface), each taken as a data set, beside each other of the same product. Of 317
//! honest pairs none is reported; with 0.1 added 82 to 98 % are, with 0.1 taken away 98 to 100 %. Single patches of
//! 64 or 120 pixels beside data sets are reported in up to 1.7 % for one band, 0.4 % for two, and never for three.
//! EuroSAT beside BigEarthNet is reported by blue alone in 40 % and by green alone in 3 %: the air adds 0.06 to 0.08 to
//! blue, and the two are in truth different.

use std::ops::RangeInclusive;

use eosfed_common::band_values::{BandValues, ValueUnit};
use eosfed_common::counted::counted;

use super::pair::{Pair, names};
use super::{Finding, Moments, NamedBand, Rule};

/// Wavelengths in micrometres of light in which some pixel of any land is dark.
const VISIBLE: RangeInclusive<f64> = 0.4..=0.69;
/// How far the darkest pixels are off where 0.1 was added: between the EuroSAT classes they differ by at most 0.045 in
/// these bands. Bare sand and snow are off by more.
const LIFTED: RangeInclusive<f64> = 0.07..=0.14;
/// By how much that differs between bands at most.
const UNEVEN: f64 = 0.06;
/// So many times larger or smaller is the standard deviation at most: a shift leaves it.
const OTHER_SPREAD: f64 = 3.0;
/// Reflectance below this is no noise of the atmosphere's correction.
const NEGATIVE: f64 = -0.02;
/// A negative mean of at least this part of the training's is no noise, whatever the unit.
const NEGATIVE_MEAN: f64 = 0.2;

/// A band on both sides, with its darkest pixels as reflectance.
struct Dark<'a> {
    pair: Pair<'a>,
    here: f64,
    there: f64,
    is_visible: bool,
}

impl<'a> Dark<'a> {
    /// `None` for bands of no reflected light, and without a range in one unit of known levels on both sides.
    fn of(pair: Pair<'a>) -> Option<Self> {
        let (here, there) = (pair.0.values?, pair.1.values?);
        let wavelength = NamedBand::of(&pair.0.band).info.wavelength_um?;
        // Numbers below 0 are in no unit that can be told from them.
        let same = here.unit.is_none() || here.unit == there.unit || here.low.get() < 0.0;
        let factor = match there.unit? {
            ValueUnit::Reflectance => 1.0,
            ValueUnit::TenThousandths => 1e-4,
            ValueUnit::EightBit | ValueUnit::SixteenBit | ValueUnit::Decibels | ValueUnit::LinearPower => {
                return None;
            }
        };
        let low = |values: BandValues| values.low.get() * factor;
        (is_reflective(pair.0) && same).then(|| Self {
            pair,
            here: low(here),
            there: low(there),
            is_visible: VISIBLE.contains(&wavelength),
        })
    }

    fn difference(&self) -> f64 {
        self.here - self.there
    }

    fn is_below_zero(&self) -> bool {
        self.here.min(self.there) < NEGATIVE && self.difference().abs() >= *LIFTED.start()
    }

    fn varies_alike(&self) -> bool {
        let ratio = self.pair.0.std / self.pair.1.std;
        (1.0 / OTHER_SPREAD..=OTHER_SPREAD).contains(&ratio)
    }
}

fn is_reflective(moments: &Moments) -> bool {
    NamedBand::of(&moments.band).is_reflective()
}

/// A constant that one side has and the other has not.
pub(super) fn find(pairs: &[Pair<'_>]) -> Option<Finding> {
    let dark: Vec<Dark<'_>> = pairs.iter().filter_map(|pair| Dark::of(*pair)).collect();
    below_zero(&dark).or_else(|| lifted(&dark)).or_else(|| negative_mean(pairs))
}

fn below_zero(dark: &[Dark<'_>]) -> Option<Finding> {
    let wrong: Vec<&Dark<'_>> = dark.iter().filter(|dark| dark.is_below_zero()).collect();
    let first = wrong.first()?;
    let side = if first.here < first.there { "here" } else { "in the training" };
    let message = format!(
        "reflectance must not be negative, but {}: a constant was taken away {side} from numbers that had none added, \
         or twice (1000, or 0.1 of reflectance, for Sentinel-2 since baseline 04.00); check `offset`",
        numbers(&wrong)
    );
    Some(Finding::contradiction(Rule::MomentsOffset, &bands(&wrong), message))
}

fn lifted(dark: &[Dark<'_>]) -> Option<Finding> {
    let visible: Vec<&Dark<'_>> = dark.iter().filter(|dark| dark.is_visible).collect();
    let differences = || visible.iter().map(|dark| dark.difference());
    let (least, most) = (differences().min_by(f64::total_cmp)?, differences().max_by(f64::total_cmp)?);
    let all = differences().all(|difference| LIFTED.contains(&difference.abs()));
    if !all || most - least > UNEVEN || !visible.iter().all(|dark| dark.varies_alike()) {
        return None;
    }
    let message = format!(
        "the darkest pixels of visible bands must be as dark as in the training, whatever the land, but {}, and the bands \
         vary alike: one side has 1000, or 0.1 of reflectance, added (Sentinel-2 since baseline 04.00), or shows the air \
         too (level 1C beside level 2A); check `offset` and the product",
        numbers(&visible)
    );
    Some(Finding::notice(Rule::MomentsOffset, &bands(&visible), message))
}

/// What holds without ranges, which cards of before do not have.
fn negative_mean(pairs: &[Pair<'_>]) -> Option<Finding> {
    let is_wrong = |(here, there): &&Pair<'_>| {
        is_reflective(here) && there.mean > 0.0 && here.mean < -NEGATIVE_MEAN * there.mean
    };
    let wrong: Vec<_> = pairs.iter().filter(is_wrong).copied().collect();
    let (here, there) = wrong.first()?;
    let message = format!(
        "the mean of reflected light must not be negative, but that of `{}` is {:.4} here and was {:.4} in the training: \
         check `offset`",
        here.band, here.mean, there.mean
    );
    Some(Finding::contradiction(Rule::MomentsOffset, &names(&wrong), message))
}

fn bands<'a>(dark: &[&Dark<'a>]) -> Vec<&'a str> {
    dark.iter().map(|dark| dark.pair.0.band.as_str()).collect()
}

/// The most bands whose numbers are said.
const SAID: usize = 3;

fn numbers(dark: &[&Dark<'_>]) -> String {
    let said = dark.iter().take(SAID).map(|dark| {
        format!(
            "1 % of the pixels of `{}` are at most {:.4} of reflectance here and {:.4} there ({:+.4})",
            dark.pair.0.band,
            dark.here,
            dark.there,
            dark.difference()
        )
    });
    let more = dark.len().saturating_sub(SAID);
    let more = (more > 0).then(|| format!("{} likewise", counted(more, "more band")));
    said.chain(more).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use eosfed_common::finite::Finite;

    use super::*;
    use crate::bandcheck::compare_moments;

    /// Mean, standard deviation, and the values that 1 and 99 % of the pixels do not exceed.
    type Numbers = (&'static str, f64, f64, f64, f64);
    /// EuroSAT at the top of the atmosphere: all classes, forest, permanent crops and sea.
    const ALL: [Numbers; 4] = [
        ("B02", 0.111, 0.031, 0.072, 0.211),
        ("B03", 0.104, 0.037, 0.051, 0.224),
        ("B04", 0.094, 0.056, 0.028, 0.287),
        ("B08", 0.228, 0.111, 0.017, 0.478),
    ];
    const FOREST: [Numbers; 4] = [
        ("B02", 0.085, 0.011, 0.069, 0.130),
        ("B03", 0.072, 0.011, 0.052, 0.098),
        ("B04", 0.044, 0.010, 0.029, 0.082),
        ("B08", 0.279, 0.082, 0.126, 0.467),
    ];
    const CROPS: [Numbers; 4] = [
        ("B02", 0.120, 0.025, 0.084, 0.203),
        ("B03", 0.123, 0.032, 0.075, 0.220),
        ("B04", 0.130, 0.052, 0.050, 0.267),
        ("B08", 0.278, 0.045, 0.178, 0.401),
    ];
    const SEA: [Numbers; 4] = [
        ("B02", 0.097, 0.019, 0.061, 0.128),
        ("B03", 0.086, 0.029, 0.039, 0.139),
        ("B04", 0.055, 0.026, 0.022, 0.112),
        ("B08", 0.034, 0.041, 0.013, 0.280),
    ];
    /// BigEarthNet, at the surface: two parts of it.
    const BRIGHT: [Numbers; 4] = [
        ("B02", 0.051, 0.056, 0.0, 0.271),
        ("B03", 0.074, 0.061, 0.0, 0.287),
        ("B04", 0.082, 0.073, 0.0, 0.311),
        ("B08", 0.226, 0.136, 0.0, 0.560),
    ];
    const DULL: [Numbers; 4] = [
        ("B02", 0.028, 0.020, 0.010, 0.101),
        ("B03", 0.043, 0.027, 0.008, 0.127),
        ("B04", 0.036, 0.033, 0.004, 0.152),
        ("B08", 0.216, 0.112, 0.001, 0.468),
    ];

    fn moments(all: &[Numbers], unit: Option<ValueUnit>, by: f64, offset: f64) -> Vec<Moments> {
        let of = |(band, mean, std, low, high): &Numbers| {
            let at = |value: f64| Finite::literal((value + offset) * by);
            let values = BandValues { unit, low: at(*low), high: at(*high) };
            Moments { band: (*band).to_owned(), mean: *at(*mean), std: std * by, values: Some(values) }
        };
        all.iter().map(of).collect()
    }

    fn reflectance(all: &[Numbers], offset: f64) -> Vec<Moments> {
        moments(all, Some(ValueUnit::Reflectance), 1.0, offset)
    }

    fn rules(here: &[Moments], there: &[Moments]) -> Vec<Rule> {
        compare_moments(here, there).into_iter().map(|finding| finding.rule).collect()
    }

    /// One band, two, three and all.
    const CHOICES: [std::ops::Range<usize>; 7] = [0..1, 1..2, 2..3, 0..2, 1..3, 0..3, 0..4];

    #[test]
    fn a_shift_of_a_tenth_is_found_with_one_band_or_more_in_both_directions() {
        for data in [&ALL, &FOREST, &SEA, &BRIGHT, &DULL] {
            for choice in CHOICES {
                for (unit, by) in [(ValueUnit::Reflectance, 1.0), (ValueUnit::TenThousandths, 1e4)] {
                    let of = |offset| moments(&data[choice.clone()], Some(unit), by, offset);
                    let bands = &data[choice.clone()];
                    assert_eq!(rules(&of(0.1), &of(0.0)), [Rule::MomentsOffset], "{bands:?}");
                    assert_eq!(rules(&of(-0.1), &of(0.0)), [Rule::MomentsOffset], "{bands:?}");
                    assert_eq!(rules(&of(0.0), &of(0.1)), [Rule::MomentsOffset], "{bands:?}");
                    // What is negative throughout looks like no unit.
                    let unknown = moments(bands, None, by, -0.1);
                    assert_eq!(rules(&unknown, &of(0.0)), [Rule::MomentsOffset], "{bands:?}");
                }
            }
        }
        // Of other land, too.
        let found = rules(&reflectance(&DULL[..3], 0.1), &reflectance(&BRIGHT[..3], 0.0));
        assert_eq!(found, [Rule::MomentsOffset]);
        let found = rules(&reflectance(&SEA[..3], -0.1), &reflectance(&CROPS[..3], 0.0));
        assert_eq!(found, [Rule::MomentsOffset]);
        // Near infrared alone has dark pixels only where there is water, so that it can only be below zero.
        assert_eq!(
            rules(&reflectance(&DULL[3..], -0.1), &reflectance(&DULL[3..], 0.0)),
            [Rule::MomentsOffset]
        );
    }

    #[test]
    fn honest_data_of_other_land_and_seasons_give_no_finding() {
        for same_product in [&[&ALL, &FOREST, &CROPS, &SEA][..], &[&BRIGHT, &DULL][..]] {
            for here in same_product {
                for there in same_product {
                    for choice in CHOICES.into_iter().chain(std::iter::once(3..4)) {
                        let of = |data: &[Numbers]| reflectance(&data[choice.clone()], 0.0);
                        assert_eq!(rules(&of(*here), &of(*there)), [], "{here:?} {there:?}");
                    }
                }
            }
        }
        // Sand is brighter by more, and unevenly.
        let sand =
            [("B02", 0.16, 0.03, 0.12, 0.2), ("B03", 0.25, 0.04, 0.2, 0.3), ("B04", 0.35, 0.05, 0.3, 0.4)];
        assert_eq!(rules(&reflectance(&sand, 0.0), &reflectance(&DULL[..3], 0.0)), []);
        // One band brighter and one darker is other land, and no constant.
        let one = [("B02", 0.25, 0.03, 0.2, 0.3), ("B03", 0.2, 0.03, 0.1, 0.3)];
        let other = [("B02", 0.2, 0.03, 0.1, 0.3), ("B03", 0.25, 0.03, 0.19, 0.3)];
        assert_eq!(rules(&reflectance(&one, 0.0), &reflectance(&other, 0.0)), []);
    }

    #[test]
    fn the_finding_has_numbers_and_what_to_do() {
        let found = compare_moments(&reflectance(&ALL[..3], 0.1), &reflectance(&ALL[..3], 0.0));
        assert_eq!(found[0].bands, ["B02", "B03", "B04"]);
        for part in ["`B02` are at most 0.1720 of reflectance here and 0.0720 there (+0.1000)", "`offset`"] {
            assert!(found[0].message.contains(part), "{part}: {}", found[0]);
        }
        let found = compare_moments(&reflectance(&ALL, -0.1), &reflectance(&ALL, 0.0));
        for part in ["must not be negative", "taken away here", "1 more band likewise", "`offset`"] {
            assert!(found[0].message.contains(part), "{part}: {}", found[0]);
        }
        let found = compare_moments(&reflectance(&ALL, 0.0), &reflectance(&ALL, -0.1));
        assert!(found[0].message.contains("taken away in the training"), "{}", found[0]);
    }

    #[test]
    fn without_ranges_a_negative_mean_is_found() {
        let without = |offset: f64| {
            let mut moments = reflectance(&DULL[..3], offset);
            moments.iter_mut().for_each(|moments| moments.values = None);
            moments
        };
        let found = compare_moments(&without(-0.1), &without(0.0));
        assert_eq!((found.len(), found[0].rule), (1, Rule::MomentsOffset));
        assert!(found[0].message.contains("`B02` is -0.0720 here and was 0.0280"), "{}", found[0]);
        assert_eq!(rules(&without(0.0), &without(0.0)), []);
    }

    #[test]
    fn other_units_and_other_bands_are_left_to_other_rules() {
        let of = |unit, by| moments(&DULL[..3], unit, by, 0.1);
        let there = moments(&DULL[..3], Some(ValueUnit::EightBit), 255.0, 0.0);
        assert_eq!(
            rules(&of(Some(ValueUnit::EightBit), 255.0), &there),
            [],
            "levels of no known reflectance"
        );
        let radar = |offset: f64| {
            let range = BandValues {
                unit: Some(ValueUnit::Reflectance),
                low: Finite::literal(offset),
                high: Finite::literal(offset + 0.2),
            };
            vec![Moments { band: "VV".to_owned(), mean: offset + 0.1, std: 0.05, values: Some(range) }]
        };
        assert_eq!(rules(&radar(0.1), &radar(0.0)), [], "no reflected light");
        let constant = |offset| {
            let mut moments = reflectance(&DULL[..1], offset);
            moments[0].std = 0.0;
            moments
        };
        assert_eq!(rules(&constant(0.1), &constant(0.0)), [], "nothing is known of a band without spread");
    }
}
