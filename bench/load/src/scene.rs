//! The course of the measurement: all institutions join, connect and wait; a job asks some of them; they
//! upload their weights at the same instant and submit them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use eosfed_common::assignment::{Assignment, BlobRef, Offered};
use eosfed_common::clock::{Clock as _, SystemClock, Timestamp};
use eosfed_common::ids::{IdempotencyKey, InstitutionName};
use eosfed_common::model::Backbone;
use eosfed_common::plan::JobSpec;
use eosfed_common::training_target::TrainingTarget;
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_testkit::plans::{Plan, ROUNDS};
use eosfed_transport::channel::{Transport, open};
use eosfed_transport::meter::Meter;
use eosfed_transport::wire::Wire as _;
use indicatif::{MultiProgress, ProgressBar};
use tokio::sync::{Barrier, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::coordinator::Coordinator;
use crate::crowd::Crowd;
use crate::institution::{Institution, Member, answer, enroll};
use crate::probe::Probes;
use crate::progress::{COUNTED, IN_BYTES, bar};
use crate::report::{Report, seconds};
use crate::updates::updates;

/// Institutions that join or connect at the same time.
const AT_ONCE: usize = 64;
/// Institutions that join at once. They have no certificate yet, and all have one address here, from
/// which a coordinator accepts 16 such connections.
const JOINING: usize = 8;
/// Duration of the idle phase, in which all institutions only wait.
pub(crate) const IDLE_TIME: Duration = Duration::from_secs(10);

/// How many there are of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Institutions that are connected.
    pub(crate) idle: u32,
    /// Those of them that upload.
    pub(crate) uploading: u32,
    /// Hostile connections during the uploads.
    pub(crate) hostile: u16,
}

/// Runs the measurement and returns its results.
pub(crate) async fn play(program: &Path, load: Load) -> anyhow::Result<Report> {
    let mut coordinator = Coordinator::start(program).await?;
    let hostile = program.with_file_name("eosfed-hostile");
    let played = act(&coordinator, &hostile, load).await;
    let alive = coordinator.running();
    played.with_context(|| {
        let state = if alive { "runs" } else { "has ended" };
        format!("the coordinator {state}; the end of its log:\n{}", coordinator.log())
    })
}

async fn act(coordinator: &Coordinator, hostile: &Path, load: Load) -> anyhow::Result<Report> {
    let Load { idle, uploading, hostile: enemies } = load;
    let mut report = Report::default();
    let bars = MultiProgress::new();
    let operator = operator(coordinator)?;
    report.footprint("coordinator alone", coordinator.footprint());

    let started = Instant::now();
    let enrolled = join_all(coordinator, &operator, idle, &bars).await?;
    let newcomer = enrolled.last().context("no institution joins")?.clone();
    report.row(&format!("{idle} institutions joined in"), seconds(started.elapsed()));
    let started = Instant::now();
    let (institutions, greeted) = connect_all(coordinator, enrolled, &bars).await?;
    report.row(&format!("{idle} connections made in"), seconds(started.elapsed()));
    report.spread("TLS and a greeting", greeted);

    let (offers, mut offered) = mpsc::unbounded_channel();
    let mut waiting = JoinSet::new();
    for institution in &institutions {
        waiting.spawn(wait_for_work(institution.clone(), offers.clone()));
    }
    drop(offers);
    let training_target = plan(uploading)?.1;
    let updates = updates(coordinator.folder(), &training_target, (uploading, 1), &bars)?;
    coordinator.most();
    let used = coordinator.processor_seconds();
    tokio::time::sleep(IDLE_TIME).await;
    let busy = (coordinator.processor_seconds() - used) / IDLE_TIME.as_secs_f64() * 100.0;
    report.footprint(&format!("{idle} waiting"), coordinator.most());
    report.row("processor while they wait", format!("{busy:.1} % of one"));

    let crowd = Crowd::of(hostile, coordinator, &operator, enemies).await?;
    let job = submit_plan(&operator, plan(uploading)?.0).await?;
    let mut received = Vec::new();
    while received.len() < updates.len() {
        let offer = tokio::select! {
            offer = offered.recv() => offer.context("nobody waits any more")?,
            ended = waiting.join_next() => {
                anyhow::bail!("an institution has stopped waiting: {ended:?}")
            }
        };
        received.push(offer);
    }
    let opened = opened_at(&operator, &job).await?;
    report.spread(
        "from the opened round to the offer",
        received.iter().map(|one| one.2.since(opened)).collect(),
    );

    let last = institutions.last().context("no institution is connected")?.clone();
    let probes = Probes::start(last, newcomer, coordinator.url());
    let used = coordinator.processor_seconds();
    let sent = send_all(received, updates, &bars).await?;
    report.spread("accepting, all at once", sent.accepted);
    let bytes: u64 = sent.bytes;
    let took = sent.took.as_secs_f64();
    let megabytes = bytes as f64 / 1e6;
    report.row(
        &format!("{uploading} uploads, {megabytes:.0} MB in all"),
        format!("{}, {:.0} MB/s", seconds(sent.took), megabytes / took),
    );
    report.spread("each upload", sent.uploaded);
    report.spread("handing in", sent.submitted);
    let started = Instant::now();
    finished(&operator, &job, uploading).await?;
    report.row("aggregated after the last", seconds(started.elapsed()));
    probes.end(&mut report)?;
    if let Some(crowd) = crowd {
        crowd.end(&mut report).await?;
    }
    report.row(
        "processor for uploads and aggregate",
        format!("{:.1} s", coordinator.processor_seconds() - used),
    );
    report.footprint("most at any time in it", coordinator.most());
    ensure!(waiting.try_join_next().is_none(), "an institution has stopped waiting");
    tokio::time::sleep(Duration::from_secs(3)).await;
    report.footprint("a while after", coordinator.footprint());
    Ok(report)
}

