//! Watching a job: its events, and the progress of its open round.

use std::time::Duration;

use eosfed_common::ids::JobId;
use eosfed_common::ledger::Filter;
use eosfed_common::refusal::Refusal;
use eosfed_common::view::JobProgress;
use eosfed_proto::v1;
use eosfed_proto::v1::watch_job_response::Update;
use eosfed_transport::status::to_status;
use tokio::sync::mpsc;
use tonic::Status;

use crate::domain::paging::document;
use crate::engine::{Core, Handle};

/// Shortest time between two checks of a job.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);
/// Events that are read from the store at once.
const MAX_EVENTS: usize = 512;
/// Most institutions in one message. With the longest message of each, that is about 1 MiB.
const MAX_PARTICIPANTS: usize = 500;

pub(super) type Sender = mpsc::Sender<Result<v1::WatchJobResponse, Status>>;

/// A watch, with the state that it has sent so far.
struct Watch {
    engine: Handle,
    id: JobId,
    sender: Sender,
    /// The sequence number of the next event.
    next: u64,
    sent: Option<JobProgress>,
}

/// Sends the progress of the job, then its events and changes, until the job is at rest or the receiver is
/// gone. Events are sent from this sequence number on, or from the newest event if it is 0.
pub(super) async fn send(engine: Handle, id: JobId, from_event: u64, sender: Sender) {
    let mut changes = engine.changes();
    let answer = sender.clone();
    let watched = async {
        let head = engine.call(async |core: &Core| Ok(core.ledger_head().await)).await?;
        let end = head.map_or(0, |head| head.sequence + 1);
        let next = if from_event == 0 { end } else { from_event.min(end) };
        let mut watch = Watch { engine, id, sender, next, sent: None };
        loop {
            changes.mark_unchanged();
            if watch.check().await? {
                return Ok(());
            }
            tokio::time::sleep(WATCH_INTERVAL).await;
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return Ok(()) },
                () = watch.sender.closed() => return Ok(()),
            }
        }
    };
    if let Err(refusal) = watched.await {
        let refusal: Refusal = refusal;
        let _ = answer.send(Err(to_status(&refusal))).await;
    }
}

impl Watch {
    /// Sends new events and changes. Gives whether the watch is over.
    async fn check(&mut self) -> Result<bool, Refusal> {
        // The job is read before its events, so that the events explain at least the state that is sent.
        let now = self.engine.progress(&self.id)?;
        self.send_events().await?;
        let change = match &self.sent {
            Some(sent) => now.since(sent),
            None => Some(now.clone()),
        };
        for part in change.into_iter().flat_map(|change| change.split(MAX_PARTICIPANTS)) {
            self.send(Update::ProgressJson(document(&part)?)).await;
        }
        let is_over = now.state.is_at_rest() || self.sender.is_closed();
        self.sent = Some(now);
        Ok(is_over)
    }

    async fn send_events(&mut self) -> Result<(), Refusal> {
        let about = Filter { job: Some(self.id.clone()), ..Filter::default() };
        loop {
            let from = self.next;
            let lines =
                self.engine.call(async move |core: &Core| core.events(from, MAX_EVENTS).await).await?;
            let is_last = lines.len() < MAX_EVENTS;
            self.next += lines.len() as u64;
            for line in lines {
                if about.matches(&line) {
                    self.send(Update::Event(line)).await;
                }
            }
            if is_last || self.sender.is_closed() {
                return Ok(());
            }
        }
    }

    async fn send(&self, update: Update) {
        // If the receiver is gone, the watch ends after this check.
        let _ = self.sender.send(Ok(v1::WatchJobResponse { update: Some(update) })).await;
    }
}
