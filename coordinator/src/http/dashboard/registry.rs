//! Specialists, scores, lineage and releases. Readers see what is released, as in calls.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use eosfed_common::card::Card;
use eosfed_common::ids::ReleaseNumber;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::view::{SpecialistSummary, SpecialistView};
use eosfed_dashboard::page::{
    self, HeadOver, Lineage, Pager, ReleasePage, ScoreRow, ScoresPage, SpecialistPage, path,
};
use eosfed_web::answer::Html;
use serde::Deserialize;

use super::answer::Trouble;
use super::overview::Listed;
use super::selection::{HeadFiles, selections};
use super::visitor::{OperatorVisitor, Visitor};
use super::{Dashboard, PAGE, read};
use crate::domain::job::TrainedHead;
use crate::domain::listing::{ReleaseFilter, SpecialistFilter};
use crate::domain::paging::PageRequest;
use crate::domain::registry::SpecialistRef;
use crate::domain::{Federation, Job, view};

/// Specialists in one part of the lineage.
const LINEAGE: usize = 16;
/// Specialists in one matrix of scores.
const SCORES: usize = 30;
/// Most releases of a specialist that are named.
const MAX_RELEASES: usize = 20;
/// Most heads of a release that are named.
const MAX_HEADS: usize = 20;

/// A page of the list of specialists.
pub(super) async fn specialists(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Query(Listed { after }): Query<Listed>,
) -> Result<Html, Trouble> {
    let filter = SpecialistFilter { released: !visitor.is_operator(), ..SpecialistFilter::default() };
    let wanted = PageRequest::read(PAGE, &after)?;
    let page = dashboard.engine.read(|state| state.list_specialists(&filter, &wanted))?;
    let (specialists, pager) = read(page, path::SPECIALISTS, after.is_empty())?;
    Ok(Html(page::specialists(&visitor.shell, &specialists, &pager)))
}

/// The releases that have a specialist, newest first.
fn releases_with(state: &Federation, card: &Card) -> Vec<ReleaseNumber> {
    let has = |cards: &[Card]| cards.iter().any(|one| one.name == card.name && one.version == card.version);
    let releases = state.registry.releases.iter().rev();
    releases
        .filter(|(_, one)| has(&one.manifest.specialists))
        .map(|(number, _)| *number)
        .take(MAX_RELEASES)
        .collect()
}

/// The page of a specialist.
pub(super) async fn specialist(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path(reference): Path<String>,
) -> Result<Html, Trouble> {
    let reference: SpecialistRef = reference.parse()?;
    let operator = visitor.is_operator();
    let engine = &dashboard.engine;
    let card = if operator { engine.specialist(&reference) } else { engine.released_specialist(&reference) }?;
    let (evaluations, excluded) = engine.evaluation_status(&card);
    let releases = engine.read(|state| releases_with(state, &card));
    let evaluations = evaluations.into_iter().filter(|_| operator).map(view::evaluation).collect();
    let specialist = SpecialistView { card, evaluations, excluded };
    let page = SpecialistPage { specialist: &specialist, releases: &releases, operator };
    Ok(Html(page::specialist(&visitor.shell, &page)))
}

/// From which place on.
#[derive(Debug, Deserialize)]
pub(super) struct From {
    #[serde(default)]
    from: usize,
}

/// The pager of a list that is counted.
fn pager(address: &str, from: usize, page: usize, all: usize) -> Pager {
    let next = from.saturating_add(page);
    Pager {
        first: (from > 0).then(|| address.to_owned()),
        next: (next < all).then(|| format!("{address}?from={next}")),
        remaining: all.saturating_sub(next) as u64,
    }
}

/// The matrix of scores.
pub(super) async fn scores(
    State(dashboard): State<Dashboard>,
    OperatorVisitor(visitor): OperatorVisitor,
    Query(From { from }): Query<From>,
) -> Result<Html, Trouble> {
    let (rows, all) = dashboard.engine.read(|state| {
        let scored = state.jobs.values().flat_map(|job| job.candidates.iter());
        let mut cards: Vec<&Card> = scored.collect();
        cards.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
        cards.dedup_by(|a, b| a.weights == b.weights);
        let rows = cards.iter().skip(from).take(SCORES).filter_map(|card| row(state, card));
        (rows.collect(), cards.len())
    });
    let page = ScoresPage { rows, pager: pager(path::SCORES, from, SCORES, all) };
    Ok(Html(page::scores(&visitor.shell, &page)))
}

