//! The matrix of scores: each specialist at each institution.

use std::collections::{BTreeMap, BTreeSet};

use eosfed_common::finite::Finite;
use eosfed_common::ids::InstitutionName;
use eosfed_common::metric::{Better, Metric};
use maud::{Markup, Render as _, html};

use super::path;
use crate::chart::{Cell, HeatMap};
use crate::format::counted;
use crate::layout::{Content, Shell};
use crate::parts::{Pager, empty, heading, specialist_link};

/// Most institutions in one matrix.
const MAX_COLUMNS: usize = 40;

/// What was found of one specialist.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRow {
    /// The specialist, as `NAME@VERSION`.
    pub specialist: String,
    /// The main metric of its task.
    pub metric: String,
    /// Its main metric at each institution, or a word for why there is none.
    pub scores: BTreeMap<InstitutionName, Result<Finite, String>>,
}

/// What the page of scores shows.
#[derive(Debug)]
pub struct ScoresPage {
    /// The specialists of this page that have been scored anywhere.
    pub rows: Vec<ScoreRow>,
    /// Where the next page is.
    pub pager: Pager,
}

/// The page of scores.
#[must_use]
pub fn scores(shell: &Shell, page: &ScoresPage) -> String {
    let mut metrics: BTreeMap<&str, Vec<ScoreRow>> = BTreeMap::new();
    for row in &page.rows {
        metrics.entry(&row.metric).or_default().push(row.clone());
    }
    let lead = html! { p.of { "The newest score of each specialist on the imagery of each institution." } };
    let body = html! {
        (heading(&html! { "Scores" }, &html! {}, &lead))
        section.panel id="matrix" aria-label="Scores" {
            @if page.rows.is_empty() {
                (empty(
                    "No specialist has been scored by an institution yet.",
                    "A plan of kind \"evaluation\" has the institutions score each other's frozen specialists:",
                    "eosfed job submit evaluation.toml --watch",
                ))
            }
            @for rows in metrics.values() { (score_map(rows)) }
            (page.pager.render())
        }
    };
    shell.document(&Content { title: "Scores".to_owned(), section: path::SCORES, body })
}

/// The matrix of these specialists, which have the same metric.
pub(crate) fn score_map(rows: &[ScoreRow]) -> Markup {
    let all: BTreeSet<&InstitutionName> = rows.iter().flat_map(|row| row.scores.keys()).collect();
    let shown: Vec<&InstitutionName> = all.iter().take(MAX_COLUMNS).copied().collect();
    let metric = rows.first().map_or("", |row| row.metric.as_str());
    let smaller = Metric::named(metric).is_some_and(|metric| metric.better == Better::Smaller);
    let cell = |row: &ScoreRow, name: &InstitutionName| match row.scores.get(name) {
        Some(Ok(value)) => Cell::Value(value.get()),
        Some(Err(word)) => Cell::Word(word.clone()),
        None => Cell::Empty,
    };
    let line = |row: &ScoreRow| {
        (specialist_link(&row.specialist), shown.iter().map(|name| cell(row, name)).collect::<Vec<_>>())
    };
    let map = HeatMap {
        id: if smaller { "errors" } else { "matrix-scores" },
        title: format!("{metric} by specialist and institution"),
        rows_are: "specialist",
        columns: shown
            .iter()
            .map(|name| html! { a href={ (path::INSTITUTIONS) "/" (name) } { (name) } })
            .collect(),
        rows: rows.iter().map(line).collect(),
        scale: scale(rows, metric),
        smaller_is_better: smaller,
    };
    html! {
        (map)
        @if all.len() > MAX_COLUMNS {
            p.quiet { "and " (counted(all.len() - MAX_COLUMNS, "more institution")) ": see the page of a specialist" }
        }
    }
}

/// The scale: the whole range of a score, or from the least to the largest value.
fn scale(rows: &[ScoreRow], metric: &str) -> (f64, f64) {
    if let Some(Metric { least: 0.0, most: 1.0, .. }) = Metric::named(metric) {
        return (0.0, 1.0);
    }
    let values = rows.iter().flat_map(|row| row.scores.values()).filter_map(|score| score.as_ref().ok());
    let ends = (f64::INFINITY, f64::NEG_INFINITY);
    let (low, high) = values.fold(ends, |(low, high), value| (low.min(value.get()), high.max(value.get())));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}
