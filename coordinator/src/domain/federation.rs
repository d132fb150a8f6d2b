//! Everything that the coordinator knows, and every decision about it: each is a function of the
//! present state that gives an answer and the [`Change`] that makes it true. Nothing is changed in
//! place: the change is stored first, then merged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use eosfed_common::assignment::{Assignment, BlobRef};
use eosfed_common::card::{Card, ReleaseManifest};
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId};
use eosfed_common::plan::{JobSpec, ReleasePolicy, RoundsPlan};
use eosfed_common::refusal::{Reason, Refusal};

use super::institution::{Institution, MAX_VALIDITY, invalid};
use super::job::{Job, JobState, Outcome, Resolved};
use super::registry::{Registry, Release, SpecialistRef};
use super::round::Slot;

/// What is to become true. Everything in it replaces what has the same key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Change {
    /// Institutions.
    pub institutions: Vec<Institution>,
    /// Jobs.
    pub jobs: Vec<Job>,
    /// New specialists.
    pub specialists: Vec<Card>,
    /// New releases.
    pub releases: Vec<Release>,
    /// Nothing in it need survive a restart: the end of a lease, the step that a trainer is at.
    pub volatile: bool,
}

impl Change {
    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let Self { institutions, jobs, specialists, releases, volatile: _ } = self;
        institutions.is_empty() && jobs.is_empty() && specialists.is_empty() && releases.is_empty()
    }
}

/// All that the coordinator knows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Federation {
    /// Institutions by name.
    pub institutions: BTreeMap<InstitutionName, Institution>,
    /// Jobs by id.
    pub jobs: BTreeMap<JobId, Job>,
    /// Specialists and releases.
    pub registry: Registry,
}

impl Federation {
    /// Makes a stored change true.
    pub fn merge(&mut self, change: Change) {
        let Change { institutions, jobs, specialists, releases, volatile: _ } = change;
        self.institutions.extend(institutions.into_iter().map(|one| (one.name.clone(), one)));
        self.jobs.extend(jobs.into_iter().map(|job| (job.id.clone(), job)));
        let specialists = specialists.into_iter().map(|card| ((card.name.clone(), card.version), card));
        self.registry.specialists.extend(specialists);
        self.registry.releases.extend(releases.into_iter().map(|one| (one.manifest.number, one)));
    }

    /// Invites an institution; gives whether it is enrolled already.
    ///
    /// # Errors
    /// [`Reason::Malformed`] if the invitation would be open for no time or for too long.
    pub fn invite(
        &self,
        name: &InstitutionName,
        secret: &str,
        valid_for: Duration,
        now: Timestamp,
    ) -> Result<(bool, Change), Refusal> {
        if valid_for.is_zero() || valid_for > MAX_VALIDITY {
            let message = format!(
                "an invitation may be open for 1 second to 30 days, found `{}s`",
                valid_for.as_secs()
            );
            return Err(Refusal::new(Reason::Malformed, message));
        }
        let institution = self.institutions.get(name).cloned();
        let institution = institution.unwrap_or_else(|| Institution::unknown(name.clone()));
        let enrolled = institution.enrolment.is_some();
        let institutions = vec![institution.invite(secret, valid_for, now)];
        Ok((enrolled, Change { institutions, ..Change::default() }))
    }

    /// Redeems an invitation.
    ///
    /// # Errors
    /// A reason of the `TOKEN_` family.
    pub fn redeem(
        &self,
        name: &InstitutionName,
        secret: &str,
        request_pem: &str,
        now: Timestamp,
    ) -> Result<Change, Refusal> {
        let institution = self.institutions.get(name).ok_or_else(invalid)?;
        let institutions = vec![institution.redeem(secret, request_pem, now)?];
        Ok(Change { institutions, ..Change::default() })
    }

    /// Checks that an institution is enrolled.
    ///
    /// # Errors
    /// [`Reason::Unauthenticated`].
    pub fn must_be_enrolled(&self, name: &InstitutionName) -> Result<(), Refusal> {
        let enrolled = self.institutions.get(name).is_some_and(|one| one.enrolment.is_some());
        if enrolled {
            return Ok(());
        }
        let message = format!("institution `{name}` is not enrolled here; join with a token of the operator");
        Err(Refusal::new(Reason::Unauthenticated, message))
    }

