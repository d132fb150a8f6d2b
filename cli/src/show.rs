//! `eosfed job show`: a job and its rounds.

use std::fmt;

use eosfed_common::band_values::BandValues;
use eosfed_common::card::BandNormalisation;
use eosfed_common::outln;
use eosfed_common::plan::{JobKind, JobSpec};
use eosfed_common::view::{
    ForkStep, JobView, Origin, ParticipantView, RoundKind, RoundPhase, RoundProgress, RoundView, WholeJob,
};

use super::arguments::Output;
use super::connection::Connection;
use super::{print, query, scores};

/// Number of closed attempts that are shown.
const SHOWN: u32 = 10;

/// Shows a job, or one of its rounds, counted from 1. Attempt 0 is the last.
pub(super) async fn run(
    connection: &mut Connection,
    job: &str,
    round: Option<u32>,
    attempt: u32,
    output: Output,
) -> anyhow::Result<()> {
    match (round, output) {
        (Some(number), Output::Json) => {
            print::json(&query::round(connection, job, number.saturating_sub(1), attempt, true).await?)
        }
        (Some(number), Output::Table) => {
            let job = query::job(connection, job).await?;
            let index = number.saturating_sub(1);
            let round = query::round(connection, job.id.as_str(), index, attempt, false).await?;
            outln!("job {}: {} ({})", job.id, job.spec.name(), job.spec.kind());
            outln!("\n{}\n{}", Heading::of(&round, &job), table(&round));
            Ok(())
        }
        (None, Output::Json) => print::json(&query::whole_job(connection, job, 0, true).await?),
        (None, Output::Table) => {
            let about = query::job(connection, job).await?;
            // The matrix of an evaluation needs all its rounds.
            let newest = if about.spec.kind() == JobKind::Evaluation { 0 } else { SHOWN };
            show(&query::whole_job(connection, about.id.as_str(), newest, false).await?);
            Ok(())
        }
    }
}

fn show(whole: &WholeJob) {
    let job = &whole.job;
    show_job(job);
    if let (JobSpec::Statistics(_), Some(bands)) = (&job.spec, &job.normalisation) {
        outln!("\nto use it in the plan of another job:\n{}", given(bands));
    }
    if let Some(matrix) = scores::matrix(whole) {
        outln!("\n{matrix}");
    }
    let shown = whole.history.len().min(SHOWN as usize);
    let hidden = (job.closed_rounds as usize).saturating_sub(shown);
    if hidden > 0 {
        outln!("\n{hidden} earlier attempts are not shown; `eosfed job show {} --round N` shows one", job.id);
    }
    for round in whole.history[whole.history.len() - shown..].iter().chain(&whole.current) {
        outln!("\n{}\n{}", Heading::of(round, job), table(round));
    }
    let asked = whole.current.iter().flat_map(|round| &round.participants);
    for (name, _) in asked.filter(|(_, one)| one.state.can_be_retried()) {
        outln!("to ask {name} again: eosfed job retry {} {name}", job.id);
    }
}

fn show_job(job: &JobView) {
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
        let metrics = print::scores(&trained.metrics, trained.scoring.as_ref());
        outln!("  made       a head over release {}: {metrics}", trained.release);
        outln!("             get it with `eosfed job head {} --to DIR`", job.id);
    }
    if let Some(number) = job.release {
        outln!("  release    {number}");
    }
    for entry in job.normalisation.iter().flatten() {
        outln!("  {}: mean {:.4}, std {:.4}", entry.band, entry.mean, entry.std);
    }
}

/// Normalisation as the table of a plan.
fn given(bands: &[BandNormalisation]) -> String {
    use fmt::Write as _;
    let mut table = "[normalisation]\nfrom = \"given\"\nbands = [\n".to_owned();
    for BandNormalisation { band, mean, std, values } in bands {
        let band = toml::Value::String(band.clone());
        let values = values.map(|values| format!(", values = {}", toml_of(&values))).unwrap_or_default();
        let _ =
            writeln!(table, "  {{ band = {band}, mean = {:?}, std = {:?}{values} }},", mean.get(), std.get());
    }
    table + "]"
}

