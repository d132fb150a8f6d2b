//! Names and lists of names.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::plan::report::Report;
use crate::printable::{MAX_NAME, MAX_WORD, Printable};

/// The display name.
pub(in crate::plan) fn name(key: &str, text: &str, report: &mut Report) {
    let rule = format!("1 to {MAX_NAME} printable characters");
    report.rule(is_printable(text, 1..=MAX_NAME), key, rule, text.escape_debug());
}

/// The name of one thing.
pub(in crate::plan) fn word(key: impl Display, text: &str, report: &mut Report) {
    let rule = format!("1 to {MAX_WORD} printable characters");
    report.rule(is_printable(text, 1..=MAX_WORD), key, rule, text.escape_debug());
}

/// A list of distinct, printable words.
pub(in crate::plan) fn words(
    key: impl Display,
    list: &[String],
    length: &RangeInclusive<usize>,
    report: &mut Report,
) {
    let rule = format!("a list of {} to {} names", length.start(), length.end());
    report.rule(length.contains(&list.len()), &key, rule, format!("{} names", list.len()));
    let mut seen = BTreeSet::new();
    for (index, text) in list.iter().enumerate() {
        let key = format!("{key}[{index}]");
        word(&key, text, report);
        report.rule(seen.insert(text), &key, "listed once", text.escape_debug());
    }
}

/// A list without repetitions.
pub(in crate::plan) fn distinct<T: Ord>(
    key: impl Display,
    list: impl IntoIterator<Item = T>,
    report: &mut Report,
) {
    let mut seen = BTreeSet::new();
    let repeated = list.into_iter().fold(0, |repeated, item| repeated + usize::from(!seen.insert(item)));
    report.rule(repeated == 0, key, "without repetition", format!("{repeated} repeated"));
}

/// Whether a text has so many bytes and can be shown.
pub(in crate::plan) fn is_printable(text: &str, length: RangeInclusive<usize>) -> bool {
    Printable::parse(text, length).is_ok()
}
