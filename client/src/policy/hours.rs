//! A daily range of time, `22:00-06:00`, UTC; it may cross midnight.

use std::fmt;
use std::str::FromStr;

use eosfed_common::clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MINUTES_A_DAY: u64 = 24 * 60;

/// From the first minute up to, not including, the last. Equal ends mean the whole day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("x-rule" = "`HH:MM-HH:MM`, UTC"))]
pub struct Hours {
    from: u64,
    to: u64,
}

/// The text is not a range of a day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("hours are written `22:00-06:00`, found `{0}`")]
pub struct InvalidHours(String);

impl Hours {
    /// Whether a point in time is inside.
    #[must_use]
    pub const fn contain(&self, now: Timestamp) -> bool {
        let minute = now.0 / 60_000 % MINUTES_A_DAY;
        let Self { from, to } = *self;
        if from < to { from <= minute && minute < to } else { from <= minute || minute < to }
    }
}

fn minute(text: &str) -> Option<u64> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then(|| hours * 60 + minutes)
}

impl FromStr for Hours {
    type Err = InvalidHours;

    fn from_str(text: &str) -> Result<Self, InvalidHours> {
        let parts = text.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
        parts.map(|(from, to)| Self { from, to }).ok_or_else(|| InvalidHours(text.to_owned()))
    }
}

impl TryFrom<String> for Hours {
    type Error = InvalidHours;

    fn try_from(text: String) -> Result<Self, InvalidHours> {
        text.parse()
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.to_string()
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_may_cross_midnight() {
        let at = |hour: u64| Timestamp((hour * 60) * 60_000);
        let inside = |hours: &str| -> Vec<u64> {
            let hours: Hours = hours.parse().unwrap();
            (0..24).filter(|hour| hours.contain(at(*hour))).collect()
        };
        assert_eq!(inside("22:00-02:00"), [0, 1, 22, 23]);
        assert_eq!(inside("09:00-11:00"), [9, 10]);
        assert_eq!(inside("09:00-09:00").len(), 24);
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in ["", "22-6", "24:00-01:00", "22:60-01:00", "22:00", "a:b-c:d"] {
            assert!(bad.parse::<Hours>().is_err(), "{bad}");
        }
        // Found by fuzzing: the minutes of so many hours overflowed.
        assert!("18446744073709551615:00-01:00".parse::<Hours>().is_err());
        assert_eq!("9:05 - 10:00".parse::<Hours>().unwrap().to_string(), "09:05-10:00");
    }
}