fn row(state: &Federation, card: &Card) -> Option<ScoreRow> {
    let metric = card.model.task.main_metric();
    let scores: BTreeMap<_, _> = state
        .evaluations(&card.weights)
        .into_iter()
        .map(|one| (one.institution, one.metrics.get(metric).copied().ok_or_else(|| format!("no {metric}"))))
        .collect();
    let specialist = card.reference().to_string();
    (!scores.is_empty()).then(|| ScoreRow { specialist, metric: metric.to_owned(), scores })
}

/// Where specialists came from.
pub(super) async fn lineage(
    State(dashboard): State<Dashboard>,
    OperatorVisitor(visitor): OperatorVisitor,
    Query(From { from }): Query<From>,
) -> Result<Html, Trouble> {
    let (entries, all) = dashboard.engine.read(|state| {
        let cards = state.registry.specialists.values();
        let entries: Vec<Lineage> = cards.skip(from).take(LINEAGE).map(|card| origin(state, card)).collect();
        (entries, state.registry.specialists.len())
    });
    Ok(Html(page::lineage(&visitor.shell, &entries, &pager(path::LINEAGE, from, LINEAGE, all))))
}

fn origin(state: &Federation, card: &Card) -> Lineage {
    let release = state.registry.newest_release_with(card);
    let job = state.jobs.get(&card.provenance.job);
    Lineage {
        specialist: SpecialistSummary::new(card, release, state.excluded(card).is_some()),
        institutions: card.provenance.institutions.clone(),
        origin: job.and_then(|job| job.origin.as_ref()).map(|origin| origin.job.clone()),
        parent: card.provenance.parent.as_ref().map(|parent| parent.reference().to_string()),
        releases: releases_with(state, card),
    }
}

/// A page of the list of releases.
pub(super) async fn releases(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Query(Listed { after }): Query<Listed>,
) -> Result<Html, Trouble> {
    let wanted = PageRequest::read(PAGE, &after)?;
    let page = dashboard.engine.read(|state| state.list_releases(&ReleaseFilter::default(), &wanted))?;
    let (releases, pager) = read(page, path::RELEASES, after.is_empty())?;
    Ok(Html(page::releases(&visitor.shell, &releases, &pager)))
}

/// The page of a release.
pub(super) async fn release(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path(number): Path<String>,
) -> Result<Html, Trouble> {
    let wrong = || Refusal::new(Reason::Malformed, "A release is named by its number.");
    let number = ReleaseNumber(number.parse().map_err(|_| wrong())?);
    let (release, ablations) = dashboard.engine.read(|state| view::release(state, Some(number)))?;
    let (mut heads, files): (Vec<_>, Vec<_>) =
        dashboard.engine.read(|state| heads_over(state, number)).into_iter().unzip();
    let selected = selections(&dashboard.engine, files).await;
    heads.iter_mut().zip(selected).for_each(|(head, selection)| head.selection = selection);
    let page = ReleasePage { release: &release, heads: &heads, ablations: &ablations };
    Ok(Html(page::release(&visitor.shell, &page)))
}

fn heads_over(state: &Federation, number: ReleaseNumber) -> Vec<(HeadOver, HeadFiles)> {
    let mut found: Vec<_> = state
        .jobs
        .values()
        .filter(|job| job.head.as_ref().is_some_and(|head| head.release == number))
        .filter_map(|job| Some((job, job.trained.as_deref()?)))
        .collect();
    found.sort_by_key(|(job, _)| std::cmp::Reverse(job.submitted_at));
    let head = |(job, trained): (&Job, &TrainedHead)| {
        let document = job.head.as_ref()?.document;
        let over = HeadOver {
            job: job.id.clone(),
            name: job.spec.name().to_owned(),
            metrics: trained.report.metrics.clone(),
            selection: BTreeMap::new(),
        };
        Some((over, HeadFiles { document, weights: trained.weights }))
    };
    found.into_iter().take(MAX_HEADS).filter_map(head).collect()
}
