//! The weights of updates in an aggregate.

use eosfed_common::ids::InstitutionName;
use eosfed_common::plan::Weighting;

/// The weights of updates. Each update is given by its institution, its samples and its staleness in rounds.
/// `max_share` is the largest share of one institution. The weight above it is dropped, not given to others.
#[must_use]
pub fn weights(
    weighting: &Weighting,
    max_share: Option<f64>,
    updates: &[(&InstitutionName, u64, f64)],
) -> Vec<f64> {
    let weigh = |(name, samples, fresh): &(&InstitutionName, u64, f64)| {
        let weight = match weighting {
            Weighting::Samples { cap } => cap.map_or(*samples, |cap| cap.min(*samples)) as f64,
            Weighting::Equal => 1.0,
            Weighting::Institution { weights } => weights.get(*name).copied().unwrap_or(1.0),
        };
        weight * fresh
    };
    let weights: Vec<f64> = updates.iter().map(weigh).collect();
    match max_share {
        Some(share) => capped(weights, share),
        None => weights,
    }
}

/// Lowers the largest weights, all to the same value, so that none is more than `share` of the sum.
/// Where that cannot be, since there are fewer than 1 / `share`, all become equal: the share is then 1
/// divided by their number.
pub(super) fn capped(mut weights: Vec<f64>, share: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]));
    let mut rest: f64 = weights.iter().sum();
    for (lowered, index) in order.iter().enumerate() {
        // With the `lowered` largest at `cap` each, `cap = share * (lowered * cap + rest)`.
        let room = 1.0 - share * lowered as f64;
        let cap = if room > 0.0 { share * rest / room } else { f64::INFINITY };
        if weights[*index] <= cap * (1.0 + 1e-12) {
            for larger in &order[..lowered] {
                weights[*larger] = cap;
            }
            return weights;
        }
        rest -= weights[*index];
    }
    vec![1.0; weights.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use eosfed_common::plan::MAX_SAMPLES;
    use proptest::prelude::*;

    fn of(weighting: &Weighting, max_share: Option<f64>, samples: &[u64]) -> Vec<f64> {
        let names: Vec<InstitutionName> =
            (0..samples.len()).map(|i| format!("site-{i}").parse().unwrap()).collect();
        let updates: Vec<_> =
            names.iter().zip(samples).map(|(name, samples)| (name, *samples, 1.0)).collect();
        weights(weighting, max_share, &updates)
    }

    #[test]
    fn updates_are_weighted_by_samples_by_institution_or_equally() {
        let samples = Weighting::Samples { cap: Some(50) };
        assert_eq!(of(&samples, None, &[10, 50, 900]), [10.0, 50.0, 50.0]);
        assert_eq!(of(&Weighting::Equal, None, &[10, 900]), [1.0, 1.0]);
        let institution = Weighting::Institution { weights: [("site-1".parse().unwrap(), 2.5)].into() };
        assert_eq!(of(&institution, None, &[10, 900]), [1.0, 2.5]);
    }

    proptest! {
        #[test]
        fn whatever_is_claimed_no_share_is_above_its_cap_or_an_equal_part(
            samples in proptest::collection::vec(1..=MAX_SAMPLES, 1..20),
            share in 0.01..1.0f64,
        ) {
            let weights = of(&Weighting::default(), Some(share), &samples);
            let total: f64 = weights.iter().sum();
            let most = share.max(1.0 / samples.len() as f64);
            prop_assert!(weights.iter().all(|weight| *weight > 0.0 && weight / total <= most + 1e-9));
        }
    }

    #[test]
    fn no_share_is_above_the_cap() {
        let by_samples = Weighting::default();
        for (samples, share) in [(&[10, 20, 970][..], 0.5), (&[1, 1, 1, 1], 0.3), (&[5, 900, 800, 7], 0.4)] {
            let weights = of(&by_samples, Some(share), samples);
            let total: f64 = weights.iter().sum();
            assert!(weights.iter().all(|weight| weight / total <= share + 1e-9), "{weights:?}");
            assert!(weights.iter().zip(samples).all(|(weight, samples)| *weight <= *samples as f64 + 1e-9));
        }
        assert_eq!(of(&by_samples, Some(0.5), &[10, 20, 970]), [10.0, 20.0, 30.0]);
        assert_eq!(of(&by_samples, Some(0.5), &[10, 970]), [10.0, 10.0], "of two, each has a half");
        assert_eq!(of(&by_samples, Some(0.5), &[20, 26, 32]), [20.0, 26.0, 32.0], "untouched");
        assert_eq!(of(&by_samples, Some(0.5), &[10]), [1.0], "alone it has everything");
    }
}
