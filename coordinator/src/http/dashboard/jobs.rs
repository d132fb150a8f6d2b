//! Jobs, rounds and energy.

use axum::extract::{Path, Query, State};
use eosfed_common::ids::JobId;
use eosfed_common::paging::MAX_LIMIT;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::view::{JobState, JobView, RoundSummary, RoundView};
use eosfed_dashboard::page::{self, EnergyPage, JobPage, JobsPage, Pager, RoundPage, ScoreRow, path};
use eosfed_web::answer::Html;
use serde::Deserialize;

use super::answer::Trouble;
use super::overview::Listed;
use super::visitor::{OperatorVisitor, Visitor};
use super::{Dashboard, PAGE, read, with_query};
use crate::domain::Job;
use crate::domain::listing::JobFilter;
use crate::domain::paging::PageRequest;
use crate::domain::round::{AttemptId, RoundKind};
use crate::domain::view::{self, EnergyFilter};

/// Closed rounds on the page of a job.
const ROUNDS: usize = 25;

/// Which jobs are listed.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    after: String,
    #[serde(default)]
    state: String,
}

/// The states that a word of the filter means.
fn states(word: &str) -> Result<Vec<JobState>, Refusal> {
    match word {
        "" => Ok(Vec::new()),
        "running" => Ok(vec![JobState::Preparing, JobState::Running, JobState::Aggregating]),
        other => other.parse().map(|state| vec![state]).map_err(|_| {
            Refusal::new(Reason::Malformed, "The state is one of running, paused, finished and cancelled.")
        }),
    }
}

/// A page of the list of jobs.
pub(super) async fn jobs(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Query(Wanted { after, state }): Query<Wanted>,
) -> Result<Html, Trouble> {
    let filter = JobFilter { states: states(&state)?, ..JobFilter::default() };
    let wanted = PageRequest::read(PAGE, &after)?;
    let page = dashboard.engine.read(|federation| federation.list_jobs(&filter, &wanted))?;
    let chosen = (!state.is_empty()).then_some(state.as_str());
    let address =
        chosen.map_or_else(|| path::JOBS.to_owned(), |state| with_query(path::JOBS, "state", state));
    let (jobs, pager) = read(page, &address, after.is_empty())?;
    Ok(Html(page::jobs(&visitor.shell, &JobsPage { jobs: &jobs, state: chosen, pager })))
}

/// What is known of a job at one instant.
struct Known {
    view: JobView,
    closed: Vec<RoundSummary>,
    scores: Vec<ScoreRow>,
    /// The job itself while a round is open, and else its last attempt.
    round: Round,
}

enum Round {
    Open(Box<Job>),
    Closed(AttemptId),
    None,
}

fn known(job: &Job) -> Known {
    let round = if job.current().is_some() {
        Round::Open(Box::new(job.clone()))
    } else {
        job.closed.last().map_or(Round::None, |closed| Round::Closed(closed.id))
    };
    Known { view: view::job(job), closed: view::closed_rounds(job).collect(), scores: scores(job), round }
}

/// The scores of an evaluation so far.
fn scores(job: &Job) -> Vec<ScoreRow> {
    let row = |closed: &crate::domain::closed::RoundSummary| {
        let RoundKind::Evaluate(index) = closed.kind else { return None };
        let card = job.candidates.get(index as usize)?;
        let metric = card.model.task.main_metric();
        let score = |(name, score): (&_, &crate::domain::closed::Score)| {
            let value = score.metrics.get(metric).copied();
            (Clone::clone(name), value.ok_or_else(|| format!("no {metric}")))
        };
        Some(ScoreRow {
            specialist: card.reference().to_string(),
            metric: metric.to_owned(),
            scores: closed.scores.iter().map(score).collect(),
        })
    };
    job.closed.iter().filter_map(row).filter(|row| !row.scores.is_empty()).collect()
}

impl Dashboard {
    async fn round(&self, id: &JobId, round: Round) -> Result<Option<RoundView>, Refusal> {
        match round {
            Round::Open(job) => self.engine.open_round(&job).await,
            Round::Closed(attempt) => self.engine.closed_round(id, attempt).await.map(Some),
            Round::None => Ok(None),
        }
    }
}

