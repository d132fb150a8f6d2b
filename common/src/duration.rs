//! Durations as people write them: `90s`, `30m`, `2h`, `1d`.

use std::time::Duration;

use serde::{Deserialize as _, Deserializer, Serializer};

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// For `#[serde(with)]`.
///
/// # Errors
/// Whatever the serializer gives.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// For `#[serde(with)]`.
///
/// # Errors
/// If the text is no duration.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| {
        serde::de::Error::custom(format!(
            "expected a duration such as `90s`, `30m`, `2h` or `1d`, found `{text}`"
        ))
    })
}

/// The duration in its largest whole unit.
#[must_use]
pub fn format(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let fits = |(_, size): &&(char, u64)| seconds > 0 && seconds.is_multiple_of(*size);
    UNITS
        .iter()
        .find(fits)
        .map_or_else(|| format!("{seconds}s"), |(unit, size)| format!("{}{unit}", seconds / size))
}

fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let count: u64 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    count.checked_mul(*size).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_survive_text() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86_400), ("0s", 0)] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)));
            assert_eq!(format(Duration::from_secs(seconds)), text);
        }
        for bad in ["", "m", "5", "-5m", "5 m", "5ms", "99999999999999999999d", "18446744073709551615d", "5é"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
