//! The first page of an institution: what its daemon does now, and the newest of everything.

use eosfed_common::clock::Timestamp;
use eosfed_common::traffic::ByteCounts;
use maud::{Markup, html};

use super::entries::{SiteLine, entry_table};
use super::left::{Left, records, sent_tiles};
use super::path;
use crate::format::{exact, relative};
use crate::layout::{Content, Shell};
use crate::parts::{Tone, badge, facts, heading, none, panel, said, shell_command, table, words};
use crate::words::spaced;

/// The assignment in hand.
#[derive(Debug, Clone)]
pub struct WorkInHand {
    /// The assignment.
    pub assignment: String,
    /// The display name of its job.
    pub job: String,
    /// When it was accepted, RFC 3339.
    pub since: String,
    /// The data set of several that it reads.
    pub data_set: Option<String>,
}

/// What one of several devices does.
#[derive(Debug, Clone)]
pub struct DeviceWork {
    /// Its name.
    pub device: String,
    /// The phase of its work.
    pub phase: String,
    /// The assignment that is in hand on it.
    pub work: Option<WorkInHand>,
    /// The condition that its work waits for.
    pub waits: Option<String>,
}

/// One of several data sets of the settings.
#[derive(Debug, Clone)]
pub struct DataSetLine {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// The file of a policy of its own.
    pub policy: Option<String>,
    /// Why no policy is in force for it.
    pub problem: Option<String>,
}

/// What the first page shows.
#[derive(Debug)]
pub struct SiteOverview<'a> {
    /// The name of the institution.
    pub institution: &'a str,
    /// Whether the daemon runs.
    pub running: bool,
    /// The phase of the present work.
    pub phase: &'a str,
    /// The assignment in hand.
    pub work: Option<WorkInHand>,
    /// The condition that the daemon waits for.
    pub waits: Option<&'a str>,
    /// What each device does, where there are several.
    pub devices: &'a [DeviceWork],
    /// Why further offers wait, where all of several devices are at work.
    pub queue: Option<&'a str>,
    /// The data sets, where there are several.
    pub data_sets: &'a [DataSetLine],
    /// The end of the certificate.
    pub certificate_ends: Timestamp,
    /// All bytes that the daemon has sent.
    pub sent: ByteCounts,
    /// What cannot be read, and what to do.
    pub problems: &'a [String],
    /// The newest entries about what was asked and decided.
    pub decisions: &'a [(u64, SiteLine)],
    /// The newest records that have left.
    pub left: &'a [(u64, Left)],
}

/// Lines of an entry here.
const FEW_LINES: usize = 2;

/// The first page.
#[must_use]
pub fn overview(shell: &Shell, page: &SiteOverview<'_>) -> String {
    let beside = if page.running {
        badge(Tone::Good, "daemon runs")
    } else {
        badge(Tone::Warn, "daemon does not run")
    };
    let body = html! {
        (heading(&said(page.institution), &beside, &lead(page)))
        @if !page.problems.is_empty() { (panel("problems", "What is wrong", &problems(page.problems))) }
        (panel("work", "Now", &now(page, shell.now)))
        @if !page.data_sets.is_empty() { (panel("data-sets", "Data sets", &data_sets(page.data_sets))) }
        (sent_tiles(page.sent))
        (panel("decisions", "Newest decisions", &html! {
            (entry_table(page.decisions, shell.now, FEW_LINES))
            p { a href=(path::DECISIONS) { "Everything that was asked and decided" } }
        }))
        (panel("left", "What has left last", &html! {
            (records(page.left, shell.now))
            p { a href=(path::LEFT) { "Everything that has left" } }
        }))
        (panel("commands", "The same as numbers", &shell_command(
            "eosfed-client status --state STATE --output json\neosfed-client log --state STATE --output json"
        )))
    };
    shell.document(&Content { title: "Overview".to_owned(), section: path::OVERVIEW, body })
}

fn lead(page: &SiteOverview<'_>) -> Markup {
    html! {
        p.lead data-announce {
            @if !page.devices.is_empty() {
                (page.devices.iter().filter(|one| one.work.is_some()).count()) " of "
                (page.devices.len()) " devices are at work."
            } @else { @match (&page.work, page.waits) {
                (Some(work), None) => { "Works on " (said(&work.job)) ": " (spaced(page.phase)) "." },
                (Some(work), Some(_)) => { "Holds work of " (said(&work.job)) " and waits." },
                (None, Some(_)) => { "Has no work, and waits before it takes some." },
                (None, None) => { "Has no work in hand." },
            } }
        }
    }
}

fn problems(problems: &[String]) -> Markup {
    html! { div.problems { @for one in problems { div.problem { p { (said(one)) } } } } }
}

fn now(page: &SiteOverview<'_>, now: Timestamp) -> Markup {
    let until = html! { (relative(page.certificate_ends, now)) " · " (exact(page.certificate_ends)) };
    let until = ("Certificate until", until);
    if !page.devices.is_empty() {
        return html! {
            @if let Some(queue) = page.queue { p.why { (said(queue)) } }
            (devices(page.devices))
            (facts(&[until]))
        };
    }
    let work = page.work.as_ref();
    let mut known = vec![("Phase", html! { (spaced(page.phase)) }), assignment(work), accepted(work)];
    known.extend(work.and_then(|work| work.data_set.as_ref()).map(|name| ("Data set", said(name))));
    known.push(until);
    let facts = facts(&known);
    html! {
        @if let Some(waits) = page.waits { p.why { (said(waits)) } }
        (facts)
    }
}

fn assignment(work: Option<&WorkInHand>) -> (&'static str, Markup) {
    ("Assignment", work.map_or_else(none, |work| html! { span.id { (said(&work.assignment)) } }))
}

fn data_sets(all: &[DataSetLine]) -> Markup {
    let row = |one: &DataSetLine| {
        vec![
            html! { (said(&one.name)) },
            html! { span.id { (said(&one.path)) } },
            html! {
                @match &one.policy {
                    Some(file) => { span.id { (said(file)) } },
                    None => { "the site's" },
                }
                @if let Some(problem) = &one.problem { span.under { (said(problem)) } }
            },
        ]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    table("The data sets of this institution", &["Name", "Place", "Policy"].map(words), &rows)
}

/// The name of the job and, of several, that of the data set.
fn job(work: &WorkInHand) -> Markup {
    html! {
        (said(&work.job))
        @if let Some(name) = &work.data_set { span.under { "data set " (said(name)) } }
    }
}

fn accepted(work: Option<&WorkInHand>) -> (&'static str, Markup) {
    ("Accepted", work.map_or_else(none, |work| said(&work.since)))
}

fn devices(devices: &[DeviceWork]) -> Markup {
    let row = |one: &DeviceWork| {
        let work = one.work.as_ref();
        vec![
            html! { (said(&one.device)) },
            html! {
                (spaced(&one.phase))
                @if let Some(waits) = &one.waits { span.under { (said(waits)) } }
            },
            work.map_or_else(none, job),
            assignment(work).1,
            accepted(work).1,
        ]
    };
    let rows: Vec<_> = devices.iter().map(row).collect();
    let columns = ["Device", "Phase", "Job", "Assignment", "Accepted"].map(words);
    table("What each device does", &columns, &rows)
}
