//! How long the updates and starting weights of closed rounds are kept: by age, and by what they take on
//! disk. The records of a round stay for ever, with the digests and signatures of its updates.
//!
//! What is needed otherwise is never given up, whatever the limits: weights of specialists and heads, and
//! what jobs need that have not ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use eosfed_common::assignment::BlobRef;
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::ids::JobId;
use eosfed_common::ledger::{Actor, Entry, EventKind, PruneRule};

use super::closed::{ClosedRound, RoundSummary};
use super::federation::Federation;
use super::job::Job;
use super::round::AttemptId;

/// Most digests in one event.
const MAX_DIGESTS: usize = 500;

/// Which closed rounds keep their weights.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Only the rounds of this job are looked at.
    pub job: Option<JobId>,
    /// Rounds that closed this long ago are given up.
    pub keep_for: Option<Duration>,
    /// The oldest rounds are given up until the weights of the others take at most this many bytes. What is
    /// needed otherwise does not count.
    pub most_bytes: Option<u64>,
}

/// A closed round whose weights are to be given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The job.
    pub job: JobId,
    /// The round and the attempt.
    pub id: AttemptId,
    /// When it closed.
    pub closed_at: Timestamp,
    /// The rule that it falls under.
    pub rule: PruneRule,
    /// Its blobs that nothing else needs. A blob of several rounds is listed once.
    pub frees: Vec<BlobRef>,
}

/// A closed round that keeps its weights.
#[derive(Clone, Copy)]
struct Kept<'a> {
    job: &'a JobId,
    summary: &'a RoundSummary,
}

impl Kept<'_> {
    /// Oldest first.
    const fn order(&self) -> (Timestamp, &JobId, AttemptId) {
        (self.summary.at, self.job, self.summary.id)
    }
}

impl Due {
    /// The sum of the sizes of what it frees.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        sum(&self.frees)
    }

    /// The events: one, or more of them if their digests are many.
    fn events(&self, actor: &Actor) -> Vec<Entry> {
        let pieces: Vec<&[BlobRef]> =
            if self.frees.is_empty() { vec![&[]] } else { self.frees.chunks(MAX_DIGESTS).collect() };
        let event = |piece: &[BlobRef]| {
            let kind = EventKind::RoundPruned {
                round: self.id.round,
                attempt: self.id.attempt,
                rule: self.rule,
                weights: piece.iter().map(|blob| blob.digest).collect(),
                bytes: sum(piece),
            };
            Entry::new(actor.clone(), kind).of(&self.job)
        };
        pieces.into_iter().map(event).collect()
    }
}

fn sum(blobs: &[BlobRef]) -> u64 {
    blobs.iter().fold(0, |sum, blob| sum.saturating_add(blob.size))
}

impl Federation {
    /// The closed rounds whose weights are to be given up under these limits, oldest first.
    #[must_use]
    pub fn due(&self, limits: &Limits, now: Timestamp) -> Vec<Due> {
        let needed = self.needed();
        let mut kept: Vec<_> = self.kept_rounds().collect();
        kept.sort_by(|a, b| a.order().cmp(&b.order()));
        let (looked_at, others): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|one| limits.job.as_ref().is_none_or(|job| job == one.job));
        let full = limits.most_bytes.map_or(0, |most| too_many(&looked_at, &needed, most));
        let rule = |at: usize, one: &Kept<'_>| {
            let old = limits.keep_for.is_some_and(|keep_for| now >= one.summary.at.plus(keep_for));
            if old { Some(PruneRule::Age) } else { (at < full).then_some(PruneRule::Size) }
        };
        let mut due = Vec::new();
        let mut stay = needed;
        stay.extend(others.iter().flat_map(|one| one.summary.blobs.iter().map(|blob| blob.digest)));
        for (at, one) in looked_at.into_iter().enumerate() {
            match rule(at, &one) {
                Some(rule) => due.push((one, rule)),
                None => stay.extend(one.summary.blobs.iter().map(|blob| blob.digest)),
            }
        }
        let mut due_of = |(Kept { job, summary }, rule): (Kept<'_>, PruneRule)| {
            let frees = summary.blobs.iter().copied().filter(|blob| stay.insert(blob.digest)).collect();
            Due { job: job.clone(), id: summary.id, closed_at: summary.at, rule, frees }
        };
        due.into_iter().map(&mut due_of).collect()
    }

    /// The closed rounds that have weights and have not given them up.
    fn kept_rounds(&self) -> impl Iterator<Item = Kept<'_>> {
        let rounds =
            self.jobs.values().flat_map(|job| job.closed.iter().map(|one| (&job.definition.id, one)));
        let kept = rounds.filter(|(_, one)| one.pruned.is_none() && !one.blobs.is_empty());
        kept.map(|(job, summary)| Kept { job, summary })
    }

    /// The blobs of closed rounds that are kept.
    pub fn kept_blobs(&self) -> impl Iterator<Item = BlobRef> {
        self.kept_rounds().flat_map(|one| one.summary.blobs.iter().copied())
    }

    /// The sum of the sizes of the blobs that closed rounds keep and nothing else needs.
    #[must_use]
    pub fn kept_bytes(&self) -> u64 {
        let mut seen = self.needed();
        let kept = self.kept_blobs().filter(|blob| seen.insert(blob.digest));
        kept.fold(0, |sum, blob| sum.saturating_add(blob.size))
    }
}

/// How many of these rounds, oldest first, have to go so that the others take at most `most` bytes.
fn too_many(oldest_first: &[Kept<'_>], needed: &BTreeSet<Digest>, most: u64) -> usize {
    let mut seen = BTreeSet::new();
    let mut bytes: u64 = 0;
    for (at, one) in oldest_first.iter().enumerate().rev() {
        for blob in &one.summary.blobs {
            if !needed.contains(&blob.digest) && seen.insert(blob.digest) {
                bytes = bytes.saturating_add(blob.size);
            }
        }
        if bytes > most {
            return at + 1;
        }
    }
    0
}

/// Gives up the weights of these rounds: their records, their jobs and the events.
#[must_use]
pub fn pruned(
    state: &Federation,
    rounds: Vec<(Due, ClosedRound)>,
    actor: &Actor,
    now: Timestamp,
) -> super::Change {
    let mut change = super::Change::default();
    let mut jobs: BTreeMap<JobId, Job> = BTreeMap::new();
    for (due, closed) in rounds {
        let closed = ClosedRound { pruned: Some(now), ..closed };
        let Some(job) = state.jobs.get(&due.job) else { continue };
        let job = jobs.entry(due.job.clone()).or_insert_with(|| job.clone());
        let summaries = std::sync::Arc::make_mut(&mut job.closed);
        for summary in summaries.iter_mut().filter(|one| one.id == due.id) {
            summary.pruned = Some(now);
        }
        change.events.extend(due.events(actor));
        change.rounds.push(closed);
    }
    change.jobs = jobs.into_values().collect();
    change
}

#[cfg(test)]
mod tests;
