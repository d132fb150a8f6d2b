//! Specialists and their cards.

use eosfed_common::card::Card;
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::ReleaseNumber;
use eosfed_common::scoring::Interval;
use eosfed_common::view::{SpecialistSummary, SpecialistView};
use maud::{Markup, Render as _, html};

use super::path;
use crate::format::{bytes, count, counted, energy, exact, relative, value};
use crate::layout::{Content, Shell};
use crate::parts::{
    Pager, Tone, badge, empty, facts, heading, job_link, maybe, metrics, none, numbers, panel, release_link,
    said, shell_command, specialist_link, table, words,
};

/// A page of the list of specialists.
#[must_use]
pub fn specialists(shell: &Shell, specialists: &[SpecialistSummary], pager: &Pager) -> String {
    let rows: Vec<Vec<Markup>> = specialists.iter().map(|one| row(one, shell.now)).collect();
    let columns = [
        words("Specialist"),
        words("Task"),
        words("Bands"),
        words("Validation"),
        numbers("Institutions"),
        numbers("Samples"),
        numbers("Size"),
        words("Release"),
        words("Frozen"),
    ];
    let body = html! {
        (heading(&html! { "Specialists" }, &html! {}, &html! {}))
        section.panel id="list" aria-label="Specialists" {
            @if rows.is_empty() {
                (empty(
                    "No specialist has been frozen yet.",
                    "A job of kind \"one-shot\" or \"rounds\" makes specialists:",
                    "eosfed job submit plan.toml --watch",
                ))
            } @else {
                (table("Specialists", &columns, &rows))
                (pager.render())
            }
        }
    };
    shell.document(&Content { title: "Specialists".to_owned(), section: path::SPECIALISTS, body })
}

fn row(one: &SpecialistSummary, now: Timestamp) -> Vec<Markup> {
    vec![
        html! {
            (specialist_link(&format!("{}@{}", one.name, one.version)))
            @if one.excluded { " " (badge(Tone::Warn, "excluded")) }
        },
        html! { (one.task.name()) span.under { (one.backbone.name()) } },
        said(&one.bands.join(", ")),
        maybe(
            one.metric.as_ref(),
            |metric| html! { span.of { (metric.name) } " " (value(metric.value.get())) },
        ),
        html! { (one.institutions) },
        html! { (count(one.samples)) },
        html! { (bytes(one.weights_bytes)) },
        maybe(one.release, |number| html! { (release_link(number)) }),
        relative(one.frozen_at, now),
    ]
}

/// What the page of a specialist shows.
#[derive(Debug)]
pub struct SpecialistPage<'a> {
    /// The specialist.
    pub specialist: &'a SpecialistView,
    /// The releases that have it, newest first.
    pub releases: &'a [ReleaseNumber],
    /// Whether the viewer sees the institutions' scores.
    pub operator: bool,
}

/// The page of a specialist.
#[must_use]
pub fn specialist(shell: &Shell, page: &SpecialistPage<'_>) -> String {
    let SpecialistPage { specialist, releases, operator } = page;
    let card = &specialist.card;
    let reference = card.reference().to_string();
    let beside = html! { @if specialist.excluded.is_some() { (badge(Tone::Warn, "excluded")) } };
    let body = html! {
        (heading(&html! { (reference) }, &beside, &lead(card)))
        @if let Some(why) = &specialist.excluded {
            (panel("excluded", "Why it is excluded from new releases", &html! { p.why { (said(why)) } }))
        }
        div.columns id="card" {
            (panel("network", "Network", &network(card)))
            (panel("provenance", "Where it came from", &provenance(card, releases)))
        }
        (panel("metrics", "Validation, on the institutions' own imagery", &own_metrics(card)))
        @if *operator { (panel("evaluations", "Scores at institutions", &evaluations(specialist, shell.now))) }
        (panel("bands", "Bands and their normalisation", &bands(card)))
        (panel("commands", "Commands", &shell_command(&format!("eosfed specialist show {reference} --output json"))))
    };
    shell.document(&Content { title: reference, section: path::SPECIALISTS, body })
}

fn lead(card: &Card) -> Markup {
    html! {
        p.lead { (card.model.task.name()) " by a " (card.model.backbone.name()) " encoder, "
            (counted(card.model.bands.len(), "band")) ", " (counted(card.model.classes.len(), "class")) "." }
    }
}

