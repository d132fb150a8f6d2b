//! The value that marks missing data in a file.

use std::fmt;

/// The value of the tag GDAL_NODATA.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nodata {
    number: f64,
    /// The same, exactly, if it is a whole number.
    whole: Option<i128>,
}

impl Nodata {
    /// Reads the text of the tag, which ends at its first zero byte; `None` if it is empty.
    ///
    /// # Errors
    /// If it is no number.
    pub(crate) fn parse(text: &[u8]) -> Result<Option<Self>, ()> {
        let text = std::str::from_utf8(text).map_err(|_| ())?;
        let text = text.split('\0').next().unwrap_or_default();
        if text.is_empty() {
            return Ok(None);
        }
        let text = text.trim_ascii();
        let number = number(text)?;
        let whole = text.parse().ok().or_else(|| (number.fract() == 0.0).then_some(number as i128));
        Ok(Some(Self { number, whole }))
    }

    /// The value if it is a whole number of 32 bits.
    pub(super) fn small(self) -> Option<i32> {
        self.whole.and_then(|whole| whole.try_into().ok())
    }

    /// What a strip or tile that a file leaves out holds, as GDAL gives it, in a type of whole numbers from `low` to
    /// `high`: this value, which is NaN, or the nearest one.
    pub(super) fn left_out(self, low: i128, high: i128) -> f32 {
        match self.whole {
            Some(whole) if (low..=high).contains(&whole) => f32::NAN,
            _ => (self.number.round() as i128).clamp(low, high) as f32,
        }
    }

    /// Whether it lies between two whole numbers.
    pub(super) fn is_fraction(&self) -> bool {
        self.number.is_finite() && self.number.fract() != 0.0
    }

    pub(super) fn is_whole(&self, value: i128) -> bool {
        self.whole == Some(value)
    }

    /// Compares 32-bit floats as GDAL does: within a few units in the last place.
    pub(super) fn is_f32(&self, value: f32) -> bool {
        let marker = self.number as f32;
        // A marker that is 0 in 32 bits marks nothing.
        let lost = marker == 0.0 && self.number != 0.0;
        let near = (value - marker).abs() < f32::EPSILON * (value + marker).abs() * 2.0;
        !lost && (value == marker || near)
    }

    /// Compares 64-bit floats as GDAL does, which takes the precision of 32-bit ones here too.
    pub(super) fn is_f64(&self, value: f64) -> bool {
        let marker = self.number;
        value == marker || (value - marker).abs() < f64::from(f32::EPSILON) * (value + marker).abs() * 2.0
    }
}

/// Whether both mark the same numbers.
impl PartialEq for Nodata {
    fn eq(&self, other: &Self) -> bool {
        let same = self.number == other.number || (self.number.is_nan() && other.number.is_nan());
        same && self.whole == other.whole
    }
}

impl fmt::Display for Nodata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whole {
            Some(whole) => write!(f, "{whole}"),
            None => write!(f, "{}", self.number),
        }
    }
}

/// The number that a text is, also in the words of Microsoft's C library, as GDAL reads it.
fn number(text: &str) -> Result<f64, ()> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    match rest.trim_end_matches('0').to_ascii_uppercase().as_str() {
        "1.#INF" => Ok(sign * f64::INFINITY),
        "1.#IND" | "1.#QNAN" | "1.#SNAN" => Ok(f64::NAN),
        // GDAL takes it for 0 in some versions.
        "NAN" if sign < 0.0 => Err(()),
        _ => text.parse().map_err(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(text: &str) -> Option<Nodata> {
        Nodata::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_nodata_text_must_be_a_number_or_empty() {
        assert_eq!(marker("\0"), None);
        assert_eq!(marker(" -9999\r\n\0"), marker("-9999"));
        assert!(marker("nan").unwrap().number.is_nan());
        assert_eq!(marker("1e3").unwrap().whole, Some(1000));
        assert_eq!(marker("-9223372036854775808").unwrap().whole, Some(i128::from(i64::MIN)));
        assert_eq!(marker("-1.#INF").unwrap().number, f64::NEG_INFINITY);
        assert_eq!(marker("1.#INF00").unwrap().number, f64::INFINITY);
        assert!(marker("-1.#IND").unwrap().number.is_nan() && marker("1.#QNAN0").unwrap().number.is_nan());
        for bad in ["1.#XXX", "-nan", "0 0 0", "   ", " \0", "none", "-9999,5", "0x10"] {
            assert!(Nodata::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Nodata::parse(&[0xff, 0xfe]).is_err());
        assert_eq!(marker("7\08"), marker("7"), "what follows the end is none of it");
        assert!(marker("0.5").unwrap().is_fraction() && marker("-1e-9").unwrap().is_fraction());
        assert!(!["7", "1e30", "nan", "-1.#INF"].iter().any(|text| marker(text).unwrap().is_fraction()));
    }
}
