//! From the value of a property to a class.

use std::collections::BTreeMap;

/// Most values without a class that are told apart.
const MOST_OTHERS: usize = 1000;
/// Most characters of a value that are shown.
const SHOWN: usize = 60;
/// What stands for features without a value.
const NO_VALUE: &str = "no value";

/// Which classes polygons have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Classes {
    /// The property that says it.
    pub(crate) attribute: String,
    /// The number of the class of each value.
    pub(crate) values: BTreeMap<String, u8>,
    /// The class of pixels in no polygon.
    pub(crate) background: Option<u8>,
    /// Whether values without a class are an error.
    pub(crate) refuse_others: bool,
}

impl Classes {
    /// A sentence about values without a class.
    pub(super) fn refused(&self, others: &[(String, u64)]) -> String {
        let known: Vec<&str> = self.values.keys().map(String::as_str).collect();
        format!(
            "each value of `{}` must have a class, found others: {}; known are {}. Add them to `polygons.values` of \
             dataset.toml, or write `other_values = \"unlabelled\"` there",
            self.attribute.escape_debug(),
            said(others),
            shown(&known.join(", "), 400)
        )
    }
}

/// Values and how many features have each, the most frequent first.
pub(crate) fn said(others: &[(String, u64)]) -> String {
    const NAMED: usize = 10;
    let mut sorted: Vec<&(String, u64)> = others.iter().collect();
    sorted.sort_by_key(|(value, count)| (std::cmp::Reverse(*count), value.as_str()));
    let named = sorted.iter().take(NAMED).map(|(value, count)| format!("{value} ({count})"));
    let more = sorted.len().saturating_sub(NAMED);
    let rest = (more > 0).then(|| format!("and {more} more"));
    named.chain(rest).collect::<Vec<_>>().join(", ")
}

/// How many features have each value without a class.
#[derive(Debug, Default)]
pub(super) struct Others(BTreeMap<String, u64>);

impl Others {
    /// Counts a feature; `None` is one without a value.
    pub(super) fn add(&mut self, value: Option<&str>) {
        let name = value.map_or_else(|| NO_VALUE.to_owned(), |value| format!("`{}`", shown(value, SHOWN)));
        let name = if self.0.len() < MOST_OTHERS || self.0.contains_key(&name) {
            name
        } else {
            "further values".to_owned()
        };
        *self.0.entry(name).or_default() += 1;
    }

    pub(super) fn list(self) -> Vec<(String, u64)> {
        self.0.into_iter().collect()
    }
}

fn shown(text: &str, most: usize) -> String {
    let cut: String = text.chars().take(most).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", cut.escape_debug())
}
