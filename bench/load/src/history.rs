//! A job of many rounds: the cost of a heartbeat and of a submission after few and after many closed rounds,
//! and the effect of one institution with heartbeats of the largest size on all others.
//!
//! The job trains a small head, so that a thousand rounds of twenty institutions take minutes. The
//! measurements do not depend on the size of the weights.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use eosfed_common::assignment::{CurvePoint, MAX_POINTS, Progress};
use eosfed_common::finite::Finite;
use eosfed_common::ids::InstitutionName;
use eosfed_common::metric::METRICS;
use eosfed_common::refusal::Reason;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_testkit::plans::{DOWNSTREAM, ONE_SHOT, Plan};
use eosfed_transport::channel::Transport;
use prost::Message as _;
use tokio::task::JoinSet;

use crate::coordinator::Coordinator;
use crate::institution::{Held, Institution, enroll};
use crate::progress::bar;
use crate::report::{Report, Spread, bytes, millis, seconds};
use crate::scene::{operator, submit_plan};

/// Curve points of an ordinary heartbeat, and metrics of each.
const POINTS: usize = 2;
/// Rounds that are measured before each number of closed rounds.
pub(crate) const MEASURED: u32 = 3;
/// Number of heartbeats of the largest size, and of institutions that send them in parallel.
const FLOOD: (usize, usize) = (180, 8);
/// Metrics of a point in such a heartbeat: all that a curve may have.
const FLOOD_METRICS: usize = 8;

/// The measurements at a number of closed rounds.
pub(crate) struct Cost {
    pub(crate) heartbeats: Calls,
    pub(crate) submissions: Calls,
}

/// Calls of one kind: the duration of each, and the bytes that the coordinator wrote for it.
#[derive(Default)]
pub(crate) struct Calls {
    pub(crate) took: Vec<Duration>,
    written: Vec<u64>,
}

impl Calls {
    async fn measure(
        &mut self,
        coordinator: &Coordinator,
        call: impl Future<Output = anyhow::Result<Duration>>,
    ) -> anyhow::Result<()> {
        let before = coordinator.written();
        self.took.push(call.await?);
        self.written.push(coordinator.written() - before);
        Ok(())
    }

