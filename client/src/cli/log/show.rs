//! Entries of the site log in words, at 80 columns.

use eosfed_client::site_log::{Approved, Entry, EntryKind, Record, Sending, Why};
use eosfed_common::ledger::Event;
use eosfed_common::printable::Printable;

const WIDTH: usize = 80;
const INDENT: &str = "    ";

/// A line of the log as lines for people. What is not an entry of this version is shown as it is.
pub(super) fn shown(line: &str) -> Vec<String> {
    let Ok(event) = serde_json::from_str::<Event<Entry>>(line) else { return wrapped(line) };
    let Entry { job, assignment, kind } = &event.entry;
    let about =
        assignment.as_ref().map(ToString::to_string).or_else(|| job.as_ref().map(ToString::to_string));
    let head = format!("{}  {}  {}", event.at, title(kind), about.unwrap_or_default());
    let mut lines = vec![head.trim_end().to_owned()];
    lines.extend(details(kind).iter().flat_map(|text| wrapped(text)));
    lines
}

/// The kind in a word or two.
fn title(kind: &EntryKind) -> String {
    kind.as_ref().replace('_', " ")
}

fn details(kind: &EntryKind) -> Vec<String> {
    match kind {
        EntryKind::Started { version, policy } => {
            let head = format!("version {version}; the site policy:");
            [head].into_iter().chain(policy.iter().map(|line| format!("- {line}"))).collect()
        }
        EntryKind::Stopped => Vec::new(),
        // The terms end with their digest.
        EntryKind::Asked { terms, digest: _ } => terms.clone(),
        EntryKind::Accepted { approval: None } => vec!["the policy asks for no approval".to_owned()],
        EntryKind::Accepted { approval: Some(approval) } | EntryKind::Approved(approval) => given(approval),
        EntryKind::Refused(why) | EntryKind::Failed(why) => {
            let Why { reason, message, told } = why;
            let told = told.iter().map(|told| format!("the coordinator is told: {told}"));
            [format!("{reason}: {message}")].into_iter().chain(told).collect()
        }
        EntryKind::Waits { why } => vec![why.clone()],
        EntryKind::NotNoted { offers } => {
            vec![format!(
                "{offers} offers were noted on this day; further ones are noted only if they are accepted"
            )]
        }
        EntryKind::NoiseAdded { digest, spending, update: _ } => {
            vec![spending.clone(), format!("the file with noise: {digest}")]
        }
        EntryKind::SpendingRebuilt { updates, added } => vec![format!(
            "privacy.json was made again from this log: {updates} updates, of which {added} were missing"
        )],
        EntryKind::Sending(sending) | EntryKind::Sent(sending) => sent(sending),
        EntryKind::Ended { how } => vec![how.clone()],
        EntryKind::PolicyChanged { change } => vec![change.clone()],
        EntryKind::Renewed { until } => vec![format!("the certificate is valid until {until}")],
        EntryKind::Mended { bytes } => {
            vec![format!("{bytes} bytes of an incomplete last line were cut, which a crash had left")]
        }
        EntryKind::Rotated { oldest } => vec![format!("a new file; entries from {oldest} on are kept")],
    }
}

fn given(approval: &Approved) -> Vec<String> {
    let Approved { by, given, terms, rounds, until } = approval;
    vec![format!("approved by {by} at {given}, for {rounds} rounds until {until}"), format!("terms: {terms}")]
}

fn sent(sending: &Sending) -> Vec<String> {
    let Sending { record, what, bytes, weights, words } = sending;
    let record = match record {
        Record::Weights => "weights",
        Record::TrainingReport => "report of a training",
        Record::Statistics => "statistics",
        Record::Scores => "scores",
        Record::Curve => "training curve",
        Record::Progress => "progress",
        Record::DataStatement => "data statement",
    };
    let bytes = bytes.map_or_else(String::new, |bytes| format!(", {bytes} bytes"));
    let mut lines = vec![format!("{record}: {what}{bytes}; allowed by {}", words.join(", "))];
    lines.extend(weights.map(|digest| format!("weights: {digest}")));
    lines
}

/// A text as indented lines. A word that is longer than a line is cut.
fn wrapped(text: &str) -> Vec<String> {
    let room = WIDTH - INDENT.len();
    let text = Printable::escaped(text, usize::MAX);
    let mut lines: Vec<String> = Vec::new();
    let mut length = room;
    for word in text.as_str().split(' ') {
        let mut rest: Vec<char> = word.chars().collect();
        while rest.len() > room {
            let more = rest.split_off(room);
            lines.push(rest.into_iter().collect());
            length = room;
            rest = more;
        }
        let fits = length + 1 + rest.len() <= room;
        match lines.last_mut().filter(|_| fits) {
            Some(line) => {
                line.push(' ');
                length += 1;
                line.extend(&rest);
            }
            None => {
                length = 0;
                lines.push(rest.iter().collect());
            }
        }
        length += rest.len();
    }
    lines.iter().map(|line| format!("{INDENT}{line}")).collect()
}

#[cfg(test)]
mod tests {
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