pub(crate) fn operator(coordinator: &Coordinator) -> anyhow::Result<OperatorClient<Transport>> {
    let (pair, ca_pem) = coordinator.operator()?;
    let transport = open(coordinator.url(), &ca_pem, Some(&pair), Meter::default())?;
    Ok(OperatorClient::new(transport).max_decoding_message_size(64 << 20))
}

fn name(number: u32) -> anyhow::Result<InstitutionName> {
    Ok(format!("site-{number:05}").parse()?)
}

/// Runs tasks, a few at a time, and returns their results. The first failure ends it.
async fn gather<T: Send + 'static>(
    tasks: impl Iterator<Item = impl Future<Output = anyhow::Result<T>> + Send + 'static>,
    at_once: usize,
    bar: &ProgressBar,
) -> anyhow::Result<Vec<T>> {
    let permits = Arc::new(Semaphore::new(at_once));
    let mut running = JoinSet::new();
    for task in tasks {
        let permits = Arc::clone(&permits);
        running.spawn(async move {
            let _permit = permits.acquire().await?;
            task.await
        });
    }
    let mut done = Vec::new();
    while let Some(one) = running.join_next().await {
        done.push(one??);
        bar.inc(1);
    }
    bar.finish();
    Ok(done)
}

pub(crate) async fn join_all(
    coordinator: &Coordinator,
    operator: &OperatorClient<Transport>,
    count: u32,
    bars: &MultiProgress,
) -> anyhow::Result<Vec<Member>> {
    let names = (0..count).map(name).collect::<anyhow::Result<Vec<_>>>()?;
    let tasks = names.into_iter().map(|name| {
        let operator = operator.clone();
        let url = coordinator.url().to_owned();
        async move { enroll(operator, &url, name).await }
    });
    gather(tasks, JOINING, &bar(bars, "joining", u64::from(count), COUNTED)).await
}

pub(crate) async fn connect_all(
    coordinator: &Coordinator,
    enrolled: Vec<Member>,
    bars: &MultiProgress,
) -> anyhow::Result<(Vec<Institution>, Vec<Duration>)> {
    let bar = bar(bars, "connecting", enrolled.len() as u64, COUNTED);
    let tasks = enrolled.into_iter().map(|one| {
        let url = coordinator.url().to_owned();
        async move { one.connect(&url).await }
    });
    let mut all = gather(tasks, AT_ONCE, &bar).await?;
    // The last institution does not upload.
    all.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    Ok(all.into_iter().unzip())
}

/// An offer: its institution, its work and its time.
pub(crate) type Offer = (Institution, Assignment<Offered>, Timestamp);

/// Polls for work, as a daemon does. Ends only when something is refused.
pub(crate) async fn wait_for_work(
    institution: Institution,
    offers: mpsc::UnboundedSender<Offer>,
) -> anyhow::Result<()> {
    let mut seen = 0;
    let mut offered = false;
    loop {
        let v1::PollResponse { revision, assignments } =
            institution.poll(seen).await.with_context(|| format!("{} polls", institution.name))?;
        seen = revision;
        let Some(message) = assignments.into_iter().next().filter(|_| !offered) else { continue };
        offered = true;
        // The receiver is dropped once all institutions have been asked.
        let _ = offers.send((institution.clone(), Assignment::from_message(message)?, SystemClock.now()));
    }
}

/// A job that asks the first `uploading` institutions, and its model.
pub(crate) fn plan(uploading: u32) -> anyhow::Result<(String, TrainingTarget)> {
    plan_of(uploading, Backbone::Atto, 1)
}

/// The same with another network and number of rounds.
pub(crate) fn plan_of(
    uploading: u32,
    backbone: Backbone,
    rounds: u32,
) -> anyhow::Result<(String, TrainingTarget)> {
    let names = (0..uploading).map(|number| Ok(name(number)?.to_string()));
    let names = names.collect::<anyhow::Result<Vec<_>>>()?;
    let bands = ["red", "green", "blue"];
    let text = Plan::new(ROUNDS)
        .set("name", "load")
        .set("model.backbone", backbone.to_string())
        .without("release")
        .shared("load", &bands)
        .given(&bands)
        .participants(names.len(), names.len())
        .set("participation.institutions", names)
        .without("participation.lease_expiries")
        .deadline("1h")
        .rounds(rounds, "{ name = \"fed-avg\" }")
        .unchecked();
    let JobSpec::Rounds(spec) = JobSpec::parse(&text)? else { bail!("the plan is one of rounds") };
    Ok((text, TrainingTarget::Specialist(spec.model())))
}

