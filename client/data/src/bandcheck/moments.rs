//! Means and standard deviations here against those of a training: of a federation, of one institution, or of a head.
//!
//! Institutions see different land, so their moments differ, much more so than those of two random halves of
//! one data set: over open sea the short-wave infrared has a twentieth of its mean over land. Only
//! differences that land cover cannot cause are reported: a common factor or difference of all bands, dark pixels
//! that are far from those of the training ([`shift`]), or an order of the names that fits far better.

use super::order::neighbours;
use super::pair::{Pair, names};
use super::{Finding, Moments, NamedBand, Rule, shift};

/// A factor that all bands share: the median band is off by at least the first (no land cover
/// changes that much in the median), each by at least the second in the same direction.
const COMMON_FACTOR: (f64, f64) = (30.0, 8.0);
/// A difference that all bands share: at least this part of the training's mean over bands, and
/// varying between bands by at most this part of itself.
const COMMON_DIFFERENCE: (f64, f64) = (0.3, 0.2);
/// What another order must gain, in squared logarithms of ratios: absolutely, and as a part of the
/// declared order's distance. Among the classes of EuroSAT, taken as institutions, it gains at most
/// 2.8 and 10 %.
const ORDER_GAIN: (f64, f64) = (4.0, 0.4);
/// With fewer bands, an order or a common difference of means cannot be distinguished from land cover.
const FEWEST_BANDS: usize = 4;

/// Compares bands of the same name; others, and moments that are not finite, are left out. Both lists
/// must be in the data set's unit after scaling.
#[must_use]
pub fn compare_moments(local: &[Moments], learned: &[Moments]) -> Vec<Finding> {
    let finite = |moments: &Moments| moments.mean.is_finite() && moments.std.is_finite();
    let pairs: Vec<Pair<'_>> = local
        .iter()
        .filter_map(|here| Some((here, learned.iter().find(|there| there.band == here.band)?)))
        .filter(|(here, there)| finite(here) && finite(there))
        .collect();
    if let Some(finding) = decibels(&pairs).or_else(|| shift::find(&pairs)) {
        return vec![finding];
    }
    // A mean that is negative here only is part of a common difference. Where the training's is negative, it is dB.
    let learned: Vec<_> = pairs.into_iter().filter(|(_, there)| there.mean > 0.0).collect();
    let positive: Vec<_> = learned.iter().filter(|(here, _)| here.mean > 0.0).copied().collect();
    if let Some(finding) = factor(&positive).or_else(|| difference(&learned)) {
        return vec![finding];
    }
    order(&positive).into_iter().collect()
}

/// Radar in dB has a negative mean; linear power does not. A negative mean of a band of reflected light is no dB.
fn decibels(pairs: &[Pair<'_>]) -> Option<Finding> {
    let differ = |(here, there): &&Pair<'_>| {
        here.mean.min(there.mean) < -3.0
            && here.mean.max(there.mean) > 0.0
            && !NamedBand::of(&here.band).is_reflective()
    };
    let wrong: Vec<_> = pairs.iter().filter(differ).copied().collect();
    let (here, there) = wrong.first()?;
    let message = format!(
        "bands must be in the training's unit, but the mean of `{}` is {:.4} here and {:.4} there: one is in dB \
         and the other is not; convert by 10 log10",
        here.band, here.mean, there.mean
    );
    Some(Finding::contradiction(Rule::MomentsScale, &names(&wrong), message))
}

