//! How the coordinator grows: rounds with more and more institutions, rounds of larger models, institutions that
//! only wait, and jobs with more and more closed rounds. Each measurement has a coordinator of its own and is a
//! line of JSON.
//!
//! The institutions speak the real protocol from one process. They train nothing: each downloads the weights of
//! the round, uploads others of the same size and hands them in.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use eosfed_common::assignment::{Assignment, BlobRef, Offered};
use eosfed_common::model::Backbone;
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::coordinator::{Coordinator, Footprint};
use crate::history::{self, Calls, Cost, MEASURED};
use crate::institution::Institution;
use crate::report::{Report, Spread};
use crate::scene::{
    IDLE_TIME, connect_all, finished, join_all, operator, plan_of, submit_plan, wait_for_work,
};
use crate::updates::updates;

/// Institutions of the rounds of each network, and of those of the long job.
const FEW: u32 = 4;

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Growth {
    /// Institutions in a round of the smallest network
    #[arg(long, value_delimiter = ',', default_values_t = [4, 8, 16, 32, 64, 128], value_name = "N,N,...",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    clients: Vec<u32>,
    /// Networks of a round with four institutions
    #[arg(long, value_delimiter = ',', default_values_t = [Backbone::Atto, Backbone::Tiny, Backbone::Base],
          value_name = "NAME,NAME,...", value_parser = backbone)]
    backbones: Vec<Backbone>,
    /// Institutions that only wait
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1000], value_name = "N,N,...",
          value_parser = clap::value_parser!(u32).range(1..=20_000))]
    idle: Vec<u32>,
    /// Closed rounds of a job with four institutions, ascending
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1000], value_name = "N,N,...",
          value_parser = clap::value_parser!(u32).range(3..=5000))]
    rounds: Vec<u32>,
}

/// A network by its name.
fn backbone(name: &str) -> Result<Backbone, String> {
    Backbone::ALL.into_iter().find(|one| one.to_string() == name).ok_or_else(|| {
        let known = Backbone::ALL.map(|one| one.to_string());
        format!("the networks are {}, found `{name}`", known.join(", "))
    })
}

/// Runs all measurements. The lines are printed as they come, so the report is empty.
pub(crate) async fn play(program: &Path, growth: &Growth) -> anyhow::Result<Report> {
    for clients in &growth.clients {
        println!("{}", round("clients", program, Backbone::Atto, *clients).await?);
    }
    for backbone in &growth.backbones {
        println!("{}", round("models", program, *backbone, FEW).await?);
    }
    for idle in &growth.idle {
        println!("{}", waiting(program, *idle).await?);
    }
    if !growth.rounds.is_empty() {
        closed_rounds(program, &growth.rounds).await?;
    }
    Ok(Report::default())
}

fn hidden() -> MultiProgress {
    MultiProgress::with_draw_target(ProgressDrawTarget::hidden())
}

/// Resident memory and open files, as fields.
fn with_footprint(mut line: Value, found: Footprint) -> Value {
    line["resident_kib"] = found.resident.into();
    line["anonymous_kib"] = found.anonymous.into();
    line["files"] = found.files.into();
    line
}

/// One round, from the submission of its plan to the end of its job.
async fn round(part: &str, program: &Path, backbone: Backbone, clients: u32) -> anyhow::Result<Value> {
    let coordinator = Coordinator::start(program).await?;
    let operator = operator(&coordinator)?;
    let members = join_all(&coordinator, &operator, clients, &hidden()).await?;
    let (sites, _) = connect_all(&coordinator, members, &hidden()).await?;
    let (plan, target) = plan_of(clients, backbone, 1)?;
    let files = updates(coordinator.folder(), &target, (clients, 1), &hidden())?;
    let parameters: usize = target.signature().0.values().map(|shape| shape.iter().product::<usize>()).sum();

    coordinator.most();
    let (used, before) = (coordinator.processor_seconds(), sites.iter().map(Institution::sent).sum::<u64>());
    let started = Instant::now();
    let job = submit_plan(&operator, plan).await?;
    let mut running = JoinSet::new();
    for (site, (file, blob)) in sites.iter().cloned().zip(files) {
        running.spawn(async move { take_part(&site, site.offered(0).await?, &file, blob).await });
    }
    let mut received = 0;
    while let Some(one) = running.join_next().await {
        received += one??;
    }
    finished(&operator, &job, clients).await.with_context(|| coordinator.log())?;
    let line = json!({
        "part": part,
        "clients": clients,
        "backbone": backbone.to_string(),
        "parameters": parameters,
        "seconds": started.elapsed().as_secs_f64(),
        "processor_seconds": coordinator.processor_seconds() - used,
        "peak_kib": coordinator.peak(),
        "bytes_up": sites.iter().map(Institution::sent).sum::<u64>() - before,
        "bytes_down": received,
        "payload": 4 * parameters as u64 * u64::from(clients),
    });
    Ok(with_footprint(line, coordinator.most()))
}

