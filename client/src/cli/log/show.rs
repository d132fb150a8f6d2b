//! Entries of the site log in words, at 80 columns.

use eosfed_client::site_log::Entry;
use eosfed_common::ledger::Event;
use eosfed_common::printable::Printable;
use eosfed_tables::wrapped;

const WIDTH: usize = 80;
const INDENT: &str = "    ";

/// A line of the log as lines for people. What is not an entry of this version is shown as it is.
pub(super) fn shown(line: &str) -> Vec<String> {
    let Ok(event) = serde_json::from_str::<Event<Entry>>(line) else { return indented(line) };
    let kind = &event.entry.kind;
    let about = event.entry.about().unwrap_or_default();
    let head = format!("{}  {}  {about}", event.at, kind.as_ref().replace('_', " "));
    let mut lines = vec![head.trim_end().to_owned()];
    lines.extend(kind.words().iter().flat_map(|text| indented(text)));
    lines
}

/// A text as indented lines. A word that is longer than a line is cut.
fn indented(text: &str) -> Vec<String> {
    let text = Printable::escaped(text, usize::MAX);
    let lines = wrapped(text.as_str(), WIDTH - INDENT.len());
    lines.iter().map(|line| format!("{INDENT}{line}")).collect()
}

#[cfg(test)]
mod tests {
    use eosfed_client::site_log::EntryKind;
    use eosfed_common::clock::Timestamp;

    use super::*;

    #[test]
    fn entries_are_shown_in_eighty_columns_without_what_steers_a_terminal() {
        let told = format!("{}\u{1b}[2J{}", "word ".repeat(40), "x".repeat(200));
        let kind = EntryKind::Waits { why: told };
        let id = "j-0a1b2c3d.0.1.west".parse().unwrap();
        let event = Event::follow(None, Timestamp(1_795_000_000_000), Entry::of(&id, kind));
        let lines = shown(&event.to_line());
        assert_eq!(lines[0], "2026-11-18T11:06:40Z  waits  j-0a1b2c3d.0.1.west");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
        assert!(lines.concat().contains("\\u{1b}[2J") && !lines.concat().contains('\u{1b}'));
        let words: usize = lines.iter().map(|line| line.matches("word").count()).sum();
        assert_eq!(words, 40, "nothing is lost");
        assert!(shown("{\"kind\":\"\u{1b}\"}").concat().contains("\\u{1b}"));
    }
}
