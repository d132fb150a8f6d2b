//! Parsing of points in time.

use super::{Clock as _, SystemClock, Timestamp};
use crate::duration;

/// Parses a point in time for a command line: a time, a date, or how long ago.
///
/// # Errors
/// A sentence with the formats and the text found.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    let wrong = || {
        format!(
            "use a time such as 2026-11-26T09:00:00Z, a date (UTC), or how long ago, such as 2h or 7d; found `{text}`"
        )
    };
    let milliseconds = |time: jiff::Timestamp| u64::try_from(time.as_millisecond()).map(Timestamp);
    let midnight = format!("{text}T00:00:00Z");
    if let Ok(time) = text.parse::<jiff::Timestamp>().or_else(|_| midnight.parse()) {
        return milliseconds(time).map_err(|_| wrong());
    }
    let ago = duration::parse(text).map_err(|_| wrong())?;
    let ago = u64::try_from(ago.as_millis()).map_err(|_| wrong())?;
    Ok(Timestamp(SystemClock.now().0.saturating_sub(ago)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_dates_or_ages() {
        assert_eq!(moment("2026-11-18T11:06:40Z"), Ok(Timestamp(1_795_000_000_000)));
        assert_eq!(moment("2026-11-18T12:06:40+01:00"), Ok(Timestamp(1_795_000_000_000)));
        assert_eq!(moment("2026-11-18"), Ok(Timestamp(1_794_960_000_000)));
        let before = moment("1h").unwrap();
        let hour = SystemClock.now().since(before).as_secs();
        assert!((3600..3660).contains(&hour), "{hour}");
        for bad in ["", "yesterday", "2026-13-01", "-1h", "1914-01-01", "2026-11-18T11:06"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }
}
