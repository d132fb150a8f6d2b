//! A job: where it is, its curves, its rounds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use eosfed_common::metric::main_of;
use eosfed_common::plan::JobSpec;
use eosfed_common::view::{ForkStep, JobState, JobView, RoundKind, RoundPhase, RoundSummary, RoundView};
use maud::{Markup, Render as _, html};

use super::path;
use super::round::{charts, participants};
use super::scores::{ScoreRow, score_map};
use crate::chart::{LineChart, Series};
use crate::format::{count, counted, exact, relative, span};
use crate::layout::{Content, Shell};
use crate::parts::{
    Pager, counts, energy, facts, heading, job_link, job_state, maybe, metrics, none, numbers, panel,
    progress, release_link, round_phase, said, shell_command, specialist_link, table, words,
};
use crate::words;

/// Most institutions of the open round that are shown here; the page of the round shows all.
const MAX_PARTICIPANTS: usize = 25;

/// What the page of a job shows.
#[derive(Debug)]
pub struct JobPage<'a> {
    /// The job.
    pub job: &'a JobView,
    /// The open round, or the last one, with its curves. Readers see none.
    pub round: Option<&'a RoundView>,
    /// All closed attempts, oldest first, for the curves. Readers see none.
    pub rounds: &'a [RoundSummary],
    /// Those that this page lists, newest first.
    pub listed: &'a [RoundSummary],
    /// Where the earlier ones are.
    pub pager: Pager,
    /// The scores of an evaluation.
    pub scores: &'a [ScoreRow],
    /// Whether the viewer may act on jobs.
    pub operator: bool,
}

/// The page of a job.
#[must_use]
pub fn job(shell: &Shell, page: &JobPage<'_>) -> String {
    let job = page.job;
    let body = html! {
        (heading(&said(job.spec.name()), &job_state(job.state), &lead(page, shell)))
        @if let Some(why) = &job.why { (because(job, why)) }
        @if let Some(round) = page.round { (now(page, round)) }
        (curves(page))
        @if !page.scores.is_empty() { section.panel id="scores" aria-label="Scores" { (score_map(page.scores)) } }
        @if !page.listed.is_empty() { (panel("rounds", "Closed rounds", &rounds(page, shell))) }
        (panel("about", "About this job", &about(job)))
        @if page.operator { (panel("commands", "Commands", &shell_command(&commands(job)))) }
    };
    shell.document(&Content { title: job.spec.name().to_owned(), section: path::JOBS, body })
}

fn lead(page: &JobPage<'_>, shell: &Shell) -> Markup {
    let job = page.job;
    let open = page.round.filter(|round| round.closed_at.is_none());
    html! {
        p.lead data-announce {
            @if let Some(round) = open {
                @let Ended { have, needed } = Ended::of(job, round);
                "Round " (u64::from(round.index) + 1) " of " (job.rounds) ", " (round.phase) ": "
                (have) " of " (needed) " needed results."
            } @else {
                (counted(job.closed_rounds, "closed attempt")) " at " (counted(job.rounds, "round")) "."
            }
        }
        p.of {
            (job.spec.kind()) " · " span.id { (job.id) } " · submitted " (relative(job.submitted_at, shell.now))
            " by " (job.submitted_by)
            @if let Some(round) = open { " · deadline " (relative(round.deadline, shell.now)) }
        }
    }
}

/// How far an open round is.
struct Ended {
    have: u32,
    needed: u32,
}

impl Ended {
    fn of(job: &JobView, round: &RoundView) -> Self {
        Self { have: round.totals.participants.submitted, needed: job.spec.participation().min }
    }
}

fn because(job: &JobView, why: &str) -> Markup {
    let command = match job.state {
        JobState::Paused => Some(format!("eosfed job resume {}", job.id)),
        _ => None,
    };
    let body = html! {
        p.why { (said(why)) }
        @if let Some(command) = &command { (shell_command(command)) }
    };
    panel("why", if job.state == JobState::Paused { "Why it is paused" } else { "Why it ended" }, &body)
}

