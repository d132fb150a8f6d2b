//! Sizes in bytes, energies and masses as people read them: few digits and a unit that fits.

/// Digits of a size that is compared with nothing.
const DIGITS: usize = 3;

/// A size in bytes with a unit of 1000, of three digits: `7.23 GB`.
#[must_use]
pub fn bytes(size: u64) -> String {
    rounded(size, DIGITS)
}

/// Two sizes that are compared, with as many digits as tell them apart: `1.409 GB` and `1.41 GB`.
#[must_use]
pub fn bytes_apart(one: u64, other: u64) -> [String; 2] {
    let both = |digits| [one, other].map(|size| rounded(size, digits));
    (DIGITS..=exact_digits(u64::MAX))
        .map(both)
        .find(|[one, other]| one != other)
        .unwrap_or_else(|| both(DIGITS))
}

/// A number of megabytes of a setting as a size, with all of its digits: `500 GB`, `1.234567 TB`.
#[must_use]
pub fn megabytes(count: u64) -> String {
    rounded(count.saturating_mul(1_000_000), exact_digits(u64::MAX))
}

/// The number of decimal digits.
fn exact_digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// A size with so many digits at most, and as many as its whole part has at least.
fn rounded(size: u64, digits: usize) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let unit = (exact_digits(size) - 1) / 3;
    let whole = exact_digits(size) - 3 * unit;
    let places = digits.saturating_sub(whole).min(3 * unit);
    // In integers: a float cannot tell large sizes apart.
    let step = 10_u128.pow((3 * unit - places) as u32);
    let steps = (u128::from(size) + step / 2) / step;
    let parts = 10_u128.pow(places as u32);
    if steps >= 1000 * parts && unit + 1 < UNITS.len() {
        return format!("1 {}", UNITS[unit + 1]);
    }
    let fraction = format!("{:0places$}", steps % parts);
    match fraction.trim_end_matches('0') {
        "" => format!("{} {}", steps / parts, UNITS[unit]),
        fraction => format!("{}.{fraction} {}", steps / parts, UNITS[unit]),
    }
}

/// An energy in kilowatt-hours; below one in watt-hours, and below a watt-hour in milliwatt-hours.
#[must_use]
pub fn kwh(kwh: f64) -> String {
    match kwh.abs() {
        0.0 => "0 kWh".to_owned(),
        size if size >= 1.0 => format!("{} kWh", amount(kwh)),
        size if size >= 1e-3 => format!("{} Wh", amount(kwh * 1e3)),
        _ => format!("{} mWh", amount(kwh * 1e6)),
    }
}

/// A mass in grams, and in kilograms from a thousand on.
#[must_use]
pub fn grams(grams: f64) -> String {
    if grams >= 1000.0 { format!("{} kg", amount(grams / 1000.0)) } else { format!("{} g", amount(grams)) }
}

/// An amount with two or three digits.
fn amount(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.01 => format!("{value:.1e}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_three_digits_and_a_unit_of_a_thousand() {
        for (size, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1 kB"),
            (1004, "1 kB"),
            (1005, "1.01 kB"),
            (9_996, "10 kB"),
            (56_340_000, "56.3 MB"),
            (999_499, "999 kB"),
            (999_500, "1 MB"),
            (7_200_000_000, "7.2 GB"),
            (7_234_567_890, "7.23 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(size), expected, "{size}");
        }
    }

    #[test]
    fn sizes_that_are_compared_differ_as_texts() {
        assert_eq!(bytes_apart(1_410_000_000, 2_000), ["1.41 GB", "2 kB"]);
        assert_eq!(bytes_apart(1_410_000_000, 1_409_000_000), ["1.41 GB", "1.409 GB"]);
        assert_eq!(
            bytes_apart(u64::MAX, u64::MAX - 1),
            ["18.44674407370955162 EB", "18.44674407370955161 EB"]
        );
        assert_eq!(bytes_apart(5, 5), ["5 B", "5 B"]);
    }

    #[test]
    fn a_setting_in_megabytes_keeps_its_digits() {
        assert_eq!([megabytes(0), megabytes(500_000), megabytes(500_123)], ["0 B", "500 GB", "500.123 GB"]);
        assert!(megabytes(u64::MAX).ends_with(" EB"), "it does not overflow");
    }

    #[test]
    fn a_small_energy_has_digits_too() {
        for (energy, expected) in [
            (0.0, "0 kWh"),
            (1.5, "1.50 kWh"),
            (0.3, "300 Wh"),
            (0.0123, "12.3 Wh"),
            (0.000_012_3, "12.3 mWh"),
            (1e-12, "1.0e-6 mWh"),
        ] {
            assert_eq!(kwh(energy), expected, "{energy}");
        }
        assert_eq!(
            [grams(3.69), grams(0.0), grams(0.05), grams(2500.0)],
            ["3.69 g", "0 g", "0.05 g", "2.50 kg"]
        );
    }
}
