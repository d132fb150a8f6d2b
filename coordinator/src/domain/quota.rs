//! What one lease may use up: calls and bytes, whatever is sent. Counted in memory, so that a restart
//! begins anew; what is stored has its own limits.

use std::collections::{BTreeMap, BTreeSet};

use eosfed_common::assignment::{BlobRef, CurvePoint};
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::ids::{InstitutionName, JobId, LeaseToken};
use eosfed_common::refusal::{Reason, Refusal};

/// Heartbeats that a lease may send at once. Clients send one in ten seconds.
pub const HEARTBEAT_BURST: u64 = 600;
/// Further heartbeats for each second of the lease.
pub const HEARTBEATS_PER_SECOND: u64 = 2;
/// Most bytes of curve points of a lease: of the longest training that a plan can ask for, ten thousand
/// epochs, with three metrics each, four times over.
pub const MAX_POINT_BYTES: u64 = 4 << 20;
/// Most uploads of a lease. One is needed; others come from a training that was done again.
pub const MAX_UPLOADS: usize = 8;
/// Most bytes of a lease's uploads, as a multiple of the largest file of its weights: twice may be
/// interrupted and lost.
pub const UPLOAD_FACTOR: u64 = 3;
/// Bytes of a curve point beside the names of its metrics, and of a metric beside its name.
const POINT_BYTES: u64 = 16;

/// A lease whose weights can be uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadLease {
    /// Its token.
    pub token: LeaseToken,
    /// Its job.
    pub job: JobId,
    /// The largest file that its weights can be, in bytes.
    pub limit: u64,
}

/// What a lease has used up.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Usage {
    institution: InstitutionName,
    job: JobId,
    /// When the lease was first used.
    since: Timestamp,
    heartbeats: u64,
    point_bytes: u64,
    uploads: BTreeSet<Digest>,
    uploaded: u64,
}

/// What leases have used up.
#[derive(Debug, Default)]
pub struct Quotas(BTreeMap<LeaseToken, Usage>);

fn refused(message: String) -> Refusal {
    Refusal::new(Reason::TooLarge, message)
}

impl Quotas {
    fn usage(
        &mut self,
        token: &LeaseToken,
        (institution, job): (&InstitutionName, &JobId),
        now: Timestamp,
    ) -> &mut Usage {
        self.0.entry(token.clone()).or_insert_with(|| Usage {
            institution: institution.clone(),
            job: job.clone(),
            since: now,
            heartbeats: 0,
            point_bytes: 0,
            uploads: BTreeSet::new(),
            uploaded: 0,
        })
    }

    /// Counts a heartbeat with these points of a lease that exists.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] if the lease has used up its heartbeats or its bytes; nothing is counted then.
    pub fn heartbeat(
        &mut self,
        token: &LeaseToken,
        of: (&InstitutionName, &JobId),
        points: &[CurvePoint],
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let usage = self.usage(token, of, now);
        let most = HEARTBEAT_BURST + HEARTBEATS_PER_SECOND * now.since(usage.since).as_secs();
        if usage.heartbeats >= most {
            let found = usage.heartbeats + 1;
            let message = format!("a lease as old as this one may send {most} heartbeats, found `{found}`");
            return Err(refused(message));
        }
        usage.count_points(points)?;
        usage.heartbeats += 1;
        Ok(())
    }

    /// Counts points that an update brings.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] if the lease has used up its bytes; nothing is counted then.
    pub fn points(
        &mut self,
        token: &LeaseToken,
        of: (&InstitutionName, &JobId),
        points: &[CurvePoint],
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.usage(token, of, now).count_points(points)
    }

    /// Chooses which of its leases the rest of an upload counts for: the one that it was begun with, or
    /// else the first with room for it.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] if none has.
    pub fn begin(
        &mut self,
        institution: &InstitutionName,
        leases: &[UploadLease],
        blob: BlobRef,
        offset: u64,
        now: Timestamp,
    ) -> Result<LeaseToken, Refusal> {
        let rest = blob.size.saturating_sub(offset);
        let known = |lease: &&UploadLease| {
            self.0.get(&lease.token).is_some_and(|usage| usage.uploads.contains(&blob.digest))
        };
        let (first, others): (Vec<_>, Vec<_>) = leases.iter().partition(known);
        let mut why = None;
        for lease in first.into_iter().chain(others).filter(|lease| blob.size <= lease.limit) {
            let usage = self.usage(&lease.token, (institution, &lease.job), now);
            let (most, found) = (UPLOAD_FACTOR * lease.limit, usage.uploaded.saturating_add(rest));
            let number = usage.uploads.len() + usize::from(!usage.uploads.contains(&blob.digest));
            if number <= MAX_UPLOADS && found <= most {
                usage.uploads.insert(blob.digest);
                return Ok(lease.token.clone());
            }
            why = Some(format!(
                "a lease may have {MAX_UPLOADS} uploads of {most} bytes together, found `{number}` of \
                 `{found}` bytes"
            ));
        }
        Err(refused(why.unwrap_or_else(|| "no lease has weights as large as this upload".to_owned())))
    }