/// From which place of the closed rounds, counted from the newest.
#[derive(Debug, Deserialize)]
pub(super) struct From {
    #[serde(default)]
    from: usize,
}

/// The page of a job. Readers see it without its rounds, as in calls.
pub(super) async fn job(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(From { from }): Query<From>,
) -> Result<Html, Trouble> {
    let id = dashboard.engine.resolve_job(&name)?;
    let operator = visitor.is_operator();
    if !operator {
        let view = dashboard.engine.with_job(&id, view::job)?;
        let (rounds, scores) = (&[], &[]);
        let page = JobPage {
            job: &view,
            round: None,
            rounds,
            listed: rounds,
            pager: Pager::default(),
            scores,
            operator,
        };
        return Ok(Html(page::job(&visitor.shell, &page)));
    }
    let Known { view, closed, scores, round } = dashboard.engine.with_job(&id, known)?;
    let round = dashboard.round(&id, round).await?;
    let listed: Vec<_> = closed.iter().rev().skip(from).take(ROUNDS).cloned().collect();
    let address = format!("{}/{id}", path::JOBS);
    let next = from.saturating_add(ROUNDS);
    let pager = Pager {
        first: (from > 0).then(|| address.clone()),
        next: (next < closed.len()).then(|| format!("{address}?from={next}")),
        remaining: closed.len().saturating_sub(next) as u64,
    };
    let page = JobPage {
        job: &view,
        round: round.as_ref(),
        rounds: &closed,
        listed: &listed,
        pager,
        scores: &scores,
        operator,
    };
    Ok(Html(page::job(&visitor.shell, &page)))
}

/// Which attempt, and from which institution.
#[derive(Debug, Deserialize)]
pub(super) struct Attempt {
    #[serde(default)]
    attempt: u32,
    #[serde(default)]
    from: usize,
}

/// The page of a round, counted from 1.
pub(super) async fn round(
    State(dashboard): State<Dashboard>,
    OperatorVisitor(visitor): OperatorVisitor,
    Path((name, number)): Path<(String, u32)>,
    Query(Attempt { attempt, from }): Query<Attempt>,
) -> Result<Html, Trouble> {
    let id = dashboard.engine.resolve_job(&name)?;
    let index = number.saturating_sub(1);
    let is_wanted = |found: AttemptId| found.round == index && (attempt == 0 || found.attempt == attempt);
    let (view, round) = dashboard.engine.with_job(&id, |job| {
        let closed = job.closed.iter().rev().map(|closed| closed.id).find(|found| is_wanted(*found));
        let open = job.current().is_some_and(|open| is_wanted(open.id()));
        let round =
            if open { Round::Open(Box::new(job.clone())) } else { closed.map_or(Round::None, Round::Closed) };
        (view::job(job), round)
    })?;
    let round = dashboard.round(&id, round).await?;
    let round = round.ok_or_else(|| {
        Refusal::new(Reason::NotFound, format!("Job {id} has no such attempt at round {number}."))
    })?;
    Ok(Html(page::round(&visitor.shell, &RoundPage { job: &view, round: &round, from })))
}

/// The page of energy.
pub(super) async fn energy(
    State(dashboard): State<Dashboard>,
    OperatorVisitor(visitor): OperatorVisitor,
    Query(Listed { after }): Query<Listed>,
) -> Result<Html, Trouble> {
    let wanted = PageRequest::read(PAGE, &after)?;
    let most = PageRequest::read(MAX_LIMIT, "")?;
    let (page, spent) = dashboard.engine.read(|state| {
        let jobs = state.list_jobs(&JobFilter::default(), &wanted);
        (jobs, view::energy(state, &EnergyFilter::default(), &most))
    });
    let energy = spent?.view;
    let (listed, pager) = read(page?, path::ENERGY, after.is_empty())?;
    Ok(Html(page::energy(&visitor.shell, &EnergyPage { energy: &energy, listed: &listed, pager })))
}
