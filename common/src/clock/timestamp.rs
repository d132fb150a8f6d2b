//! A point in time.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// A point in time: milliseconds since the Unix epoch, UTC. Prints as RFC 3339.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

/// The last millisecond that RFC 3339 can say.
const LAST_SAID: &str = "9999-12-31T23:59:59.999Z";

impl Timestamp {
    /// The name under which it serialises, for [`crate::printed`].
    pub(crate) const SERIALISED_AS: &'static str = "eosfed::Timestamp";

    /// The time as RFC 3339 in UTC with milliseconds, such as `2026-11-27T21:12:03.123Z`. Times after the year 9999,
    /// which stand for never, are its last millisecond.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(millis)
            .map_or_else(|_| LAST_SAID.to_owned(), |time| format!("{time:.3}"))
    }

    /// The time `duration` later. It saturates at the largest time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// The number of milliseconds, in every format.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(Self::SERIALISED_AS, &self.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(time) => f.pad(&format!("{time:.0}")),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_as_rfc3339() {
        let time = Timestamp(1_795_000_000_123);
        assert_eq!(time.to_string(), "2026-11-18T11:06:40Z");
        assert_eq!(time.to_rfc3339(), "2026-11-18T11:06:40.123Z");
        assert_eq!(Timestamp(1_795_000_000_000).to_rfc3339(), "2026-11-18T11:06:40.000Z");
        assert_eq!(Timestamp(u64::MAX).to_rfc3339(), LAST_SAID);
        assert_eq!(Timestamp(253_402_300_799_999).to_rfc3339(), LAST_SAID);
    }
}
