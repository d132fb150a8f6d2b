//! The Rényi accountant of the Gaussian mechanism without sampling.
//!
//! An update is a vector of length at most `clip` with noise of standard deviation `noise_multiplier * clip`
//! on each of its elements. With and without it, its outputs differ by a Rényi divergence of
//! `order / (2 * noise_multiplier^2)` (Mironov 2017, proposition 7). The divergences of several updates add
//! up, also when each depends on those before it (proposition 1). So the sum of `1 / (2 * noise_multiplier^2)`
//! over all updates, here called the divergence at order 1, is all that has to be known.
//!
//! Every institution takes part in every update that it sends, so there is no sampling that would amplify
//! privacy.

/// The fewest and the most tenths of the fractional orders above 1.
const TENTHS: std::ops::RangeInclusive<u32> = 1..=99;
/// The whole orders.
const WHOLE: std::ops::RangeInclusive<u32> = 12..=63;

/// The orders of Opacus: 1.1 to 10.9 in steps of 0.1, then 12 to 63.
fn orders() -> impl Iterator<Item = f64> {
    TENTHS.map(|tenth| 1.0 + f64::from(tenth) / 10.0).chain(WHOLE.map(f64::from))
}

/// The epsilon of (epsilon, delta)-differential privacy of updates whose divergence at order 1 is this. Zero
/// without updates. The conversion is the one of Balle et al. 2020, theorem 21, as in Opacus
/// `get_privacy_spent`.
#[must_use]
pub fn epsilon(divergence: f64, delta: f64) -> f64 {
    if divergence <= 0.0 {
        return 0.0;
    }
    let at = |order: f64| {
        let excess = (delta.ln() + order.ln()) / (order - 1.0);
        order * divergence - excess + ((order - 1.0) / order).ln()
    };
    orders().map(at).fold(f64::INFINITY, f64::min).max(0.0)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// What Opacus gives for a number of updates, each with its noise multiplier.
    #[derive(Deserialize)]
    struct Golden {
        updates: Vec<(f64, u32)>,
        delta: f64,
        opacus: f64,
        dp_accounting: f64,
    }

    fn goldens() -> Vec<Golden> {
        serde_json::from_str(include_str!("../../goldens/accountant.json")).unwrap()
    }

    fn divergence(updates: &[(f64, u32)]) -> f64 {
        updates.iter().map(|(noise, count)| f64::from(*count) / (2.0 * noise * noise)).sum()
    }

    #[test]
    fn the_accountant_agrees_with_opacus() {
        let goldens = goldens();
        assert!(goldens.len() > 100, "{}", goldens.len());
        for Golden { updates, delta, opacus, .. } in goldens {
            let found = epsilon(divergence(&updates), delta);
            assert!((found / opacus - 1.0).abs() < 1e-6, "{updates:?}, {delta}: {found}, opacus {opacus}");
        }
    }

    /// Google's accountant has orders of its own and a tighter conversion for some of them.
    #[test]
    fn the_accountant_never_promises_more_than_googles_and_is_near_it() {
        for Golden { updates, delta, dp_accounting, .. } in goldens() {
            let found = epsilon(divergence(&updates), delta);
            let ratio = found / dp_accounting;
            assert!((0.999..1.5).contains(&ratio), "{updates:?}, {delta}: {found}, google {dp_accounting}");
        }
    }

    #[test]
    fn nothing_costs_nothing_and_more_costs_more() {
        assert!(epsilon(0.0, 1e-5) == 0.0);
        let spent: Vec<f64> = (1..50).map(|count| epsilon(f64::from(count) * 0.02, 1e-5)).collect();
        assert!(spent.windows(2).all(|pair| pair[0] < pair[1]), "{spent:?}");
        assert!(epsilon(0.1, 1e-3) < epsilon(0.1, 1e-6));
        assert!(epsilon(1e-9, 1e-2) >= 0.0);
    }
}
