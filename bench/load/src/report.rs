//! The printed report.

use std::time::Duration;

use crate::coordinator::Footprint;

/// The smallest, the middle, the 99th percentile and the largest of some durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spread {
    pub(crate) middle: Duration,
    pub(crate) high: Duration,
    pub(crate) most: Duration,
}

impl Spread {
    /// `None` without durations.
    pub(crate) fn of(mut all: Vec<Duration>) -> Option<Self> {
        all.sort_unstable();
        let at = |part: f64| all.get(((all.len() - 1) as f64 * part).round() as usize).copied();
        if all.is_empty() {
            return None;
        }
        Some(Self { middle: at(0.5)?, high: at(0.99)?, most: at(1.0)? })
    }
}

/// Rows with a name and a measurement.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<[String; 2]>);

impl Report {
    pub(crate) fn row(&mut self, name: &str, value: impl Into<String>) {
        self.0.push([name.to_owned(), value.into()]);
    }

    pub(crate) fn spread(&mut self, name: &str, durations: Vec<Duration>) {
        let count = durations.len();
        let text = Spread::of(durations).map_or_else(
            || "not measured".to_owned(),
            |Spread { middle, high, most }| {
                let [middle, high, most] = [middle, high, most].map(millis);
                format!("median {middle}, 99 % {high}, longest {most} ({count} measured)")
            },
        );
        self.row(name, text);
    }

    pub(crate) fn footprint(&mut self, name: &str, found: Footprint) {
        let Footprint { resident, anonymous, files } = found;
        let [resident, anonymous] = [resident, anonymous].map(|kib| kib as f64 / 1024.0);
        let text =
            format!("{resident:.0} MiB resident, of which {anonymous:.0} MiB its own; {files} files open");
        self.row(name, text);
    }

    pub(crate) fn print(self) {
        let wide = self.0.iter().map(|[name, _]| name.len()).max().unwrap_or_default();
        for [name, value] in self.0 {
            println!("{name:<wide$}  {value}");
        }
    }
}

pub(crate) fn bytes(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

pub(crate) fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_includes_all_measurements() {
        let all: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        let Spread { middle, high, most } = Spread::of(all).unwrap();
        assert_eq!([middle, high, most].map(|one| one.as_millis()), [51, 99, 100]);
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
