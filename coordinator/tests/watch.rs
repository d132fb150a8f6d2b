//! Reading the rounds of a job, and watching a job, over real TLS.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use std::time::Duration;

use eosfed_common::ledger::{Event, EventKind};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::view::{
    JobProgress, JobState, JobView, ParticipantState, ParticipantView, RoundPhase, RoundView,
};
use eosfed_proto::v1;
use eosfed_proto::v1::control_job_request::Action;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_proto::v1::watch_job_response::Update;
use eosfed_transport::channel::Transport;
use eosfed_transport::status::from_status;
use eosfed_transport::wire::Wire as _;
use server::{KEY, Server, plan};
use tonic::Streaming;

type Operator = OperatorClient<Transport>;

async fn submit(operator: &mut Operator) -> String {
    let request = v1::SubmitJobRequest { plan_toml: plan(), idempotency_key: KEY.to_owned() };
    operator.submit_job(request).await.unwrap().into_inner().job
}

/// West declines in this attempt, which closes it, since no other institution is asked.
async fn refuse(server: &Server, job: &str, attempt: u32) {
    let refusal = Refusal::new(Reason::Policy, format!("not today, {attempt}")).into_message();
    let assignment = format!("{job}.0.{attempt}.west");
    let request = v1::RefuseRequest { assignment, refusal: Some(refusal) };
    ParticipantClient::new(server.client("west")).refuse(request).await.unwrap();
}

async fn parts(mut stream: Streaming<v1::RoundPart>) -> Result<Vec<v1::RoundPart>, Refusal> {
    let mut parts = Vec::new();
    while let Some(part) = stream.message().await.map_err(|status| from_status(&status))? {
        parts.push(part);
    }
    Ok(parts)
}

fn round(part: &v1::RoundPart) -> (RoundView, ParticipantView) {
    let [entry] = &part.participants[..] else { panic!("{part:?}") };
    assert_eq!(entry.institution, "west");
    let participant = serde_json::from_str(&entry.participant_json).unwrap();
    (serde_json::from_str(&part.round_json).unwrap(), participant)
}

#[tokio::test(flavor = "multi_thread")]
async fn rounds_are_read_in_order_or_one_by_one() {
    let server = Server::start().await;
    server.enrol("west").await;
    let mut operator = OperatorClient::new(server.operator());
    let job = submit(&mut operator).await;
    refuse(&server, &job, 1).await;
    refuse(&server, &job, 2).await;

    let list = |newest| v1::ListRoundsRequest { job: "latest".to_owned(), newest, curves: true };
    let all = operator.list_rounds(list(0)).await.unwrap().into_inner();
    let [first, second, open, last] = &parts(all).await.unwrap()[..] else { panic!("four parts") };
    for (place, part) in [first, second].into_iter().enumerate() {
        let (round, west) = round(part);
        assert_eq!((round.attempt, round.phase), (place as u32 + 1, RoundPhase::Incomplete));
        assert_eq!(west.state, ParticipantState::Refused);
        assert!(west.message.unwrap().contains(&format!("not today, {}", round.attempt)));
        assert!(round.closed_at.is_some());
    }
    let (current, west) = round(open);
    assert_eq!((current.attempt, current.closed_at, west.state), (3, None, ParticipantState::Offered));
    let view: JobView = serde_json::from_str(&last.job_json).unwrap();
    assert_eq!((view.id.as_str(), view.closed_rounds, view.rounds), (job.as_str(), 2, 1));

    let newest = operator.list_rounds(list(1)).await.unwrap().into_inner();
    let newest = parts(newest).await.unwrap();
    assert_eq!((newest.len(), round(&newest[0]).0.attempt), (3, 2));

    for (attempt, found) in [(0, 3), (1, 1), (2, 2), (3, 3)] {
        let request = v1::GetRoundRequest { job: job.clone(), round: 0, attempt, curves: false };
        let one = parts(operator.get_round(request).await.unwrap().into_inner()).await.unwrap();
        assert_eq!((one.len(), round(&one[0]).0.attempt), (1, found));
    }
    for (index, attempt) in [(1, 0), (0, 4), (u32::MAX, u32::MAX)] {
        let request = v1::GetRoundRequest { job: job.clone(), round: index, attempt, curves: false };
        let refusal = parts(operator.get_round(request).await.unwrap().into_inner()).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::NotFound, "{refusal}");
    }

    // Without an open round, the last attempt is the one that has closed last.
    let action = Some(Action::Cancel(v1::CancelJob {}));
    operator.control_job(v1::ControlJobRequest { job: job.clone(), action }).await.unwrap();
    let request = v1::GetRoundRequest { job: job.clone(), round: 0, attempt: 0, curves: false };
    let last = parts(operator.get_round(request).await.unwrap().into_inner()).await.unwrap();
    let all = operator.list_rounds(list(0)).await.unwrap().into_inner();
    let closed = parts(all).await.unwrap().into_iter().rfind(|part| !part.round_json.is_empty());
    assert_eq!(last, [closed.unwrap()], "{last:?}");
    assert!(round(&last[0]).0.attempt > 1, "{last:?}");
}

