//! Assembling the state from records.

use std::collections::BTreeMap;
use std::sync::Arc;

use eosfed_common::digest::Digest;
use eosfed_common::ids::JobId;
use eosfed_common::ledger::{Broken, Event, Verified, Verifier};
use serde::{Deserialize, Serialize};

use super::records::JobStateRecord;
use super::trees::Tree;
use crate::domain::closed::{ClosedRound, RoundSummary};
use crate::domain::curve::Curve;
use crate::domain::job::JobDefinition;
use crate::domain::spent::Spent;
use crate::domain::{Change, Damaged, Federation, Job};

/// The number of records of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Institutions.
    pub institutions: u64,
    /// Operators and readers.
    #[serde(default)]
    pub people: u64,
    /// Jobs.
    pub jobs: u64,
    /// Closed rounds, each attempt.
    #[serde(default)]
    pub rounds: u64,
    /// Training curves.
    #[serde(default)]
    pub curves: u64,
    /// Specialists, each version.
    pub specialists: u64,
    /// Releases.
    pub releases: u64,
    /// Ablations of heads over releases.
    #[serde(default)]
    pub ablations: u64,
    /// Events of the ledger.
    #[serde(default)]
    pub events: u64,
    /// Quarantined records.
    #[serde(default)]
    pub quarantined: u64,
}

/// A quarantined record, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Quarantined {
    /// What is wrong with it.
    pub(super) reason: String,
    /// Its bytes, as hexadecimal digits.
    pub(super) bytes: String,
}

impl Quarantined {
    pub(super) fn of(reason: &str, bytes: &[u8]) -> Self {
        let bytes = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { reason: reason.to_owned(), bytes }
    }

    fn bytes(&self) -> Vec<u8> {
        let pairs = self.bytes.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        pairs.filter_map(byte).collect()
    }
}

/// The digests that a record's bytes mention.
pub(super) fn digests(bytes: &[u8]) -> Vec<Digest> {
    const LONG: usize = "sha256:".len() + 64;
    let text = String::from_utf8_lossy(bytes);
    let starts = text.match_indices("sha256:").map(|(at, _)| at);
    starts.filter_map(|at| text.get(at..at + LONG)?.parse().ok()).collect()
}

/// Collects records in any order. Closed rounds are reduced to their summaries at once.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    state: Change,
    definitions: BTreeMap<JobId, JobDefinition>,
    states: BTreeMap<JobId, JobStateRecord>,
    rounds: BTreeMap<JobId, (Vec<RoundSummary>, Spent)>,
    quarantined: Vec<Damaged>,
    documents: Vec<(Digest, Vec<u8>)>,
    verifier: Verifier,
    broken: Option<Broken>,
    counts: Counts,
}

/// The assembled state.
#[derive(Debug, Default)]
pub struct Assembled {
    /// The federation.
    pub federation: Federation,
    /// The number of records of each kind.
    pub counts: Counts,
    /// The events, up to the first break of the chain.
    pub ledger: Verified,
    /// The first break of the chain of events.
    pub broken: Option<Broken>,
    /// Documents that must become blobs, by digest.
    pub documents: Vec<(Digest, Vec<u8>)>,
}

impl Assembly {
    /// Adds a record.
    ///
    /// # Errors
    /// If it is not a record of its tree.
    pub(super) fn take(&mut self, tree: Tree, key: &str, bytes: &[u8]) -> Result<(), serde_json::Error> {
        let Self { state, counts, .. } = self;
        match tree {
            Tree::Institutions => {
                state.members.push(serde_json::from_slice(bytes)?);
                counts.institutions += 1;
            }
            Tree::People => {
                state.members.push(serde_json::from_slice(bytes)?);
                counts.people += 1;
            }
            Tree::Jobs => {
                let definition: JobDefinition = serde_json::from_slice(bytes)?;
                self.definitions.insert(definition.id.clone(), definition);
                counts.jobs += 1;
            }
            Tree::JobStates => {
                let state: JobStateRecord = serde_json::from_slice(bytes)?;
                self.states.insert(state.id().clone(), state);
            }
            Tree::Rounds => {
                let closed: ClosedRound = serde_json::from_slice(bytes)?;
                let (rounds, spent) = self.rounds.entry(closed.job.clone()).or_default();
                rounds.push(closed.summary());
                spent.add(&closed);
                counts.rounds += 1;
            }
            Tree::Curves => {
                serde_json::from_slice::<Curve>(bytes)?;
                counts.curves += 1;
            }
            Tree::Specialists => {
                state.specialists.push(serde_json::from_slice(bytes)?);
                counts.specialists += 1;
            }
            Tree::Releases => {
                state.releases.push(serde_json::from_slice(bytes)?);
                counts.releases += 1;
            }
            Tree::Ablations => {
                state.ablations.push(serde_json::from_slice(bytes)?);
                counts.ablations += 1;
            }
            Tree::Events => {
                self.verify(&serde_json::from_slice(bytes)?);
                self.counts.events += 1;
            }
            Tree::Quarantine => {
                let Quarantined { reason, .. } = serde_json::from_slice(bytes)?;
                let blobs = digests(&serde_json::from_slice::<Quarantined>(bytes)?.bytes());
                self.quarantined.push(Damaged { record: key.to_owned(), reason, blobs });
                counts.quarantined += 1;
            }
            Tree::Documents => {
                let digest = Digest::of(bytes);
                if digest.to_string() != key {
                    return Err(serde::de::Error::custom(format!("its bytes have digest {digest}")));
                }
                self.documents.push((digest, bytes.to_vec()));
            }
        }
        Ok(())
    }

    fn verify(&mut self, event: &Event) {
        if self.broken.is_none()
            && let Err(broken) = self.verifier.line(&event.to_line())
        {
            self.broken = Some(broken);
        }
    }

    /// Jobs with only one of their two records, each with the missing one.
    pub(super) fn orphans(&self) -> Vec<(Tree, String, &'static str)> {
        let defined = self.definitions.keys().filter(|id| !self.states.contains_key(*id));
        let stated = self.states.keys().filter(|id| !self.definitions.contains_key(*id));
        let defined = defined.map(|id| (Tree::Jobs, id.to_string(), "the state of the job is missing"));
        let stated =
            stated.map(|id| (Tree::JobStates, id.to_string(), "the definition of the job is missing"));
        defined.chain(stated).collect()
    }

    /// Assembles the state. Jobs with only one of their two records are left out.
    pub(super) fn finish(self) -> Assembled {
        let Self {
            mut state,
            definitions,
            mut states,
            mut rounds,
            quarantined,
            documents,
            verifier,
            broken,
            counts,
        } = self;
        let jobs = definitions.into_iter().filter_map(|(id, definition)| {
            let job = states.remove(&id)?.into_job(definition);
            let (mut closed, spent) = rounds.remove(&id).unwrap_or_default();
            closed.sort_by_key(|summary| summary.id);
            Some(Job { closed: Arc::new(closed), spent, ..job })
        });
        state.jobs = jobs.collect();
        let mut federation = Federation::default();
        federation.merge(state);
        federation.set_apart(quarantined);
        let ledger = verifier.finish().unwrap_or_default();
        Assembled { federation, counts, ledger, broken, documents }
    }
}
