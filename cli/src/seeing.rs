//! `eosfed status` and `eosfed dashboard`: the whole federation at a glance.

use std::process::ExitCode;

use anyhow::Context as _;
use eosfed_common::clock::Timestamp;
use eosfed_common::counted::counted;
use eosfed_common::outln;
use eosfed_common::view::{ActiveJob, EnergyView, InstitutionEnergy, Overview};
use eosfed_proto::v1;

use super::arguments::{Dashboard, Extent, Output};
use super::connection::{Connection, decode};
use super::document::DashboardLink;
use super::pages::{self, Listed};
use super::print;

/// Shows what runs, what waits and for whom, and what is wrong.
pub(super) async fn status(connection: &mut Connection, output: Output) -> anyhow::Result<ExitCode> {
    let answer = connection.operator.get_overview(v1::GetOverviewRequest {}).await;
    let overview: Overview = decode(&connection.answer(answer)?.overview_json)?;
    match output {
        Output::Json => print::json(&overview)?,
        Output::Table => show(&overview),
    }
    Ok(ExitCode::SUCCESS)
}

fn show(overview: &Overview) {
    let Overview { institutions, jobs, specialists, releases, .. } = overview;
    outln!(
        "institutions  {} of {} online, {} invited",
        institutions.online,
        institutions.enrolled,
        institutions.invited
    );
    outln!("jobs          {} running, {} paused, {} finished", jobs.running, jobs.paused, jobs.finished);
    outln!(
        "specialists   {}, of which {} released in {}",
        specialists.versions,
        specialists.released,
        counted(*releases, "release")
    );
    if let Some(disk) = overview.disk {
        outln!("disk          {} of {} free", print::bytes(disk.free_bytes), print::bytes(disk.total_bytes));
    }
    for active in &overview.active {
        show_job(active);
    }
    if overview.more_active > 0 {
        outln!("and {}; see `eosfed job list`", counted(overview.more_active, "more job"));
    }
    if overview.problems.is_empty() {
        outln!("\nnothing needs attention");
    }
    for problem in &overview.problems {
        outln!("\n{}: {}", print::printable(&problem.about), print::printable(&problem.message));
        if let Some(command) = &problem.command {
            outln!("  {}", print::printable(command));
        }
    }
    if overview.more_problems > 0 {
        let verb = if overview.more_problems == 1 { "needs" } else { "need" };
        outln!("and {} {verb} attention", counted(overview.more_problems, "more thing"));
    }
}

fn show_job(active: &ActiveJob) {
    let ActiveJob { job, needed, .. } = active;
    outln!("\njob {}: {} ({}), {}", job.id, print::printable(&job.name), job.kind, job.state);
    let Some(round) = &job.current else { return };
    let have = round.participants.submitted;
    outln!(
        "  round {} of {}, {}: {have} of {needed} needed results",
        u64::from(round.index) + 1,
        job.rounds,
        round.phase
    );
    if !active.waits_for.is_empty() {
        let names: Vec<String> = active.waits_for.iter().map(ToString::to_string).collect();
        let more = if active.waits_for_more > 0 {
            format!(" and {} more", active.waits_for_more)
        } else {
            String::new()
        };
        outln!("  waits for {}{more}, until {}", names.join(", "), print::when(round.deadline));
    }
}

/// Shows what jobs have cost, by institution: those that were submitted since then, and institutions with this
/// text in their names.
pub(super) async fn energy(
    connection: &mut Connection,
    (name, since): (&str, Option<Timestamp>),
    extent: &Extent,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let mut newest = None;
    let listed = pages::gather(extent, async |page| {
        let since = since.map_or(0, |since| since.0);
        let request = v1::GetEnergyRequest { page: Some(page), name: name.to_owned(), since };
        let answer = connection.operator.get_energy(request).await;
        let v1::GetEnergyResponse { energy_json, page } = connection.answer(answer)?;
        let mut energy: EnergyView = decode(&energy_json)?;
        let institutions = std::mem::take(&mut energy.institutions);
        newest = Some(energy);
        Ok((institutions, page))
    });
    let listed: Listed<InstitutionEnergy> = listed.await?;
    let newest = newest.context("a list has at least one page")?;
    let energy = EnergyView { institutions: listed.entries.clone(), ..newest };
    match output {
        Output::Json => print::json(&energy)?,
        Output::Table => show_energy(&energy),
    }
    listed.report_rest();
    Ok(ExitCode::SUCCESS)
}

fn show_energy(energy: &EnergyView) {
    let EnergyView { jobs, reported, total, institutions, more_institutions: _ } = energy;
    outln!("energy of {reported} of {}", counted(*jobs, "job"));
    let Some(total) = total else { return };
    let mut table = print::table(&["institution", "jobs", "energy"]);
    for InstitutionEnergy { institution, energy, jobs } in institutions {
        table.add_row([institution.to_string(), jobs.to_string(), print::energy(energy)]);
    }
    table.add_row(["all institutions".to_owned(), reported.to_string(), print::energy(total)]);
    outln!("{table}");
}

/// Gives a link into the dashboard.
pub(super) async fn dashboard(
    connection: &mut Connection,
    command: &Dashboard,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let Dashboard::Open = command;
    let answer = connection.operator.open_dashboard(v1::OpenDashboardRequest {}).await;
    let v1::OpenDashboardResponse { url, token, expires_at } = connection.answer(answer)?;
    let expires_at = Timestamp(expires_at);
    let link = DashboardLink { url: format!("{url}/login?token={token}"), expires_at };
    match output {
        Output::Json => print::json(&link)?,
        Output::Table => {
            outln!("{}", print::printable(&link.url));
            eosfed_common::errln!(
                "Open it in a browser on the coordinator's machine. It works once, and ends {}. From another \
                 machine, forward the port first: ssh -L PORT:127.0.0.1:PORT HOST",
                print::when(expires_at)
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
