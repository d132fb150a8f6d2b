//! The activities that need no trainer: getting the weights that training needs and computing
//! statistics, with the heartbeat beside them.

use std::path::{Path, PathBuf};

use eosfed_common::assignment::{BlobRef, TrainingWork, Work};
use eosfed_common::card::{CARD_FILE, ReleaseManifest, WEIGHTS_FILE};
use eosfed_common::files::write_atomically;
use eosfed_common::head::HeadOver;
use eosfed_common::ids::JobId;
use eosfed_common::refusal::Refusal;
use eosfed_common::trainee::Trainee;
use eosfed_common::weights::WeightsFile;
use serde::Serialize;

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

/// The file of the weights to start from, or to score, in an assignment's folder.
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
        let base_file = self.folder(&held)?.join(BASE);
        let base = base(&held.assignment.work);
        let mut needed: Vec<_> = base.into_iter().map(|blob| (blob, base_file.clone())).collect();
        if let Trainee::Head(over) = &held.assignment.trainee {
            needed.extend(self.make_release(&held.assignment.id.job, over)?);
        }
        let mut heart = self.heart(&held);
        for (blob, path) in &needed {
            if let Some(flow) = self.fetch_one(&mut heart, *blob, path).await? {
                return Ok(flow);
            }
        }
        if base.is_none() {
            return Ok(Flow::Event(Event::Fetched));
        }
        let signature = held.assignment.trainee.signature();
        let checked = WeightsFile::open(&base_file).and_then(|file| file.check(&signature).map(drop));
        Ok(Flow::Event(match checked {
            Ok(()) => Event::Fetched,
            Err(error) => Event::Failed(format!("the coordinator's weights do not fit the model: {error}")),
        }))
    }

    /// Downloads one blob, trying until it is here; gives what has ended that first.
    async fn fetch_one(
        &mut self,
        heart: &mut Heart,
        blob: BlobRef,
        path: &Path,
    ) -> Result<Option<Flow>, DaemonError> {
        let mut failures = 0;
        loop {
            let coordinator = self.parts.coordinator.clone();
            match self.beside(heart, coordinator.download(blob, path)).await {
                Beside::End => return Ok(Some(Flow::End)),
                Beside::Event(Event::Leased(lease)) => drop(self.apply(Event::Leased(lease))?),
                Beside::Event(event) => return Ok(Some(Flow::Event(event))),
                Beside::Done(Ok(())) => return Ok(None),
                Beside::Done(Err(refusal)) => {
                    failures += 1;
                    if let Some(event) = fatal(&refusal) {
                        return Ok(Some(Flow::Event(event)));
                    }
                    tracing::warn!(%refusal, "weights do not arrive; trying again");
                    if !self.pause(failures).await {
                        return Ok(Some(Flow::End));
                    }
                }
            }
        }
    }

    /// Lays out the folder of the release under a head, as `eosfed release pull` does, and gives the
    /// weights that belong in it. Those of other jobs go.
    fn make_release(&self, job: &JobId, over: &HeadOver) -> Result<Vec<(BlobRef, PathBuf)>, DaemonError> {
        let folder = self.parts.site.release(job);
        remove_others(&self.parts.site.releases(), &folder);
        let mut needed = Vec::new();
        for card in over.cards() {
            let place = folder.join(card.name.as_str());
            std::fs::create_dir_all(&place).map_err(io_error(&place))?;
            write_json(&place.join(CARD_FILE), card)?;
            let blob = BlobRef { digest: card.weights, size: card.weights_bytes };
            needed.push((blob, place.join(WEIGHTS_FILE)));
        }
        write_json(&folder.join(ReleaseManifest::FILE), &over.release)?;
        Ok(needed)
    }

    pub(super) async fn measure(&mut self) -> Result<Flow, DaemonError> {
        let held = self.held();
        let (dataset, bands) = (self.parts.dataset.clone(), held.assignment.trainee.bands());
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
        Work::Evaluation(evaluation) => Some(evaluation.weights),
    }
}

/// Removes what lies beside `keep`; what cannot be removed is tried again the next time.
fn remove_others(folder: &Path, keep: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path != keep) {
        if let Err(error) = std::fs::remove_dir_all(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove a release that is no longer needed");
        }
    }
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), DaemonError> {
    let json = serde_json::to_vec_pretty(value).expect("cards and manifests are plain data");
    write_atomically(path, &json).map_err(io_error(path))
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
