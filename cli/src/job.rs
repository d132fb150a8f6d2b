//! `eosfed job`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use eosfed_common::plan::{JobSpec, RoundsPlan};
use eosfed_common::view::JobView;
use eosfed_common::{errln, outln};
use eosfed_proto::v1;
use serde_json::json;

use super::arguments::{Job, Output};
use super::connection::{Connection, key};
use super::{head, plot, print, query, show, watch};

/// Checks a plan on this machine.
pub(super) fn check(path: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let (_, spec) = read(path)?;
    match output {
        Output::Json => print::json(&spec)?,
        Output::Table => outln!("{} keeps every rule of a plan", path.display()),
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<(String, JobSpec)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let spec = JobSpec::parse(&text).map_err(|error| anyhow!("{}: {error}", path.display()))?;
    Ok((text, spec))
}

pub(super) async fn run(
    connection: &mut Connection,
    command: &Job,
    output: Output,
) -> anyhow::Result<ExitCode> {
    match command {
        Job::Check { plan } => return check(plan, output),
        Job::Submit { plan, watch } => return submit(connection, plan, *watch, output).await,
        Job::List => list(connection, output).await?,
        Job::Show(id) => {
            let job = query::job_with_rounds(connection, &id.job).await?;
            match output {
                Output::Json => print::json(&job)?,
                Output::Table => show::show(&job),
            }
        }
        Job::Watch(id) => return watch::watch(connection, &id.job, output).await,
        Job::Cancel(id) => {
            let request = v1::CancelJobRequest { job: id.job.clone() };
            let answer = connection.operator.cancel_job(request).await;
            done(&connection.answer(answer)?.job, "cancelled", output)?;
        }
        Job::Resume(id) => {
            let request = v1::ResumeJobRequest { job: id.job.clone() };
            let answer = connection.operator.resume_job(request).await;
            done(&connection.answer(answer)?.job, "resumed", output)?;
        }
        Job::Pause(id) => {
            let request = v1::PauseJobRequest { job: id.job.clone() };
            let answer = connection.operator.pause_job(request).await;
            done(&connection.answer(answer)?.job, "paused", output)?;
        }
        Job::Retry { job, institution } => {
            let institution = institution.clone();
            let request =
                v1::RetryInstitutionRequest { job: job.job.clone(), institution: institution.clone() };
            let answer = connection.operator.retry_institution(request).await;
            done(&connection.answer(answer)?.job, &format!("asking {institution} again"), output)?;
        }
        Job::Rerun { job, from_round } => {
            go_on(connection, &job.job, *from_round, String::new(), output).await?;
        }
        Job::Reaggregate { job, round, strategy } => {
            let job = query::job(connection, &job.job).await?;
            let rules = rules(&job, strategy)?;
            go_on(connection, job.id.as_str(), *round, rules, output).await?;
        }
        Job::Head { job, folder } => {
            let job = query::job(connection, &job.job).await?;
            head::pull(connection, &job, folder, output).await?;
        }
        Job::Plot { job, file } => {
            let job = query::job_with_rounds(connection, &job.job).await?;
            plot::plot(&job, file)?;
            match output {
                Output::Json => print::json(&json!({ "job": job.id, "file": file }))?,
                Output::Table => outln!("the picture of job {} is in {}", job.id, file.display()),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn submit(
    connection: &mut Connection,
    path: &Path,
    watch: bool,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let (plan_toml, _) = read(path)?;
    let request = v1::SubmitJobRequest { plan_toml, idempotency_key: key() };
    let answer = connection.operator.submit_job(request).await;
    let job = connection.answer(answer)?.job;
    if watch {
        errln!("submitted as job {job}");
        return watch::watch(connection, &job, output).await;
    }
    match output {
        Output::Json => print::json(&json!({ "job": job }))?,
        Output::Table => outln!("submitted as job {job}; follow it with `eosfed job watch {job}`"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The table `rounds` of a job, with another strategy.
fn rules(job: &JobView, strategy: &str) -> anyhow::Result<String> {
    let now = match job.spec.federated() {
        Some(federated) => federated.rounds.clone(),
        None => bail!("job {} is of kind `{}`, which aggregates nothing", job.id, job.spec.kind()),
    };
    let inline = if strategy.contains('=') { strategy.to_owned() } else { format!("name = \"{strategy}\"") };
    let count = now.count;
    let text = format!("count = {count}\nstrategy = {{ {inline} }}");
    let rounds = RoundsPlan::parse(&text).map_err(|error| anyhow!("--strategy `{strategy}`: {error}"))?;
    // What the old strategy's server step was told means nothing to another.
    let server = if rounds.strategy.is_adaptive() { rounds.server } else { now.server };
    Ok(toml::to_string(&RoundsPlan { strategy: rounds.strategy, server, ..now })?)
}

async fn go_on(
    connection: &mut Connection,
    job: &str,
    round: u32,
    rounds_toml: String,
    output: Output,
) -> anyhow::Result<()> {
    let index = round.checked_sub(1).context("rounds are counted from 1, as `eosfed job show` does")?;
    let request =
        v1::ContinueFromRequest { job: job.to_owned(), round: index, rounds_toml, idempotency_key: key() };
    let answer = connection.operator.continue_from(request).await;
    let v1::ContinueFromResponse { job: new, origin } = connection.answer(answer)?;
    match output {
        Output::Json => print::json(&json!({ "job": new, "origin": origin, "round": index })),
        Output::Table => {
            outln!(
                "job {new} goes on from round {round} of job {origin}; follow it with `eosfed job watch {new}`"
            );
            Ok(())
        }
    }
}

fn done(job: &str, what: &str, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Json => print::json(&json!({ "job": job, "done": what })),
        Output::Table => {
            outln!("job {job} is {what}");
            Ok(())
        }
    }
}

async fn list(connection: &mut Connection, output: Output) -> anyhow::Result<()> {
    let jobs = query::jobs(connection).await?;
    if output == Output::Json {
        return print::json(&jobs);
    }
    let mut table = print::table(&["job", "name", "kind", "state", "round", "submitted", "made"]);
    for job in &jobs {
        let round = job.current.as_ref().map_or_else(
            || "–".to_owned(),
            |round| format!("{} of {}, {}", round.index + 1, job.rounds, round.phase),
        );
        table.add_row([
            job.id.to_string(),
            job.spec.name().to_owned(),
            job.spec.kind().to_string(),
            job.state.to_string(),
            round,
            print::when(job.submitted_at),
            made(job),
        ]);
    }
    outln!("{table}");
    Ok(())
}

fn made(job: &JobView) -> String {
    match &job.trained {
        Some(trained) => format!("a head over release {}", trained.head.release),
        None => job.produced.join(" "),
    }
}
