//! Tables, times and numbers for people, JSON for programs.

use std::collections::BTreeMap;

use eosfed_common::card::{Energy, EnergySource};
use eosfed_common::clock::{Clock as _, SystemClock, Timestamp};
use eosfed_common::finite::Finite;
use eosfed_common::metric::MAIN;
use eosfed_common::outln;
use eosfed_common::printable::is_printable;
use eosfed_common::printed;
use eosfed_common::quantity;
use eosfed_common::scoring::{ScoredPart, Scoring};

use super::document::Document;

pub(super) use eosfed_common::quantity::bytes;
pub(super) use eosfed_tables::Sheet;

/// Prints a document as JSON.
pub(super) fn json<T: Document>(value: &T) -> anyhow::Result<()> {
    outln!("{}", printed::pretty(value)?);
    Ok(())
}

/// Prints a document as a line of JSON.
pub(super) fn json_line<T: Document>(value: &T) -> anyhow::Result<()> {
    outln!("{}", printed::line(value)?);
    Ok(())
}

/// Outside text, with control characters replaced, so that it cannot control a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|one| if !is_printable(one) { char::REPLACEMENT_CHARACTER } else { one }).collect()
}

/// A table with these column titles.
pub(super) fn table(titles: &[&str]) -> Sheet {
    Sheet::new(titles)
}

/// The time of this machine.
pub(super) fn now() -> Timestamp {
    SystemClock.now()
}

/// The time from now, as `ago` or `in`.
pub(super) fn when(at: Timestamp) -> String {
    let now = SystemClock.now();
    if at > now {
        format!("in {}", span(at.since(now).as_secs()))
    } else {
        format!("{} ago", span(now.since(at).as_secs()))
    }
}

/// [`when`], or a dash.
pub(super) fn when_if(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "–".to_owned(), when)
}

/// A number of seconds, rounded to a unit.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3570 => format!("{} min", (seconds + 30) / 60),
        3570..171_000 => format!("{} h", (seconds + 1800) / 3600),
        _ => format!("{} days", (seconds + 43_200) / 86_400),
    }
}

/// The main scores as text, with their intervals and the number of samples, and a word if they are of the part
/// that also chooses the epoch: `miou 0.810 [0.740, 0.870], n = 52`.
pub(super) fn scores(metrics: &BTreeMap<String, Finite>, scoring: Option<&Scoring>) -> String {
    let shown = |name: &&str| Some(format!("{name} {}", Scoring::shown(scoring, name, *metrics.get(*name)?)));
    let mut shown: Vec<String> = MAIN.iter().filter_map(shown).collect();
    if shown.is_empty() {
        return "–".to_owned();
    }
    shown.extend(scoring.map(|scoring| match scoring.part {
        ScoredPart::Test => format!("n = {}", scoring.samples),
        ScoredPart::Validation => format!("n = {} (validation)", scoring.samples),
    }));
    shown.join(", ")
}

/// Energy with the source of the figure.
pub(super) fn energy(energy: &Energy) -> String {
    let source = match energy.source {
        EnergySource::Measured => "measured",
        EnergySource::Estimated => "estimated",
        EnergySource::Partial => "partial: the real figure is higher",
        EnergySource::Unavailable if energy.kwh.get() > 0.0 => "a part was not measured",
        EnergySource::Unavailable => return "not measured".to_owned(),
    };
    let co2e = |grams: Finite| format!("{} CO2e", quantity::grams(grams.get()));
    let co2e = energy.co2e_g.map_or_else(|| "CO2e unknown".to_owned(), co2e);
    format!("{} ({source}), {co2e}", quantity::kwh(energy.kwh.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_to_a_unit() {
        let spans = [5, 65, 7199, 300_000].map(span);
        assert_eq!(spans, ["5 s", "1 min", "2 h", "3 days"]);
    }

    #[test]
    fn an_energy_says_its_source_and_what_is_not_known() {
        let energy = |source, co2e_g: Option<f64>| Energy {
            kwh: Finite::literal(0.0123),
            source,
            co2e_g: co2e_g.map(Finite::literal),
        };
        let said = |source, co2e_g| super::energy(&energy(source, co2e_g));
        assert_eq!(said(EnergySource::Measured, Some(3.69)), "12.3 Wh (measured), 3.69 g CO2e");
        assert_eq!(said(EnergySource::Estimated, None), "12.3 Wh (estimated), CO2e unknown");
        assert!(said(EnergySource::Partial, None).contains("the real figure is higher"));
        assert_eq!(said(EnergySource::Unavailable, None), "12.3 Wh (a part was not measured), CO2e unknown");
        assert_eq!(super::energy(&Energy::default()), "not measured");
        let small =
            Energy { kwh: Finite::literal(0.000_012_3), ..energy(EnergySource::Measured, Some(0.003_69)) };
        assert_eq!(super::energy(&small), "12.3 mWh (measured), 3.7e-3 g CO2e");
    }
}
