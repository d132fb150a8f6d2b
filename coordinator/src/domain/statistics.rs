//! Pooling per-band moments of several institutions into one normalisation.

use eosfed_common::assignment::BandMoments;
use eosfed_common::band_values::BandValues;
use eosfed_common::card::BandNormalisation;
use eosfed_common::finite::{Finite, NotFinite};

use super::weighting::capped;

/// A constant band has a deviation of zero. It is divided by this share of its mean instead, or by this
/// number if the mean is smaller than 1.
const RELATIVE_FLOOR: f64 = 1e-6;

/// Moments of one band, of a number of pixels that need not be whole.
#[derive(Debug, Clone)]
struct Moments {
    band: String,
    count: f64,
    mean: Finite,
    m2: Finite,
    values: Option<BandValues>,
}

/// Pools two sets of moments of one band (Chan, Golub & LeVeque 1979, equations 1.5a and 1.5b).
fn merge(a: &Moments, b: &Moments) -> Result<Moments, NotFinite> {
    let count = a.count + b.count;
    if count == 0.0 {
        return Ok(a.clone());
    }
    let delta = b.mean.get() - a.mean.get();
    Ok(Moments {
        band: a.band.clone(),
        count,
        mean: Finite::try_from(a.mean.get() + delta * (b.count / count))?,
        m2: Finite::try_from(a.m2.get() + b.m2.get() + delta * delta * (a.count * b.count / count))?,
        values: BandValues::shared([a.values, b.values]),
    })
}

/// The moments of one band at all sites. With a largest share, those of a site with more pixels count as
/// if they were of fewer, of the same mean and deviation.
fn of_band(
    sites: &[&Vec<BandMoments>],
    at: usize,
    max_share: Option<f64>,
) -> Result<Vec<Moments>, NotFinite> {
    let bands: Vec<&BandMoments> = sites.iter().filter_map(|site| site.get(at)).collect();
    let counts: Vec<f64> = bands.iter().map(|band| band.count as f64).collect();
    let capped = match max_share {
        Some(share) => capped(counts.clone(), share),
        None => counts.clone(),
    };
    let moments = |(band, (count, capped)): (&&BandMoments, (&f64, f64))| {
        let BandMoments { band, count: _, mean, m2, values } = *band;
        let m2 = Finite::try_from(m2.get() * (capped / count.max(1.0)))?;
        Ok(Moments { band: band.clone(), count: capped, mean: *mean, m2, values: *values })
    };
    bands.iter().zip(counts.iter().zip(capped)).map(moments).collect()
}

/// Normalisation by the pooled mean and (population) standard deviation. `sites` holds one list of
/// bands for each institution, in the order of their names; all lists name the same bands in order.
///
/// # Errors
/// If the moments are so large that the mean or the deviation is not finite.
/// [`ScreenedStatistics`](super::ScreenedStatistics) lets no such moments in.
pub fn pool<'a>(
    sites: impl IntoIterator<Item = &'a Vec<BandMoments>>,
    max_share: Option<f64>,
) -> Result<Vec<BandNormalisation>, NotFinite> {
    let sites: Vec<_> = sites.into_iter().collect();
    let bands = sites.first().map_or(0, |first| first.len());
    let pooled = |at| {
        let mut sites = of_band(&sites, at, max_share)?.into_iter();
        let first = sites.next();
        let all = first.map(|first| sites.try_fold(first, |sum, site| merge(&sum, &site)));
        all.map(|all| all.and_then(normalisation)).transpose()
    };
    (0..bands).filter_map(|at| pooled(at).transpose()).collect()
}