    /// The median, since the store sometimes writes a snapshot, which no call causes.
    pub(crate) fn written(&self) -> u64 {
        let mut sorted = self.written.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

/// Measures at each of these numbers of closed rounds.
pub(crate) async fn play(program: &Path, rounds: &[u32], institutions: u32) -> anyhow::Result<Report> {
    let mut coordinator = Coordinator::start(program).await?;
    let mut report = Report::default();
    let played = act(&mut coordinator, rounds, institutions, &mut report).await;
    played.with_context(|| format!("the end of the coordinator's log:\n{}", coordinator.log()))?;
    Ok(report)
}

async fn act(
    coordinator: &mut Coordinator,
    rounds: &[u32],
    institutions: u32,
    report: &mut Report,
) -> anyhow::Result<()> {
    let operator = operator(coordinator)?;
    let mut sites = Vec::new();
    for number in 0..institutions {
        let name: InstitutionName = format!("site-{number:02}").parse()?;
        sites.push(
            enroll(operator.clone(), coordinator.url(), name).await?.connect(coordinator.url()).await?.0,
        );
    }
    let bars = indicatif::MultiProgress::new();
    specialist(&operator, &sites[0], coordinator.folder()).await?;
    let last = rounds.iter().copied().max().context("no number of rounds")? + 1;
    submit_plan(&operator, downstream(institutions as usize, last)).await?;
    let bar = bar(&bars, "rounds", u64::from(last), "{pos}/{len}");
    for closed in 0..last {
        let window = rounds.iter().find(|wanted| (closed..closed + MEASURED).contains(wanted));
        let measured = round(coordinator, &sites, closed, window.is_some()).await?;
        bar.inc(1);
        if let (Some(cost), true) = (measured, rounds.contains(&closed)) {
            rest(coordinator, &sites, closed, &cost, report).await?;
        }
    }
    bar.finish();
    flood(coordinator, &operator, &sites, report).await
}

/// Trains the specialist of the head.
pub(crate) async fn specialist(
    operator: &OperatorClient<Transport>,
    site: &Institution,
    folder: &Path,
) -> anyhow::Result<()> {
    submit_plan(operator, one_shot(site)).await?;
    let held = site.accept(site.offered(0).await?).await?;
    let file = folder.join("specialist");
    let blob = site.weights(&held, &file, 0).await?;
    site.upload(&file, blob).await?;
    site.submit(&held, blob).await?;
    Ok(())
}

/// Runs one round with all institutions. If wanted, it measures their heartbeats and submissions one by one.
pub(crate) async fn round(
    coordinator: &Coordinator,
    sites: &[Institution],
    number: u32,
    measure: bool,
) -> anyhow::Result<Option<Cost>> {
    let mut running = JoinSet::new();
    for (site, seed) in sites.iter().cloned().zip(0_u64..) {
        let folder = coordinator.folder().to_owned();
        running.spawn(async move {
            let held = site.accept(site.offered(number).await?).await?;
            let seed = (u64::from(number) + 1) * 1000 + seed;
            let file = folder.join(site.name.as_str());
            let blob = site.weights(&held, &file, seed).await?;
            site.upload(&file, blob).await?;
            if !measure {
                site.heartbeat(&held, progress(POINTS, 3)).await?;
                site.submit(&held, blob).await?;
            }
            anyhow::Ok((site, held, blob))
        });
    }
    let mut ready = Vec::new();
    while let Some(one) = running.join_next().await {
        ready.push(one??);
    }
    if !measure {
        return Ok(None);
    }
    let mut cost = Cost { heartbeats: Calls::default(), submissions: Calls::default() };
    for _ in 0..2 {
        for (site, held, _) in &ready {
            let call = async { Ok(site.heartbeat(held, progress(POINTS, 3)).await?) };
            cost.heartbeats.measure(coordinator, call).await?;
        }
    }
    // The last submission also closes the round, so it is not measured.
    let (last, others) = ready.split_last().context("no institutions")?;
    for (site, held, blob) in others {
        cost.submissions.measure(coordinator, site.submit(held, *blob)).await?;
    }
    last.0.submit(&last.1, last.2).await?;
    Ok(Some(cost))
}

/// Gives the measurements and starts new ones.
async fn rest(
    coordinator: &mut Coordinator,
    sites: &[Institution],
    closed: u32,
    cost: &Cost,
    report: &mut Report,
) -> anyhow::Result<()> {
    let Cost { heartbeats, submissions } = cost;
    for (what, calls) in [("heartbeat", heartbeats), ("submission", submissions)] {
        let Some(Spread { middle, high, .. }) = Spread::of(calls.took.clone()) else { continue };
        let text = format!(
            "median {} and {} written, 99 % {} ({} measured)",
            millis(middle),
            bytes(calls.written()),
            millis(high),
            calls.took.len()
        );
        report.row(&format!("{closed} closed rounds: {what}"), text);
    }
    report.footprint(&format!("{closed} closed rounds: memory"), coordinator.footprint());
    let started = coordinator.restart().await?.starting;
    report.row(&format!("{closed} closed rounds: start to ready"), millis(started));
    report.footprint(&format!("{closed} closed rounds: memory after start"), coordinator.footprint());
    report.row(&format!("{closed} closed rounds: store"), bytes(coordinator.store_size()?));
    for site in sites {
        reconnected(site).await?;
    }
    Ok(())
}

/// Sends greetings until the connection is made again.
pub(crate) async fn reconnected(site: &Institution) -> anyhow::Result<()> {
    let started = Instant::now();
    while let Err(refusal) = site.hello().await {
        ensure!(refusal.reason == Reason::Unavailable, "{refusal}");
        ensure!(started.elapsed() < Duration::from_secs(30), "{} does not connect again", site.name);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Sends heartbeats of the largest size from one institution, then from several in parallel.
async fn flood(
    coordinator: &Coordinator,
    operator: &OperatorClient<Transport>,
    sites: &[Institution],
    report: &mut Report,
) -> anyhow::Result<()> {
    let (beats, callers) = FLOOD;
    let callers = callers.min(sites.len() - 1);
    submit_plan(operator, downstream(sites.len(), 1)).await?;
    let mut held = Vec::new();
    for site in sites {
        held.push(site.accept(site.offered(0).await?).await?);
    }
    let (quiet, quiet_held) = sites.iter().zip(&held).next_back().context("no institutions")?;
    let ordinary = async || -> anyhow::Result<Vec<Duration>> {
        let mut took = Vec::new();
        for _ in 0..20 {
            took.push(quiet.heartbeat(quiet_held, progress(POINTS, 3)).await?);
        }
        Ok(took)
    };
    let size = coordinator.store_size()?;
    report.spread("another's heartbeat before", ordinary().await?);
    coordinator.most();
    let sent = send_flood(sites[0].clone(), held[0].clone(), beats).await?;
    report.row(&format!("{beats} heartbeats of the greatest size"), bytes(sent));
    report.row("the store has grown by", bytes(coordinator.store_size()?.saturating_sub(size)));
    report.spread("another's heartbeat after", ordinary().await?);
    let started = Instant::now();
    let mut running = JoinSet::new();
    for (site, held) in sites.iter().zip(&held).take(callers) {
        running.spawn(send_flood(site.clone(), held.clone(), beats));
    }
    while let Some(one) = running.join_next().await {
        one??;
    }
    report.row(&format!("{callers} such callers side by side"), seconds(started.elapsed()));
    report.footprint("most memory meanwhile", coordinator.most());
    report.row("the store has grown by", bytes(coordinator.store_size()?.saturating_sub(size)));
    report.spread("another's heartbeat after", ordinary().await?);
    Ok(())
}

async fn send_flood(site: Institution, held: Held, beats: usize) -> anyhow::Result<u64> {
    let mut sent = 0;
    for _ in 0..beats {
        let progress = progress(MAX_POINTS, FLOOD_METRICS);
        sent += held.heartbeat(progress.clone()).encoded_len() as u64;
        site.heartbeat(&held, progress).await?;
    }
    Ok(sent)
}

/// Points of a curve, each with so many of the known metrics.
fn progress(points: usize, metrics: usize) -> Progress {
    let known = METRICS.iter().filter(|metric| !metric.of_class).take(metrics);
    let metrics: BTreeMap<_, _> =
        known.map(|metric| (metric.name.to_owned(), Finite::literal(0.5))).collect();
    let point = |step| CurvePoint { step, loss: Finite::literal(0.25), metrics: metrics.clone() };
    let points = (1..=points as u64).map(point).collect();
    Progress { step: 10, steps: 1_000_000, points }
}

fn one_shot(site: &Institution) -> String {
    let plan = Plan::new(ONE_SHOT).participants(1, 1).deadline("1h").given(&["red"]);
    plan.specialists(&[("red", site.name.as_str(), &["red"])]).text()
}

pub(crate) fn downstream(institutions: usize, rounds: u32) -> String {
    let plan = Plan::new(DOWNSTREAM).participants(institutions, institutions).deadline("1h");
    let plan = plan.set("model.task", "classification").set("head.bands", vec!["red"]);
    plan.without("head.composition").rounds(rounds, "{ name = \"fed-avg\" }").text()
}
