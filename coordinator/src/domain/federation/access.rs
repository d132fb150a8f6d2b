//! Which callers may upload and download which blobs, and which blobs are kept.

use std::collections::BTreeSet;

use eosfed_common::assignment::{Assignment, BlobRef, Work};
use eosfed_common::digest::Digest;
use eosfed_common::ids::InstitutionName;
use eosfed_common::refusal::{Reason, Refusal};

use super::Federation;
use crate::domain::job::Job;
use crate::domain::quota::UploadLease;
use crate::domain::target::Target;

impl Federation {
    /// Whether an institution may upload a blob of this size. It needs a lease for training whose weights can
    /// have that size.
    ///
    /// # Errors
    /// [`Reason::LeaseExpired`] without such a lease, [`Reason::TooLarge`] for a larger blob.
    pub fn may_upload(&self, institution: &InstitutionName, size: u64) -> Result<(), Refusal> {
        let Some(limit) = self.upload_leases(institution).into_iter().map(|lease| lease.limit).max() else {
            let message = "only the holder of a lease can upload weights; accept the assignment again";
            return Err(Refusal::new(Reason::LeaseExpired, message));
        };
        if size <= limit {
            return Ok(());
        }
        let message = format!("the weights of this model need at most {limit} bytes, found `{size}`");
        Err(Refusal::new(Reason::TooLarge, message))
    }

    /// The leases of an institution whose weights can be uploaded, by job.
    #[must_use]
    pub fn upload_leases(&self, institution: &InstitutionName) -> Vec<UploadLease> {
        let lease = |job: &Job| {
            let token = job.lease_of(institution)?.token.clone();
            let limit = job.target_of(institution)?.signature().max_file_bytes();
            Some(UploadLease { token, job: job.id.clone(), limit })
        };
        self.jobs.values().filter_map(lease).collect()
    }

    /// Whether an institution may download a blob: what its jobs start from, what an assignment of its own
    /// names, or the weights of a released specialist. To know a digest gives no right.
    #[must_use]
    pub fn may_download(&self, institution: &InstitutionName, digest: &Digest) -> bool {
        let asked = |job: &&Job| job.cohort.contains(institution) && !job.has_ended();
        let jobs = self
            .jobs
            .values()
            .filter(asked)
            .flat_map(|job| job.bases().chain(job.start_blobs()).chain(job.document()));
        let scored = self.assignments(institution).into_iter().filter_map(|one| candidate(&one));
        jobs.chain(scored).chain(self.released_blobs()).any(|blob| blob.digest == *digest)
    }

    /// Whether an institution has handed in a blob in an open round, counted or rejected.
    #[must_use]
    pub fn has_handed_in(&self, institution: &InstitutionName, digest: &Digest) -> bool {
        let rounds = self.jobs.values().filter_map(Job::current);
        rounds.flat_map(|round| round.blobs_of(institution)).any(|blob| blob.digest == *digest)
    }

    /// The weights of all released specialists.
    fn released_blobs(&self) -> impl Iterator<Item = BlobRef> {
        let released = self.registry.releases.values().flat_map(|release| &release.manifest.specialists);
        released.map(|card| BlobRef { digest: card.weights, size: card.weights_bytes })
    }

    /// The blobs that a reader may download: the weights of released specialists, and all trained heads with
    /// their documents.
    pub fn readable_blobs(&self) -> impl Iterator<Item = BlobRef> {
        self.released_blobs().chain(self.heads())
    }

    /// All trained heads with their documents.
    fn heads(&self) -> impl Iterator<Item = BlobRef> {
        let heads =
            self.jobs.values().filter_map(|job| Some((job.trained.as_ref()?.weights, job.document()?)));
        heads.flat_map(<[BlobRef; 2]>::from)
    }

    /// The weights of all specialists.
    fn specialist_blobs(&self) -> impl Iterator<Item = BlobRef> {
        let cards = self.registry.specialists.values();
        cards.map(|card| BlobRef { digest: card.weights, size: card.weights_bytes })
    }

    /// The blobs that operators may download: the weights of all specialists, and all trained heads with their
    /// documents.
    pub fn published_blobs(&self) -> impl Iterator<Item = BlobRef> {
        self.specialist_blobs().chain(self.heads())
    }

    /// The blobs that the federation needs to continue: of specialists and heads, of running jobs, the
    /// documents of the heads of all jobs, and all blobs that quarantined records mention.
    #[must_use]
    pub fn needed(&self) -> BTreeSet<Digest> {
        let live = self.jobs.values().filter(|job| !job.has_ended()).flat_map(Job::needs);
        let documents = self.jobs.values().filter_map(Job::document);
        let blobs = self.published_blobs().chain(live).chain(documents).map(|blob| blob.digest);
        blobs.chain(self.quarantined.iter().flat_map(|damaged| damaged.blobs.iter().copied())).collect()
    }

    /// The blobs that are kept: those that are needed, and the updates and starting weights of closed rounds
    /// that have not given them up.
    #[must_use]
    pub fn referenced(&self) -> BTreeSet<Digest> {
        let mut kept = self.needed();
        kept.extend(self.kept_blobs().map(|blob| blob.digest));
        kept
    }
}

/// The specialist that an assignment is to score.
fn candidate(assignment: &Assignment<Target>) -> Option<BlobRef> {
    match &assignment.work {
        Work::Evaluation(work) => Some(work.weights),
        Work::Training(_) | Work::Statistics => None,
    }
}
