//! A store of records over a backend of ordered trees.

use std::io;
use std::ops::RangeInclusive;

use async_trait::async_trait;
use eosfed_common::ids::JobId;
use eosfed_common::ledger::{Event, EventRef};
use serde::de::DeserializeOwned;

use super::assembly::{Assembled, Assembly, Quarantined, digests};
use super::lines::write_line;
use super::records::JobStateRecord;
use super::records::{
    ablation_key, curve_key, encode, event_key, member_key, release_key, rounds_from, specialist_key,
};
use super::trees::{Each, Tree, Trees, Write};
use super::{Loaded, Store, StoreError};
use crate::domain::closed::ClosedRound;
use crate::domain::curve::{Curve, CurveId};
use crate::domain::{Change, Damaged, Federation};

/// The trees of the state, which are read at each start.
const STATE: [Tree; 10] = [
    Tree::Institutions,
    Tree::People,
    Tree::Jobs,
    Tree::JobStates,
    Tree::Rounds,
    Tree::Specialists,
    Tree::Releases,
    Tree::Ablations,
    Tree::Quarantine,
    Tree::Documents,
];

/// A store of records.
#[derive(Debug, Clone, Default)]
pub struct RecordStore<T> {
    pub(super) trees: T,
}

impl<T: Trees> RecordStore<T> {
    /// The newest readable event, and the unreadable ones after it.
    fn head(&self) -> Result<(Option<EventRef>, Vec<Damaged>), StoreError> {
        let mut damaged = Vec::new();
        let Some((last, _)) = self.trees.last(Tree::Events)? else { return Ok((None, damaged)) };
        let last: u64 = last.parse().unwrap_or_default();
        for sequence in (0..=last).rev() {
            let key = event_key(sequence);
            let Some(bytes) = self.trees.get(Tree::Events, &key)? else { continue };
            match serde_json::from_slice::<Event>(&bytes) {
                Ok(event) => return Ok((Some(event.event_ref()), damaged)),
                Err(error) => damaged.push(self::damaged(Tree::Events, &key, &error, &bytes)),
            }
        }
        Ok((None, damaged))
    }

    fn quarantine(&self, damaged: &Damaged, writes: &mut Vec<Write>) -> Result<(), StoreError> {
        let Damaged { record, reason, blobs: _ } = damaged;
        let named = record.split_once('/').and_then(|(tree, key)| Some((tree.parse::<Tree>().ok()?, key)));
        let Some((tree, key)) = named else { return Ok(()) };
        let bytes = self.trees.get(tree, key)?.unwrap_or_default();
        let apart = serde_json::to_vec(&Quarantined::of(reason, &bytes));
        let apart = apart.map_err(|error| StoreError::Backend(error.to_string()))?;
        writes.push(Write::put(Tree::Quarantine, record.clone(), apart));
        writes.push(Write::remove(tree, key.to_owned()));
        Ok(())
    }

    /// The records whose keys are between these prefixes.
    fn collect<R: DeserializeOwned>(
        &self,
        tree: Tree,
        from: &str,
        belongs: impl Fn(&str) -> bool,
    ) -> Result<Vec<R>, StoreError> {
        let mut found = Vec::new();
        self.trees.scan(tree, from, &mut |key, bytes| {
            if !belongs(key) {
                return Ok(false);
            }
            match serde_json::from_slice(bytes) {
                Ok(record) => found.push(record),
                Err(error) => return Err(StoreError::damaged(tree, key, &error)),
            }
            Ok(true)
        })?;
        Ok(found)
    }
}

fn damaged(tree: Tree, key: &str, error: &serde_json::Error, bytes: &[u8]) -> Damaged {
    Damaged { record: format!("{}/{key}", tree.name()), reason: error.to_string(), blobs: digests(bytes) }
}

#[async_trait]
impl<T: Trees> Store for RecordStore<T> {
    async fn load(&self) -> Result<Loaded, StoreError> {
        let mut assembly = Assembly::default();
        let mut damaged = Vec::new();
        for tree in STATE {
            self.trees.scan(tree, "", &mut |key, bytes| {
                if let Err(error) = assembly.take(tree, key, bytes) {
                    damaged.push(self::damaged(tree, key, &error, bytes));
                }
                Ok(true)
            })?;
        }
        for (tree, key, reason) in assembly.orphans() {
            let blobs = digests(&self.trees.get(tree, &key)?.unwrap_or_default());
            damaged.push(Damaged {
                record: format!("{}/{key}", tree.name()),
                reason: reason.to_owned(),
                blobs,
            });
        }
        let (head, events) = self.head()?;
        damaged.extend(events);
        let Assembled { federation, documents, .. } = assembly.finish();
        Ok(Loaded { federation, head, migrated_from: self.trees.migrated_from()?, damaged, documents })
    }

    async fn commit(&self, change: &Change, events: &[Event]) -> Result<(), StoreError> {
        let is_defined = |id: &JobId| Ok(self.trees.get(Tree::Jobs, id.as_str())?.is_some());
        let mut writes = Vec::new();
        for damaged in &change.quarantined {
            self.quarantine(damaged, &mut writes)?;
        }
        // Removed before the writes: the next event has the key of a damaged one.
        writes.extend(encode(change, events, is_defined)?);
        self.trees.write(writes)
    }

