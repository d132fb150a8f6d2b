//! Downloading the weights that training starts from, and those of a release under a head.

use std::path::{Path, PathBuf};

use eosfed_common::assignment::{Assignment, BlobRef, TrainingWork, Work};
use eosfed_common::card::{CARD_FILE, ReleaseManifest, WEIGHTS_FILE};
use eosfed_common::files::write_atomically;
use eosfed_common::head::HeadOver;
use eosfed_common::ids::JobId;
use eosfed_common::model::signature;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::training_target::TrainingTarget;
use eosfed_common::weights::{Signature, WeightsFile};
use serde::Serialize;

use super::budget::missing_bytes;
use super::disk_space;
use super::environment::{DaemonError, Environment};
use super::heartbeat::HeartbeatTask;
use super::run::{Daemon, Flow};
use super::step::Event;
use super::supervise::Supervised;
use crate::budgets::Direction;
use crate::condition::LocalCondition;
use crate::coordinator::Coordinator as _;
use crate::retry::{Recovery, recovery};

/// The file of the weights to start from, or to score, in an assignment's folder.
pub(super) const BASE: &str = "base.safetensors";

impl<E: Environment> Daemon<E> {
    pub(super) async fn fetch(&mut self) -> Result<Flow, DaemonError> {
        let held = self.held();
        let base_file = self.folder(&held)?.join(BASE);
        let base = base(&held.assignment.work);
        let mut needed: Vec<_> = base.into_iter().map(|blob| (blob, base_file.clone())).collect();
        if let TrainingTarget::Head(over) = &held.assignment.training_target {
            needed.extend(self.make_release(&held.assignment.id.job, over)?);
        }
        let mut heartbeats = self.heartbeats(&held);
        for (blob, path) in &needed {
            if let Some(flow) = self.fetch_one(&mut heartbeats, *blob, path).await? {
                return Ok(flow);
            }
        }
        if base.is_none() {
            return Ok(Flow::Event(Event::Fetched));
        }
        let signature = signature_of_base(&held.assignment);
        let checked = WeightsFile::open(&base_file).and_then(|file| file.check(&signature).map(drop));
        Ok(Flow::Event(match checked {
            Ok(()) => Event::Fetched,
            Err(error) => {
                let message = format!("the coordinator's weights do not fit the model: {error}");
                Event::Failed(Refusal::new(Reason::Internal, message))
            }
        }))
    }

    /// Downloads one blob, with as many tries as it takes. Returns the event that ended this early.
    async fn fetch_one(
        &mut self,
        heartbeats: &mut HeartbeatTask,
        blob: BlobRef,
        path: &Path,
    ) -> Result<Option<Flow>, DaemonError> {
        if let Some(full) = self.no_room_for(blob, path) {
            return Ok(Some(Flow::Event(self.blocked(full))));
        }
        let coordinator = self.parts.coordinator.clone();
        let job = self.held().assignment.id.job;
        let mut failures = 0;
        loop {
            let needed = missing_bytes(blob, path);
            if let Some(event) = self.take_download(&job, needed)? {
                return Ok(Some(Flow::Event(event)));
            }
            let supervised = self.supervise(heartbeats, coordinator.download(blob, path)).await;
            let useless = matches!(&supervised, Ok(Supervised::Done(Err(refusal)))
                if matches!(refusal.reason, Reason::DigestMismatch | Reason::TooLarge));
            // What was of no use and was removed has arrived all the same.
            let left = if useless { 0 } else { missing_bytes(blob, path).min(needed) };
            self.budgets.give_back_bytes(&job, Direction::Down, left)?;
            let refusal = match supervised? {
                Supervised::Interrupted(flow) => return Ok(Some(flow)),
                Supervised::Done(Ok(())) => return Ok(None),
                Supervised::Done(Err(refusal)) => refusal,
            };
            tracing::warn!(%refusal, "the download has failed; trying again");
            if let Some(event) = self.after_failed_download(&refusal, blob, path) {
                return Ok(Some(Flow::Event(event)));
            }
            failures += 1;
            let delay = self.delay(failures);
            if let Supervised::Interrupted(flow) =
                self.supervise(heartbeats, tokio::time::sleep(delay)).await?
            {
                return Ok(Some(flow));
            }
        }
    }

    /// The condition of a disk that has no space for what is left of a blob.
    fn no_room_for(&self, blob: BlobRef, path: &Path) -> Option<LocalCondition> {
        let needed = missing_bytes(blob, path);
        let folder = path.parent()?;
        disk_space::check(&*self.parts.disk, folder, "the download", needed).err()
    }

    /// What a failed download means for the work, unless it is tried again.
    fn after_failed_download(&self, refusal: &Refusal, blob: BlobRef, path: &Path) -> Option<Event> {
        if refusal.reason == Reason::StorageFull
            && let Some(full) = self.no_room_for(blob, path)
        {
            return Some(self.blocked(full));
        }
        match recovery(refusal.reason) {
            // The heartbeats ask again for a lease that has run out.
            Recovery::Retry | Recovery::Reaccept => None,
            Recovery::Abandon => Some(Event::Rejected(refusal.clone())),
            Recovery::Halt => Some(Event::Banned(refusal.clone())),
        }
    }

    /// Makes the folder of the release under a head, as `eosfed release pull` does, and returns the weights
    /// that belong in it. The releases of jobs that are not in hand are removed.
    fn make_release(&self, job: &JobId, over: &HeadOver) -> Result<Vec<(BlobRef, PathBuf)>, DaemonError> {
        let folder = self.parts.site.release(job);
        let held = self.lane.lanes.held();
        let keep: Vec<PathBuf> = held.iter().map(|one| self.parts.site.release(&one.id.job)).collect();
        remove_others(&self.parts.site.releases(), &keep);
        std::fs::create_dir_all(&folder).map_err(DaemonError::io(&folder))?;
        let mut needed = Vec::new();
        for card in over.cards() {
            let place = folder.join(card.name.as_str());
            std::fs::create_dir_all(&place).map_err(DaemonError::io(&place))?;
            write_json(&place.join(CARD_FILE), card)?;
            let blob = BlobRef { digest: card.weights, size: card.weights_bytes };
            needed.push((blob, place.join(WEIGHTS_FILE)));
        }
        write_json(&folder.join(ReleaseManifest::FILE), &over.release)?;
        Ok(needed)
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

/// Names and shapes of the weights to start from, or to score.
fn signature_of_base(assignment: &Assignment) -> Signature {
    match (&assignment.work, &assignment.training_target) {
        (Work::Training(work), TrainingTarget::Specialist(model)) => signature(work.network_of_base(model)),
        (_, target) => target.signature(),
    }
}

/// Removes everything beside `keep`. A failed removal is tried again the next time.
fn remove_others(folder: &Path, keep: &[PathBuf]) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| !keep.contains(path)) {
        if let Err(error) = std::fs::remove_dir_all(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove a release that is no longer needed");
        }
    }
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), DaemonError> {
    let json = serde_json::to_vec_pretty(value).expect("cards and manifests are plain data");
    write_atomically(path, &json).map_err(DaemonError::io(path))
}
