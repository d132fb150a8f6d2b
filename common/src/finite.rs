//! Numbers that are neither infinite nor NaN: the only floats that are stored. JSON has no others: an
//! infinity or NaN is written as `null` and cannot be read back.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A finite 64-bit float.
#[derive(Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
pub struct Finite(f64);

/// A number that is infinite or NaN where it must be finite.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a finite number, found `{0}`")]
pub struct NotFinite(pub f64);

impl Finite {
    /// 0.
    pub const ZERO: Self = Self(0.0);
    /// The largest finite number.
    pub const MAX: Self = Self(f64::MAX);

    /// This number, if it is finite.
    #[must_use]
    pub const fn new(value: f64) -> Option<Self> {
        if value.is_finite() { Some(Self(value)) } else { None }
    }

    /// A constant.
    ///
    /// # Panics
    /// If it is not finite.
    #[must_use]
    pub const fn literal(value: f64) -> Self {
        assert!(value.is_finite(), "a literal must be finite");
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Deref for Finite {
    type Target = f64;

    fn deref(&self) -> &f64 {
        &self.0
    }
}

impl TryFrom<f64> for Finite {
    type Error = NotFinite;

    fn try_from(value: f64) -> Result<Self, NotFinite> {
        Self::new(value).ok_or(NotFinite(value))
    }
}

impl From<Finite> for f64 {
    fn from(value: Finite) -> Self {
        value.0
    }
}

impl PartialEq<f64> for Finite {
    fn eq(&self, other: &f64) -> bool {
        self.0 == *other
    }
}

impl PartialOrd<f64> for Finite {
    fn partial_cmp(&self, other: &f64) -> Option<Ordering> {
        self.0.partial_cmp(other)
    }
}

impl fmt::Display for Finite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::LowerExp for Finite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerExp::fmt(&self.0, f)
    }
}

impl fmt::Debug for Finite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_numbers_are_accepted() {
        for value in [0.0, -0.0, 1e-300, f64::MAX, f64::MIN] {
            assert_eq!(Finite::try_from(value).unwrap(), value);
        }
        for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            assert!(Finite::new(value).is_none());
            let error = Finite::try_from(value).unwrap_err().to_string();
            assert_eq!(error, format!("a finite number, found `{value}`"));
        }
    }

    #[test]
    fn json_reads_back_with_every_bit() {
        let text = serde_json::to_string(&Finite::literal(0.1)).unwrap();
        assert_eq!((text.as_str(), serde_json::from_str::<Finite>(&text).unwrap()), ("0.1", Finite(0.1)));
        assert!(serde_json::from_str::<Finite>("null").is_err());
        assert!(serde_json::from_str::<Finite>("1e999").is_err());
        assert!(toml::from_str::<toml::Table>("x = inf").unwrap()["x"].clone().try_into::<Finite>().is_err());
    }
}
