//! Queries on the federation. They see committed changes only, and none waits for a disk.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use eosfed_common::assignment::Assignment;
use eosfed_common::card::{Card, ReleaseManifest};
use eosfed_common::clock::{Clock, Timestamp};
use eosfed_common::digest::Digest;
use eosfed_common::identity::Identity;
use eosfed_common::ids::{InstitutionName, JobId, ReleaseNumber};
use eosfed_common::refusal::Refusal;

use tokio::sync::watch;

use crate::domain::member::keys::{Key, KeyStatus};
use crate::domain::registry::SpecialistRef;
use crate::domain::{Change, Evaluation, Federation, Job, JobRef, Target};

/// The state in memory.
#[derive(Debug)]
pub struct Queries {
    state: RwLock<Federation>,
    revision: watch::Sender<u64>,
    member_revision: watch::Sender<u64>,
    clock: Arc<dyn Clock>,
}

impl Queries {
    pub(super) fn new(state: Federation, clock: Arc<dyn Clock>) -> Self {
        let [revision, member_revision] = [1, 1].map(watch::Sender::new);
        Self { state: RwLock::new(state), revision, member_revision, clock }
    }

    /// Reads the state.
    pub fn read<T>(&self, look: impl FnOnce(&Federation) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a stored change visible.
    pub(super) fn merge(&self, change: Change) {
        let members = !change.members.is_empty();
        self.state.write().unwrap_or_else(PoisonError::into_inner).merge(change);
        self.revision.send_modify(|revision| *revision += 1);
        if members {
            self.member_revision.send_modify(|revision| *revision += 1);
        }
    }

    /// The engine's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Changes with each change of the state. The receiver looks up what has changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// A copy of the whole state.
    #[must_use]
    pub fn snapshot(&self) -> Federation {
        self.read(Clone::clone)
    }

    /// Changes whenever a member does: its enrolment, its keys, its access.
    #[must_use]
    pub fn member_changes(&self) -> watch::Receiver<u64> {
        self.member_revision.subscribe()
    }

    /// What a key is to the member that a certificate names.
    ///
    /// # Errors
    /// If the member may not call with it, with what to do.
    pub fn key_status(&self, identity: &Identity, key: &Key) -> Result<KeyStatus, Refusal> {
        let now = self.now();
        self.read(|state| state.key_status(identity, key, now))
    }

    /// The id of the job that a reference names: an id, the first characters of an id, or `latest`.
    ///
    /// # Errors
    /// If the reference names no job, or more than one.
    pub fn resolve_job(&self, name: &str) -> Result<JobId, Refusal> {
        let wanted: JobRef = name.parse()?;
        self.read(|state| state.resolve_job(&wanted).map(|job| job.id.clone()))
    }

    /// A job.
    ///
    /// # Errors
    /// If no job has this id.
    pub fn job(&self, id: &JobId) -> Result<Job, Refusal> {
        self.read(|state| state.job(id).cloned())
    }

    /// The result of `look` on a job, without copying the job.
    ///
    /// # Errors
    /// If no job has this id.
    pub fn with_job<T>(&self, id: &JobId, look: impl FnOnce(&Job) -> T) -> Result<T, Refusal> {
        self.read(|state| state.job(id).map(look))
    }

    /// The jobs that are due at a later time, with that time.
    #[must_use]
    pub fn next_wakeups(&self) -> BTreeMap<JobId, Timestamp> {
        self.read(|state| {
            let jobs = state.jobs.values();
            let wakes = |job: &Job| Some(job.collecting()?.wake_at(job.spec.participation()));
            jobs.filter_map(|job| Some((job.id.clone(), wakes(job)?))).collect()
        })
    }

    /// The present assignments of an institution.
    #[must_use]
    pub fn assignments(&self, institution: &InstitutionName) -> Vec<Assignment<Target>> {
        self.read(|state| state.assignments(institution))
    }

    /// Checks that an institution may upload a blob of this size.
    ///
    /// # Errors
    /// If there is no lease, or the blob is larger than the model of the lease.
    pub fn may_upload(&self, institution: &InstitutionName, size: u64) -> Result<(), Refusal> {
        self.read(|state| state.may_upload(institution, size))
    }

    /// Whether an institution may download a blob.
    #[must_use]
    pub fn may_download(&self, institution: &InstitutionName, digest: &Digest) -> bool {
        self.read(|state| state.may_download(institution, digest))
    }

    /// Whether a blob is the weights of a specialist or of a head.
    #[must_use]
    pub fn is_published(&self, digest: &Digest) -> bool {
        self.read(|state| state.published_blobs().any(|blob| blob.digest == *digest))
    }

    /// Whether a reader may download a blob.
    #[must_use]
    pub fn is_readable(&self, digest: &Digest) -> bool {
        self.read(|state| state.readable_blobs().any(|blob| blob.digest == *digest))
    }

    /// A specialist.
    ///
    /// # Errors
    /// If the reference names none.
    pub fn specialist(&self, reference: &SpecialistRef) -> Result<Card, Refusal> {
        self.read(|state| state.registry.specialist(reference).cloned())
    }

    /// The card of a specialist that is in a release.
    ///
    /// # Errors
    /// If there is none.
    pub fn released_specialist(&self, reference: &SpecialistRef) -> Result<Card, Refusal> {
        self.read(|state| state.registry.released_specialist(reference).cloned())
    }

    /// The scores of a specialist at institutions, and why it is excluded from releases, if it is.
    #[must_use]
    pub fn evaluation_status(&self, card: &Card) -> (Vec<Evaluation>, Option<String>) {
        self.read(|state| (state.evaluations(&card.weights), state.excluded(card)))
    }

    /// A release; the latest without a number.
    ///
    /// # Errors
    /// If there is none.
    pub fn release(&self, number: Option<ReleaseNumber>) -> Result<ReleaseManifest, Refusal> {
        self.read(|state| state.registry.release(number).map(|release| release.manifest.clone()))
    }
}
