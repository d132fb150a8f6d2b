//! Robust statistics, which a few extreme values do not change much.

/// The norms that are longer than `factor` times their median. None if there are fewer than three.
#[must_use]
pub fn outliers(norms: &[f64], factor: f64) -> Vec<bool> {
    let most = if norms.len() < 3 { f64::INFINITY } else { factor * median(norms) };
    norms.iter().map(|norm| *norm > most).collect()
}

/// The median of at least one number.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_values_is_between_the_two_in_the_middle() {
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), 3.0);
    }

    #[test]
    fn outliers_need_three_values() {
        assert_eq!(outliers(&[1.0, 100.0], 2.0), [false, false]);
        assert_eq!(outliers(&[1.0, 100.0, 1.5], 2.0), [false, true, false]);
    }
}
