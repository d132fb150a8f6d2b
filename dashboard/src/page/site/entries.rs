//! Entries of the site log in words: what was asked and decided, and the whole log with filters.

use eosfed_common::clock::Timestamp;
use maud::{Markup, Render as _, html};

use super::path;
use crate::format::{count, counted, exact, relative};
use crate::layout::{Content, Shell};
use crate::parts::{Pager, Tone, badge, empty, heading, logged, maybe, said, table, words};
use crate::words::spaced;

/// What an entry is about.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The job.
    pub job: Option<String>,
    /// Its assignment here, in words.
    pub assignment: Option<String>,
}

/// An entry of the site log in words.
#[derive(Debug, Clone)]
pub struct SiteEntry {
    /// When it was written.
    pub at: Timestamp,
    /// The kind, as filters name it, such as `asked`.
    pub kind: String,
    /// What it is about.
    pub about: About,
    /// What it says.
    pub lines: Vec<String>,
}

/// A line of the site log.
#[derive(Debug, Clone)]
pub enum SiteLine {
    /// An entry.
    Entry(SiteEntry),
    /// What is not an entry of this version.
    Unreadable(String),
}

/// The filter, as it was typed.
#[derive(Debug, Clone, Default)]
pub struct EntryFilter {
    /// The job.
    pub job: String,
    /// The kind of entry.
    pub kind: String,
}

/// What a page of entries shows.
#[derive(Debug)]
pub struct EntriesPage<'a> {
    /// The lines with their numbers, newest first.
    pub lines: &'a [(u64, SiteLine)],
    /// The filter.
    pub filter: &'a EntryFilter,
    /// The kinds that can be asked for.
    pub kinds: &'a [&'a str],
    /// What is wrong with the filter or with the log.
    pub error: Option<&'a str>,
    /// Whether the search has ended before the beginning of the log, at the limit of one page.
    pub cut: bool,
    /// Where the earlier entries are.
    pub pager: Pager,
}

/// What the coordinator has asked, and what was decided by which rule and by whose approval.
#[must_use]
pub fn decisions(shell: &Shell, page: &EntriesPage<'_>) -> String {
    let lead = html! {
        p.of { "What the coordinator has asked for, what was decided here and by which rule, who approved it, and how the work ended." }
    };
    document(shell, page, "Asked and decided", path::DECISIONS, &lead)
}

/// The site log.
#[must_use]
pub fn log(shell: &Shell, page: &EntriesPage<'_>) -> String {
    let lead = html! {
        p.of { "Each entry has the hash of the one before it. " code { "eosfed-client log verify" } " checks that none was changed or removed." }
    };
    document(shell, page, "Site log", path::LOG, &lead)
}

fn document(
    shell: &Shell,
    page: &EntriesPage<'_>,
    title: &str,
    section: &'static str,
    lead: &Markup,
) -> String {
    let body = html! {
        (heading(&html! { (title) }, &html! {}, lead))
        section.panel id="filter" aria-label="Filter" { (form(page, section)) }
        section.panel id="list" aria-label="Entries" {
            (entry_table(page.lines, shell.now, MAX_LINES))
            @if page.cut { p.quiet { "The search for this page has ended here; earlier entries are on the next page." } }
            (page.pager.render())
        }
    };
    shell.document(&Content { title: title.to_owned(), section, body })
}

fn form(page: &EntriesPage<'_>, section: &str) -> Markup {
    let EntryFilter { job, kind } = page.filter;
    html! {
        form.filter method="get" action=(section) {
            label { span { "Job" } input type="text" name="job" value=(job) placeholder="j-…" maxlength="80" autocomplete="off"; }
            label { span { "Kind" }
                select name="kind" {
                    option value="" { "all kinds" }
                    @for name in page.kinds { option value=(name) selected[name == kind] { (spaced(name)) } }
                }
            }
            button type="submit" { "Filter" }
            a href=(section) { "Clear" }
        }
        @if let Some(error) = page.error { p.error role="alert" { (said(error)) } }
    }
}

/// Lines of an entry in a table, and characters of a line; the page of the entry shows all.
const MAX_LINES: usize = 8;
const MAX_CHARACTERS: usize = 240;

/// The begin of a line that is too long for a table.
fn cut(line: &str) -> String {
    match line.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// A table of entries, with at most so many lines of each.
pub(super) fn entry_table(lines: &[(u64, SiteLine)], now: Timestamp, most: usize) -> Markup {
    if lines.is_empty() {
        return empty(
            "There is no entry.",
            "The daemon writes the site log before it does what it says. This command lists all of it:",
            "eosfed-client log --state STATE",
        );
    }
    let columns = [words("Number"), words("When"), words("What"), words("About"), words("Says")];
    let rows: Vec<Vec<Markup>> = lines.iter().map(|(number, line)| row(*number, line, now, most)).collect();
    table("Entries", &columns, &rows)
}

/// The job with its assignment below.
pub(super) fn about_cell(about: &About) -> Markup {
    let job = maybe(about.job.as_deref(), |job| html! { span.id.whole { (said(job)) } });
    html! { (job) @if let Some(assignment) = &about.assignment { span.under { (said(assignment)) } } }
}

/// A link to the page of an entry.
pub(super) fn entry_link(number: u64) -> Markup {
    html! { a href={ (path::LOG) "/" (number) } { (count(number)) } }
}

/// The kind with a colour that says how it went.
pub(super) fn kind_badge(kind: &str) -> Markup {
    let tone = match kind {
        "accepted" | "approved" | "sent" => Tone::Good,
        "sending" | "asked" | "started" => Tone::Busy,
        "refused" | "waits" | "not_noted" | "policy_changed" => Tone::Warn,
        "failed" | "mended" | "unreadable" => Tone::Bad,
        _ => Tone::Calm,
    };
    badge(tone, &spaced(kind))
}

fn row(number: u64, line: &SiteLine, now: Timestamp, most: usize) -> Vec<Markup> {
    let entry = match line {
        SiteLine::Entry(entry) => entry,
        SiteLine::Unreadable(text) => {
            let text = html! { span.says { (said(&cut(text))) } };
            return vec![
                entry_link(number),
                maybe::<()>(None, |()| html! {}),
                kind_badge("unreadable"),
                html! {},
                text,
            ];
        }
    };
    vec![
        entry_link(number),
        html! { (relative(entry.at, now)) span.under { (exact(entry.at)) } },
        kind_badge(&entry.kind),
        about_cell(&entry.about),
        html! {
            @if !entry.lines.is_empty() {
                ul.says {
                    @for line in entry.lines.iter().take(most) { li { (logged(&cut(line))) } }
                    @if entry.lines.len() > most {
                        li { a href={ (path::LOG) "/" (number) } { "and " (counted(entry.lines.len() - most, "more line")) } }
                    }
                }
            }
        },
    ]
}
