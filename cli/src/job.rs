//! `eosfed job`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use eosfed_common::counted::counted;
use eosfed_common::plan::{JobSpec, RoundsPlan};
use eosfed_common::view::{JobSummary, JobView};
use eosfed_common::{errln, outln};
use eosfed_proto::v1;
use eosfed_proto::v1::control_job_request::Action;

use super::arguments::{Extent, Job, JobFilter, JobId, Output};
use super::connection::{Connection, key};
use super::document::{ControlledJob, ForkedJob, PlottedJob, SubmittedJob};
use super::pages::{self, Listed};
use super::{explain, head, plot, print, query, show, watch};

/// Checks a plan on this machine.
pub(super) fn check(path: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let (_, spec) = read(path)?;
    match output {
        Output::Json => print::json(&spec)?,
        Output::Table => outln!("{} is a valid plan", path.display()),
    }
    Ok(ExitCode::SUCCESS)
}

/// The text of a plan, and the plan; warnings about it go to standard error.
fn read(path: &Path) -> anyhow::Result<(String, JobSpec)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let spec = JobSpec::parse(&text).map_err(|error| anyhow!("{}: {error}", path.display()))?;
    for warning in spec.warnings() {
        errln!("warning: {warning}");
    }
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
        Job::List { filter, extent } => list(connection, filter, extent, output).await?,
        Job::Show { job, round, attempt } => {
            let attempt = attempt.unwrap_or_default();
            show::run(connection, &job.job, *round, attempt, output).await?;
        }
        Job::Explain(id) => explain::run(connection, &id.job, output).await?,
        Job::Watch(id) => return watch::watch(connection, &id.job, output).await,
        Job::Cancel(id) => control(connection, id, Action::Cancel(v1::CancelJob {}), output).await?,
        Job::Pause(id) => control(connection, id, Action::Pause(v1::PauseJob {}), output).await?,
        Job::Resume(id) => control(connection, id, Action::Resume(v1::ResumeJob {}), output).await?,
        Job::Retry { job, institution } => {
            let retry = v1::RetryInstitution { institution: institution.clone() };
            control(connection, job, Action::Retry(retry), output).await?;
        }
        Job::Fork { job, round, strategy } => {
            fork(connection, job, *round, strategy.as_deref(), output).await?;
        }
        Job::Head { job, folder } => {
            let job = query::job(connection, &job.job).await?;
            head::pull(connection, &job, folder, output).await?;
        }
        Job::Plot { job, file } => {
            let whole = query::whole_job(connection, &job.job, 0, true).await?;
            let curves = plot::plot(&whole, file)?;
            let job = whole.job.id;
            match output {
                Output::Json => print::json(&PlottedJob { job, file, curves })?,
                Output::Table => {
                    outln!("the chart of job {job} is in {}", file.display());
                    if let Some(curves) = &curves {
                        outln!("{}", plot::note(curves));
                        if let Some(averages) = plot::averages(curves) {
                            outln!("{averages}");
                        }
                    }
                }
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
    connection.begun = job.parse().ok();
    if watch {
        errln!("submitted as job {job}");
        return watch::watch(connection, &job, output).await;
    }
    match output {
        Output::Json => print::json(&SubmittedJob { job: job.parse()? })?,
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
    // The settings of the old strategy's server step do not apply to another strategy.
    let server = if rounds.strategy.is_adaptive() { rounds.server } else { now.server };
    Ok(toml::to_string(&RoundsPlan { strategy: rounds.strategy, server, ..now })?)
}

async fn fork(
    connection: &mut Connection,
    job: &JobId,
    round: u32,
    strategy: Option<&str>,
    output: Output,
) -> anyhow::Result<()> {
    let index = round.checked_sub(1).context("rounds are counted from 1, as `eosfed job show` does")?;
    let (job, rounds_toml) = match strategy {
        Some(strategy) => {
            let job = query::job(connection, &job.job).await?;
            (job.id.to_string(), rules(&job, strategy)?)
        }
        None => (job.job.clone(), String::new()),
    };
    let request = v1::ForkJobRequest { job, round: index, rounds_toml, idempotency_key: key() };
    let answer = connection.operator.fork_job(request).await;
    let v1::ForkJobResponse { job: new, origin } = connection.answer(answer)?;
    connection.begun = new.parse().ok();
    match output {
        Output::Json => print::json(&ForkedJob { job: new.parse()?, origin: origin.parse()?, round: index }),
        Output::Table => {
            outln!("job {new} starts from round {round} of job {origin}");
            outln!("follow it with `eosfed job watch {new}`");
            Ok(())
        }
    }
}

async fn control(
    connection: &mut Connection,
    job: &JobId,
    action: Action,
    output: Output,
) -> anyhow::Result<()> {
    let done = match &action {
        Action::Cancel(_) => "cancelled".to_owned(),
        Action::Pause(_) => "paused".to_owned(),
        Action::Resume(_) => "resumed".to_owned(),
        Action::Retry(retry) => format!("asking {} again", retry.institution),
    };
    let request = v1::ControlJobRequest { job: job.job.clone(), action: Some(action) };
    let answer = connection.operator.control_job(request).await;
    let job = connection.answer(answer)?.job;
    match output {
        Output::Json => print::json(&ControlledJob { job: job.parse()?, done }),
        Output::Table => {
            outln!("job {job} is {done}");
            Ok(())
        }
    }
}

async fn list(
    connection: &mut Connection,
    filter: &JobFilter,
    extent: &Extent,
    output: Output,
) -> anyhow::Result<()> {
    let listed = pages::list(extent, async |page| {
        let (states, kinds, since) = filter.message();
        let request = v1::ListJobsRequest { page: Some(page), states, kinds, since };
        let answer = connection.operator.list_jobs(request).await;
        let v1::ListJobsResponse { jobs_json, page } = connection.answer(answer)?;
        Ok((jobs_json, page))
    });
    let listed: Listed<JobSummary> = listed.await?;
    match output {
        Output::Json => print::json(&listed.entries)?,
        Output::Table => outln!("{}", table(&listed.entries)),
    }
    listed.report_rest();
    Ok(())
}

fn table(jobs: &[JobSummary]) -> print::Sheet {
    let mut table = print::table(&["job", "name", "kind", "state", "round", "submitted", "made"]);
    for job in jobs {
        table.add_row([
            job.id.to_string(),
            job.name.clone(),
            job.kind.to_string(),
            job.state.to_string(),
            round(job),
            print::when(job.submitted_at),
            made(job),
        ]);
    }
    table
}

fn round(job: &JobSummary) -> String {
    match &job.current {
        Some(round) => format!("{} of {}, {}", round.index + 1, job.rounds, round.phase),
        None => format!("{} of {}", job.complete_rounds, job.rounds),
    }
}

fn made(job: &JobSummary) -> String {
    let head = job.head_over.map(|release| format!("a head over release {release}"));
    let specialists = match job.specialists {
        0 => None,
        many => Some(counted(many, "specialist")),
    };
    let release = job.release.map(|number| format!("release {number}"));
    let made: Vec<_> = [head, specialists, release].into_iter().flatten().collect();
    if made.is_empty() { "–".to_owned() } else { made.join(", ") }
}
