//! Entries of the site log in words.

use super::{Approved, Entry, EntryKind, Record, Sending, Why};
use eosfed_common::counted::counted;

impl Entry {
    /// What it is about: the assignment, or else the job.
    #[must_use]
    pub fn about(&self) -> Option<String> {
        let job = || self.job.as_ref().map(ToString::to_string);
        self.assignment.as_ref().map(ToString::to_string).or_else(job)
    }
}

impl EntryKind {
    /// What it says, in lines that end nowhere in particular.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        details(self)
    }
}

impl Record {
    /// Its name in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::TrainingReport => "report of a training",
            Self::Statistics => "statistics",
            Self::Scores => "scores",
            Self::Curve => "training curve",
            Self::Progress => "progress",
            Self::DataStatement => "data statement",
            Self::PolicySummary => "summary of the policy",
        }
    }
}

fn details(kind: &EntryKind) -> Vec<String> {
    match kind {
        EntryKind::Started { version, policy } => {
            let head = format!("version {version}; the site policy:");
            [head].into_iter().chain(policy.iter().map(|line| format!("- {line}"))).collect()
        }
        EntryKind::Stopped => Vec::new(),
        // The terms begin with the name and end with their digest.
        EntryKind::Asked { terms, name: _, digest: _ } => terms.clone(),
        EntryKind::Accepted { approval, dataset } => {
            let approved =
                approval.as_ref().map_or_else(|| vec!["the policy asks for no approval".to_owned()], given);
            let read = dataset.iter().map(|name| format!("reads the data set `{name}`"));
            read.chain(approved).collect()
        }
        EntryKind::Approved(approval) => given(approval),
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
            "privacy.json was made again from this log: {}, of which {added} were missing",
            counted(*updates, "update")
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
    let rounds = counted(*rounds, "round");
    vec![format!("approved by {by} at {given}, for {rounds} until {until}"), format!("terms: {terms}")]
}

fn sent(sending: &Sending) -> Vec<String> {
    let Sending { record, what, bytes, weights, words } = sending;
    let record = record.words();
    let bytes = bytes.map_or_else(String::new, |bytes| format!(", {bytes} bytes"));
    let mut lines = vec![format!("{record}: {what}{bytes}; allowed by {}", words.join(", "))];
    lines.extend(weights.map(|digest| format!("weights: {digest}")));
    lines
}
