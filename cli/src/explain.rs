//! `eosfed job explain`: why a job is where it is, and what would move it, in words.

mod institution;
mod round;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::InstitutionName;
use eosfed_common::outln;
use eosfed_common::view::{InstitutionView, JobState, JobView, WholeJob};

use super::arguments::Output;
use super::connection::Connection;
use super::document::{ExplainedInstitution, ExplainedRound, Explanation};
use super::{institution as institutions, print, query};

/// What is known of institutions, by name.
pub(super) type Known = BTreeMap<InstitutionName, InstitutionView>;

/// Explains a job on the screen or as JSON.
pub(super) async fn run(connection: &mut Connection, job: &str, output: Output) -> anyhow::Result<()> {
    let whole = query::whole_job(connection, job, 1, false).await?;
    let known = institutions::all(connection).await?.into_iter().map(|one| (one.name.clone(), one)).collect();
    let explanation = explain(&whole, &known, print::now());
    match output {
        Output::Json => print::json(&explanation),
        Output::Table => {
            show(&explanation);
            Ok(())
        }
    }
}

fn show(explanation: &Explanation) {
    let Explanation { job, state: _, summary, round: _, institutions, moves } = explanation;
    outln!("job {job}: {}", print::printable(summary));
    for ExplainedInstitution { institution, what, awaited, can_be_retried: _ } in institutions {
        let mark = if *awaited { "…" } else { " " };
        outln!("  {mark} {institution}: {}", print::printable(what));
    }
    for one in moves {
        outln!("  → {}", print::printable(one));
    }
}

/// Explains a job at the time `now`.
pub(super) fn explain(whole: &WholeJob, known: &Known, now: Timestamp) -> Explanation {
    let WholeJob { job, current, history } = whole;
    let ended = matches!(job.state, JobState::Finished | JobState::Cancelled);
    let view = current.as_ref().or_else(|| history.last().filter(|_| !ended));
    let round = view.map(|view| ExplainedRound::of(job, view));
    let institutions = view.map_or_else(Vec::new, |view| institution::all(view, job, known, now));
    let (summary, moves) = match job.state {
        JobState::Preparing => preparing(),
        JobState::Aggregating => aggregating(round.as_ref()),
        JobState::Running => {
            round.as_ref().map_or_else(preparing, |round| round.running(job, &institutions, now))
        }
        JobState::Paused => paused(job, view.map(|view| round::retries(job, view))),
        JobState::Finished | JobState::Cancelled => has_ended(job),
    };
    let state = job.state.to_string();
    Explanation { job: job.id.clone(), state, summary, round, institutions, moves }
}

fn preparing() -> (String, Vec<String>) {
    let summary = "the coordinator makes its first weights; that takes seconds".to_owned();
    (summary, vec!["nothing: it goes on by itself".to_owned()])
}

fn aggregating(round: Option<&ExplainedRound>) -> (String, Vec<String>) {
    let which = round.map_or_else(String::new, |round| format!(" of {}", round.name()));
    let summary = format!("the coordinator aggregates the results{which}");
    (summary, vec!["nothing: it goes on by itself".to_owned()])
}

fn paused(job: &JobView, retries: Option<Vec<String>>) -> (String, Vec<String>) {
    let why = job.why.as_deref().unwrap_or("no reason is on record");
    let mut moves = vec![format!("remove the cause, then `eosfed job resume {}`", job.id)];
    moves.extend(retries.into_iter().flatten());
    moves.push(format!("or give it up: `eosfed job cancel {}`", job.id));
    (format!("it is paused and waits for an operator: {why}"), moves)
}

fn has_ended(job: &JobView) -> (String, Vec<String>) {
    let mut made = job.produced.clone();
    made.extend(job.release.map(|number| format!("release {number}")));
    made.extend(job.trained.as_ref().map(|head| format!("a head over release {}", head.release)));
    let made = if made.is_empty() { "nothing".to_owned() } else { made.join(", ") };
    let why = job.why.as_deref().map_or_else(String::new, |why| format!(" ({why})"));
    let summary = format!("it has ended: {}{why}; it has made {made}", job.state);
    (
        summary,
        vec![format!("nothing moves it; `eosfed job fork {}` starts another from one of its rounds", job.id)],
    )
}