fn now(page: &JobPage<'_>, round: &RoundView) -> Markup {
    let href = round_path(page.job, round.index, round.attempt);
    let title = if round.closed_at.is_some() { "Last round" } else { "Open round" };
    let all = round.participants.len();
    let body = html! {
        div.line {
            a href=(href) { "Round " (u64::from(round.index) + 1) }
            span { (words::round_kind(round.kind, round.index, &page.job.candidates)) }
            (round_phase(round.phase))
            @if round.attempt > 1 { span.of { "attempt " (round.attempt) } }
            (progress("Rounds closed", page.job.closed_rounds.into(), page.job.rounds.into()))
        }
        (counts(&round.totals.participants))
        (participants(round.participants.iter().take(MAX_PARTICIPANTS)))
        @if all > MAX_PARTICIPANTS {
            p { a href=(href) { "All " (all) " institutions of this round" } }
        }
    };
    panel("now", title, &body)
}

fn round_path(job: &JobView, index: u32, attempt: u32) -> String {
    format!("{}/{}/rounds/{}?attempt={attempt}", path::JOBS, job.id, u64::from(index) + 1)
}

fn curves(page: &JobPage<'_>) -> Markup {
    let spec = &page.job.spec;
    let mut over_rounds = over_rounds(spec, page.rounds);
    over_rounds.extend(averages(spec, page.rounds));
    let in_round = page.round.map(|round| charts(spec, round)).unwrap_or_default();
    if over_rounds.is_empty() && in_round.is_empty() {
        return html! {};
    }
    let body = html! {
        div.charts {
            @for chart in over_rounds.iter().chain(&in_round) { (chart) }
        }
    };
    panel("curves", "Curves", &body)
}

/// A chart for each metric over the rounds that were completed: losses and scores have scales of their own. The scores of a
/// training are of the weights of each institution, before they are averaged; those of its last round may be of test parts.
fn over_rounds(spec: &JobSpec, rounds: &[RoundSummary]) -> Vec<LineChart> {
    let complete: Vec<_> = rounds.iter().filter(|round| !round.totals.metrics.is_empty()).collect();
    if complete.len() < 2 {
        return Vec::new();
    }
    let names: BTreeSet<&String> = complete.iter().flat_map(|round| round.totals.metrics.keys()).collect();
    let mut charts: BTreeMap<bool, Vec<Series>> = BTreeMap::new();
    for name in names {
        let point = |round: &&RoundSummary| {
            let value = round.totals.metrics.get(name)?;
            Some((f64::from(round.index) + 1.0, value.get()))
        };
        let points = complete.iter().filter_map(point).collect();
        let is_error = eosfed_common::metric::Metric::named(name)
            .is_some_and(|metric| metric.better == eosfed_common::metric::Better::Smaller);
        charts.entry(is_error).or_default().push(Series { name: spec.quantity(name), points });
    }
    let chart = |(is_error, series): (bool, Vec<Series>)| LineChart {
        id: if is_error { "errors".to_owned() } else { "metrics".to_owned() },
        title: if is_error { "Errors of institutions, mean" } else { "Scores of institutions, mean" }
            .to_owned(),
        across: "round",
        series,
    };
    charts.into_iter().map(chart).collect()
}

/// The scores of the average of each round beside those of the weights that it was made of, of the metric that says most.
/// Institutions score an average as the next round begins, so that a round has both once the next is complete, and the last
/// one, whose own scores may be of test parts, has no average.
fn averages(spec: &JobSpec, rounds: &[RoundSummary]) -> Option<LineChart> {
    let trained = |round: &&RoundSummary| {
        round.phase == RoundPhase::Complete && matches!(round.kind, RoundKind::Train(_))
    };
    let trained: Vec<_> = rounds.iter().filter(trained).collect();
    let metric = trained.iter().find_map(|round| main_of(&round.totals.start_metrics))?;
    let pairs = trained.windows(2).filter(|two| two[0].index + 1 == two[1].index);
    let point = |two: &[&RoundSummary]| {
        let own = two[0].totals.metrics.get(metric)?.get();
        let average = two[1].totals.start_metrics.get(metric)?.get();
        Some((f64::from(two[1].index), own, average))
    };
    let points: Vec<_> = pairs.filter_map(point).collect();
    if points.is_empty() {
        return None;
    }
    let series = |name: &str, points: Vec<(f64, f64)>| Series { name: name.to_owned(), points };
    Some(LineChart {
        id: "averages".to_owned(),
        title: format!("{} before and after averaging", spec.quantity(metric)),
        across: "round",
        series: vec![
            series("each institution's own weights", points.iter().map(|(at, own, _)| (*at, *own)).collect()),
            series("the average", points.iter().map(|(at, _, average)| (*at, *average)).collect()),
        ],
    })
}

