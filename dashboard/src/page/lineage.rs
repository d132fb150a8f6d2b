//! Where specialists came from: institutions, jobs, specialists, releases.

use eosfed_common::ids::{JobId, ReleaseNumber};
use eosfed_common::view::SpecialistSummary;
use maud::{Markup, Render as _, html};

use super::path;
use crate::chart::{Graph, Node};
use crate::layout::{Content, Shell};
use crate::parts::{
    Pager, empty, heading, job_link, maybe, none, release_link, specialist_link, table, words,
};

/// Most institutions that are drawn for one specialist.
const MAX_INSTITUTIONS: usize = 12;

/// Where one specialist came from.
#[derive(Debug, Clone)]
pub struct Lineage {
    /// The specialist.
    pub specialist: SpecialistSummary,
    /// The institutions whose imagery it has learned from.
    pub institutions: Vec<eosfed_common::ids::InstitutionName>,
    /// The job that its job was forked from.
    pub origin: Option<JobId>,
    /// The released specialist whose encoder it started from: `NAME@VERSION`.
    pub parent: Option<String>,
    /// The releases that have it.
    pub releases: Vec<ReleaseNumber>,
}

/// The page of a part of the lineage.
#[must_use]
pub fn lineage(shell: &Shell, entries: &[Lineage], pager: &Pager) -> String {
    let lead = html! { p.of { "Which institutions and jobs made which specialists, and which releases have them." } };
    let body = html! {
        (heading(&html! { "Lineage" }, &html! {}, &lead))
        section.panel id="graph" aria-label="Lineage" {
            @if entries.is_empty() {
                (empty(
                    "There are no specialists yet.",
                    "A job of kind \"one-shot\" or \"rounds\" makes specialists:",
                    "eosfed job submit plan.toml --watch",
                ))
            } @else {
                (graph(entries))
                details id="lineage-table" { summary { "The same as a table" } (as_table(entries)) }
                (pager.render())
            }
        }
    };
    shell.document(&Content { title: "Lineage".to_owned(), section: path::LINEAGE, body })
}

/// The columns where no specialist started from another, and those where one did.
const COLUMNS: [&[&str]; 2] = [
    &["Institutions", "Jobs", "Specialists", "Releases"],
    &["Started from", "Institutions", "Jobs", "Specialists", "Releases"],
];

fn graph(entries: &[Lineage]) -> Graph {
    // A specialist that others started from stands left of their jobs, since edges run to the right.
    let left = usize::from(entries.iter().any(|entry| entry.parent.is_some()));
    let mut graph = Graph::new("Lineage of specialists", COLUMNS[left]);
    let node = |column: usize, label: String, href: String| Node { column, label, href };
    for entry in entries {
        let one = &entry.specialist;
        let reference = format!("{}@{}", one.name, one.version);
        let own = node(left + 2, reference.clone(), format!("{}/{reference}", path::SPECIALISTS));
        let specialist = graph.node(own);
        let job = graph.node(node(left + 1, one.job.to_string(), format!("{}/{}", path::JOBS, one.job)));
        graph.edge(job, specialist);
        for name in entry.institutions.iter().take(MAX_INSTITUTIONS) {
            let from = graph.node(node(left, name.to_string(), format!("{}/{name}", path::INSTITUTIONS)));
            graph.edge(from, job);
        }
        if let Some(parent) = &entry.parent {
            let from = graph.node(node(0, parent.clone(), format!("{}/{parent}", path::SPECIALISTS)));
            graph.edge(from, job);
        }
        for number in &entry.releases {
            let release = node(left + 3, format!("release {number}"), format!("{}/{number}", path::RELEASES));
            let release = graph.node(release);
            graph.edge(specialist, release);
        }
    }
    graph
}

fn as_table(entries: &[Lineage]) -> Markup {
    let columns = ["Specialist", "Learned from", "Started from", "Job", "Forked from", "Releases"].map(words);
    let rows: Vec<Vec<Markup>> = entries.iter().map(row).collect();
    table("Lineage of specialists", &columns, &rows)
}

fn row(entry: &Lineage) -> Vec<Markup> {
    let one = &entry.specialist;
    let institutions: Vec<String> = entry.institutions.iter().map(ToString::to_string).collect();
    vec![
        specialist_link(&format!("{}@{}", one.name, one.version)),
        html! { (institutions.join(", ")) },
        maybe(entry.parent.as_ref(), |parent| specialist_link(parent)),
        job_link(one.job.as_str()),
        maybe(entry.origin.as_ref(), |job| job_link(job.as_str())),
        if entry.releases.is_empty() {
            none()
        } else {
            html! { @for number in &entry.releases { span.under { (release_link(number)) } } }
        },
    ]
}