/// One institution's part in a round. Gives the bytes of weights that it has received.
pub(crate) async fn take_part(
    site: &Institution,
    offer: Assignment<Offered>,
    file: &Path,
    blob: BlobRef,
) -> anyhow::Result<u64> {
    let held = site.accept(offer).await?;
    let base = file.with_extension("base");
    let work = async {
        let received = site.download_base(&held, &base).await?;
        site.upload(file, blob).await?;
        site.submit(&held, blob).await?;
        Ok(received)
    };
    let done = site.holding(&held, work).await;
    if base.exists() {
        std::fs::remove_file(base)?;
    }
    done
}

/// Institutions that are connected and wait for work.
async fn waiting(program: &Path, idle: u32) -> anyhow::Result<Value> {
    let coordinator = Coordinator::start(program).await?;
    let operator = operator(&coordinator)?;
    let members = join_all(&coordinator, &operator, idle, &hidden()).await?;
    let (sites, _) = connect_all(&coordinator, members, &hidden()).await?;
    let (offers, _none) = mpsc::unbounded_channel();
    let mut polls = JoinSet::new();
    for site in sites {
        polls.spawn(wait_for_work(site, offers.clone()));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    coordinator.most();
    let used = coordinator.processor_seconds();
    tokio::time::sleep(IDLE_TIME).await;
    let busy = (coordinator.processor_seconds() - used) / IDLE_TIME.as_secs_f64();
    anyhow::ensure!(polls.try_join_next().is_none(), "an institution has stopped waiting");
    let line =
        json!({ "part": "idle", "clients": idle, "processor_share": busy, "peak_kib": coordinator.peak() });
    Ok(with_footprint(line, coordinator.most()))
}

/// A job of small heads, measured at each of these numbers of closed rounds.
async fn closed_rounds(program: &Path, rounds: &[u32]) -> anyhow::Result<()> {
    let mut coordinator = Coordinator::start(program).await?;
    let operator = operator(&coordinator)?;
    let members = join_all(&coordinator, &operator, FEW, &hidden()).await?;
    let (sites, _) = connect_all(&coordinator, members, &hidden()).await?;
    history::specialist(&operator, &sites[0], coordinator.folder()).await?;
    let last = rounds.iter().copied().max().context("no number of rounds")? + 1;
    submit_plan(&operator, history::downstream(sites.len(), last)).await?;
    let (mut used, mut since) = (coordinator.processor_seconds(), 0);
    for closed in 0..last {
        let wanted = rounds.iter().any(|wanted| (closed..closed + MEASURED).contains(wanted));
        let measured = history::round(&coordinator, &sites, closed, wanted).await?;
        let (Some(cost), true) = (measured, rounds.contains(&closed)) else { continue };
        let spent = (coordinator.processor_seconds() - used) / f64::from(closed + 1 - since);
        let peak = coordinator.peak();
        let found = coordinator.footprint();
        let starting = coordinator.restart().await?.starting;
        for site in &sites {
            history::reconnected(site).await?;
        }
        let Cost { heartbeats, submissions } = &cost;
        let line = json!({
            "part": "rounds",
            "closed_rounds": closed,
            "clients": FEW,
            "processor_seconds_a_round": spent,
            "heartbeat_seconds": median(heartbeats),
            "heartbeat_bytes_written": heartbeats.written(),
            "submission_seconds": median(submissions),
            "submission_bytes_written": submissions.written(),
            "peak_kib": peak,
            "start_seconds": starting.as_secs_f64(),
            "store_bytes": coordinator.store_size()?,
        });
        println!("{}", with_footprint(line, found));
        (used, since) = (coordinator.processor_seconds(), closed + 1);
    }
    Ok(())
}

fn median(calls: &Calls) -> Option<f64> {
    Spread::of(calls.took.clone()).map(|spread| spread.middle.as_secs_f64())
}
