//! The effect of a job's transition on the registry, and releases.

use std::collections::BTreeSet;

use eosfed_common::card::{Card, ReleaseManifest};
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{IdempotencyKey, InstitutionName};
use eosfed_common::ledger::{Actor, Entry, EventKind};
use eosfed_common::plan::{JobSpec, ReleasePolicy};
use eosfed_common::refusal::{Reason, Refusal};

use super::Federation;
use crate::domain::change::Change;
use crate::domain::job::{JobState, Outcome};
use crate::domain::registry::{Release, SpecialistRef};

impl Federation {
    /// The change of the state that follows from a job's transition. New specialists get their version. A
    /// finished job creates a release if its plan says so. Institutions whose access was revoked are absent.
    /// Other jobs change with it, where it has made an institution busy or free for them. A transition without
    /// events changes nothing that is stored.
    ///
    /// # Errors
    /// None in practice: an empty release is not created.
    pub fn settle(&self, outcome: Outcome, now: Timestamp) -> Result<Change, Refusal> {
        let outcome = self.without_revoked(outcome, now);
        let Outcome { mut job, closed, mut frozen, mut events } = outcome;
        let others = self.keep_time(&mut job, now);
        if events.is_empty() {
            debug_assert!(
                self.jobs
                    .get(&job.id)
                    .is_none_or(|before| before.without_progress() == job.without_progress()),
                "a change that must survive a restart has an event"
            );
            let progress = [vec![job], others].concat();
            return Ok(Change { progress, ..Change::default() });
        }
        let finished = events.pop_if(|last| last.kind == EventKind::JobFinished);
        for card in &mut frozen {
            card.version = self.registry.next_version(&card.name);
            job.produced.push((card.name.clone(), card.version));
            let specialist = card.reference().to_string();
            let kind = EventKind::SpecialistFrozen { specialist, weights: card.weights };
            events.push(Entry::new(Actor::Coordinator, kind).of(&job.id));
        }
        let mut releases = Vec::new();
        if matches!(job.state, JobState::Finished { .. })
            && !frozen.is_empty()
            && release_policy(&job.spec) == ReleasePolicy::Auto
        {
            let note = format!("job {}: {}", job.id, job.spec.name());
            if let Some(manifest) = self.release_with(&frozen, note, now)? {
                job.release = Some(manifest.number);
                events.push(created(Actor::Coordinator, &manifest).of(&job.id));
                releases.push(Release { manifest, key: None });
            }
        }
        events.extend(finished);
        let jobs = [vec![job], others].concat();
        let rounds = closed;
        Ok(Change { jobs, rounds, specialists: frozen, releases, events, ..Change::default() })
    }

    /// The outcome in which revoked institutions are absent.
    fn without_revoked(&self, outcome: Outcome, now: Timestamp) -> Outcome {
        let revoked = self.institutions().filter(|one| one.revoked.is_some());
        let revoked: BTreeSet<_> = revoked.map(|one| &one.name).collect();
        if revoked.is_empty() {
            return outcome;
        }
        outcome.without_revoked(|name| revoked.contains(name), now)
    }

    /// The latest release with these specialists added and without the excluded ones. A new specialist
    /// replaces the one with the same name. Nothing if no specialist is left.
    ///
    /// # Errors
    /// None in practice.
    pub fn release_with(
        &self,
        fresh: &[Card],
        note: String,
        now: Timestamp,
    ) -> Result<Option<ReleaseManifest>, Refusal> {
        let mut cards = self.registry.latest_release_with(fresh);
        cards.retain(|card| self.excluded(card).is_none());
        if cards.is_empty() { Ok(None) } else { self.registry.cut(cards, note, now).map(Some) }
    }

    /// Creates a release. A repeated call with the same key gives the same release. Without references, it
    /// contains the latest version of each specialist that is not excluded.
    ///
    /// # Errors
    /// If a reference names no specialist or an excluded one, if a name is given twice, or if there is
    /// nothing to release.
    pub fn create_release(
        &self,
        references: &[SpecialistRef],
        note: String,
        key: IdempotencyKey,
        by: InstitutionName,
        now: Timestamp,
    ) -> Result<(ReleaseManifest, Change), Refusal> {
        let known = self.registry.releases.values().find(|release| release.key.as_ref() == Some(&key));
        if let Some(release) = known {
            return Ok((release.manifest.clone(), Change::default()));
        }
        let cards = if references.is_empty() {
            let mut cards = self.registry.latest_of_all()?;
            cards.retain(|card| self.excluded(card).is_none());
            cards
        } else {
            let cards = self.registry.named(references)?;
            if let Some(why) = cards.iter().find_map(|card| self.excluded(card)) {
                return Err(Refusal::new(Reason::QualityFloor, why));
            }
            cards
        };
        let manifest = self.registry.cut(cards, note, now)?;
        let events = vec![created(Actor::Operator(by), &manifest)];
        let releases = vec![Release { manifest: manifest.clone(), key: Some(key) }];
        Ok((manifest, Change { releases, events, ..Change::default() }))
    }
}

/// When a job creates a release.
const fn release_policy(spec: &JobSpec) -> ReleasePolicy {
    match spec {
        JobSpec::OneShot(spec) => spec.release,
        JobSpec::Rounds(spec) => spec.release,
        JobSpec::Downstream(_) | JobSpec::Evaluation(_) | JobSpec::Statistics(_) => ReleasePolicy::Manual,
    }
}

fn created(actor: Actor, manifest: &ReleaseManifest) -> Entry {
    let specialists = manifest.specialists.len() as u64;
    Entry::new(actor, EventKind::ReleaseCreated { release: manifest.number, specialists })
}