fn normalisation(moments: Moments) -> Result<BandNormalisation, NotFinite> {
    let std = (moments.m2.get() / moments.count.max(1.0)).sqrt();
    let floor = RELATIVE_FLOOR * moments.mean.abs().max(1.0);
    let Moments { band, mean, values, .. } = moments;
    Ok(BandNormalisation { band, mean, std: Finite::try_from(std.max(floor))?, values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pooled(sites: &[Vec<BandMoments>]) -> BandNormalisation {
        pool(sites, None).unwrap().remove(0)
    }

    fn moments(values: &[f64]) -> Vec<BandMoments> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let m2 = Finite::literal(values.iter().map(|v| (v - mean).powi(2)).sum());
        let mean = Finite::literal(mean);
        vec![BandMoments { band: "red".to_owned(), count: values.len() as u64, mean, m2, values: None }]
    }

    #[test]
    fn a_constant_band_gets_a_divisor() {
        assert_eq!(pooled(&[moments(&[7.0, 7.0])]).std, 7e-6);
        assert_eq!(pooled(&[moments(&[0.0])]).std, 1e-6);
    }

    #[test]
    fn the_pooled_range_and_unit_are_those_of_all() {
        use eosfed_common::band_values::ValueUnit;
        let with = |unit, low, high| {
            let values = BandValues { unit, low: Finite::literal(low), high: Finite::literal(high) };
            vec![BandMoments { values: Some(values), ..moments(&[low, high]).remove(0) }]
        };
        let reflectance = Some(ValueUnit::Reflectance);
        let (north, south) = (with(reflectance, 0.0, 0.5), with(reflectance, 0.25, 1.0));
        let both = pooled(&[north.clone(), south]).values.unwrap();
        assert_eq!((both.unit, *both.low, *both.high), (reflectance, 0.0, 1.0));
        let other = pooled(&[north.clone(), with(Some(ValueUnit::EightBit), 3.0, 9.0)]).values.unwrap();
        assert_eq!((other.unit, *other.high), (None, 9.0), "two units are no unit");
        assert_eq!(pooled(&[north, moments(&[1.0])]).values, None, "one institution does not tell");
    }

    #[test]
    fn a_pooled_value_that_is_not_finite_is_an_error() {
        let huge = moments(&[1e200]);
        assert!(pool([&huge], None).is_ok(), "alone it can be stored");
        assert_eq!(pool([&huge, &moments(&[2.0])], None), Err(NotFinite(f64::INFINITY)));
        let most = vec![BandMoments { count: u64::MAX, ..moments(&[1.0]).remove(0) }];
        assert_eq!(pooled(&[most.clone(), most]).mean, 1.0, "counts do not overflow");
    }

    #[test]
    fn whoever_claims_most_pixels_does_not_decide_alone() {
        let north = moments(&[1.0, 3.0]);
        let south = moments(&[2.0, 4.0]);
        let mut lie = moments(&[1000.0, 1002.0]);
        lie[0].count = 1 << 50;
        lie[0].m2 = Finite::literal((1_u64 << 50) as f64);
        let pooled = pool([&lie, &north, &south], Some(0.5)).unwrap().remove(0);
        // Half of the weight, with the deviation of 1 that it reports: not its mean of 1001.
        assert!((*pooled.mean - (1001.0 + 2.5) / 2.0).abs() < 1e-9, "{pooled:?}");
        let alone = pool([&lie], Some(0.5)).unwrap().remove(0);
        assert_eq!((*alone.mean, *alone.std), (1001.0, 1.0));
        let equal = pool([&north, &south], Some(0.5)).unwrap();
        assert_eq!(equal, pool([&north, &south], None).unwrap(), "who is below the share counts as before");
    }

    proptest! {
        #[test]
        fn no_site_moves_the_mean_by_more_than_its_share(
            counts in proptest::collection::vec(1..1_u64 << 50, 2..8),
            lie in -1e6..1e6f64,
        ) {
            let of = |count: u64, mean: f64| {
                let mean = Finite::literal(mean);
                let m2 = Finite::literal(count as f64);
                vec![BandMoments { band: "red".to_owned(), count, mean, m2, values: None }]
            };
            let sites: Vec<_> =
                (0..).zip(&counts).map(|(at, count)| of(*count, if at == 0 { lie } else { 0.0 })).collect();
            let pooled = pool(&sites, Some(0.5)).unwrap().remove(0);
            prop_assert!(pooled.mean.abs() <= lie.abs() * 0.5 * (1.0 + 1e-9));
        }

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
