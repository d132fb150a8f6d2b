//! One attempt at a round: who has contributed what, who was excluded, and why.

use eosfed_common::assignment::CurvePoint;
use eosfed_common::finite::Finite;
use eosfed_common::ids::InstitutionName;
use eosfed_common::metric::main_of;
use eosfed_common::plan::JobSpec;
use eosfed_common::view::{JobView, ParticipantState, ParticipantView, RoundView};
use maud::{Markup, Render as _, html};

use super::path;
use crate::chart::{LineChart, Series};
use crate::format::{count, counted, exact, relative, span, value};
use crate::layout::{Content, Shell};
use crate::parts::{
    Pager, counts, energy, facts, heading, maybe, metrics, none, numbers, panel, participant_state, progress,
    round_phase, said, shell_command, table_of_some, time, words,
};
use crate::words;

/// Institutions in a page of a round.
pub(crate) const PAGE: usize = 100;

/// What the page of a round shows.
#[derive(Debug)]
pub struct RoundPage<'a> {
    /// The job.
    pub job: &'a JobView,
    /// The round, with its curves.
    pub round: &'a RoundView,
    /// The place of the first institution that is listed.
    pub from: usize,
}

/// The page of a round.
#[must_use]
pub fn round(shell: &Shell, page: &RoundPage<'_>) -> String {
    let RoundPage { job, round, from } = page;
    let number = u64::from(round.index) + 1;
    let title = format!("Round {number}");
    let listed = round.participants.iter().skip(*from).take(PAGE);
    let charts = charts(&job.spec, round);
    let body = html! {
        (heading(&html! { (title) }, &round_phase(round.phase), &lead(job, round)))
        (panel("totals", "Results", &totals(round, shell)))
        @if !charts.is_empty() {
            (panel("curves", "Curves", &html! { div.charts { @for chart in &charts { (chart) } } }))
        }
        (panel("institutions", "Institutions", &html! {
            (participants(listed))
            (pager(page).render())
        }))
        (excluded(job, round))
    };
    shell.document(&Content { title: format!("{title} of {}", job.spec.name()), section: path::JOBS, body })
}

fn pager(page: &RoundPage<'_>) -> Pager {
    let all = page.round.participants.len();
    let next = page.from.saturating_add(PAGE);
    let (job, index) = (&page.job.id, u64::from(page.round.index) + 1);
    let address = format!("{}/{job}/rounds/{index}?attempt={}", path::JOBS, page.round.attempt);
    Pager {
        first: (page.from > 0).then(|| address.clone()),
        next: (next < all).then(|| format!("{address}&from={next}")),
        remaining: all.saturating_sub(next) as u64,
    }
}

fn lead(job: &JobView, round: &RoundView) -> Markup {
    html! {
        p.lead data-announce {
            (words::doing(round, &job.candidates)) ": "
            (round.totals.participants.submitted) " of " (job.spec.participation().min) " needed results."
        }
        p.of {
            "of " a href={ (path::JOBS) "/" (job.id) } { (said(job.spec.name())) } " · attempt " (round.attempt)
        }
    }
}

fn totals(round: &RoundView, shell: &Shell) -> Markup {
    let totals = &round.totals;
    html! {
        (counts(&totals.participants))
        (facts(&[
            ("Opened", html! { (exact(round.opened_at)) }),
            ("Deadline", html! { (exact(round.deadline)) " · " (relative(round.deadline, shell.now)) }),
            ("Closed", maybe(round.closed_at, |at| html! { (exact(at)) " after " (span(at.since(round.opened_at))) })),
            ("Samples", if totals.samples == 0 { none() } else { html! { (count(totals.samples)) } }),
            ("Mean of scores", metrics(&totals.metrics)),
            ("Average it started from", metrics(&totals.start_metrics)),
            ("Energy", energy(totals.energy)),
            ("Most time", time(totals.spent)),
        ]))
    }
}

/// A table of institutions in a round.
pub(crate) fn participants<'a>(
    listed: impl Iterator<Item = (&'a InstitutionName, &'a ParticipantView)>,
) -> Markup {
    let columns = [
        words("Institution"),
        words("State"),
        words("Steps"),
        numbers("Samples"),
        words("Validation"),
        words("Energy"),
        words("Time"),
        words("Says"),
    ];
    let rows: Vec<Vec<Option<Markup>>> = listed.map(|(name, one)| row(name, one)).collect();
    table_of_some("Institutions in this round", &columns, &rows)
}