/// Submits a plan and gives the job's id.
pub(crate) async fn submit_plan(
    operator: &OperatorClient<Transport>,
    plan_toml: String,
) -> anyhow::Result<String> {
    let idempotency_key = IdempotencyKey::random(&mut rand::rng()).to_string();
    let request = v1::SubmitJobRequest { plan_toml, idempotency_key };
    Ok(answer(operator.clone().submit_job(request).await)?.job)
}

async fn job(operator: &OperatorClient<Transport>, job: &str) -> anyhow::Result<serde_json::Value> {
    let request = v1::GetJobRequest { job: job.to_owned() };
    Ok(serde_json::from_str(&answer(operator.clone().get_job(request).await)?.job_json)?)
}

async fn opened_at(operator: &OperatorClient<Transport>, id: &str) -> anyhow::Result<Timestamp> {
    let (round, _) = first_round(operator, id).await?;
    Ok(Timestamp(round["opened_at"].as_u64().context("a round has opened")?))
}

/// How long sending took.
struct Sent {
    took: Duration,
    bytes: u64,
    accepted: Vec<Duration>,
    uploaded: Vec<Duration>,
    submitted: Vec<Duration>,
}

/// All institutions accept. After that, all upload and submit at once.
async fn send_all(
    offers: Vec<Offer>,
    updates: Vec<(PathBuf, BlobRef)>,
    bars: &MultiProgress,
) -> anyhow::Result<Sent> {
    let bytes = updates.iter().map(|(_, blob)| blob.size).sum();
    let bar = bar(bars, "uploading", bytes, IN_BYTES);
    let ready = Arc::new(Barrier::new(offers.len()));
    let mut running = JoinSet::new();
    for ((institution, assignment, _), (file, weights)) in offers.into_iter().zip(updates) {
        let ready = Arc::clone(&ready);
        let bar = bar.clone();
        running.spawn(async move {
            let started = Instant::now();
            let held = institution.accept(assignment).await?;
            let accepted = started.elapsed();
            ready.wait().await;
            let began = Instant::now();
            let sending = async {
                let uploaded = institution.upload(&file, weights).await?;
                bar.inc(weights.size);
                let submitted = institution.submit(&held, weights).await?;
                anyhow::Ok((began, accepted, uploaded, submitted))
            };
            institution.holding(&held, sending).await
        });
    }
    let mut began = None::<Instant>;
    let mut sent = Vec::new();
    while let Some(one) = running.join_next().await {
        let (start, accepted, uploaded, submitted) = one??;
        began = Some(began.map_or(start, |known| known.min(start)));
        sent.push((accepted, uploaded, submitted));
    }
    bar.finish();
    let took = began.map(|began| began.elapsed()).unwrap_or_default();
    let accepted = sent.iter().map(|one| one.0).collect();
    let (uploaded, submitted) = sent.iter().map(|one| (one.1, one.2)).unzip();
    Ok(Sent { took, bytes, accepted, uploaded, submitted })
}

/// The first round of a job without its participants, and its participants.
async fn first_round(
    operator: &OperatorClient<Transport>,
    job: &str,
) -> anyhow::Result<(serde_json::Value, Vec<serde_json::Value>)> {
    let request = v1::GetRoundRequest { job: job.to_owned(), ..Default::default() };
    let mut parts = answer(operator.clone().get_round(request).await)?;
    let first = parts.message().await?.context("a job that was submitted has a round")?;
    let round = serde_json::from_str(&first.round_json)?;
    let mut participants = Vec::new();
    let mut next = Some(first);
    while let Some(part) = next {
        for entry in part.participants {
            participants.push(serde_json::from_str(&entry.participant_json)?);
        }
        next = parts.message().await?;
    }
    Ok((round, participants))
}

/// Waits for the job's end, and checks that every update counts.
pub(crate) async fn finished(
    operator: &OperatorClient<Transport>,
    id: &str,
    uploading: u32,
) -> anyhow::Result<()> {
    loop {
        let found = job(operator, id).await?;
        match found["state"].as_str() {
            Some("finished") => {
                let (_, participants) = first_round(operator, id).await?;
                let counted = participants.iter().filter(|one| one["state"] == "submitted").count();
                ensure!(counted == uploading as usize, "{counted} of {uploading} updates count");
                return Ok(());
            }
            Some("running" | "aggregating") => tokio::time::sleep(Duration::from_millis(100)).await,
            other => anyhow::bail!("the job is {other:?}: {}", found["why"]),
        }
    }
}
