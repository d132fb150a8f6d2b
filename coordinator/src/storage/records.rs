//! The keys and contents of the records of the federation.

use std::collections::BTreeSet;
use std::sync::Arc;

use eosfed_common::ablation::Ablation;
use eosfed_common::assignment::BlobRef;
use eosfed_common::card::{BandNormalisation, Card, Energy};
use eosfed_common::identity::Role;
use eosfed_common::ids::{InstitutionName, JobId, ReleaseNumber, SpecialistName};
use eosfed_common::ledger::Event;
use eosfed_common::weights::Encoding;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::trees::{Tree, Write};
use crate::domain::ablation::RecordedAblation;
use crate::domain::closed::ClosedRound;
use crate::domain::curve::CurveId;
use crate::domain::job::{JobDefinition, JobState, TrainedHead};
use crate::domain::spent::Spent;
use crate::domain::{Change, Job, Member, Release};

/// The changing part of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobStateRecord {
    id: JobId,
    state: JobState,
    global_model: Option<BlobRef>,
    optimizer_state: Option<BlobRef>,
    normalisation: Option<Vec<BandNormalisation>>,
    contributors: BTreeSet<InstitutionName>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    encodings: BTreeSet<Encoding>,
    energy: Option<Energy>,
    produced: Vec<(SpecialistName, u32)>,
    release: Option<ReleaseNumber>,
    trained: Option<TrainedHead>,
}

impl JobStateRecord {
    /// The id of the job.
    pub(super) const fn id(&self) -> &JobId {
        &self.id
    }

    pub(super) fn of(job: &Job) -> Self {
        let Job {
            definition,
            state,
            closed: _,
            global_model,
            optimizer_state,
            normalisation,
            contributors,
            encodings,
            energy,
            spent: _,
            produced,
            release,
            trained,
        } = job;
        Self {
            id: definition.id.clone(),
            state: state.clone(),
            global_model: *global_model,
            optimizer_state: *optimizer_state,
            normalisation: normalisation.as_deref().cloned(),
            contributors: contributors.clone(),
            encodings: encodings.clone(),
            energy: *energy,
            produced: produced.clone(),
            release: *release,
            trained: trained.as_deref().cloned(),
        }
    }

    /// The job, without its closed rounds.
    pub(super) fn into_job(self, definition: JobDefinition) -> Job {
        let Self {
            id: _,
            state,
            global_model,
            optimizer_state,
            normalisation,
            contributors,
            encodings,
            energy,
            produced,
            release,
            trained,
        } = self;
        Job {
            definition: Arc::new(definition),
            state,
            closed: Arc::default(),
            global_model,
            optimizer_state,
            normalisation: normalisation.map(Arc::new),
            contributors,
            encodings,
            energy,
            spent: Spent::default(),
            produced,
            release,
            trained: trained.map(Arc::new),
        }
    }
}

/// Where the record of a member is.
pub(super) fn member_key(member: &Member) -> (Tree, String) {
    let Member { role, name, .. } = member;
    match role {
        Role::Institution => (Tree::Institutions, name.to_string()),
        Role::Operator | Role::Reader => (Tree::People, format!("{role}:{name}")),
    }
}

pub(super) fn specialist_key(card: &Card) -> String {
    format!("{}@{:010}", card.name, card.version)
}

pub(super) fn release_key(release: &Release) -> String {
    format!("{:010}", release.manifest.number.0)
}

/// The key of an ablation.
pub(super) fn ablation_key(recorded: &RecordedAblation) -> String {
    let Ablation { release, head, .. } = &recorded.ablation;
    format!("{:010}/{head}", release.0)
}

/// Prefix of the keys of a job's closed rounds with this index.
pub(super) fn rounds_from(job: &JobId, index: u32) -> String {
    format!("{job}/{index:010}/")
}

fn round_key(closed: &ClosedRound) -> String {
    format!("{}{:010}", rounds_from(&closed.job, closed.round.index), closed.round.attempt)
}

/// The key of a training curve.
pub(super) fn curve_key(id: &CurveId) -> String {
    let CurveId { asked_in, institution } = id;
    format!("{}{:010}/{institution}", rounds_from(&asked_in.job, asked_in.round), asked_in.attempt)
}

/// The key of an event.
pub(super) fn event_key(sequence: u64) -> String {
    format!("{sequence:020}")
}

/// The writes for a change and its events. `is_defined` tells whether the definition of a job is already
/// stored, since it is written once.
pub(super) fn encode(
    change: &Change,
    events: &[Event],
    is_defined: impl Fn(&JobId) -> Result<bool, StoreError>,
) -> Result<Vec<Write>, StoreError> {
    let Change {
        members,
        jobs,
        rounds,
        curves,
        specialists,
        releases,
        ablations,
        quarantined: _,
        events: _,
        documents: _,
        moved_documents,
        progress: _,
    } = change;
    let mut writes = Vec::new();
    for one in members {
        let (tree, key) = member_key(one);
        writes.push(encoded(tree, key, one)?);
    }
    for job in jobs {
        if !is_defined(&job.id)? {
            writes.push(encoded(Tree::Jobs, job.id.to_string(), &*job.definition)?);
        }
        writes.push(encoded(Tree::JobStates, job.id.to_string(), &JobStateRecord::of(job))?);
    }
    for closed in rounds {
        writes.push(encoded(Tree::Rounds, round_key(closed), closed)?);
    }
    for curve in curves {
        writes.push(encoded(Tree::Curves, curve_key(&curve.id), curve)?);
    }
    for card in specialists {
        writes.push(encoded(Tree::Specialists, specialist_key(card), card)?);
    }
    for release in releases {
        writes.push(encoded(Tree::Releases, release_key(release), release)?);
    }
    for ablation in ablations {
        writes.push(encoded(Tree::Ablations, ablation_key(ablation), ablation)?);
    }
    for digest in moved_documents {
        writes.push(Write::remove(Tree::Documents, digest.to_string()));
    }
    for event in events {
        let line = event.to_line().into_bytes();
        read_back(Tree::Events, &event_key(event.sequence), &line, event)?;
        writes.push(Write::put(Tree::Events, event_key(event.sequence), line));
    }
    Ok(writes)
}

fn encoded<T>(tree: Tree, key: String, value: &T) -> Result<Write, StoreError>
where
    T: Serialize + DeserializeOwned,
{
    let unreadable = |error: serde_json::Error| StoreError::unreadable(tree, &key, error.to_string());
    let bytes = serde_json::to_vec(value).map_err(unreadable)?;
    let read: T = serde_json::from_slice(&bytes).map_err(unreadable)?;
    // The bytes are compared: values that are not stored, such as a participant's last loss, may differ.
    if serde_json::to_vec(&read).map_err(unreadable)? != bytes {
        return Err(StoreError::unreadable(tree, &key, "it reads back as something else".to_owned()));
    }
    Ok(Write::put(tree, key, bytes))
}

/// Checks that a record reads back as the same value. Others are never written, since the coordinator could
/// not start again.
fn read_back<T>(tree: Tree, key: &str, bytes: &[u8], value: &T) -> Result<(), StoreError>
where
    T: DeserializeOwned + PartialEq,
{
    let read: Result<T, _> = serde_json::from_slice(bytes);
    match read {
        Ok(read) if read == *value => Ok(()),
        Ok(_) => Err(StoreError::unreadable(tree, key, "it reads back as something else".to_owned())),
        Err(error) => Err(StoreError::unreadable(tree, key, error.to_string())),
    }
}