    /// Counts bytes of an upload that [`Quotas::begin`] has let in, before they are written.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] if they are more than the lease may upload.
    pub fn append(&mut self, lease: &UploadLease, bytes: u64) -> Result<(), Refusal> {
        let most = UPLOAD_FACTOR * lease.limit;
        let Some(usage) = self.0.get_mut(&lease.token) else {
            return Err(Refusal::new(
                Reason::LeaseExpired,
                "the lease of this upload has ended; accept again",
            ));
        };
        let found = usage.uploaded.saturating_add(bytes);
        if found > most {
            return Err(refused(format!("a lease may upload {most} bytes, found `{found}`")));
        }
        usage.uploaded = found;
        Ok(())
    }

    /// Takes back what was counted and could not be written.
    pub fn take_back(&mut self, token: &LeaseToken, bytes: u64) {
        if let Some(usage) = self.0.get_mut(token) {
            usage.uploaded = usage.uploaded.saturating_sub(bytes);
        }
    }

    /// What a lease has begun to upload.
    #[must_use]
    pub fn uploads(&self, token: &LeaseToken) -> BTreeSet<Digest> {
        self.0.get(token).map(|usage| usage.uploads.clone()).unwrap_or_default()
    }

    /// Forgets the leases of a job that do not hold any more; gives what institutions have uploaded for them.
    pub fn end(
        &mut self,
        job: &JobId,
        holds: impl Fn(&InstitutionName, &LeaseToken) -> bool,
    ) -> Vec<(InstitutionName, BTreeSet<Digest>)> {
        let ended =
            |token: &LeaseToken, usage: &Usage| usage.job == *job && !holds(&usage.institution, token);
        let gone = self.0.extract_if(.., |token, usage| ended(token, usage));
        gone.filter(|(_, usage)| !usage.uploads.is_empty())
            .map(|(_, usage)| (usage.institution, usage.uploads))
            .collect()
    }
}

impl Usage {
    fn count_points(&mut self, points: &[CurvePoint]) -> Result<(), Refusal> {
        let bytes = self.point_bytes + points.iter().map(bytes_of).sum::<u64>();
        if bytes > MAX_POINT_BYTES {
            let message =
                format!("a lease may send {MAX_POINT_BYTES} bytes of curve points, found `{bytes}`");
            return Err(refused(message));
        }
        self.point_bytes = bytes;
        Ok(())
    }
}