fn row(name: &InstitutionName, one: &ParticipantView) -> Vec<Option<Markup>> {
    vec![
        Some(html! { a href={ (path::INSTITUTIONS) "/" (name) } { (name) } }),
        Some(participant_state(one)),
        steps(name, one),
        one.samples.map(|samples| html! { (count(samples)) }),
        (!one.metrics.is_empty()).then(|| metrics(&one.metrics)),
        one.energy.map(|spent| energy(Some(spent))),
        one.spent.map(|spent| time(Some(spent))),
        says(one),
    ]
}

/// The steps, with the loss below.
fn steps(name: &InstitutionName, one: &ParticipantView) -> Option<Markup> {
    let steps = match (one.step, one.steps) {
        (0, 0) => None,
        (step, 0) => Some(html! { (count(step)) }),
        (step, steps) => Some(progress(&format!("Steps of {name}"), step, steps)),
    };
    if steps.is_none() && one.loss.is_none() {
        return None;
    }
    Some(html! {
        (maybe(steps, |steps| steps))
        @if let Some(loss) = one.loss { span.under { "loss " (value(loss.get())) } }
    })
}

fn says(one: &ParticipantView) -> Option<Markup> {
    let message = one.says();
    if message.is_none() && one.lease_expiries == 0 {
        return None;
    }
    Some(html! {
        @if let Some(message) = &message { span.says { (said(message)) } }
        @if one.lease_expiries > 0 { span.under { (counted(one.lease_expiries, "lease")) " expired" } }
    })
}

/// The training loss of each institution, and the score of its own validation part after each epoch, if it has told
/// scores.
pub(crate) fn charts(spec: &JobSpec, round: &RoundView) -> Vec<LineChart> {
    let number = u64::from(round.index) + 1;
    let points = || round.participants.values().flat_map(|one| &one.curve);
    let metric = points().find_map(|point| main_of(&point.metrics));
    let loss = LineChart {
        id: "loss".to_owned(),
        title: format!("Training loss in round {number}"),
        across: "step",
        series: lines(round, |point| Some(point.loss)),
    };
    let scores = metric.map(|metric| LineChart {
        id: "validation".to_owned(),
        title: format!("{} on own validation parts in round {number}", spec.quantity(metric)),
        across: "step",
        series: lines(round, |point| point.metrics.get(metric).copied()),
    });
    [loss].into_iter().chain(scores).filter(|chart| !chart.series.is_empty()).collect()
}

/// A line for each institution that has told more than one value.
fn lines(round: &RoundView, value: impl Fn(&CurvePoint) -> Option<Finite>) -> Vec<Series> {
    #[allow(clippy::cast_precision_loss, reason = "steps are far below 2^53")]
    let point = |point: &CurvePoint| Some((point.step as f64, value(point)?.get()));
    let line = |(name, one): (&InstitutionName, &ParticipantView)| Series {
        name: name.to_string(),
        points: one.curve.iter().filter_map(point).collect(),
    };
    round.participants.iter().map(line).filter(|series| series.points.len() > 1).collect()
}

/// Most institutions whose exclusion is explained.
const MAX_EXCLUDED: usize = 50;

/// Who does not count, and what an operator can do.
fn excluded(job: &JobView, round: &RoundView) -> Markup {
    let out: Vec<_> = round.participants.iter().filter(|(_, one)| one.state.can_be_retried()).collect();
    if out.is_empty() {
        return html! {};
    }
    let body = html! {
        ul.problems {
            @for (name, one) in out.iter().take(MAX_EXCLUDED) {
                li { div.problem {
                    p.what { (participant_state(one)) " " strong { (name) } " " span.of { (meaning(one.state)) } }
                    @if let Some(message) = &one.message { p { (said(message)) } }
                    @if let Some(digest) = &one.weights { p.of { "its update: " code.long { (digest) } } }
                    @if round.closed_at.is_none() { (shell_command(&format!("eosfed job retry {} {name}", job.id))) }
                } }
            }
        }
        @if out.len() > MAX_EXCLUDED { p.quiet { "and " (out.len() - MAX_EXCLUDED) " more" } }
    };
    panel("excluded", "What does not count, and why", &body)
}

const fn meaning(state: ParticipantState) -> &'static str {
    match state {
        ParticipantState::Refused => "The institution declined the work.",
        ParticipantState::Rejected => "Admission or aggregation left its update out.",
        ParticipantState::Failed => "The work did not end, or its leases expired too often.",
        ParticipantState::Offered | ParticipantState::Working | ParticipantState::Submitted => "",
    }
}
