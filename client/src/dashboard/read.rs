//! Reads the site log as what pages show.

use eosfed_common::ids::{AssignmentId, JobId};
use eosfed_common::ledger::Event;
use eosfed_dashboard::page::site::{About, EntryFilter, Kept, Left, SiteEntry, SiteLine};
use serde::Deserialize;

use super::kept;
use crate::site::Site;
use crate::site_log::{Entry, EntryKind, LogPage, LogQuery, Record, Sending, SiteLogError, page};

/// Entries that may lie between the begin of a record's way and its arrival.
const MAX_UNDER_WAY: usize = 500;

/// The kinds of entries about what was asked and decided.
pub(super) const DECISIONS: [&str; 9] =
    ["asked", "accepted", "approved", "refused", "waits", "failed", "ended", "not_noted", "policy_changed"];

/// The members that filters read.
#[derive(Deserialize)]
struct Members {
    job: Option<String>,
    kind: String,
}

/// A part of the log in words.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) lines: Vec<(u64, SiteLine)>,
    pub(super) earlier: Option<u64>,
    pub(super) cut: bool,
}

/// The lines that a filter wants. What is not an entry is among them, so that damage is seen.
pub(super) fn lines(
    site: &Site,
    query: LogQuery,
    kinds: Option<&[&str]>,
    filter: &EntryFilter,
) -> Result<Lines, SiteLogError> {
    let LogPage { lines, earlier, cut } = page(&site.log(), query, |line| {
        if kinds.is_none() && filter.job.is_empty() && filter.kind.is_empty() {
            return true;
        }
        let Ok(Members { job, kind }) = serde_json::from_str(line) else { return true };
        kinds.is_none_or(|kinds| kinds.contains(&&*kind))
            && (filter.kind.is_empty() || filter.kind == kind)
            && (filter.job.is_empty() || job.as_deref() == Some(&filter.job))
    })?;
    let lines = lines.iter().map(|(number, text)| (*number, in_words(text))).collect();
    Ok(Lines { lines, earlier, cut })
}

/// A line in words.
pub(super) fn in_words(text: &str) -> SiteLine {
    match serde_json::from_str::<Event<Entry>>(text) {
        Ok(event) => SiteLine::Entry(SiteEntry {
            at: event.at,
            kind: event.entry.kind.as_ref().to_owned(),
            about: about(&event.entry),
            lines: event.entry.kind.words(),
        }),
        Err(_) => SiteLine::Unreadable(text.chars().take(1000).collect()),
    }
}

fn about(entry: &Entry) -> About {
    let in_words = |id: &AssignmentId| format!("round {}, attempt {}", u64::from(id.round) + 1, id.attempt);
    About {
        job: entry.job.as_ref().map(ToString::to_string),
        assignment: entry.assignment.as_ref().map(in_words),
    }
}

/// The filter with a job that can be one, or what is wrong with it.
pub(super) fn checked(filter: &EntryFilter, kinds: &[&str]) -> Result<(), String> {
    if !filter.job.is_empty() {
        let job: Result<JobId, _> = filter.job.parse();
        job.map_err(|error| format!("`{}` is no job: {error}", filter.job))?;
    }
    if !filter.kind.is_empty() && !kinds.contains(&&*filter.kind) {
        return Err(format!("`{}` is no kind of entry; it is one of {}", filter.kind, kinds.join(", ")));
    }
    Ok(())
}

/// Records that have left.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) records: Vec<(u64, Left)>,
    pub(super) earlier: Option<u64>,
    pub(super) cut: bool,
}

/// A record on its way, as an entry says.
pub(super) struct Leaving {
    pub(super) event: Event<Entry>,
    pub(super) sending: Sending,
}

/// The record that an entry says is being sent.
pub(super) fn leaving(text: &str) -> Option<Leaving> {
    let event = serde_json::from_str::<Event<Entry>>(text).ok()?;
    let EntryKind::Sending(sending) = event.entry.kind.clone() else { return None };
    Some(Leaving { event, sending })
}

/// The records that have left, newest first.
pub(super) fn left(site: &Site, query: LogQuery) -> Result<Records, SiteLogError> {
    let of_kind = |wanted: &'static str| {
        move |line: &str| serde_json::from_str::<Members>(line).is_ok_and(|one| one.kind == wanted)
    };
    let LogPage { lines, earlier, cut } = page(&site.log(), query, of_kind("sending"))?;
    let arrived = match (lines.last(), lines.first()) {
        (Some((oldest, _)), Some((newest, _))) => {
            let most = MAX_UNDER_WAY + lines.len();
            let after = LogQuery { from: *oldest, before: newest.saturating_add(most as u64), most };
            page(&site.log(), after, of_kind("sent"))?.lines
        }
        _ => Vec::new(),
    };
    let arrived: Vec<(u64, Option<AssignmentId>, Sending)> =
        arrived.iter().filter_map(|(number, text)| has_arrived(*number, text)).collect();
    let record = |(number, text): &(u64, String)| {
        let Leaving { event, sending } = leaving(text)?;
        let assignment = event.entry.assignment.as_ref();
        let is_it = |(at, of, one): &(u64, Option<AssignmentId>, Sending)| {
            at > number && of.as_ref() == assignment && *one == sending
        };
        let kept = match (sending.record, assignment) {
            (Record::Weights, Some(id)) if kept::looks_kept(site, id, &sending) => Kept::Here,
            (Record::Weights, _) => Kept::NoLonger,
            _ => Kept::Never,
        };
        let left = Left {
            at: event.at,
            record: sending.record.words().to_owned(),
            arrived: arrived.iter().any(is_it),
            what: sending.what,
            bytes: sending.bytes,
            weights: sending.weights,
            words: sending.words,
            about: about(&event.entry),
            kept,
        };
        Some((*number, left))
    };
    Ok(Records { records: lines.iter().filter_map(record).collect(), earlier, cut })
}

fn has_arrived(number: u64, text: &str) -> Option<(u64, Option<AssignmentId>, Sending)> {
    let event = serde_json::from_str::<Event<Entry>>(text).ok()?;
    let EntryKind::Sent(sending) = event.entry.kind else { return None };
    Some((number, event.entry.assignment, sending))
}
