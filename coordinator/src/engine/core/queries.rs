//! Questions to the federation: what is there, never what is being decided. Nothing here waits for a disk.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use eosfed_common::assignment::Assignment;
use eosfed_common::card::{Card, ReleaseManifest};
use eosfed_common::clock::{Clock, Timestamp};
use eosfed_common::digest::Digest;
use eosfed_common::ids::{InstitutionName, JobId, ReleaseNumber};
use eosfed_common::refusal::Refusal;

use tokio::sync::watch;

use crate::domain::registry::SpecialistRef;
use crate::domain::{Change, Evaluation, Federation, Job, JobRef, Target};

/// The state in memory.
#[derive(Debug)]
pub struct Queries {
    state: RwLock<Federation>,
    revision: watch::Sender<u64>,
    clock: Arc<dyn Clock>,
}

impl Queries {
    pub(super) fn new(state: Federation, clock: Arc<dyn Clock>) -> Self {
        Self { state: RwLock::new(state), revision: watch::Sender::new(1), clock }
    }

    /// Looks at the state.
    pub fn read<T>(&self, look: impl FnOnce(&Federation) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a change visible that is stored.
    pub(super) fn merge(&self, change: Change) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).merge(change);
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// The engine's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Changes whenever anything does; what has changed is to be looked up.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Everything, as it is at this instant.
    #[must_use]
    pub fn snapshot(&self) -> Federation {
        self.read(Clone::clone)
    }

    /// Checks that an institution is enrolled.
    ///
    /// # Errors
    /// If it is not.
    pub fn must_be_enrolled(&self, name: &InstitutionName) -> Result<(), Refusal> {
        self.read(|state| state.must_be_enrolled(name))
    }

    /// The id of the job that a person names: by its id, by the first characters of its id, or as `latest`.
    ///
    /// # Errors
    /// If the name means no job, or more than one.
    pub fn resolve_job(&self, name: &str) -> Result<JobId, Refusal> {
        let wanted: JobRef = name.parse()?;
        self.read(|state| state.resolve_job(&wanted).map(|job| job.id.clone()))
    }

    /// A job.
    ///
    /// # Errors
    /// If there is none of this id.
    pub fn job(&self, id: &JobId) -> Result<Job, Refusal> {
        self.read(|state| state.job(id).cloned())
    }

    /// What `look` sees in a job, without a copy of it.
    ///
    /// # Errors
    /// If there is none of this id.
    pub fn with_job<T>(&self, id: &JobId, look: impl FnOnce(&Job) -> T) -> Result<T, Refusal> {
        self.read(|state| state.job(id).map(look))
    }

    /// Jobs that wait for a point in time, with it.
    #[must_use]
    pub fn next_wakeups(&self) -> BTreeMap<JobId, Timestamp> {
        self.read(|state| {
            let jobs = state.jobs.values();
            jobs.filter_map(|job| Some((job.id.clone(), job.collecting()?.wake_at()))).collect()
        })
    }

    /// What is asked of an institution now.
    #[must_use]
    pub fn assignments(&self, institution: &InstitutionName) -> Vec<Assignment<Target>> {
        self.read(|state| state.assignments(institution))
    }

    /// Checks that an institution may upload a blob of this size.
    ///
    /// # Errors
    /// Without a lease, or if the blob is larger than the lease's model.
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

    /// A specialist.
    ///
    /// # Errors
    /// If the reference names none.
    pub fn specialist(&self, reference: &SpecialistRef) -> Result<Card, Refusal> {
        self.read(|state| state.registry.specialist(reference).cloned())
    }

    /// The scores of a specialist at institutions, and why it is left out of releases, if it is.
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
