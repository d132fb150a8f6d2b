//! Rolling restarts under load: institutions poll, upload and submit, an operator invites, and somebody
//! greets all the time, while the coordinator is ended by SIGTERM and started again. A call that fails is
//! repeated as a daemon does. Fails if an update is lost or counts twice, if an invitation that was not
//! acknowledged was made all the same, or if a restart takes longer than the drain allows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use eosfed_common::assignment::{Assignment, BlobRef, Progress};
use eosfed_common::ids::IdempotencyKey;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_transport::channel::Transport;
use eosfed_transport::wire::Wire as _;
use indicatif::MultiProgress;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::coordinator::Coordinator;
use crate::institution::{Institution, answer};
use crate::report::{Report, millis, seconds};
use crate::scene::{connect_all, finished, join_all, operator, plan, submit_plan};
use crate::updates::updates;

/// Time from SIGTERM to the end: what calls under way have, and something for a busy machine.
const MOST_DRAIN: Duration = Duration::from_secs(10 + 5);
/// How long a call is repeated.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time between two tries of a call.
const AGAIN: Duration = Duration::from_millis(50);
/// Time between two restarts.
const BETWEEN: Duration = Duration::from_millis(700);
/// Time between two greetings, and between two invitations.
const GREETING: Duration = Duration::from_millis(20);

/// What repeated calls have in common.
#[derive(Debug, Default)]
struct Shared {
    repeated: AtomicU64,
    uploading: AtomicU64,
    done: AtomicBool,
}

/// Restarts the coordinator so often while so many institutions work.
pub(crate) async fn play(program: &Path, institutions: u32, restarts: u32) -> anyhow::Result<Report> {
    let mut coordinator = Coordinator::start(program).await?;
    let played = act(&mut coordinator, institutions, restarts).await;
    played.with_context(|| format!("the end of the coordinator's log:\n{}", coordinator.log()))
}

async fn act(coordinator: &mut Coordinator, count: u32, restarts: u32) -> anyhow::Result<Report> {
    let bars = MultiProgress::new();
    let operator = operator(coordinator)?;
    // The last one only greets.
    let members = join_all(coordinator, &operator, count + 1, &bars).await?;
    let (mut institutions, _) = connect_all(coordinator, members, &bars).await?;
    let greeter = institutions.pop().context("no institution joins")?;
    let (text, target) = plan(count)?;
    let files = updates(coordinator.folder(), &target, (count, 1), &bars)?;
    let job = submit_plan(&operator, text).await?;

    let shared = Arc::<Shared>::default();
    let greeting = tokio::spawn(greet(greeter, Arc::clone(&shared)));
    let inviting = tokio::spawn(invite(operator.clone(), Arc::clone(&shared)));
    let mut working = JoinSet::new();
    for (institution, (file, weights)) in institutions.into_iter().zip(files) {
        working.spawn(work(institution, file, weights, Arc::clone(&shared)));
    }
    let restarting = async {
        while shared.uploading.load(Ordering::Relaxed) == 0 {
            sleep(AGAIN).await;
        }
        let mut ended = Vec::new();
        for _ in 0..restarts {
            ended.push(coordinator.restart().await?);
            sleep(BETWEEN).await;
        }
        anyhow::Ok(ended)
    };
    let ended = restarting.await?;
    while let Some(one) = working.join_next().await {
        one??;
    }
    finished(&operator, &job, count).await?;
    shared.done.store(true, Ordering::Relaxed);
    let gap = greeting.await??;
    let invited = inviting.await??;
    let lost = unacknowledged(&operator, &invited).await?;
    ensure!(lost.is_empty(), "these invitations were refused or lost, and made all the same: {lost:?}");

    let mut report = Report::default();
    let longest = ended.iter().map(|one| one.ending).max().unwrap_or_default();
    ensure!(longest <= MOST_DRAIN, "the drain took {}", seconds(longest));
    report.row("restarts", ended.len().to_string());
    report.spread("from SIGTERM to the end", ended.iter().map(|one| one.ending).collect());
    report.spread("from the start to ready", ended.iter().map(|one| one.starting).collect());
    report.row("longest gap between two answered greetings", millis(gap));
    report.row("calls repeated by institutions", shared.repeated.load(Ordering::Relaxed).to_string());
    let acknowledged = invited.iter().filter(|(_, acknowledged)| *acknowledged).count();
    report.row(
        "invitations",
        format!("{acknowledged} made, {} not, none of these half", invited.len() - acknowledged),
    );
    report.row("updates", format!("{count} of {count} count, each once"));
    Ok(report)
}

