//! A job for people: what it is, and its rounds.

use std::fmt::Write as _;

use eosfed_common::outln;
use eosfed_common::view::{ForkStep, JobView, Origin, ParticipantView, RoundKind, RoundView};

use super::{print, scores};

/// Prints everything about a job.
pub(super) fn show(job: &JobView) {
    outln!("job {}: {} ({})", job.id, job.spec.name(), job.spec.kind());
    outln!("  state      {}", job.state);
    if let Some(why) = &job.why {
        outln!("  because    {why}");
    }
    if let Some(Origin { job: origin, round, step }) = &job.origin {
        let what = match step {
            ForkStep::Train => "trained again",
            ForkStep::Aggregate => "aggregated again",
        };
        outln!("  forked     from round {} of job {origin}, {what}", round + 1);
    }
    outln!("  submitted  {} by {}", print::when(job.submitted_at), job.submitted_by);
    if let Some(at) = job.ended_at {
        outln!(
            "  ended      {} ({} after it was submitted)",
            print::when(at),
            print::span(at.since(job.submitted_at).as_secs())
        );
    }
    if !job.produced.is_empty() {
        outln!("  made       {}", job.produced.join(", "));
    }
    if let Some(trained) = &job.trained {
        let metrics = print::metrics(&trained.metrics);
        outln!("  made       a head over release {}: {metrics}", trained.release);
        outln!("             get it with `eosfed job head {} --to DIR`", job.id);
    }
    if let Some(number) = job.release {
        outln!("  release    {number}");
    }
    for entry in job.normalisation.iter().flatten() {
        outln!("  {}: mean {:.4}, std {:.4}", entry.band, entry.mean, entry.std);
    }
    if let Some(matrix) = scores::matrix(job) {
        outln!("\n{matrix}");
    }
    for round in job.history.iter().chain(&job.current) {
        outln!("\n{}", heading(round, job));
        outln!("{}", table(round));
    }
    let asked = job.current.iter().flat_map(|round| &round.participants);
    for (name, _) in asked.filter(|(_, one)| one.state.can_be_retried()) {
        outln!("ask {name} again, once it can: eosfed job retry {} {name}", job.id);
    }
}

/// What a round is, in a line.
pub(super) fn heading(round: &RoundView, job: &JobView) -> String {
    let JobView { rounds, candidates, .. } = job;
    let what = match round.purpose {
        RoundKind::Statistics => "statistics".to_owned(),
        RoundKind::OneShot => "one-shot training".to_owned(),
        RoundKind::Train(index) => format!("training round {}", index + 1),
        RoundKind::Evaluate(place) => match candidates.get(place as usize) {
            Some(candidate) => format!("scores of {candidate}"),
            None => "scores".to_owned(),
        },
    };
    let mut line = format!("round {} of {rounds}: {what}, {}", round.index + 1, round.phase);
    if round.attempt > 1 {
        let _ = write!(line, ", attempt {}", round.attempt);
    }
    line
}

fn table(round: &RoundView) -> comfy_table::Table {
    let mut table =
        print::table(&["institution", "state", "steps", "samples", "validation", "energy", "says"]);
    for (name, one) in &round.participants {
        table.add_row([
            name.to_string(),
            one.state.to_string(),
            steps(one),
            one.samples.map_or_else(|| "–".to_owned(), |samples| samples.to_string()),
            print::metrics(&one.metrics),
            one.energy.as_ref().map_or_else(|| "–".to_owned(), print::energy),
            one.message.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn steps(one: &ParticipantView) -> String {
    match (one.step, one.steps) {
        (0, 0) => "–".to_owned(),
        (step, 0) => step.to_string(),
        (step, steps) => format!("{step}/{steps}"),
    }
}
