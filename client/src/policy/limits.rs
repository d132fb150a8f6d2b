//! The limits on a job and on a day: the table `limits` of the policy. Pure.

use std::borrow::Cow;
use std::fmt;

use eosfed_common::quantity::megabytes;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const UNLIMITED: &str = "unlimited";

/// A number, or none: `"unlimited"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// At most this.
    AtMost(u64),
    /// Any number.
    Unlimited,
}

/// What is allowed for each job and each day (UTC). A job keeps its counts for as long as it exists. Megabytes
/// are those of weights, reports, statistics, scores, heartbeats, refusals, offers and documents of heads, as
/// their messages hold them; greetings, polls, renewals and the frames of the connection are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most rounds of one job; no more than 100,000 in any case.
    pub rounds_per_job: Limit,
    /// Most assignments of one job; another attempt at a round is another assignment.
    pub assignments_per_job: Limit,
    /// Most assignments in a day.
    pub assignments_per_day: Limit,
    /// Most megabytes that are sent for one job.
    pub upload_mb_per_job: Limit,
    /// Most megabytes that are sent in a day.
    pub upload_mb_per_day: Limit,
    /// Most megabytes that are fetched for one job.
    pub download_mb_per_job: Limit,
    /// Most megabytes that are fetched in a day.
    pub download_mb_per_day: Limit,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rounds_per_job: Limit::AtMost(1000),
            assignments_per_job: Limit::AtMost(3000),
            assignments_per_day: Limit::AtMost(1000),
            upload_mb_per_job: Limit::AtMost(500_000),
            upload_mb_per_day: Limit::AtMost(100_000),
            download_mb_per_job: Limit::AtMost(500_000),
            download_mb_per_day: Limit::AtMost(100_000),
        }
    }
}

impl Limit {
    /// Whether so many are within it.
    #[must_use]
    pub const fn admits(self, number: u64) -> bool {
        match self {
            Self::AtMost(most) => number <= most,
            Self::Unlimited => true,
        }
    }

    /// The number of bytes, for a limit in megabytes.
    #[must_use]
    pub const fn megabytes(self) -> Self {
        match self {
            Self::AtMost(most) => Self::AtMost(most.saturating_mul(1_000_000)),
            Self::Unlimited => Self::Unlimited,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "{most}"),
            Self::Unlimited => f.write_str(UNLIMITED),
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AtMost(most) => serializer.serialize_u64(*most),
            Self::Unlimited => serializer.serialize_str(UNLIMITED),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;

        impl Visitor<'_> for Words {
            type Value = Limit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number that is not negative, or \"unlimited\"")
            }

            fn visit_u64<E: de::Error>(self, most: u64) -> Result<Limit, E> {
                Ok(Limit::AtMost(most))
            }

            fn visit_i64<E: de::Error>(self, most: i64) -> Result<Limit, E> {
                let wrong = || E::invalid_value(Unexpected::Signed(most), &self);
                u64::try_from(most).map(Limit::AtMost).map_err(|_| wrong())
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Limit, E> {
                if word == UNLIMITED {
                    return Ok(Limit::Unlimited);
                }
                Err(E::invalid_value(Unexpected::Str(word), &self))
            }
        }

        deserializer.deserialize_any(Words)
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "enum": [UNLIMITED] }] })
    }
}

impl Limits {
    /// Each limit with its key.
    #[must_use]
    pub const fn all(&self) -> [(&'static str, Limit); 7] {
        let Self {
            rounds_per_job,
            assignments_per_job,
            assignments_per_day,
            upload_mb_per_job,
            upload_mb_per_day,
            download_mb_per_job,
            download_mb_per_day,
        } = *self;
        [
            ("limits.rounds_per_job", rounds_per_job),
            ("limits.assignments_per_job", assignments_per_job),
            ("limits.assignments_per_day", assignments_per_day),
            ("limits.upload_mb_per_job", upload_mb_per_job),
            ("limits.upload_mb_per_day", upload_mb_per_day),
            ("limits.download_mb_per_job", download_mb_per_job),
            ("limits.download_mb_per_day", download_mb_per_day),
        ]
    }

    /// The limits in words, a sentence for each.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let said = |what: &str, limit: Limit, shown: fn(u64) -> String| match limit {
            Limit::AtMost(most) => format!("{what}: at most {}", shown(most)),
            Limit::Unlimited => format!("{what}: unlimited"),
        };
        let named = |what: &str, limit| said(what, limit, |most| most.to_string());
        let size = |what: &str, limit| said(what, limit, megabytes);
        vec![
            named("rounds of one job", self.rounds_per_job),
            named("assignments of one job", self.assignments_per_job),
            named("assignments in a day (UTC)", self.assignments_per_day),
            size("sent for one job", self.upload_mb_per_job),
            size("sent in a day (UTC)", self.upload_mb_per_day),
            size("fetched for one job", self.download_mb_per_job),
            size("fetched in a day (UTC)", self.download_mb_per_day),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::Policy;
    use super::*;

    fn limits(text: &str) -> Result<Limits, toml::de::Error> {
        toml::from_str::<Policy>(text).map(|policy| policy.limits)
    }

    #[test]
    fn a_limit_is_a_number_or_unlimited_and_has_a_default() {
        let read = limits("[limits]\nrounds_per_job = 3\nupload_mb_per_day = \"unlimited\"").unwrap();
        let expected = Limits {
            rounds_per_job: Limit::AtMost(3),
            upload_mb_per_day: Limit::Unlimited,
            ..Limits::default()
        };
        assert_eq!(read, expected);
        assert_eq!(limits("").unwrap(), Limits::default());
        assert!(Limits::default().all().iter().all(|(_, limit)| *limit != Limit::Unlimited));
        for bad in ["rounds_per_job = -1", "rounds_per_job = \"no\"", "rounds_per_job = 1.5", "rounds = 1"] {
            assert!(limits(&format!("[limits]\n{bad}")).is_err(), "{bad}");
        }
        let text = toml::to_string(&expected).unwrap();
        assert_eq!(toml::from_str::<Limits>(&text).unwrap(), expected);
    }

    #[test]
    fn what_is_unlimited_is_said() {
        let limits = Limits { assignments_per_day: Limit::Unlimited, ..Limits::default() };
        assert!(limits.words().contains(&"assignments in a day (UTC): unlimited".to_owned()));
        let size = "sent for one job: at most 500 GB";
        assert!(limits.words().iter().any(|words| words == size), "{:?}", limits.words());
        assert_eq!(limits.words().len(), limits.all().len());
    }

    #[test]
    fn megabytes_do_not_overflow() {
        assert_eq!(Limit::AtMost(u64::MAX).megabytes(), Limit::AtMost(u64::MAX));
        assert!(Limit::Unlimited.megabytes().admits(u64::MAX) && !Limit::AtMost(0).megabytes().admits(1));
    }
}
