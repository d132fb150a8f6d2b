//! Numbers, sizes and times as people read them.

use std::time::Duration;

use eosfed_common::card::{Energy, EnergySource};
use eosfed_common::clock::Timestamp;
use eosfed_common::counted::named;
use eosfed_common::quantity::grams;
use maud::{Markup, html};

pub(crate) use eosfed_common::quantity::{bytes, kwh};

/// A count with its thousands apart: `12 345`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            // A narrow space that does not break.
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 sample`, `12 345 samples`.
pub(crate) fn counted(number: impl TryInto<u64>, thing: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{} {}", count(number), named(number, thing))
}

/// A duration in its largest unit and the next: `3 h 20 min`.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let both = |large: u64, unit: &str, small: u64, part: &str| {
        if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {part}") }
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => both(minutes, "min", if minutes < 10 { seconds % 60 } else { 0 }, "s"),
        3600..86_400 => both(hours, "h", minutes % 60, "min"),
        86_400..864_000 => both(days, "d", hours % 24, "h"),
        _ => format!("{days} d"),
    }
}

/// A value of a metric or a loss with four digits.
pub(crate) fn value(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.2e}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A difference with its sign, as [`value`] writes it.
pub(crate) fn signed(difference: f64) -> String {
    let size = value(difference.abs());
    match difference {
        more if more > 0.0 => format!("+{size}"),
        less if less < 0.0 => format!("\u{2212}{size}"),
        _ => size,
    }
}

/// An energy with the source of the figure.
pub(crate) fn energy(energy: Energy) -> String {
    let co2e = energy.co2e_g.map(|mass| format!(", {} CO2e", grams(mass.get())));
    let amount = format!("{}{}", kwh(energy.kwh.get()), co2e.unwrap_or_default());
    match energy.source {
        EnergySource::Measured => format!("{amount} measured"),
        EnergySource::Estimated => format!("{amount} estimated"),
        EnergySource::Partial => format!("{amount}, partial: the real figure is higher"),
        EnergySource::Unavailable if energy.kwh.get() > 0.0 => format!("{amount}, partly unknown"),
        EnergySource::Unavailable => "not known".to_owned(),
    }
}

/// How long ago, or how soon, with the exact time for those who point at it.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> Markup {
    let text = if at > now {
        format!("in {}", coarse(at.since(now)))
    } else if now.since(at).as_secs() < 2 {
        "now".to_owned()
    } else {
        format!("{} ago", coarse(now.since(at)))
    };
    html! { time datetime=(at) title=(at) { (text) } }
}

/// A duration in its largest unit, which is enough beside an exact time.
fn coarse(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// The exact time, in UTC.
pub(crate) fn exact(at: Timestamp) -> Markup {
    time(&at.to_string())
}

/// A time as it is written in logs.
pub(crate) fn time(text: &str) -> Markup {
    let shown = text.replacen('T', " ", 1).replacen('Z', " UTC", 1);
    html! { time datetime=(text) { (shown) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_few_digits_and_a_unit() {
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(12), "12");
        assert_eq!(value(0.123_456), "0.123");
        assert_eq!(value(1e-7), "1.00e-7");
        assert_eq!(value(-250.04), "-250.0");
        assert_eq!([signed(0.25), signed(-0.25), signed(-0.0)], ["+0.250", "\u{2212}0.250", "0"]);
    }

    #[test]
    fn durations_have_two_units_and_ages_one() {
        let span = |seconds| span(Duration::from_secs(seconds));
        assert_eq!([span(5), span(65), span(600), span(3661)], ["5 s", "1 min 5 s", "10 min", "1 h 1 min"]);
        assert_eq!([span(90_000), span(864_000)], ["1 d 1 h", "10 d"]);
        let ago = relative(Timestamp(1_000), Timestamp(601_000)).into_string();
        assert!(ago.contains(">10 min ago<") && ago.contains("1970-01-01T00:00:01Z"), "{ago}");
        assert!(relative(Timestamp(61_000), Timestamp(1_000)).into_string().contains(">in 60 s<"));
    }
}
