//! Pooling per-band moments of several institutions into one normalisation.

use eosfed_common::assignment::BandMoments;
use eosfed_common::card::BandNormalisation;
use eosfed_common::finite::{Finite, NotFinite};

/// A constant band has a deviation of zero. It is divided by this share of its mean instead, or by this
/// number if the mean is smaller than 1.
const RELATIVE_FLOOR: f64 = 1e-6;

/// Pools two sets of moments of one band (Chan, Golub & LeVeque 1979, equations 1.5a and 1.5b).
fn merge(a: &BandMoments, b: &BandMoments) -> Result<BandMoments, NotFinite> {
    let count = a.count.saturating_add(b.count);
    if count == 0 {
        return Ok(a.clone());
    }
    let na = a.count as f64;
    let nb = b.count as f64;
    let n = count as f64;
    let delta = b.mean.get() - a.mean.get();
    Ok(BandMoments {
        band: a.band.clone(),
        count,
        mean: Finite::try_from(a.mean.get() + delta * (nb / n))?,
        m2: Finite::try_from(a.m2.get() + b.m2.get() + delta * delta * (na * nb / n))?,
    })
}

/// Normalisation by the pooled mean and (population) standard deviation. `sites` holds one list of
/// bands for each institution, in the order of their names; all lists name the same bands in order.
///
/// # Errors
/// If the moments are so large that the mean or the deviation is not finite.
/// [`ScreenedStatistics`](super::ScreenedStatistics) lets no such moments in.
pub fn pool<'a>(
    sites: impl IntoIterator<Item = &'a Vec<BandMoments>>,
) -> Result<Vec<BandNormalisation>, NotFinite> {
    let mut sites = sites.into_iter();
    let Some(first) = sites.next() else { return Ok(Vec::new()) };
    let pooled = sites.try_fold(first.clone(), |sum, site| {
        sum.iter().zip(site).map(|(a, b)| merge(a, b)).collect::<Result<Vec<_>, _>>()
    })?;
    pooled.into_iter().map(normalisation).collect()
}

fn normalisation(moments: BandMoments) -> Result<BandNormalisation, NotFinite> {
    let std = (moments.m2.get() / moments.count.max(1) as f64).sqrt();
    let floor = RELATIVE_FLOOR * moments.mean.abs().max(1.0);
    Ok(BandNormalisation { band: moments.band, mean: moments.mean, std: Finite::try_from(std.max(floor))? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pooled(sites: &[Vec<BandMoments>]) -> BandNormalisation {
        pool(sites).unwrap().remove(0)
    }

    fn moments(values: &[f64]) -> Vec<BandMoments> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let m2 = Finite::literal(values.iter().map(|v| (v - mean).powi(2)).sum());
        let mean = Finite::literal(mean);
        vec![BandMoments { band: "red".to_owned(), count: values.len() as u64, mean, m2 }]
    }

    #[test]
    fn a_constant_band_gets_a_divisor() {
        assert_eq!(pooled(&[moments(&[7.0, 7.0])]).std, 7e-6);
        assert_eq!(pooled(&[moments(&[0.0])]).std, 1e-6);
    }

    #[test]
    fn a_pooled_value_that_is_not_finite_is_an_error() {
        let huge = moments(&[1e200]);
        assert!(pool([&huge]).is_ok(), "alone it can be stored");
        assert_eq!(pool([&huge, &moments(&[2.0])]), Err(NotFinite(f64::INFINITY)));
        let most = vec![BandMoments { count: u64::MAX, ..moments(&[1.0]).remove(0) }];
        assert_eq!(pooled(&[most.clone(), most]).mean, 1.0, "counts do not overflow");
    }

    proptest! {
        #[test]
        fn pooling_equals_computing_on_everything(
            a in proptest::collection::vec(-1e3..1e3f64, 1..40),
            b in proptest::collection::vec(-1e3..1e3f64, 1..40),
            c in proptest::collection::vec(-1e3..1e3f64, 1..40),
        ) {
            let parts = pooled(&[moments(&a), moments(&b), moments(&c)]);
            let all = pooled(&[moments(&[a, b, c].concat())]);
            prop_assert!((*parts.mean - *all.mean).abs() < 1e-9 * all.mean.abs().max(1.0));
            prop_assert!((*parts.std - *all.std).abs() < 1e-9 * all.std.max(1.0));
        }
    }
}
