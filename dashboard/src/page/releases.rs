//! Releases.

use std::collections::BTreeMap;

use eosfed_common::card::{Card, ReleaseManifest};
use eosfed_common::clock::Timestamp;
use eosfed_common::finite::Finite;
use eosfed_common::ids::JobId;
use eosfed_common::view::{AblationView, ReleaseSummary};
use maud::{Markup, Render as _, html};

use super::ablation::ablations;
use super::path;
use crate::format::{bytes, count, counted, exact, relative, value};
use crate::layout::{Content, Shell};
use crate::parts::{
    Pager, empty, facts, heading, job_link, maybe, metrics, none, numbers, panel, release_link, said,
    shell_command, specialist_link, table, words,
};

/// A page of the list of releases.
#[must_use]
pub fn releases(shell: &Shell, releases: &[ReleaseSummary], pager: &Pager) -> String {
    let rows: Vec<Vec<Markup>> = releases.iter().map(|one| row(one, shell.now)).collect();
    let columns = [words("Release"), numbers("Specialists"), words("Note"), words("Created")];
    let body = html! {
        (heading(&html! { "Releases" }, &html! {}, &html! {}))
        section.panel id="list" aria-label="Releases" {
            @if rows.is_empty() {
                (empty(
                    "No release has been created yet.",
                    "A release is an immutable, numbered list of specialists:",
                    "eosfed release create --all --note \"first release\"",
                ))
            } @else {
                (table("Releases", &columns, &rows))
                (pager.render())
            }
        }
    };
    shell.document(&Content { title: "Releases".to_owned(), section: path::RELEASES, body })
}

fn row(one: &ReleaseSummary, now: Timestamp) -> Vec<Markup> {
    vec![
        release_link(one.number),
        html! { (one.specialists) },
        if one.note.is_empty() {
            none()
        } else {
            html! { span.says { (said(&one.note)) } }
        },
        relative(one.created_at, now),
    ]
}

/// A head that a job has trained over a release.
#[derive(Debug, Clone)]
pub struct HeadOver {
    /// The job.
    pub job: JobId,
    /// The name of its plan.
    pub name: String,
    /// Means of the validation metrics of its last round.
    pub metrics: BTreeMap<String, Finite>,
    /// The weight that it has learned for each specialist; empty without a learned selection.
    pub selection: BTreeMap<String, Finite>,
}

/// What the page of a release shows.
#[derive(Debug)]
pub struct ReleasePage<'a> {
    /// The release.
    pub release: &'a ReleaseManifest,
    /// The heads that jobs have trained over it.
    pub heads: &'a [HeadOver],
    /// What its specialists contribute to heads over it.
    pub ablations: &'a [AblationView],
}

/// Most specialists that are listed.
const MAX_ROWS: usize = 200;

/// The page of a release.
#[must_use]
pub fn release(shell: &Shell, page: &ReleasePage<'_>) -> String {
    let ReleasePage { release, heads, ablations: measured } = page;
    let title = format!("Release {}", release.number);
    let size: u64 = release.specialists.iter().map(|card| card.weights_bytes).sum();
    let lead = html! {
        p.lead { (counted(release.specialists.len(), "specialist")) ", " (bytes(size)) ", created " (relative(release.created_at, shell.now)) "." }
        @if !release.note.is_empty() { p.of { (said(&release.note)) } }
    };
    let number = release.number;
    let body = html! {
        (heading(&html! { (title) }, &html! {}, &lead))
        (panel("specialists", "Specialists", &specialists(release, heads)))
        (panel("ablations", "What each specialist contributes", &ablations(measured, number)))
        (panel("heads", "Heads over it, and what they select", &head_list(heads, number.0)))
        (panel("about", "About this release", &about(release, size)))
        (panel("commands", "Commands", &shell_command(&format!(
            "eosfed release pull {number} --to release\neosfed release verify release\neosfed release show {number} --output json"
        ))))
    };
    shell.document(&Content { title, section: path::RELEASES, body })
}

fn specialists(release: &ReleaseManifest, heads: &[HeadOver]) -> Markup {
    let newest = heads.iter().find(|head| !head.selection.is_empty());
    let columns = [
        words("Specialist"),
        words("Task"),
        words("Bands"),
        words("Validation"),
        numbers("Selection weight"),
        numbers("Samples"),
        numbers("Size"),
    ];
    let rows: Vec<Vec<Markup>> =
        release.specialists.iter().take(MAX_ROWS).map(|card| card_row(card, newest)).collect();
    html! {
        (table("Specialists", &columns, &rows))
        @if release.specialists.len() > MAX_ROWS { p.quiet { "and " (release.specialists.len() - MAX_ROWS) " more" } }
        @if let Some(head) = newest { p.of { "Selection weights are those that " (job_link(head.job.as_str())) " has learned." } }
    }
}

fn card_row(card: &Card, newest: Option<&HeadOver>) -> Vec<Markup> {
    let weight = newest.and_then(|head| head.selection.get(card.name.as_str()));
    vec![
        specialist_link(&card.reference().to_string()),
        html! { (card.model.task.name()) },
        said(&card.model.bands.join(", ")),
        metrics(card.metrics.iter().filter(|(name, _)| *name == card.model.task.main_metric())),
        maybe(weight, |weight| html! { (value(weight.get())) }),
        html! { (count(card.provenance.samples)) },
        html! { (bytes(card.weights_bytes)) },
    ]
}

fn head_list(heads: &[HeadOver], release: u32) -> Markup {
    if heads.is_empty() {
        return empty(
            "No job has trained a head over this release yet.",
            "A plan of kind \"downstream\" trains one together; the trainer makes one from a few labels and measures what each specialist contributes:",
            &format!(
                "eosfed job submit downstream.toml --watch\neosfed release pull {release} --to release\neosfed-trainer fit --release release --data labelled --select top-5 --output head"
            ),
        );
    }
    let columns = [words("Job"), words("Validation"), words("Selects")];
    let rows: Vec<Vec<Markup>> = heads
        .iter()
        .map(|head| {
            vec![
                html! { a href={ (path::JOBS) "/" (head.job) } { (said(&head.name)) } span.under { (head.job) } },
                metrics(&head.metrics),
                selection(head),
            ]
        })
        .collect();
    table("Heads", &columns, &rows)
}

fn selection(head: &HeadOver) -> Markup {
    if head.selection.is_empty() {
        return none();
    }
    let mut all: Vec<_> = head.selection.iter().collect();
    all.sort_by(|a, b| b.1.get().total_cmp(&a.1.get()));
    html! {
        span.metrics { @for (name, weight) in all.iter().take(5) { span { span.of { (said(name)) } " " (value(weight.get())) } } }
    }
}

fn about(release: &ReleaseManifest, size: u64) -> Markup {
    facts(&[
        ("Created", exact(release.created_at)),
        ("Size of all weights", html! { (bytes(size)) }),
        ("Signed", html! { @if release.signature.is_some() { "by the coordinator" } @else { "not signed" } }),
        (
            "Newest event then",
            maybe(release.ledger.as_ref(), |head| html! { (head.sequence) " " code.long { (head.hash) } }),
        ),
    ])
}
