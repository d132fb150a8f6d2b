//! Energy: what jobs and specialists have cost.

use eosfed_common::card::Energy;
use eosfed_common::view::JobSummary;
use maud::{Markup, Render as _, html};

use super::path;
use crate::format::{energy as shown, kwh, relative};
use crate::layout::{Content, Shell};
use crate::parts::{Pager, Tile, Tone, empty, energy as maybe_energy, heading, said, table, tiles, words};

/// What the page of energy shows.
#[derive(Debug)]
pub struct EnergyPage<'a> {
    /// Energy of all jobs together.
    pub total: Energy,
    /// How many jobs have reported energy.
    pub reported: u64,
    /// How many jobs there are.
    pub jobs: u64,
    /// Jobs, newest first.
    pub listed: &'a [JobSummary],
    /// Where the next page is.
    pub pager: Pager,
}

/// The page of energy.
#[must_use]
pub fn energy(shell: &Shell, page: &EnergyPage<'_>) -> String {
    let total = Tile {
        name: "All jobs",
        value: kwh(page.total.kwh.get()),
        note: html! { (page.reported) " of " (page.jobs) " jobs have reported energy" },
        href: None,
        tone: Tone::Calm,
    };
    let rows: Vec<Vec<Markup>> = page
        .listed
        .iter()
        .map(|job| {
            vec![
                html! { a href={ (path::JOBS) "/" (job.id) } { (said(&job.name)) } span.under { (job.id) } },
                html! { (job.kind) },
                maybe_energy(job.energy),
                relative(job.submitted_at, shell.now),
            ]
        })
        .collect();
    let lead = html! {
        p.of { "Energy of the updates that count, as institutions have reported it: measured by a counter of the hardware, estimated from processor time, partial where a GPU has no counter, or not known. Emissions are at the carbon intensity that each institution has configured; a sum is unknown if one of its parts is. The coordinator's own energy is not in it." }
    };
    let columns = [words("Job"), words("Kind"), words("Energy"), words("Submitted")];
    let body = html! {
        (heading(&html! { "Energy" }, &html! {}, &lead))
        (tiles("numbers", &[total]))
        section.panel id="list" aria-label="Energy by job" {
            @if rows.is_empty() {
                (empty("No job has used energy yet.", "Submit a job:", "eosfed job submit plan.toml --watch"))
            } @else {
                p.of { "All of it: " (shown(page.total)) "." }
                (table("Energy by job", &columns, &rows))
                (page.pager.render())
            }
        }
    };
    shell.document(&Content { title: "Energy".to_owned(), section: path::ENERGY, body })
}
