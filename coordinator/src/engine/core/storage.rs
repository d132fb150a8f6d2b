//! What is stored, and what is removed: the weights of closed rounds beyond the limits of retention, and
//! blobs that nothing needs.

use std::collections::BTreeSet;

use eosfed_common::digest::Digest;
use eosfed_common::ledger::{Actor, Entry, EventKind};
use eosfed_common::refusal::Refusal;

use super::{Core, defect, lock};
use crate::domain::listing::StoredJobs;
use crate::domain::retention::{Due, Limits, pruned};
use crate::domain::view::{self, StoragePage, Stored};
use crate::domain::{Change, ClosedRound, Federation, Job};
use crate::storage::{BlobError, Presence, StoreError};

/// Most rounds whose weights are given up in one transaction.
const BATCH: usize = 200;

impl Core {
    /// Gives up the weights of closed rounds beyond these limits, oldest first, and records it. The blobs
    /// that nothing else needs are removed by the next [`Core::sweep`]; if the process ends before, by the
    /// one of the next start.
    ///
    /// # Errors
    /// If the store fails. What was given up before stays so.
    pub async fn prune(&self, limits: &Limits, actor: &Actor) -> Result<Vec<Due>, Refusal> {
        let mut all = Vec::new();
        loop {
            let batch = self.prune_batch(limits, actor).await?;
            if batch.is_empty() {
                return Ok(all);
            }
            all.extend(batch);
        }
    }

    async fn prune_batch(&self, limits: &Limits, actor: &Actor) -> Result<Vec<Due>, Refusal> {
        let mut writer = self.lock_writer().await;
        let now = self.now();
        let mut due = self.read(|state| state.due(limits, now));
        due.truncate(BATCH);
        let mut rounds = Vec::new();
        for one in &due {
            rounds.push((one.clone(), self.closed_record(one).await?));
        }
        let change = self.read(|state| pruned(state, rounds, actor, now));
        match self.store_change(&mut writer, change.clone(), now).await {
            // A full disk takes no record before something was removed. What is due stays so until it is
            // recorded.
            Err(StoreError::Full) if lock(&self.busy).is_empty() => {
                self.remove_all(due.iter().flat_map(|one| &one.frees).map(|blob| blob.digest)).await?;
                self.store_change(&mut writer, change, now).await?;
            }
            other => other?,
        }
        Ok(due)
    }

    async fn closed_record(&self, due: &Due) -> Result<ClosedRound, Refusal> {
        let closed = self.store.closed_rounds(&due.job, due.id.round..=due.id.round).await?;
        closed.into_iter().find(|one| one.round.id() == due.id).ok_or_else(|| {
            let what = format!("round {} of job {}", u64::from(due.id.round) + 1, due.job);
            defect("a closed round has no record", &what)
        })
    }

    /// What is stored, and what the next sweep gives up.
    ///
    /// # Errors
    /// If the disk fails.
    pub async fn stored(&self, listed: &StoredJobs) -> Result<StoragePage, Refusal> {
        let present: BTreeSet<Digest> = self.blobs.list().await?.into_iter().collect();
        let known: BTreeSet<Digest> = self.read(view::known_blobs);
        let mut others = Vec::new();
        for digest in present.difference(&known) {
            // It may have been removed meanwhile.
            if let Presence::Complete(size) = self.blobs.stat("", *digest).await? {
                others.push(size);
            }
        }
        let events = self.ledger_head().await.map_or(0, |head| head.sequence + 1);
        let stored = Stored { present: &present, others: &others, events };
        let StoredJobs { filter, page } = listed;
        let jobs = (|job: &Job| filter.matches(job), page);
        self.read(|state| view::storage(state, &stored, jobs, &self.options.retention, self.now()))
    }

    /// Which closed rounds keep their weights, by the settings.
    pub const fn retention(&self) -> &Limits {
        &self.options.retention
    }

    /// Whether blobs can be removed now: not while a task is being computed, since no record refers to its
    /// result yet.
    pub fn may_remove(&self) -> bool {
        lock(&self.busy).is_empty()
    }

    /// Gives up the weights of closed rounds beyond the limits in the settings. Then removes the blobs that
    /// are not needed, and uploads that were not continued or submitted for longer than the settings allow;
    /// gives the number of removed blobs. It removes nothing while a task is being computed, since no record
    /// refers to its result yet. It holds the write lock, so that no submission comes in between.
    pub async fn sweep(&self) -> usize {
        if let Err(error) = self.prune(&self.options.retention, &Actor::Coordinator).await {
            tracing::warn!(%error, "cannot give up the weights of closed rounds");
        }
        let mut writer = self.lock_writer().await;
        let mut removed = 0;
        if let Err(error) = self.remove_unneeded(&mut removed).await {
            tracing::warn!(%error, "cannot remove blobs that are no longer needed");
        }
        if removed > 0 {
            let kind = EventKind::BlobsRemoved { blobs: removed as u64 };
            let change = Change::noted(Entry::new(Actor::Coordinator, kind));
            if let Err(error) = self.store_change(&mut writer, change, self.now()).await {
                tracing::warn!(%error, removed, "cannot record the removal of blobs");
            }
        }
        removed
    }

    async fn remove_unneeded(&self, removed: &mut usize) -> Result<(), BlobError> {
        let all = self.blobs.list().await?;
        // All of this is done after the list was made, so newer blobs are not in it. If the result of a task
        // is in it, that task cannot end without the write lock.
        if !self.may_remove() {
            return Ok(());
        }
        self.blobs.drop_stale_uploads(self.options.keep_uploads_for).await?;
        let mut needed = self.referenced();
        needed.extend(self.blobs.pinned().await?);
        for digest in all.into_iter().filter(|digest| !needed.contains(digest)) {
            self.blobs.remove(digest).await?;
            *removed += 1;
        }
        Ok(())
    }

    async fn remove_all(&self, digests: impl Iterator<Item = Digest>) -> Result<(), BlobError> {
        let pinned: BTreeSet<Digest> = self.blobs.pinned().await?.into_iter().collect();
        for digest in digests.filter(|digest| !pinned.contains(digest)) {
            self.blobs.remove(digest).await?;
        }
        Ok(())
    }

    /// Removes a blob at once, unless a record refers to it.
    pub(super) async fn remove_unless_needed(&self, digest: Digest) {
        let _writer = self.lock_writer().await;
        if !self.referenced().contains(&digest)
            && let Err(error) = self.blobs.remove(digest).await
        {
            tracing::warn!(%error, "cannot remove a blob that is no longer needed");
        }
    }

    pub(super) fn referenced(&self) -> BTreeSet<Digest> {
        self.read(Federation::referenced)
    }
}