fn factor(pairs: &[Pair<'_>]) -> Option<Finding> {
    let mut ratios: Vec<f64> = pairs.iter().map(|(here, there)| (here.mean / there.mean).ln()).collect();
    ratios.sort_by(f64::total_cmp);
    let median = *ratios.get(ratios.len() / 2)?;
    let middle = COMMON_FACTOR.0.ln();
    let each = COMMON_FACTOR.1.ln();
    if median.abs() < middle || ratios.iter().any(|ratio| ratio * median.signum() < each) {
        return None;
    }
    let power = 10_f64.powf((-median / std::f64::consts::LN_10).round());
    let message = format!(
        "means of bands must be of the training's magnitude, but all are between {:.4} and {:.4} times as large \
         (median {:.4}): multiply `scale` and `offset` by {power}",
        ratios[0].exp(),
        ratios[ratios.len() - 1].exp(),
        median.exp()
    );
    Some(Finding::contradiction(Rule::MomentsScale, &names(pairs), message))
}

fn difference(pairs: &[Pair<'_>]) -> Option<Finding> {
    if pairs.len() < FEWEST_BANDS {
        return None;
    }
    let count = pairs.len() as f64;
    let differences: Vec<f64> = pairs.iter().map(|(here, there)| here.mean - there.mean).collect();
    let mean = differences.iter().sum::<f64>() / count;
    let spread = (differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / count).sqrt();
    let level = pairs.iter().map(|(_, there)| there.mean).sum::<f64>() / count;
    if mean.abs() < COMMON_DIFFERENCE.0 * level || spread > COMMON_DIFFERENCE.1 * mean.abs() {
        return None;
    }
    let message = format!(
        "means of bands must not all be shifted, but they differ from the training's by {mean:.4} on average, and \
         by nearly the same in every band (standard deviation {spread:.4}): check `offset`"
    );
    Some(Finding::notice(Rule::MomentsOffset, &names(pairs), message))
}

fn order(pairs: &[Pair<'_>]) -> Option<Finding> {
    let usable: Vec<_> =
        pairs.iter().filter(|(here, there)| here.std > 0.0 && there.std > 0.0).copied().collect();
    if usable.len() < FEWEST_BANDS {
        return None;
    }
    let log = |moments: &Moments| [moments.mean.ln(), moments.std.ln()];
    let (here, there): (Vec<_>, Vec<_>) = usable.iter().map(|(here, there)| (log(here), log(there))).unzip();
    let distance = |assigned: &[usize]| -> f64 {
        let squares = |(name, channel): (usize, &usize)| {
            [0, 1].map(|i| (here[*channel][i] - there[name][i]).powi(2)).iter().sum::<f64>()
        };
        assigned.iter().enumerate().map(squares).sum()
    };
    let declared: Vec<usize> = (0..usable.len()).collect();
    let start = distance(&declared);
    let scored = neighbours(&declared).into_iter().map(|candidate| (distance(&candidate), candidate));
    let (best, assigned) = scored.min_by(|a, b| a.0.total_cmp(&b.0))?;
    if start - best < ORDER_GAIN.0.max(ORDER_GAIN.1 * start) {
        return None;
    }
    let mut order = names(&usable);
    for (name, channel) in assigned.iter().enumerate() {
        order[*channel] = usable[name].0.band.as_str();
    }
    let moved: Vec<&str> = names(&usable)
        .into_iter()
        .zip(&order)
        .filter(|(declared, name)| declared != *name)
        .map(|(d, _)| d)
        .collect();
    let message = format!(
        "`bands` must be in the order of the files' channels: declared as {}, the means and standard deviations \
         are {start:.1} (squared logarithms) from the training's; as {} they would be {best:.1}",
        names(&usable).join(" "),
        order.join(" ")
    );
    Some(Finding::contradiction(Rule::MomentsOrder, &moved, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Means and standard deviations of EuroSAT's classes of annual crops and of sea, in
    /// ten-thousandths, for six bands.
    const NAMES: [&str; 6] = ["B02", "B03", "B04", "B08", "B11", "B12"];
    const CROPS: [(f64, f64); 6] = [
        (1214.0, 298.0),
        (1246.0, 362.0),
        (1356.0, 719.0),
        (3161.0, 923.0),
        (2543.0, 879.0),
        (1600.0, 764.0),
    ];
    const SEA: [(f64, f64); 6] =
        [(969.0, 190.0), (861.0, 293.0), (549.0, 261.0), (344.0, 413.0), (95.0, 242.0), (55.0, 128.0)];

    fn named(names: &[&str], values: &[(f64, f64)], change: impl Fn(f64) -> f64) -> Vec<Moments> {
        let moments = |(band, (mean, std)): (&&str, &(f64, f64))| Moments {
            band: (*band).to_owned(),
            mean: change(*mean),
            std: change(*std) - change(0.0),
            values: None,
        };
        names.iter().zip(values).map(moments).collect()
    }

    fn rules(local: &[Moments]) -> Vec<Rule> {
        let federated = named(&NAMES, &CROPS, |value| value);
        compare_moments(local, &federated).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn other_land_and_other_bands_give_no_finding() {
        assert_eq!(rules(&named(&NAMES, &CROPS, |value| 1.3 * value)), []);
        assert_eq!(rules(&named(&NAMES, &SEA, |value| value)), []);
        assert_eq!(rules(&named(&["VV", "VH"], &[(-11.0, 4.0), (-18.0, 4.0)], |value| value)), []);
    }

    #[test]
    fn another_scale_or_offset_is_found_even_over_other_land() {
        for land in [&CROPS, &SEA] {
            assert_eq!(rules(&named(&NAMES, land, |value| value / 1e4)), [Rule::MomentsScale]);
        }
        let found = compare_moments(&named(&NAMES, &CROPS, |v| v / 1e4), &named(&NAMES, &CROPS, |v| v));
        assert!(found[0].message.contains("by 10000"), "{}", found[0]);
        for offset in [1000.0, -1000.0] {
            let shifted = named(&NAMES, &CROPS, |value| value + offset);
            assert_eq!(rules(&shifted), [Rule::MomentsOffset], "{offset}");
            // Names of no known wavelength, and some means below 0.
            let unknown = ["a", "b", "c", "d", "e", "f"];
            let found = compare_moments(
                &named(&unknown, &CROPS, |value| value + offset),
                &named(&unknown, &CROPS, |value| value),
            );
            assert_eq!(
                found.iter().map(|finding| finding.rule).collect::<Vec<_>>(),
                [Rule::MomentsOffset],
                "{offset}"
            );
        }
    }

    #[test]
    fn exchanged_bands_are_found_by_name() {
        let local = named(&["B02", "B03", "B08", "B04", "B11", "B12"], &CROPS, |value| value);
        assert_eq!(rules(&local), []);
        let mut wrong = named(&NAMES, &CROPS, |value| value);
        (wrong[0].mean, wrong[0].std, wrong[3].mean, wrong[3].std) = (3161.0, 923.0, 1214.0, 298.0);
        let federated = named(&NAMES, &CROPS, |value| value);
        let found = compare_moments(&wrong, &federated);
        assert_eq!((found.len(), found[0].bands.join(" ")), (1, "B02 B08".to_owned()));
        assert!(found[0].message.contains("as B08 B03 B04 B02 B11 B12 they would be 0.0"), "{}", found[0]);
    }

    #[test]
    fn decibels_against_linear_power_are_found() {
        let local = named(&["VV", "VH"], &[(0.08, 0.1), (0.02, 0.02)], |value| value);
        let federated = named(&["VV", "VH"], &[(-11.0, 4.0), (-18.0, 4.0)], |value| value);
        assert_eq!(compare_moments(&local, &federated)[0].rule, Rule::MomentsScale);
        assert_eq!(compare_moments(&federated, &local)[0].rule, Rule::MomentsScale);
    }
}
