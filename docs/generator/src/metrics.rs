//! The page of metrics, from the table that the coordinator registers them by.

use std::fmt::Write as _;

use eosfed_coordinator::metrics::table::{ALL, Metric};

use crate::page::Page;

const INTRODUCTION: &str = "\
# Metrics

What `/metrics` of the coordinator's listener for monitoring has (`[http]` in `coordinator.toml`),
as OpenMetrics text for Prometheus. Counters grow from the start of the program.

Histograms count seconds. Labels have few values each: an operator's plan or an institution's name
never makes a label but where the table says so, and there the number of series is bounded.

| metric | kind | labels | meaning |
| --- | --- | --- | --- |
";

/// The page.
///
/// # Errors
/// If the text cannot be written.
pub(crate) fn page() -> anyhow::Result<Page> {
    let mut text = INTRODUCTION.to_owned();
    for Metric { name, kind, labels, help } in ALL {
        let kind = format!("{kind:?}").to_lowercase();
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(text, "| `{name}` | {kind} | {} | {help}. |", labels.join(", "))?;
    }
    Ok(Page { file: "metrics.md".to_owned(), text })
}
