//! Jobs.

use eosfed_common::clock::Timestamp;
use eosfed_common::view::JobSummary;
use maud::{Markup, Render as _, html};

use super::path;
use crate::format::{counted, relative};
use crate::layout::{Content, Shell};
use crate::parts::{
    Pager, counts, empty, heading, job_state, maybe, none, progress, release_link, said, table, words,
};

/// A page of the list of jobs.
#[derive(Debug)]
pub struct JobsPage<'a> {
    /// The jobs, newest first.
    pub jobs: &'a [JobSummary],
    /// The state that they are filtered by.
    pub state: Option<&'a str>,
    /// Where the next page is.
    pub pager: Pager,
}

/// The states that the list can be filtered by.
const STATES: [&str; 4] = ["running", "paused", "finished", "cancelled"];

/// A page of the list of jobs.
#[must_use]
pub fn jobs(shell: &Shell, page: &JobsPage<'_>) -> String {
    let rows: Vec<Vec<Markup>> = page.jobs.iter().map(|job| row(job, shell.now)).collect();
    let columns = [
        words("Job"),
        words("State"),
        words("Kind"),
        words("Rounds"),
        words("Open round"),
        words("Made"),
        words("Submitted"),
    ];
    let body = html! {
        (heading(&html! { "Jobs" }, &html! {}, &filters(page.state)))
        section.panel id="list" aria-label="Jobs" {
            @if rows.is_empty() { (nothing(page.state)) } @else {
                (table("Jobs", &columns, &rows))
                (page.pager.render())
            }
        }
    };
    shell.document(&Content { title: "Jobs".to_owned(), section: path::JOBS, body })
}

fn filters(chosen: Option<&str>) -> Markup {
    html! {
        nav.filters aria-label="Filter by state" {
            a href=(path::JOBS) aria-current=[chosen.is_none().then_some("true")] { "All" }
            @for state in STATES {
                a href={ (path::JOBS) "?state=" (state) } aria-current=[(chosen == Some(state)).then_some("true")] { (state) }
            }
        }
    }
}

fn nothing(state: Option<&str>) -> Markup {
    match state {
        Some(state) => html! { p.quiet { "No job is " (said(state)) "." } },
        None => empty(
            "No job has been submitted yet.",
            "A plan of one page describes a job. All its mistakes are reported at once:",
            "eosfed job check plan.toml\neosfed job submit plan.toml --watch",
        ),
    }
}

fn row(job: &JobSummary, now: Timestamp) -> Vec<Markup> {
    vec![
        html! { a href={ (path::JOBS) "/" (job.id) } { (said(&job.name)) } span.under { (job.id) } },
        job_state(job.state),
        html! { (job.kind) },
        progress("Rounds complete", job.complete_rounds.into(), job.rounds.into()),
        maybe(job.current.as_ref(), |round| counts(&round.participants)),
        made(job),
        html! { (relative(job.submitted_at, now)) span.under { "by " (job.submitted_by) } },
    ]
}

fn made(job: &JobSummary) -> Markup {
    let specialists = (job.specialists > 0).then(|| counted(job.specialists, "specialist"));
    html! {
        @if let Some(text) = &specialists { span.under { (text) } }
        @if let Some(number) = job.release { span.under { (release_link(number)) } }
        @if let Some(number) = job.head_over { span.under { "head over " (release_link(number)) } }
        @if specialists.is_none() && job.release.is_none() && job.head_over.is_none() { (none()) }
    }
}
