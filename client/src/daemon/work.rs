//! The activities that need no trainer: getting the starting weights and computing statistics, with
//! the heartbeat beside them.

use std::path::PathBuf;

use eosfed_common::assignment::{BlobRef, TrainingWork, Work};
use eosfed_common::model::signature;
use eosfed_common::refusal::Refusal;
use eosfed_common::weights::WeightsFile;

use super::heart::Heart;
use super::step::{Event, Held};
use super::{Daemon, DaemonError, Flow, io_error};
use crate::coordinator::Coordinator;
use crate::imagery;
use crate::retry::{Course, course};

/// How work beside a heartbeat has ended.
pub(super) enum Beside<T> {
    /// It is done.
    Done(T),
    /// The heartbeat has brought this first.
    Event(Event),
    /// The daemon is to end.
    End,
}

/// The starting weights' file in an assignment's folder.
pub(super) const BASE: &str = "base.safetensors";

impl<C: Coordinator> Daemon<C> {
    /// Does `work` until it is done, the heartbeat brings something, or the daemon is to end.
    pub(super) async fn beside<T>(&self, heart: &mut Heart, work: impl Future<Output = T>) -> Beside<T> {
        tokio::select! {
            done = work => Beside::Done(done),
            event = heart.next() => Beside::Event(event),
            () = self.stop.raised() => Beside::End,
        }
    }

    /// The folder of the assignment in hand, made if need be.
    pub(super) fn folder(&self, held: &Held) -> Result<PathBuf, DaemonError> {
        let folder = self.parts.site.folder(&held.assignment.id);
        std::fs::create_dir_all(&folder).map_err(io_error(&folder))?;
        Ok(folder)
    }

    pub(super) async fn fetch(&mut self) -> Result<Flow, DaemonError> {
        let held = self.held();
        let Some(blob) = base(&held.assignment.work) else { return Ok(Flow::Event(Event::Fetched)) };
        let path = self.folder(&held)?.join(BASE);
        let mut heart = self.heart(&held);
        let mut failures = 0;
        loop {
            let coordinator = self.parts.coordinator.clone();
            match self.beside(&mut heart, coordinator.download(blob, &path)).await {
                Beside::End => return Ok(Flow::End),
                Beside::Event(Event::Leased(lease)) => drop(self.apply(Event::Leased(lease))?),
                Beside::Event(event) => return Ok(Flow::Event(event)),
                Beside::Done(Ok(())) => break,
                Beside::Done(Err(refusal)) => {
                    failures += 1;
                    if let Some(event) = fatal(&refusal) {
                        return Ok(Flow::Event(event));
                    }
                    tracing::warn!(%refusal, "the starting weights do not arrive; trying again");
                    if !self.pause(failures).await {
                        return Ok(Flow::End);
                    }
                }
            }
        }
        let model = held.assignment.model;
        let checked = WeightsFile::open(&path).and_then(|file| file.check(&signature(&model)).map(drop));
        Ok(Flow::Event(match checked {
            Ok(()) => Event::Fetched,
            Err(error) => Event::Failed(format!("the starting weights do not fit the model: {error}")),
        }))
    }

    pub(super) async fn measure(&mut self) -> Result<Flow, DaemonError> {
        let held = self.held();
        let (dataset, bands) = (self.parts.dataset.clone(), held.assignment.model.bands.clone());
        let mut heart = self.heart(&held);
        let mut look = tokio::task::spawn_blocking(move || imagery::moments(&dataset, &bands));
        loop {
            match self.beside(&mut heart, &mut look).await {
                Beside::End => return Ok(Flow::End),
                Beside::Event(Event::Leased(lease)) => drop(self.apply(Event::Leased(lease))?),
                Beside::Event(event) => return Ok(Flow::Event(event)),
                Beside::Done(Ok(Ok(moments))) => return Ok(Flow::Event(Event::Measured(moments))),
                Beside::Done(Ok(Err(error))) => return Ok(Flow::Event(Event::Failed(error.to_string()))),
                Beside::Done(Err(error)) => return Ok(Flow::Event(Event::Failed(error.to_string()))),
            }
        }
    }
}

fn base(work: &Work) -> Option<BlobRef> {
    match work {
        Work::Statistics => None,
        Work::Training(training) => {
            let TrainingWork { base, .. } = training.as_ref();
            *base
        }
    }
}

/// The end that a refusal means for the work, if it means one.
fn fatal(refusal: &Refusal) -> Option<Event> {
    match course(refusal.reason) {
        // A lease that has run out is the heartbeat's affair.
        Course::Retry | Course::Reaccept => None,
        Course::Abandon => Some(Event::Rejected(refusal.clone())),
        Course::Halt => Some(Event::Banned(refusal.clone())),
    }
}
