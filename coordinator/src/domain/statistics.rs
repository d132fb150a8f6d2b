//! Pooling per-band moments of several institutions into one normalisation.

use eosfed_common::assignment::BandMoments;
use eosfed_common::card::BandNormalisation;

/// A band that never varies would be divided by nothing; it is divided by this share of its mean
/// instead, or by this number when the mean is smaller than 1.
const RELATIVE_FLOOR: f64 = 1e-6;

/// Pools two sets of moments of one band (Chan, Golub & LeVeque 1979, equations 1.5a and 1.5b).
fn merge(a: &BandMoments, b: &BandMoments) -> BandMoments {
    let count = a.count + b.count;
    if count == 0 {
        return a.clone();
    }
    let (na, nb, n) = (a.count as f64, b.count as f64, count as f64);
    let delta = b.mean - a.mean;
    BandMoments {
        band: a.band.clone(),
        count,
        mean: a.mean + delta * (nb / n),
        m2: a.m2 + b.m2 + delta * delta * (na * nb / n),
    }
}

/// Normalisation by the pooled mean and (population) standard deviation. `sites` holds one list of
/// bands for each institution, in the order of their names; all lists name the same bands in order.
pub fn pool<'a>(sites: impl IntoIterator<Item = &'a Vec<BandMoments>>) -> Vec<BandNormalisation> {
    let pooled = sites.into_iter().fold(None::<Vec<BandMoments>>, |sum, site| match sum {
        None => Some(site.clone()),
        Some(sum) => Some(sum.iter().zip(site).map(|(a, b)| merge(a, b)).collect()),
    });
    pooled.unwrap_or_default().into_iter().map(normalisation).collect()
}

fn normalisation(moments: BandMoments) -> BandNormalisation {
    let std = (moments.m2 / moments.count.max(1) as f64).sqrt();
    let floor = RELATIVE_FLOOR * moments.mean.abs().max(1.0);
    BandNormalisation { band: moments.band, mean: moments.mean, std: std.max(floor) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moments(values: &[f64]) -> Vec<BandMoments> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let m2 = values.iter().map(|v| (v - mean).powi(2)).sum();
        vec![BandMoments { band: "red".to_owned(), count: values.len() as u64, mean, m2 }]
    }

    #[test]
    fn a_constant_band_gets_a_divisor() {
        assert_eq!(pool([&moments(&[7.0, 7.0])])[0].std, 7e-6);
        assert_eq!(pool([&moments(&[0.0])])[0].std, 1e-6);
    }

    proptest! {
        #[test]
        fn pooling_equals_computing_on_everything(
            a in proptest::collection::vec(-1e3..1e3f64, 1..40),
            b in proptest::collection::vec(-1e3..1e3f64, 1..40),
            c in proptest::collection::vec(-1e3..1e3f64, 1..40),
        ) {
            let pooled = &pool([&moments(&a), &moments(&b), &moments(&c)])[0];
            let all = &pool([&moments(&[a, b, c].concat())])[0];
            prop_assert!((pooled.mean - all.mean).abs() < 1e-9 * all.mean.abs().max(1.0));
            prop_assert!((pooled.std - all.std).abs() < 1e-9 * all.std.max(1.0));
        }
    }
}
