//! The view of what is stored.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use eosfed_common::assignment::BlobRef;
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::ids::JobId;
use eosfed_common::refusal::Refusal;
use eosfed_common::view::{JobStorage, KeptFor, MAX_PRUNED, PruneView, PrunedRound, StorageView, StoredKind};
use serde::{Deserialize, Serialize};
use strum::IntoEnumIterator as _;

use crate::domain::closed::RoundSummary;
use crate::domain::paging::{Key, PageRequest};
use crate::domain::retention::{Due, Limits};
use crate::domain::{Federation, Job};

/// What the disk says.
#[derive(Debug)]
pub struct Stored<'a> {
    /// The blobs that exist.
    pub present: &'a BTreeSet<Digest>,
    /// The sizes of those that are not known to the state: [`known_blobs`].
    pub others: &'a [u64],
    /// The number of events of the ledger.
    pub events: u64,
}

/// Jobs are listed by what they keep, those first that keep most.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StorageKey(Reverse<u64>, JobId);

impl Key for StorageKey {
    const LIST: &'static str = "what jobs keep";
}

/// The view of what is stored, with one page of the jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct StoragePage {
    /// The view.
    pub view: StorageView,
    /// The token of the next page; empty on the last.
    pub next: String,
}

/// A blob, what it is kept for, and since when.
type Reason = (KeptFor, BlobRef, Option<Timestamp>);

/// The digests of all blobs that records of the state refer to.
#[must_use]
pub fn known_blobs(state: &Federation) -> BTreeSet<Digest> {
    reasons(state).into_iter().map(|(_, blob, _)| blob.digest).collect()
}

/// The view of what is stored, with a page of the jobs that `is_listed` takes.
///
/// # Errors
/// If the key of a page cannot be encoded.
pub fn storage(
    state: &Federation,
    stored: &Stored<'_>,
    (is_listed, page): (impl Fn(&Job) -> bool, &PageRequest<StorageKey>),
    limits: &Limits,
    now: Timestamp,
) -> Result<StoragePage, Refusal> {
    let kinds = kinds(state, stored);
    let (jobs, next, more_jobs) = page.select(jobs(state, is_listed, stored.present))?;
    let view = StorageView {
        at: now,
        files: kinds.iter().map(|kind| kind.files).sum(),
        bytes: kinds.iter().map(|kind| kind.bytes).sum(),
        kinds,
        jobs,
        more_jobs: u32::try_from(more_jobs).unwrap_or(u32::MAX),
        keep_updates_for_seconds: limits.keep_for.map(|keep_for| keep_for.as_secs()),
        keep_updates_bytes: limits.most_bytes,
        next: PruneView { dry_run: true, ..prune(&state.due(limits, now)) },
        events: stored.events,
        store_bytes: None,
        backups: None,
        disk: None,
    };
    Ok(StoragePage { view, next })
}