fn bytes_of(point: &CurvePoint) -> u64 {
    let name = |name: &String| name.len() as u64 + POINT_BYTES;
    POINT_BYTES + point.metrics.keys().map(name).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use eosfed_common::finite::Finite;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{NOW, name, token};

    fn job() -> JobId {
        "j-0a1b2c3d".parse().unwrap()
    }

    fn lease(seed: u64, limit: u64) -> UploadLease {
        UploadLease { token: token(seed), job: job(), limit }
    }

    fn blob(text: &str, size: u64) -> BlobRef {
        BlobRef { digest: Digest::of(text.as_bytes()), size }
    }

    fn begin(
        quotas: &mut Quotas,
        leases: &[UploadLease],
        blob: BlobRef,
        offset: u64,
    ) -> Result<LeaseToken, Refusal> {
        quotas.begin(&name("west"), leases, blob, offset, NOW)
    }

    #[test]
    fn heartbeats_come_at_a_rate() {
        let mut quotas = Quotas::default();
        let beat = |quotas: &mut Quotas, now| quotas.heartbeat(&token(1), (&name("west"), &job()), &[], now);
        for _ in 0..HEARTBEAT_BURST {
            beat(&mut quotas, NOW).unwrap();
        }
        let refused = beat(&mut quotas, NOW).unwrap_err();
        assert!(refused.reason == Reason::TooLarge && refused.message.contains("`601`"), "{refused}");
        assert!(beat(&mut quotas, NOW.plus(Duration::from_secs(1))).is_ok());
        assert!(quotas.heartbeat(&token(2), (&name("east"), &job()), &[], NOW).is_ok(), "each has its own");
        // An honest client, with a heartbeat each second for a month, is never refused.
        let mut quotas = Quotas::default();
        let long = (0..30 * 86_400).step_by(997);
        assert!(
            long.into_iter().all(|second| beat(&mut quotas, NOW.plus(Duration::from_secs(second))).is_ok())
        );
    }

    #[test]
    fn points_have_a_budget_of_bytes() {
        let mut quotas = Quotas::default();
        let metrics = ["accuracy", "miou", "macro_f1"].map(|name| (name.to_owned(), Finite::ZERO)).into();
        let points = vec![CurvePoint { step: 1, loss: Finite::ZERO, metrics }; 32];
        let mut sent = 0;
        let refused = loop {
            // At a rate that is allowed.
            let now = NOW.plus(Duration::from_secs(sent));
            match quotas.heartbeat(&token(1), (&name("west"), &job()), &points, now) {
                Ok(()) if sent > 10_000 => panic!("{sent} heartbeats full of points are let in"),
                Ok(()) => sent += 1,
                Err(refused) => break refused,
            }
        };
        assert!(refused.reason == Reason::TooLarge && refused.message.contains("4194304"), "{refused}");
        assert!(sent * 32 > 30_000, "the longest training of a plan has room: {sent}");
        let now = NOW.plus(Duration::from_secs(sent));
        let beat = quotas.heartbeat(&token(1), (&name("west"), &job()), &[], now);
        assert!(beat.is_ok(), "the lease goes on without points");
        let of_update = quotas.points(&token(1), (&name("west"), &job()), &points, now).unwrap_err();
        assert_eq!(of_update, refused, "those of an update count too");
    }

    #[test]
    fn one_lease_has_few_uploads_and_few_bytes() {
        let mut quotas = Quotas::default();
        let leases = [lease(1, 100)];
        for number in 0..MAX_UPLOADS {
            assert_eq!(begin(&mut quotas, &leases, blob(&number.to_string(), 10), 0), Ok(token(1)));
            quotas.append(&leases[0], 10).unwrap();
        }
        let refused = begin(&mut quotas, &leases, blob("another", 10), 0).unwrap_err();
        assert!(refused.reason == Reason::TooLarge && refused.message.contains("found `9`"), "{refused}");
        assert!(begin(&mut quotas, &leases, blob("0", 10), 0).is_ok(), "one that was begun goes on");
        assert_eq!(quotas.append(&leases[0], 221).unwrap_err().reason, Reason::TooLarge);
        quotas.append(&leases[0], 220).unwrap();
        quotas.take_back(&token(1), 20);
        assert!(begin(&mut quotas, &leases, blob("0", 100), 80).is_ok(), "twenty bytes are left");
        assert!(begin(&mut quotas, &leases, blob("0", 100), 79).is_err());
        // Another lease has its own.
        let both = [lease(1, 100), lease(2, 100)];
        assert_eq!(begin(&mut quotas, &both, blob("another", 100), 0), Ok(token(2)));
        assert_eq!(begin(&mut quotas, &both, blob("large", 101), 0).unwrap_err().reason, Reason::TooLarge);
    }

    #[test]
    fn a_lease_that_ends_takes_its_counts_with_it() {
        let mut quotas = Quotas::default();
        let lease = lease(1, 100);
        begin(&mut quotas, std::slice::from_ref(&lease), blob("a", 10), 0).unwrap();
        quotas.heartbeat(&token(2), (&name("east"), &job()), &[], NOW).unwrap();
        assert_eq!(quotas.end(&job(), |_, _| true), []);
        let uploads = BTreeSet::from([Digest::of(b"a")]);
        assert_eq!(quotas.uploads(&token(1)), uploads);
        let ended = quotas.end(&job(), |_, _| false);
        assert_eq!(ended, [(name("west"), uploads)], "east has uploaded nothing");
        assert_eq!(quotas.append(&lease, 1).unwrap_err().reason, Reason::LeaseExpired);
    }

    proptest! {
        #[test]
        fn no_sequence_of_uploads_writes_more_than_the_quota(
            calls in proptest::collection::vec((0..20_u8, 0..200_u64, 0..200_u64), 0..200),
        ) {
            let (mut quotas, lease) = (Quotas::default(), lease(1, 150));
            let (mut written, mut names) = (0, BTreeSet::new());
            for (which, size, bytes) in calls {
                let blob = blob(&which.to_string(), size);
                if begin(&mut quotas, std::slice::from_ref(&lease), blob, 0).is_ok() {
                    names.insert(which);
                    if quotas.append(&lease, bytes).is_ok() {
                        written += bytes;
                    }
                }
            }
            prop_assert!(written <= UPLOAD_FACTOR * 150 && names.len() <= MAX_UPLOADS);
        }
    }
}