/// Repeats a call until it is answered, as a daemon does.
async fn again<T, F>(shared: &Shared, call: impl Fn() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let since = Instant::now();
    loop {
        let error = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let transient = error.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.reason.is_transient());
        if !transient || since.elapsed() > PATIENCE {
            return Err(error);
        }
        shared.repeated.fetch_add(1, Ordering::Relaxed);
        sleep(AGAIN).await;
    }
}

/// Waits for work, uploads and submits.
async fn work(
    institution: Institution,
    file: PathBuf,
    weights: BlobRef,
    shared: Arc<Shared>,
) -> anyhow::Result<()> {
    let one = &institution;
    let offer = loop {
        let polled = again(&shared, || async move { Ok(one.poll(0).await?) }).await.context("polling")?;
        if let Some(message) = polled.assignments.into_iter().next() {
            break Assignment::from_message(message)?;
        }
    };
    let accept = || one.accept(offer.clone());
    let held = again(&shared, accept).await.context("accepting")?;
    let beating = async {
        loop {
            let progress = Progress { step: 1, steps: 2, points: Vec::new() };
            // A heartbeat that fails is followed by the next one.
            let _ = institution.heartbeat(&held, progress).await;
            sleep(Duration::from_secs(10)).await;
        }
    };
    let sending = async {
        shared.uploading.fetch_add(1, Ordering::Relaxed);
        let file = &file;
        let upload = || async move { Ok(one.upload(file, weights).await?) };
        again(&shared, upload).await.context("uploading")?;
        let key = IdempotencyKey::random(&mut rand::rng());
        let submit = || one.submit_as(&held, weights, key.clone());
        again(&shared, submit).await.context("submitting")
    };
    tokio::select! {
        sent = sending => sent.map(drop),
        () = beating => Ok(()),
    }
}

/// Greets until all is done. Gives the longest time between two answers.
async fn greet(institution: Institution, shared: Arc<Shared>) -> anyhow::Result<Duration> {
    let mut last = Instant::now();
    let mut longest = Duration::ZERO;
    while !shared.done.load(Ordering::Relaxed) {
        match institution.hello().await {
            Ok(_) => {
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            Err(refusal) => ensure!(refusal.reason.is_transient(), "a greeting was refused: {refusal}"),
        }
        sleep(GREETING).await;
    }
    Ok(longest)
}

/// Invites institutions until all is done, none twice: an invitation cannot be repeated. Gives their names,
/// and which of them were acknowledged.
async fn invite(
    mut operator: OperatorClient<Transport>,
    shared: Arc<Shared>,
) -> anyhow::Result<Vec<(String, bool)>> {
    let mut invited = Vec::new();
    while !shared.done.load(Ordering::Relaxed) {
        let name = format!("guest-{:05}", invited.len());
        let request = v1::InviteInstitutionRequest { name: name.clone(), valid_for_seconds: 3600 };
        let acknowledged = match answer(operator.invite_institution(request).await) {
            Ok(_) => true,
            Err(refusal) => {
                ensure!(refusal.reason.is_transient(), "an invitation was refused: {refusal}");
                false
            }
        };
        invited.push((name, acknowledged));
        sleep(GREETING).await;
    }
    Ok(invited)
}

/// The names whose record does not agree with what the operator was told.
async fn unacknowledged(
    operator: &OperatorClient<Transport>,
    invited: &[(String, bool)],
) -> anyhow::Result<Vec<String>> {
    let mut lost = Vec::new();
    for (name, acknowledged) in invited {
        let request = v1::GetInstitutionRequest { name: name.clone() };
        let is_there = match answer(operator.clone().get_institution(request).await) {
            Ok(_) => true,
            Err(refusal) if refusal.reason == Reason::NotFound => false,
            Err(refusal) => return Err(refusal.into()),
        };
        if is_there != *acknowledged {
            lost.push(name.clone());
        }
    }
    Ok(lost)
}