/// The view of rounds whose weights are given up.
#[must_use]
pub fn prune(due: &[Due]) -> PruneView {
    let listed = due.iter().take(MAX_PRUNED).map(|one| PrunedRound {
        job: one.job.clone(),
        round: one.id.round,
        attempt: one.id.attempt,
        closed_at: one.closed_at,
        rule: one.rule,
        weights: one.frees.iter().map(|blob| blob.digest).collect(),
        bytes: one.bytes(),
    });
    PruneView {
        dry_run: false,
        deferred: false,
        rounds: count(due.len()),
        files: due.iter().map(|one| one.frees.len() as u64).sum(),
        bytes: due.iter().fold(0, |sum, one| sum.saturating_add(one.bytes())),
        oldest: listed.collect(),
        more: count(due.len().saturating_sub(MAX_PRUNED)),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Why blobs are kept, the most important reasons first.
fn reasons(state: &Federation) -> Vec<Reason> {
    let released: BTreeSet<Digest> = state.readable_blobs().map(|blob| blob.digest).collect();
    let mut reasons: Vec<Reason> = Vec::new();
    for card in state.registry.specialists.values() {
        let kind = if released.contains(&card.weights) {
            KeptFor::ReleasedSpecialists
        } else {
            KeptFor::Specialists
        };
        let blob = BlobRef { digest: card.weights, size: card.weights_bytes };
        reasons.push((kind, blob, Some(card.provenance.frozen_at)));
    }
    let of_heads = state.published_blobs().filter(|blob| released.contains(&blob.digest));
    let documents = state.jobs.values().filter_map(Job::document);
    reasons.extend(of_heads.chain(documents).map(|blob| (KeptFor::Heads, blob, None)));
    for job in state.jobs.values().filter(|job| !job.has_ended()) {
        let since = job.current().map(|round| round.opened_at);
        reasons.extend(job.needs().map(|blob| (KeptFor::OpenJobs, blob, since)));
    }
    for closed in state.jobs.values().flat_map(|job| job.closed.iter()) {
        let kind =
            |blob: &BlobRef| if starts(closed, blob) { KeptFor::GlobalWeights } else { KeptFor::Updates };
        let kept = closed.blobs.iter().filter(|_| closed.pruned.is_none());
        reasons.extend(kept.map(|blob| (kind(blob), *blob, Some(closed.at))));
    }
    reasons
}

/// Whether a blob of a closed round is what the round started from.
fn starts(closed: &RoundSummary, blob: &BlobRef) -> bool {
    [closed.base, closed.optimizer_state].contains(&Some(*blob))
}

fn kinds(state: &Federation, stored: &Stored<'_>) -> Vec<StoredKind> {
    let empty = |kind| (kind, StoredKind { kind, files: 0, bytes: 0, oldest: None });
    let mut kinds: BTreeMap<KeptFor, StoredKind> = KeptFor::iter().map(empty).collect();
    let mut add = |kind, size: u64, at: Option<Timestamp>| {
        let Some(row) = kinds.get_mut(&kind) else { return };
        row.files += 1;
        row.bytes = row.bytes.saturating_add(size);
        row.oldest = row.oldest.into_iter().chain(at).min();
    };
    let mut seen = BTreeSet::new();
    for (kind, blob, at) in reasons(state) {
        if stored.present.contains(&blob.digest) && seen.insert(blob.digest) {
            add(kind, blob.size, at);
        }
    }
    for size in stored.others {
        add(KeptFor::Other, *size, None);
    }
    kinds.into_values().collect()
}

/// What the closed rounds of jobs keep, the most bytes first.
fn jobs(
    state: &Federation,
    is_listed: impl Fn(&Job) -> bool,
    present: &BTreeSet<Digest>,
) -> BTreeMap<StorageKey, JobStorage> {
    let jobs = state.jobs.values().filter(|job| is_listed(job)).map(|job| of_job(job, present));
    let keyed = jobs.filter(|one| one.rounds > 0).map(|one| {
        let bytes = one.update_bytes.saturating_add(one.global_bytes);
        (StorageKey(Reverse(bytes), one.job.clone()), one)
    });
    keyed.collect()
}

fn of_job(job: &Job, present: &BTreeSet<Digest>) -> JobStorage {
    let mut row = JobStorage {
        job: job.id.clone(),
        name: job.spec.name().to_owned(),
        ended: job.has_ended(),
        rounds: 0,
        updates: 0,
        update_bytes: 0,
        global_bytes: 0,
        oldest: None,
    };
    let mut seen = BTreeSet::new();
    for closed in job.closed.iter().filter(|one| one.pruned.is_none() && !one.blobs.is_empty()) {
        row.rounds = row.rounds.saturating_add(1);
        row.oldest = row.oldest.into_iter().chain([closed.at]).min();
        let here = closed.blobs.iter().filter(|blob| present.contains(&blob.digest));
        for blob in here {
            if !seen.insert(blob.digest) {
                continue;
            }
            if starts(closed, blob) {
                row.global_bytes = row.global_bytes.saturating_add(blob.size);
            } else {
                row.updates += 1;
                row.update_bytes = row.update_bytes.saturating_add(blob.size);
            }
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::{enrolled, finished_one_shot};

    /// A job with this number whose closed rounds keep each so many bytes.
    fn keeping(number: u8, bytes: &[u64]) -> Job {
        let mut federation = Federation::default();
        federation.merge(enrolled(&["west", "east"]));
        let outcome = finished_one_shot(&federation);
        let closed = outcome.job.closed.iter().next_back().unwrap().clone();
        let mut job = outcome.job;
        Arc::make_mut(&mut job.definition).id = format!("j-{number:08x}").parse().unwrap();
        let rounds = bytes.iter().zip(0..).map(|(size, at)| {
            let blobs = vec![BlobRef { digest: Digest::of(&[number, at]), size: *size }];
            RoundSummary { blobs, ..closed.clone() }
        });
        job.closed = Arc::new(rounds.collect());
        job
    }

    #[test]
    fn jobs_are_listed_by_what_they_keep_and_then_by_id() {
        let mut federation = Federation::default();
        for job in [keeping(1, &[5, 6]), keeping(2, &[40]), keeping(3, &[]), keeping(4, &[11])] {
            federation.jobs.insert(job.id.clone(), job);
        }
        let listed = |present: &BTreeSet<Digest>| -> Vec<(String, u64)> {
            let rows = jobs(&federation, |_| true, present).into_values();
            rows.map(|one| (one.job.to_string(), one.update_bytes + one.global_bytes)).collect()
        };
        let of = |rows: &[(u8, u64)]| -> Vec<(String, u64)> {
            rows.iter().map(|(number, bytes)| (format!("j-{number:08x}"), *bytes)).collect()
        };
        let present = known_blobs(&federation);
        assert_eq!(
            listed(&present),
            of(&[(2, 40), (1, 11), (4, 11)]),
            "a job that keeps nothing is not listed"
        );
        let without_the_largest = present.into_iter().filter(|one| *one != Digest::of(&[2, 0])).collect();
        assert_eq!(listed(&without_the_largest), of(&[(1, 11), (4, 11), (2, 0)]), "files that exist count");
    }
}
