//! Uploads: what holders of leases may write, and what is thrown away as soon as nobody can hand it in.

use std::collections::BTreeSet;

use eosfed_common::assignment::BlobRef;
use eosfed_common::digest::Digest;
use eosfed_common::ids::{InstitutionName, JobId, LeaseToken};
use eosfed_common::refusal::{Reason, Refusal};

use super::{Core, lock};
use crate::domain::quota::UploadLease;
use crate::storage::{BlobError, Presence};

impl Core {
    /// Begins an upload of an institution, or goes on with it at `offset`; gives the lease that it counts
    /// for.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] if none of its leases has room for it.
    pub fn begin_upload(
        &self,
        institution: &InstitutionName,
        blob: BlobRef,
        offset: u64,
    ) -> Result<LeaseToken, Refusal> {
        let leases = self.read(|state| state.upload_leases(institution));
        lock(&self.quotas).begin(institution, &leases, blob, offset, self.now())
    }

    /// Writes bytes of an upload that was begun with a lease; gives where it then stands.
    ///
    /// # Errors
    /// [`Reason::LeaseExpired`] if the lease has ended, [`Reason::TooLarge`] if it has used up its bytes,
    /// or as the blobs.
    pub async fn append_upload(
        &self,
        institution: &InstitutionName,
        token: &LeaseToken,
        blob: BlobRef,
        offset: u64,
        bytes: &[u8],
    ) -> Result<u64, Refusal> {
        let (lease, count) = (self.upload_lease(institution, token)?, bytes.len() as u64);
        lock(&self.quotas).append(&lease, count)?;
        let written = self.blobs.append(institution.as_str(), blob, offset, bytes).await;
        Ok(written.inspect_err(|_| lock(&self.quotas).take_back(token, count))?)
    }

    /// Makes an upload a blob. What the institution has uploaded before for the same lease, and has not
    /// handed in, is removed.
    ///
    /// # Errors
    /// [`Reason::LeaseExpired`] if the lease has ended, or as the blobs.
    pub async fn finish_upload(
        &self,
        institution: &InstitutionName,
        token: &LeaseToken,
        blob: BlobRef,
    ) -> Result<(), Refusal> {
        self.upload_lease(institution, token)?;
        self.blobs.finish(institution.as_str(), blob).await?;
        let mut earlier = lock(&self.quotas).uploads(token);
        earlier.remove(&blob.digest);
        let _writer = self.lock_writer().await;
        Ok(self.drop_uploads(institution, earlier, Some(blob.digest)).await?)
    }

    /// How much of a blob an institution itself has sent: whole while its upload waits to be handed in, and
    /// after that as long as an open round has it. To know the digest of what others have sent shows nothing.
    ///
    /// # Errors
    /// As the blobs.
    pub async fn uploaded(&self, institution: &InstitutionName, digest: Digest) -> Result<Presence, Refusal> {
        if self.read(|state| state.has_handed_in(institution, &digest)) {
            return Ok(self.blobs.stat(institution.as_str(), digest).await?);
        }
        Ok(self.blobs.uploaded(institution.as_str(), digest).await?)
    }

    fn upload_lease(
        &self,
        institution: &InstitutionName,
        token: &LeaseToken,
    ) -> Result<UploadLease, Refusal> {
        let leases = self.read(|state| state.upload_leases(institution));
        leases.into_iter().find(|lease| lease.token == *token).ok_or_else(|| {
            let message = "the lease of this upload has ended; accept the assignment again";
            Refusal::new(Reason::LeaseExpired, message)
        })
    }

    /// Removes what institutions have uploaded for a lease of this job that has ended, unless it was
    /// handed in, or the same work is offered to them again. The caller holds the write lock.
    pub(super) async fn end_leases(&self, id: &JobId) {
        let ended = self.read(|state| {
            let job = state.jobs.get(id);
            let holds = |institution: &InstitutionName, token: &LeaseToken| {
                let lease = job.and_then(|job| job.lease_of(institution));
                lease.is_some_and(|lease| lease.token == *token)
            };
            let mut ended = lock(&self.quotas).end(id, holds);
            ended.retain(|(institution, _)| {
                let again = job.is_some_and(|job| job.is_offered(institution));
                !again && state.upload_leases(institution).is_empty()
            });
            ended
        });
        for (institution, uploads) in ended {
            if let Err(error) = self.drop_uploads(&institution, uploads, None).await {
                tracing::warn!(%institution, %error, "an upload that nobody can hand in is kept for now");
            }
        }
    }

    /// Drops these uploads of an institution and what else it has under way or pinned, but for `keep`, and
    /// removes the blobs that only they kept. The caller holds the write lock, so that no submission comes in
    /// between.
    async fn drop_uploads(
        &self,
        institution: &InstitutionName,
        uploads: BTreeSet<Digest>,
        keep: Option<Digest>,
    ) -> Result<(), BlobError> {
        let pinned = self.blobs.drop_uploads(institution.as_str(), keep).await?;
        let mut dropped: BTreeSet<Digest> = uploads.into_iter().chain(pinned).collect();
        if dropped.is_empty() {
            return Ok(());
        }
        let needed = self.referenced();
        let pinned = self.blobs.pinned().await?;
        dropped.retain(|digest| !needed.contains(digest) && !pinned.contains(digest));
        for digest in dropped {
            self.blobs.remove(digest).await?;
        }
        Ok(())
    }
}
