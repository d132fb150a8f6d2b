//! Durations in a readable format: `90s`, `30m`, `2h`, `7d`, `1h30m`. This is the friendly format of `jiff`,
//! with days of 24 hours; durations are not negative and have whole seconds.

use std::time::Duration;

use jiff::fmt::friendly::{Designator, Spacing, SpanParser, SpanPrinter};
use jiff::{Span, SpanRelativeTo, SpanRound, Unit};
use serde::{Deserialize as _, Deserializer, Serializer};

const PARSER: SpanParser = SpanParser::new();
const PRINTER: SpanPrinter = SpanPrinter::new().designator(Designator::Compact).spacing(Spacing::None);
/// Most characters of an invalid text in an error.
const MAX_SHOWN: usize = 80;

/// The text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration such as `90s`, `30m`, `2h` or `7d`, found `{0}`")]
pub struct InvalidDuration(String);

/// For `#[serde(with)]`.
///
/// # Errors
/// Errors of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// For `#[serde(with)]`.
///
/// # Errors
/// If the text is not a duration.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// Writes a duration with units from days to seconds. Fractions of a second are dropped.
#[must_use]
pub fn format(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let rules = SpanRound::new().largest(Unit::Day).days_are_24_hours();
    let span = i64::try_from(seconds).ok().and_then(|seconds| Span::new().try_seconds(seconds).ok());
    match span.and_then(|span| span.round(rules).ok()) {
        Some(span) => PRINTER.span_to_string(&span),
        None => format!("{seconds}s"),
    }
}

/// Reads a duration.
///
/// # Errors
/// If the text is not a duration, is negative, has fractions of a second, or has units of variable length
/// (months and years).
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect());
    let span = PARSER.parse_span(text).map_err(|_| invalid())?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| invalid())?;
    let duration = Duration::try_from(duration).map_err(|_| invalid())?;
    if duration.subsec_nanos() == 0 { Ok(duration) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_back_from_text() {
        for (text, seconds) in
            [("1m30s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86_400), ("7d", 604_800), ("0s", 0)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)));
            assert_eq!(format(Duration::from_secs(seconds)), text);
        }
        for seconds in [u64::from(u32::MAX), 631_107_417_600, 631_107_417_601, u64::MAX] {
            let text = format(Duration::from_secs(seconds));
            assert!(parse(&text).is_err() || parse(&text) == Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn several_spellings_are_read() {
        for (text, seconds) in [
            ("90s", 90),
            ("36h", 129_600),
            ("1.5h", 5400),
            ("2 hours, 5 min", 7500),
            ("1w", 604_800),
            ("5 m", 300),
            ("5m\n", 300),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn an_invalid_duration_is_refused_with_the_value_found() {
        for bad in [
            "",
            "m",
            "5",
            "-5m",
            "5m ago",
            "5ms",
            "0.5s",
            "1mo",
            "1y",
            "99999999999999999999d",
            "18446744073709551615d",
            "5é",
            "P1D",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let said = parse("soon\u{1b}").unwrap_err().to_string();
        assert!(said.contains("`90s`") && said.contains("`soon\\u{1b}`"), "{said}");
        assert!(parse(&"9".repeat(10_000)).unwrap_err().to_string().len() < 200);
    }
}
