//! Complex numbers, as radar processors store them: what one becomes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What complex numbers of files become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Complex {
    /// The amplitude: the root of the sum of the squares of both parts.
    Amplitude,
    /// 20 times the decimal logarithm of the amplitude. Where that is 0, the pixel is missing.
    Decibels,
}

impl Complex {
    /// Of a real and an imaginary part; NaN if it is missing.
    ///
    /// # Errors
    /// If the parts are finite and the result is too large for 32-bit floats.
    pub(super) fn of(self, real: f64, imaginary: f64) -> Result<f32, String> {
        let amplitude = real.hypot(imaginary);
        let value = match self {
            Self::Amplitude => amplitude,
            Self::Decibels if amplitude == 0.0 => f64::NAN,
            Self::Decibels => 20.0 * amplitude.log10(),
        };
        let lost = real.is_finite() && imaginary.is_finite() && (value as f32).is_infinite();
        if lost { Err(format!("{real:e}{imaginary:+e}i")) } else { Ok(value as f32) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amplitude_of_zero_has_no_decibels_and_no_number_becomes_infinite() {
        assert_eq!(Complex::Amplitude.of(-3.0, 4.0), Ok(5.0));
        assert_eq!(Complex::Decibels.of(-6.0, 8.0), Ok(20.0));
        assert_eq!(Complex::Amplitude.of(0.0, 0.0), Ok(0.0));
        assert!(Complex::Decibels.of(0.0, -0.0).unwrap().is_nan());
        assert!(Complex::Amplitude.of(f64::NAN, 1.0).unwrap().is_nan());
        assert_eq!(Complex::Amplitude.of(f64::INFINITY, 1.0), Ok(f32::INFINITY));
        assert_eq!(Complex::Amplitude.of(3e38, 3e38).unwrap_err(), "3e38+3e38i");
        assert_eq!(Complex::Decibels.of(1e300, 0.0), Ok(6000.0));
    }
}