fn network(card: &Card) -> Markup {
    facts(&[
        ("Encoder", html! { (card.model.backbone.name()) }),
        ("Task", html! { (card.model.task.name()) }),
        ("Classes", said(&card.model.classes.join(", "))),
        ("Size of the weights", html! { (bytes(card.weights_bytes)) }),
        ("Digest", html! { code.long { (card.weights) } }),
        ("Licence", said(&card.licence)),
        ("Signed", html! { @if card.signature.is_some() { "by the coordinator" } @else { "not signed" } }),
    ])
}

fn provenance(card: &Card, releases: &[ReleaseNumber]) -> Markup {
    let from = &card.provenance;
    facts(&[
        ("Job", job_link(from.job.as_str())),
        ("Trained", html! { (from.mode) @if from.rounds > 0 { ", " (counted(from.rounds, "round")) } }),
        (
            "Institutions",
            html! { (from.institutions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")) },
        ),
        ("Samples", html! { (count(from.samples)) }),
        ("Started from", started_from(card)),
        ("Frozen", exact(from.frozen_at)),
        ("Energy", html! { (energy(card.energy)) }),
        (
            "Releases",
            html! {
                @if releases.is_empty() { (none()) }
                @for (place, number) in releases.iter().enumerate() { @if place > 0 { ", " } (release_link(number)) }
            },
        ),
    ])
}

/// The file or the released specialist whose encoder it started from.
fn started_from(card: &Card) -> Markup {
    let from = &card.provenance;
    let Some(parent) = &from.parent else {
        return maybe(from.initial.as_ref(), |file| said(&file.file));
    };
    html! {
        (specialist_link(&parent.reference().to_string())) " of " (release_link(parent.release))
        @for words in &parent.adapted { span.under { (said(words)) } }
    }
}

/// Most rows of a table of metrics.
const MAX_ROWS: usize = 100;

fn own_metrics(card: &Card) -> Markup {
    if card.metrics.is_empty() {
        return html! { p.quiet { "No metrics were reported." } };
    }
    let rows: Vec<Vec<Markup>> = card
        .metrics
        .iter()
        .take(MAX_ROWS)
        .map(|(name, metric)| vec![said(name), html! { (value(metric.get())) }, interval(card, name)])
        .collect();
    let columns = [words("Metric"), numbers("Value"), numbers("95 % interval")];
    html! {
        @if let Some(scoring) = &card.scoring { p.quiet { "Scores of the " (scoring.words()) "." } }
        div.narrow { (table("Metrics", &columns, &rows)) }
    }
}

/// Where a score of a small part lies.
fn interval(card: &Card, name: &str) -> Markup {
    match card.scoring.as_ref().and_then(|scoring| scoring.intervals.get(name)) {
        Some(Interval { low, high }) => html! { (value(low.get())) " to " (value(high.get())) },
        None => none(),
    }
}

fn evaluations(specialist: &SpecialistView, now: Timestamp) -> Markup {
    if specialist.evaluations.is_empty() {
        let card = &specialist.card;
        return empty(
            "No institution has scored it yet.",
            "A plan of kind \"evaluation\" has the institutions score it on imagery that it was not trained on:",
            &format!("eosfed job submit evaluation.toml --watch   # with specialists = [\"{}\"]", card.name),
        );
    }
    let columns = [words("Institution"), words("Scores"), numbers("Samples"), words("When"), words("Job")];
    let rows: Vec<Vec<Markup>> = specialist
        .evaluations
        .iter()
        .take(MAX_ROWS)
        .map(|one| {
            vec![
                html! { a href={ (path::INSTITUTIONS) "/" (one.institution) } { (one.institution) } },
                metrics(&one.metrics),
                html! { (count(one.samples)) },
                relative(one.at, now),
                job_link(one.job.as_str()),
            ]
        })
        .collect();
    table("Scores at institutions", &columns, &rows)
}

fn bands(card: &Card) -> Markup {
    let rows: Vec<Vec<Markup>> = card
        .normalisation
        .iter()
        .map(|band| {
            vec![said(&band.band), html! { (value(band.mean.get())) }, html! { (value(band.std.get())) }]
        })
        .collect();
    let columns = [words("Band"), numbers("Mean"), numbers("Deviation")];
    html! { div.narrow { (table("Bands", &columns, &rows)) } }
}