    async fn closed_rounds(
        &self,
        job: &JobId,
        rounds: RangeInclusive<u32>,
    ) -> Result<Vec<ClosedRound>, StoreError> {
        let from = rounds_from(job, *rounds.start());
        let own = format!("{job}/");
        let end = rounds.end().checked_add(1).map(|end| rounds_from(job, end));
        let belongs = |key: &str| key.starts_with(&own) && end.as_deref().is_none_or(|end| key < end);
        self.collect(Tree::Rounds, &from, belongs)
    }

    async fn curve(&self, id: &CurveId) -> Result<Option<Curve>, StoreError> {
        let key = curve_key(id);
        let Some(bytes) = self.trees.get(Tree::Curves, &key)? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| StoreError::damaged(Tree::Curves, &key, &error))
    }

    async fn events(&self, from: u64, most: usize) -> Result<Vec<String>, StoreError> {
        let mut lines = Vec::new();
        self.trees.scan(Tree::Events, &event_key(from), &mut |_, bytes| {
            if lines.len() < most {
                lines.push(String::from_utf8_lossy(bytes).into_owned());
            }
            Ok(lines.len() < most)
        })?;
        Ok(lines)
    }

    async fn export(
        &self,
        state: &Federation,
        head: Option<EventRef>,
        to: &mut (dyn io::Write + Send),
    ) -> Result<u64, StoreError> {
        let mut count = 0;
        let mut line = |tree: Tree, key: &str, bytes: &[u8]| {
            count += 1;
            write_line(to, tree.name(), key, bytes)
        };
        write_state(state, &mut line)?;
        let known = |closed: &ClosedRound| {
            let job = state.jobs.get(&closed.job);
            job.is_some_and(|job| job.closed.iter().any(|summary| summary.id == closed.round.id()))
        };
        self.trees.scan(Tree::Rounds, "", &mut |key, bytes| {
            let closed: ClosedRound = serde_json::from_slice(bytes)
                .map_err(|error| StoreError::damaged(Tree::Rounds, key, &error))?;
            if known(&closed) { line(Tree::Rounds, key, bytes).map(|()| true) } else { Ok(true) }
        })?;
        for tree in [Tree::Curves, Tree::Quarantine] {
            self.trees.scan(tree, "", &mut |key, bytes| line(tree, key, bytes).map(|()| true))?;
        }
        let Some(head) = head.map(|head| event_key(head.sequence)) else { return Ok(count) };
        self.trees.scan(Tree::Events, "", &mut |key, bytes| {
            line(Tree::Events, key, bytes).map(|()| key < head.as_str())
        })?;
        Ok(count)
    }
}

/// Visits the records of the state, without closed rounds and quarantined records.
fn write_state(state: &Federation, line: &mut Each<'_>) -> Result<(), StoreError> {
    let mut put = |tree: Tree, key: &str, bytes: serde_json::Result<Vec<u8>>| {
        line(tree, key, &bytes.map_err(|error| StoreError::unreadable(tree, key, error.to_string()))?)
    };
    for one in state.members.values() {
        let (tree, key) = member_key(one);
        put(tree, &key, serde_json::to_vec(one))?;
    }
    for job in state.jobs.values() {
        put(Tree::Jobs, job.id.as_str(), serde_json::to_vec(&*job.definition))?;
        put(Tree::JobStates, job.id.as_str(), serde_json::to_vec(&JobStateRecord::of(job)))?;
    }
    for card in state.registry.specialists.values() {
        put(Tree::Specialists, &specialist_key(card), serde_json::to_vec(card))?;
    }
    for release in state.registry.releases.values() {
        put(Tree::Releases, &release_key(release), serde_json::to_vec(release))?;
    }
    for ablation in state.registry.ablations.values() {
        put(Tree::Ablations, &ablation_key(ablation), serde_json::to_vec(ablation))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use eosfed_common::digest::Digest;

    use super::*;
    use crate::storage::{MemoryStore, ready};

    #[test]
    fn a_document_stays_until_a_change_removes_it() {
        let store = MemoryStore::default();
        let bytes = br#"{"head":1}"#.to_vec();
        let digest = Digest::of(&bytes);
        let put = |named: Digest| Write::put(Tree::Documents, named.to_string(), bytes.clone());
        store.trees.write(vec![put(digest), put(Digest::of(b"other"))]).unwrap();
        for _ in 0..2 {
            let Loaded { documents, damaged, .. } = ready(store.load()).unwrap();
            assert_eq!(documents, [(digest, bytes.clone())]);
            assert!(matches!(&damaged[..], [one] if one.reason.contains(&digest.to_string())), "{damaged:?}");
        }
        let change = Change { moved_documents: vec![digest], ..Change::default() };
        assert!(change.must_be_stored());
        ready(store.commit(&change, &[])).unwrap();
        assert_eq!(ready(store.load()).unwrap().documents, []);
    }
}
