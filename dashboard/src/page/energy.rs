//! Energy: what jobs and specialists have cost.

use eosfed_common::view::{EnergyView, InstitutionEnergy, JobSummary};
use maud::{Markup, Render as _, html};

use super::path;
use crate::format::{counted, energy as shown, kwh, relative};
use crate::layout::{Content, Shell};
use crate::parts::{
    Pager, Tile, Tone, empty, energy as maybe_energy, heading, numbers, panel, said, table, tiles, words,
};

/// What the page of energy shows.
#[derive(Debug)]
pub struct EnergyPage<'a> {
    /// Energy of all jobs, by institution.
    pub energy: &'a EnergyView,
    /// Jobs, newest first.
    pub listed: &'a [JobSummary],
    /// Where the next page is.
    pub pager: Pager,
}

/// The page of energy.
#[must_use]
pub fn energy(shell: &Shell, page: &EnergyPage<'_>) -> String {
    let EnergyView { jobs, reported, total: spent, .. } = page.energy;
    let spent = spent.unwrap_or_default();
    let total = Tile {
        name: "All jobs",
        value: kwh(spent.kwh.get()),
        note: html! { "reported by " (reported) " of " (counted(*jobs, "job")) },
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
        p.of { "Energy of the trainings and scores that count, as institutions have reported it: measured by a counter of the hardware, estimated from processor time, partial where a GPU has no counter, or not known. Emissions are at the carbon intensity that each institution has configured; a sum is unknown if one of its parts is. The coordinator's own energy is not in it." }
    };
    let columns = [words("Job"), words("Kind"), words("Energy"), words("Submitted")];
    let body = html! {
        (heading(&html! { "Energy" }, &html! {}, &lead))
        (tiles("numbers", &[total]))
        @if !page.energy.institutions.is_empty() {
            (panel("institutions", "By institution", &by_institution(page.energy)))
        }
        section.panel id="list" aria-labelledby="by-job" {
            h2 id="by-job" { "By job" }
            @if rows.is_empty() {
                (empty("No job has used energy yet.", "Submit a job:", "eosfed job submit plan.toml --watch"))
            } @else {
                p.of { "All of it: " (shown(spent)) "." }
                (table("Energy by job", &columns, &rows))
                (page.pager.render())
            }
        }
    };
    shell.document(&Content { title: "Energy".to_owned(), section: path::ENERGY, body })
}

fn by_institution(energy: &EnergyView) -> Markup {
    let row = |one: &InstitutionEnergy| {
        vec![
            html! { a href={ (path::INSTITUTIONS) "/" (one.institution) } { (one.institution) } },
            html! { (one.jobs) },
            maybe_energy(Some(one.energy)),
        ]
    };
    let rows: Vec<_> = energy.institutions.iter().map(row).collect();
    html! {
        (table("Energy by institution", &[words("Institution"), numbers("Jobs"), words("Energy")], &rows))
        @if energy.more_institutions > 0 {
            p.of { "and " (counted(energy.more_institutions, "more institution")) "; " code { "eosfed energy --all" } " lists them" }
        }
    }
}