fn rounds(page: &JobPage<'_>, shell: &Shell) -> Markup {
    let columns = [
        words("Round"),
        words("Phase"),
        words("Results"),
        numbers("Samples"),
        words("Mean of scores"),
        words("Energy"),
        words("Took"),
        words("Beside its steps"),
    ];
    let rows: Vec<Vec<Markup>> = page.listed.iter().map(|round| round_row(page.job, round, shell)).collect();
    html! { (table("Closed rounds", &columns, &rows)) (page.pager.render()) }
}

fn round_row(job: &JobView, round: &RoundSummary, shell: &Shell) -> Vec<Markup> {
    let title = format!("{}", u64::from(round.index) + 1);
    let took = round.closed_at.map_or(Duration::ZERO, |at| at.since(round.opened_at));
    vec![
        html! {
            a href=(round_path(job, round.index, round.attempt)) { (title) }
            @if round.attempt > 1 { span.under { "attempt " (round.attempt) } }
        },
        round_phase(round.phase),
        counts(&round.totals.participants),
        if round.totals.samples == 0 {
            none()
        } else {
            html! { (count(round.totals.samples)) }
        },
        metrics(&round.totals.metrics),
        energy(round.totals.energy),
        html! { (span(took)) @if let Some(at) = round.closed_at { span.under { (relative(at, shell.now)) } } },
        maybe(round.totals.spent, |spent| html! { (format!("{:.1} s", spent.beside())) }),
    ]
}

fn about(job: &JobView) -> Markup {
    let participation = job.spec.participation();
    let mut entries = vec![
        ("Kind", html! { (job.spec.kind()) }),
        ("Submitted", html! { (exact(job.submitted_at)) " by " (job.submitted_by) }),
        (
            "Ended",
            maybe(job.ended_at, |at| html! { (exact(at)) " after " (span(at.since(job.submitted_at))) }),
        ),
        (
            "Results in a round",
            html! { (participation.min) " to " (participation.max) " within " (span(participation.deadline)) },
        ),
        ("Energy", energy(job.energy)),
        ("Made", made(job)),
    ];
    if let JobSpec::Rounds(spec) = &job.spec {
        entries.push((
            "Specialist",
            html! { (spec.specialist.name) " from bands " (spec.specialist.bands.join(", ")) },
        ));
    }
    if let Some(origin) = &job.origin {
        let step = match origin.step {
            ForkStep::Train => "trained again",
            ForkStep::Aggregate => "aggregated again",
        };
        let from = html! { "round " (u64::from(origin.round) + 1) " of " (job_link(origin.job.as_str())) ", " (step) };
        entries.push(("Forked from", from));
    }
    facts(&entries)
}

fn made(job: &JobView) -> Markup {
    if job.produced.is_empty() && job.release.is_none() && job.trained.is_none() {
        return none();
    }
    html! {
        @for reference in &job.produced { span.under { (specialist_link(reference)) } }
        @if let Some(head) = &job.trained {
            span.under { "a head over " (release_link(head.release)) }
            (metrics(&head.metrics))
        }
        @if let Some(number) = job.release { span.under { (release_link(number)) } }
    }
}

fn commands(job: &JobView) -> String {
    let id = &job.id;
    let next = match job.state {
        JobState::Preparing | JobState::Running | JobState::Aggregating => {
            format!("eosfed job watch {id}\neosfed job pause {id}\n")
        }
        JobState::Paused => format!("eosfed job resume {id}\neosfed job cancel {id}\n"),
        JobState::Finished if job.trained.is_some() => format!("eosfed job head {id} --to head\n"),
        JobState::Finished | JobState::Cancelled => String::new(),
    };
    format!("{next}eosfed job show {id} --output json\neosfed job plot {id} --file curves.png")
}