    /// Submits a job; the same key again gives the same job.
    ///
    /// # Errors
    /// [`Reason::WrongState`] if too few institutions are enrolled for a plan that asks all of them.
    pub fn submit_job(
        &self,
        id: JobId,
        key: IdempotencyKey,
        spec: JobSpec,
        by: &InstitutionName,
        now: Timestamp,
    ) -> Result<(JobId, Change), Refusal> {
        if let Some(job) = self.jobs.values().find(|job| job.key == key) {
            return Ok((job.id.clone(), Change::default()));
        }
        let roster = self.roster(&spec);
        let (asked, min) = (roster.len(), spec.participation().min);
        if asked < min as usize {
            let message = format!(
                "the plan asks every enrolled institution and needs {min}, but {asked} are enrolled; invite \
                 more, or name them in `participation.institutions`"
            );
            return Err(Refusal::new(Reason::WrongState, message));
        }
        let job = Job::submit(id.clone(), key, self.resolve(spec)?, roster, by.clone(), now);
        Ok((id, Change { jobs: vec![job], ..Change::default() }))
    }

    /// Finds what a job names in the registry, so that no later release changes what it does.
    fn resolve(&self, spec: JobSpec) -> Result<Resolved, Refusal> {
        let mut head = None;
        let mut candidates = Vec::new();
        match &spec {
            JobSpec::OneShot(_) | JobSpec::Rounds(_) => {}
            JobSpec::Downstream(spec) => head = Some(Box::new(self.registry.head_over(spec)?)),
            JobSpec::Evaluation(spec) => candidates = self.registry.candidates(&spec.evaluation)?,
        }
        Ok(Resolved { spec, head, candidates })
    }

    fn roster(&self, spec: &JobSpec) -> Vec<InstitutionName> {
        let enrolled = || {
            let enrolled = self.institutions.values().filter(|one| one.enrolment.is_some());
            enrolled.map(|one| one.name.clone()).collect()
        };
        let mut roster = spec.institutions().unwrap_or_else(enrolled);
        roster.sort();
        roster
    }

    /// A job by its id.
    ///
    /// # Errors
    /// [`Reason::NotFound`].
    pub fn job(&self, id: &JobId) -> Result<&Job, Refusal> {
        self.jobs
            .get(id)
            .ok_or_else(|| Refusal::new(Reason::NotFound, format!("no job `{id}`; see `eosfed job list`")))
    }

    /// The change that a job's transition means for everything: its specialists get their version,
    /// and a job that has finished cuts a release if its plan says so.
    ///
    /// # Errors
    /// None in practice: a release that would be empty is not cut.
    pub fn settle(&self, outcome: Outcome, now: Timestamp) -> Result<Change, Refusal> {
        let Outcome { mut job, mut frozen } = outcome;
        for card in &mut frozen {
            card.version = self.registry.next_version(&card.name);
            job.produced.push((card.name.clone(), card.version));
        }
        let mut releases = Vec::new();
        let finished = matches!(job.state, JobState::Finished { .. });
        let release = match &job.spec {
            JobSpec::OneShot(spec) => spec.release,
            JobSpec::Rounds(spec) => spec.release,
            JobSpec::Downstream(_) | JobSpec::Evaluation(_) => ReleasePolicy::Manual,
        };
        if finished && !frozen.is_empty() && release == ReleasePolicy::Auto {
            let note = format!("job {}: {}", job.id, job.spec.name());
            if let Some(manifest) = self.release_with(&frozen, note, now)? {
                job.release = Some(manifest.number);
                releases.push(Release { manifest, key: None });
            }
        }
        Ok(Change { jobs: vec![job], specialists: frozen, releases, ..Change::default() })
    }