/// The next message of a watch.
async fn next(stream: &mut Streaming<v1::WatchJobResponse>) -> Option<Update> {
    let message = tokio::time::timeout(Duration::from_secs(20), stream.message()).await;
    message.expect("a message comes in time").unwrap().map(|message| message.update.unwrap())
}

/// The messages of a watch up to the first progress that `wanted` accepts.
async fn until(
    stream: &mut Streaming<v1::WatchJobResponse>,
    wanted: impl Fn(&JobProgress) -> bool,
) -> (Vec<&'static str>, JobProgress) {
    let mut events = Vec::new();
    loop {
        match next(stream).await.unwrap() {
            Update::Event(line) => {
                let event: Event = serde_json::from_str(&line).unwrap();
                assert_eq!(event.to_line(), line, "the line that the hash is over");
                events.push(name(&event.entry.kind));
            }
            Update::ProgressJson(json) => {
                let progress: JobProgress = serde_json::from_str(&json).unwrap();
                if wanted(&progress) {
                    return (events, progress);
                }
            }
        }
    }
}

fn name(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::JobSubmitted { .. } => "submitted",
        EventKind::RoundOpened { .. } => "opened",
        EventKind::RoundClosed { .. } => "closed",
        EventKind::AssignmentRefused { .. } => "refused",
        EventKind::JobPaused { .. } => "paused",
        other => panic!("{other:?}"),
    }
}

fn attempt(progress: &JobProgress) -> u32 {
    progress.round.as_ref().unwrap().attempt
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_sends_the_events_and_the_progress_of_its_job() {
    let server = Server::start().await;
    server.enrol("west").await;
    let mut operator = OperatorClient::new(server.operator());
    let job = submit(&mut operator).await;

    let request = v1::WatchJobRequest { job: "latest".to_owned(), from_event: 0 };
    let mut stream = operator.watch_job(request).await.unwrap().into_inner();
    let (events, progress) = until(&mut stream, |_| true).await;
    assert_eq!((events, progress.id.as_str(), attempt(&progress)), (vec![], job.as_str(), 1));
    let west = |progress: &JobProgress| progress.round.clone().unwrap().participants.into_values().next();
    assert_eq!(west(&progress).unwrap().state, ParticipantState::Offered);

    // Events of other jobs are not sent.
    server.enrol("east").await;
    refuse(&server, &job, 1).await;
    let (events, _) = until(&mut stream, |progress| attempt(progress) == 2).await;
    assert_eq!(events, ["refused", "closed", "opened"]);

    let action = Some(Action::Pause(v1::PauseJob {}));
    operator.control_job(v1::ControlJobRequest { job: job.clone(), action }).await.unwrap();
    let (events, progress) = until(&mut stream, |progress| progress.state == JobState::Paused).await;
    assert_eq!((events, progress.why.as_deref()), (vec!["paused"], Some("paused by ada")));
    assert_eq!(next(&mut stream).await, None, "a job at rest is not watched");

    // A client that reconnects asks for the events that it missed.
    let request = v1::WatchJobRequest { job, from_event: 1 };
    let mut stream = operator.watch_job(request).await.unwrap().into_inner();
    let (events, _) = until(&mut stream, |_| true).await;
    assert_eq!(events, ["submitted", "opened", "refused", "closed", "opened", "paused"]);
    let future = v1::WatchJobRequest { job: "latest".to_owned(), from_event: u64::MAX };
    let mut stream = operator.watch_job(future).await.unwrap().into_inner();
    assert_eq!(until(&mut stream, |_| true).await.0, Vec::<&str>::new());
}

/// The events of a job, as the ledger has them.
async fn ledger(operator: &mut Operator, job: &str) -> Vec<String> {
    let request = v1::ListEventsRequest { job: job.to_owned(), ..Default::default() };
    let mut stream = operator.list_events(request).await.unwrap().into_inner();
    let mut lines = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        lines.extend(message.lines);
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_sends_each_event_once_however_many_there_are() {
    let server = Server::start().await;
    server.enrol("west").await;
    let mut operator = OperatorClient::new(server.operator());
    let job = submit(&mut operator).await;
    // More events than are read from the store at once, without a gap between them.
    for number in 0..601 {
        let action = match number % 2 {
            0 => Action::Pause(v1::PauseJob {}),
            _ => Action::Resume(v1::ResumeJob {}),
        };
        let request = v1::ControlJobRequest { job: job.clone(), action: Some(action) };
        operator.control_job(request).await.unwrap();
    }
    let request = v1::WatchJobRequest { job: job.clone(), from_event: 1 };
    let mut stream = operator.watch_job(request).await.unwrap().into_inner();
    let mut sent = Vec::new();
    while let Some(update) = next(&mut stream).await {
        if let Update::Event(line) = update {
            sent.push(line);
        }
    }
    let events = ledger(&mut operator, &job).await;
    assert!(sent == events && events.len() > 600, "{} of {} events", sent.len(), events.len());
}