/// Unit and range as an inline table.
fn toml_of(values: &BandValues) -> String {
    toml::Value::try_from(values).map_or_else(|_| String::new(), |value| value.to_string())
}

/// The heading of a round.
pub(super) struct Heading<'a> {
    index: u32,
    attempt: u32,
    rounds: u32,
    kind: RoundKind,
    candidate: Option<&'a str>,
    phase: RoundPhase,
}

impl<'a> Heading<'a> {
    fn of(round: &RoundView, job: &'a JobView) -> Self {
        let candidate = match round.kind {
            RoundKind::Evaluate(index) => job.candidates.get(index as usize).map(String::as_str),
            RoundKind::Statistics | RoundKind::OneShot | RoundKind::Train(_) => None,
        };
        let RoundView { index, attempt, kind, phase, .. } = *round;
        Self { index, attempt, rounds: job.rounds, kind, candidate, phase }
    }

    /// The heading of a watched round, in a job with this number of rounds.
    pub(super) fn watched(round: &'a RoundProgress, rounds: u32) -> Self {
        let RoundProgress { index, attempt, kind, ref candidate, phase, .. } = *round;
        Self { index, attempt, rounds, kind, candidate: candidate.as_deref(), phase }
    }
}

impl fmt::Display for Heading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, attempt, rounds, kind, candidate, phase } = self;
        write!(f, "round {} of {rounds}: ", index + 1)?;
        match (kind, candidate) {
            (RoundKind::Statistics, _) => f.write_str("statistics")?,
            (RoundKind::OneShot, _) => f.write_str("one-shot training")?,
            // The number of the round is said already.
            (RoundKind::Train(same), _) if same == index => f.write_str("training")?,
            (RoundKind::Train(other), _) => write!(f, "training round {}", other + 1)?,
            (RoundKind::Evaluate(_), Some(candidate)) => write!(f, "scores of {candidate}")?,
            (RoundKind::Evaluate(_), None) => f.write_str("scores")?,
        }
        let trains = matches!(kind, RoundKind::Train(_) | RoundKind::OneShot);
        if !(trains && *phase == RoundPhase::Training) {
            write!(f, ", {phase}")?;
        }
        if *attempt > 1 { write!(f, ", attempt {attempt}") } else { Ok(()) }
    }
}

fn table(round: &RoundView) -> print::Sheet {
    let mut table =
        print::table(&["institution", "state", "steps", "samples", "scores", "energy", "time", "says"]);
    for (name, one) in &round.participants {
        table.add_row([
            name.to_string(),
            one.shown_state(),
            steps(one),
            one.samples.map_or_else(|| "–".to_owned(), |samples| samples.to_string()),
            print::scores(&one.metrics, one.scoring.as_ref()),
            one.energy.as_ref().map_or_else(|| "–".to_owned(), print::energy),
            one.spent.map_or_else(|| "–".to_owned(), |spent| spent.to_string()),
            one.says().unwrap_or_default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_says_the_number_of_a_round_once() {
        let heading = |index, kind, phase| {
            Heading { index, attempt: 1, rounds: 18, kind, candidate: None, phase }.to_string()
        };
        assert_eq!(heading(12, RoundKind::Train(12), RoundPhase::Training), "round 13 of 18: training");
        let after_statistics = heading(13, RoundKind::Train(12), RoundPhase::Aggregating);
        assert_eq!(after_statistics, "round 14 of 18: training round 13, aggregating");
        let one_shot = heading(0, RoundKind::OneShot, RoundPhase::Training);
        assert_eq!(one_shot, "round 1 of 18: one-shot training");
        assert_eq!(
            heading(0, RoundKind::Statistics, RoundPhase::Recruiting),
            "round 1 of 18: statistics, recruiting"
        );
    }
}