    /// The latest release with these specialists added, each replacing one of its name, and without
    /// those that are set aside; none if nothing is left.
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
        cards.retain(|card| self.set_aside(card).is_none());
        if cards.is_empty() { Ok(None) } else { self.registry.cut(cards, note, now).map(Some) }
    }

    /// Cuts a release; the same key again gives the same release. Without references, of the latest
    /// version of all specialists but those that are set aside.
    ///
    /// # Errors
    /// If a reference names nothing or a specialist that is set aside, a name comes twice, or there is
    /// nothing to release.
    pub fn create_release(
        &self,
        references: &[SpecialistRef],
        note: String,
        key: IdempotencyKey,
        now: Timestamp,
    ) -> Result<(ReleaseManifest, Change), Refusal> {
        let known = self.registry.releases.values().find(|release| release.key.as_ref() == Some(&key));
        if let Some(release) = known {
            return Ok((release.manifest.clone(), Change::default()));
        }
        let cards = if references.is_empty() {
            let mut cards = self.registry.latest_of_all()?;
            cards.retain(|card| self.set_aside(card).is_none());
            cards
        } else {
            let cards = self.registry.named(references)?;
            if let Some(why) = cards.iter().find_map(|card| self.set_aside(card)) {
                return Err(Refusal::new(Reason::QualityFloor, why));
            }
            cards
        };
        let manifest = self.registry.cut(cards, note, now)?;
        let releases = vec![Release { manifest: manifest.clone(), key: Some(key) }];
        Ok((manifest, Change { releases, ..Change::default() }))
    }

    /// What all jobs ask of an institution now, oldest job first.
    #[must_use]
    pub fn assignments(&self, institution: &InstitutionName) -> Vec<Assignment> {
        let mut jobs: Vec<_> = self.jobs.values().filter(|job| !job.has_ended()).collect();
        jobs.sort_by(|a, b| (a.submitted_at, &a.id).cmp(&(b.submitted_at, &b.id)));
        jobs.into_iter().filter_map(|job| job.assignment(institution)).collect()
    }

    /// Whether an institution may upload a blob of this size: it needs a lease of training work
    /// whose weights can be as large.
    ///
    /// # Errors
    /// [`Reason::LeaseExpired`] without such a lease, [`Reason::TooLarge`].
    pub fn may_upload(&self, institution: &InstitutionName, size: u64) -> Result<(), Refusal> {
        let leased = self.jobs.values().filter(|job| {
            let participant = job.current().and_then(|round| round.participants.get(institution));
            participant.is_some_and(|one| matches!(one.slot, Slot::Leased { .. }))
        });
        let limits = leased.filter_map(|job| job.trainee_of(institution));
        let Some(limit) = limits.map(|trainee| trainee.signature().max_file_bytes()).max() else {
            let message = "weights are taken from holders of a lease only; accept the assignment again";
            return Err(Refusal::new(Reason::LeaseExpired, message));
        };
        if size <= limit {
            return Ok(());
        }
        let message = format!("the weights of this model need at most {limit} bytes, found `{size}`");
        Err(Refusal::new(Reason::TooLarge, message))
    }

    /// Whether an institution may download a blob: weights of the registry, and those that an
    /// assignment of its own starts from.
    #[must_use]
    pub fn may_download(&self, institution: &InstitutionName, digest: &Digest) -> bool {
        let asked = |job: &&Job| job.roster.contains(institution) && !job.has_ended();
        let own = self.jobs.values().filter(asked).flat_map(Job::bases);
        own.chain(self.released_blobs()).any(|blob| blob.digest == *digest)
    }

    /// The weights of all specialists.
    pub fn released_blobs(&self) -> impl Iterator<Item = BlobRef> {
        let cards = self.registry.specialists.values();
        cards.map(|card| BlobRef { digest: card.weights, size: card.weights_bytes })
    }

    /// The blobs that something refers to: specialists and heads, jobs under way, and for `keep_for`
    /// after they have closed, rounds.
    #[must_use]
    pub fn referenced(&self, keep_for: Duration, now: Timestamp) -> BTreeSet<Digest> {
        let live = self.jobs.values().filter(|job| !job.has_ended()).flat_map(Job::needs);
        let closed = self.jobs.values().flat_map(|job| &job.history);
        let kept = closed.filter(|closed| now < closed.at.plus(keep_for));
        let kept = kept.flat_map(|closed| closed.round.blobs().chain(closed.base).chain(closed.memory));
        self.published_blobs().chain(live).chain(kept).map(|blob| blob.digest).collect()
    }

    /// A job that goes on from a round of another; the same key again gives the same job.
    ///
    /// # Errors
    /// As [`Job::run_again`] and [`Job::aggregate_again`].
    #[allow(clippy::too_many_arguments, reason = "a job is made of these")]
    pub fn job_from(
        &self,
        origin: &JobId,
        round: u32,
        rounds: Option<RoundsPlan>,
        id: JobId,
        key: IdempotencyKey,
        by: &InstitutionName,
        now: Timestamp,
    ) -> Result<(JobId, Change), Refusal> {
        if let Some(job) = self.jobs.values().find(|job| job.key == key) {
            return Ok((job.id.clone(), Change::default()));
        }
        let origin = self.job(origin)?;
        let job = match rounds {
            None => origin.run_again(round, id.clone(), key, by.clone(), now)?,
            Some(rounds) => origin.aggregate_again(round, rounds, id.clone(), key, by.clone(), now)?,
        };
        Ok((id, Change { jobs: vec![job], ..Change::default() }))
    }

    /// What operators and readers may download: the weights of all specialists and of all heads.
    pub fn published_blobs(&self) -> impl Iterator<Item = BlobRef> {
        let heads = self.jobs.values().filter_map(|job| job.trained.as_ref());
        self.released_blobs().chain(heads.map(|trained| trained.weights))
    }
}
