//! The event log, with filters.

use eosfed_common::clock::Timestamp;
use eosfed_common::ledger::{Event, EventKind};
use maud::{Markup, Render as _, html};

use super::path;
use crate::format::{count, counted, exact, relative};
use crate::layout::{Content, Shell};
use crate::parts::{Pager, heading, job_link, maybe, none, said, table, words};
use crate::words;

/// A line of the ledger.
#[derive(Debug, Clone)]
pub enum EventLine {
    /// An event.
    Event(Box<Event>),
    /// A line that cannot be read, or an event of another version.
    Unreadable(String),
}

impl EventLine {
    /// Reads a line of the ledger.
    #[must_use]
    pub fn read(line: &str) -> Self {
        match serde_json::from_str(line) {
            Ok(event) => Self::Event(Box::new(event)),
            Err(_) => Self::Unreadable(line.chars().take(1000).collect()),
        }
    }
}

/// The filter, as it was typed.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// The job.
    pub job: String,
    /// The institution.
    pub institution: String,
    /// Who did it.
    pub actor: String,
    /// The kind of event.
    pub kind: String,
}

/// What the page of events shows.
#[derive(Debug)]
pub struct EventsPage<'a> {
    /// The events, newest first.
    pub events: &'a [EventLine],
    /// The filter.
    pub filter: &'a EventFilter,
    /// What is wrong with the filter.
    pub error: Option<&'a str>,
    /// How many events the ledger has.
    pub all: u64,
    /// Where the earlier events are.
    pub pager: Pager,
}

/// The page of events.
#[must_use]
pub fn events(shell: &Shell, page: &EventsPage<'_>) -> String {
    let lead = html! { p.of { "Who did what and when: " (counted(page.all, "event")) ", each chained to the one before." } };
    let body = html! {
        (heading(&html! { "Event log" }, &html! {}, &lead))
        section.panel id="filter" aria-label="Filter" { (form(page)) }
        section.panel id="list" aria-label="Events" {
            (event_table(page.events, shell.now))
            (page.pager.render())
        }
    };
    shell.document(&Content { title: "Event log".to_owned(), section: path::EVENTS, body })
}

fn form(page: &EventsPage<'_>) -> Markup {
    let EventFilter { job, institution, actor, kind } = page.filter;
    let field = |name: &str, label: &str, value: &str, hint: &str| {
        html! {
            label { span { (label) } input type="text" name=(name) value=(value) placeholder=(hint) maxlength="80" autocomplete="off"; }
        }
    };
    html! {
        form.filter method="get" action=(path::EVENTS) {
            (field("job", "Job", job, "j-…"))
            (field("institution", "Institution", institution, "name"))
            (field("actor", "Who", actor, "operator:ada"))
            label { span { "Kind" }
                select name="kind" {
                    option value="" { "all kinds" }
                    @for name in kinds() { option value=(name) selected[name == kind] { (words::spaced(name)) } }
                }
            }
            button type="submit" { "Filter" }
            a href=(path::EVENTS) { "Clear" }
        }
        @if let Some(error) = page.error { p.error role="alert" { (said(error)) } }
    }
}

fn kinds() -> &'static [&'static str] {
    <EventKind as strum::VariantNames>::VARIANTS
}

/// A table of events.
pub(crate) fn event_table(events: &[EventLine], now: Timestamp) -> Markup {
    if events.is_empty() {
        return html! { p.quiet { "No event matches." } };
    }
    let columns =
        [words("Number"), words("When"), words("What"), words("Who"), words("About"), words("Details")];
    let rows: Vec<Vec<Markup>> = events.iter().map(|line| row(line, now)).collect();
    table("Events", &columns, &rows)
}

fn row(line: &EventLine, now: Timestamp) -> Vec<Markup> {
    let event = match line {
        EventLine::Event(event) => event,
        EventLine::Unreadable(text) => {
            return vec![none(), none(), html! { "unreadable" }, none(), none(), said(text)];
        }
    };
    let entry = &event.entry;
    vec![
        html! { (count(event.sequence)) },
        html! { (relative(event.at, now)) span.under { (exact(event.at)) } },
        html! { (words::spaced(entry.kind.name())) },
        html! { (words::actor(&entry.actor)) },
        html! {
            @if entry.job.is_none() && entry.institution.is_none() { (none()) }
            @if let Some(job) = &entry.job { span.under { (job_link(job.as_str())) } }
            @if let Some(name) = &entry.institution {
                span.under { a href={ (path::INSTITUTIONS) "/" (name) } { (name) } }
            }
        },
        maybe(
            Some(words::details(event)).filter(|text| !text.is_empty()),
            |text| html! { span.says { (said(&text)) } },
        ),
    ]
}
