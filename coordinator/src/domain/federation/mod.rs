//! The state of the coordinator and all decisions about it. A decision is a function of the present state. It
//! gives an answer and a [`Change`]. The state is not changed in place: the change is stored first, then
//! merged.

mod ablations;
mod access;
pub mod members;
mod queued;
mod releases;
mod signing_key;
mod starts;
mod stated;

use std::collections::BTreeMap;

use eosfed_common::assignment::Assignment;
use eosfed_common::card::Card;
use eosfed_common::clock::Timestamp;
use eosfed_common::identity::Identity;
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId};
use eosfed_common::plan::JobSpec;
use eosfed_common::refusal::{Reason, Refusal};

use super::change::{Change, Damaged};
use super::closed::ClosedRound;
use super::job::{Fork, Job, JobDefinition, Transition};
use super::job_ref::{self, JobRef};
use super::member::Member;
use super::registry::Registry;
use super::target::{HeadRef, Target};
use starts::Starts;

/// The state of the coordinator. Closed rounds, curves and events are in the store only.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Federation {
    /// Institutions, operators and readers.
    pub members: BTreeMap<Identity, Member>,
    /// Jobs by id.
    pub jobs: BTreeMap<JobId, Job>,
    /// Specialists and releases.
    pub registry: Registry,
    /// Records that are quarantined because they cannot be read back.
    pub quarantined: Vec<Damaged>,
}

/// A job to be submitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    /// Its id.
    pub id: JobId,
    /// The idempotency key of the call.
    pub key: IdempotencyKey,
    /// The specification of the job.
    pub spec: JobSpec,
    /// The operator.
    pub by: InstitutionName,
}

/// The entries of the registry that a job names.
#[derive(Default)]
struct Resolved {
    /// The head that it trains, with the bytes of its document.
    head: Option<(HeadRef, Vec<u8>)>,
    /// The specialists that it scores.
    candidates: Vec<Card>,
    /// The specialists that its own start from, and the releases that institutions verify them with.
    starts: Starts,
}

impl Federation {
    /// Merges a stored change into the state.
    pub fn merge(&mut self, change: Change) {
        // Closed rounds and curves stay in the store; jobs hold the summaries that decisions need.
        let Change {
            members,
            jobs,
            rounds: _,
            curves: _,
            specialists,
            releases,
            ablations,
            quarantined,
            events: _,
            documents: _,
            moved_documents: _,
            progress,
        } = change;
        self.members.extend(members.into_iter().map(|one| (one.identity(), one)));
        self.jobs.extend(jobs.into_iter().chain(progress).map(|job| (job.id.clone(), job)));
        let specialists = specialists.into_iter().map(|card| ((card.name.clone(), card.version), card));
        self.registry.specialists.extend(specialists);
        self.registry.releases.extend(releases.into_iter().map(|one| (one.manifest.number, one)));
        self.registry.ablations.extend(ablations.into_iter().map(|one| (one.key(), one)));
        self.set_apart(quarantined);
    }

    /// Adds quarantined records. Their numbers are not used again.
    pub fn set_apart(&mut self, quarantined: Vec<Damaged>) {
        for damaged in &quarantined {
            self.registry.retire(&damaged.record);
        }
        self.quarantined.extend(quarantined);
    }

    /// Submits a job. A repeated call with the same key gives the same job.
    ///
    /// # Errors
    /// [`Reason::WrongState`] if the plan asks all enrolled institutions and there are too few.
    pub fn submit_job(&self, submission: Submission, now: Timestamp) -> Result<(JobId, Change), Refusal> {
        let Submission { id, key, spec, by } = submission;
        if let Some(job) = self.jobs.values().find(|job| job.key == key) {
            return Ok((job.id.clone(), Change::default()));
        }
        let cohort = self.cohort(&spec);
        let asked = cohort.len();
        let min = spec.participation().min;
        if asked < min as usize {
            let message = format!(
                "the plan asks every enrolled institution and needs {min}, but {asked} are enrolled; invite \
                 more, or name them in `participation.institutions`"
            );
            return Err(Refusal::new(Reason::WrongState, message));
        }
        let Resolved { head, candidates, starts: Starts { starts, mut documents } } = self.resolve(&spec)?;
        let head = head.map(|(head, bytes)| {
            documents.push(bytes);
            head
        });
        let definition = JobDefinition {
            id: id.clone(),
            key,
            spec,
            origin: None,
            head,
            candidates,
            starts,
            cohort,
            submitted_by: by,
            submitted_at: now,
        };
        let change = self.settle(Job::submit(definition, now), now)?;
        Ok((id, Change { documents, ..change }))
    }

    /// Resolves the names of a job in the registry, so that no later release changes the job.
    fn resolve(&self, spec: &JobSpec) -> Result<Resolved, Refusal> {
        let mut resolved = Resolved::default();
        match spec {
            JobSpec::Statistics(_) => {}
            JobSpec::OneShot(spec) => resolved.starts = self.starts_of_each(spec)?,
            JobSpec::Rounds(spec) => resolved.starts = self.start_of_shared(spec)?,
            JobSpec::Downstream(spec) => resolved.head = Some(self.registry.head(spec)?),
            JobSpec::Evaluation(spec) => resolved.candidates = self.registry.candidates(&spec.evaluation)?,
        }
        Ok(resolved)
    }

    fn cohort(&self, spec: &JobSpec) -> Vec<InstitutionName> {
        let enrolled =
            || self.institutions().filter(|one| one.is_active()).map(|one| one.name.clone()).collect();
        let mut cohort = spec.institutions().unwrap_or_else(enrolled);
        cohort.sort();
        cohort
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

    /// The job that a reference names.
    ///
    /// # Errors
    /// [`Reason::NotFound`], or [`Reason::Ambiguous`] with the candidates.
    pub fn resolve_job(&self, wanted: &JobRef) -> Result<&Job, Refusal> {
        job_ref::resolve(&self.jobs, wanted)
    }

    /// Forks a job from a round of another job. A repeated call with the same key gives the same job.
    /// `closed` holds the closed rounds of the other job up to that round.
    ///
    /// # Errors
    /// As [`Job::fork`].
    pub fn fork(
        &self,
        origin: &JobId,
        fork: Fork,
        closed: &[ClosedRound],
        now: Timestamp,
    ) -> Result<(JobId, Change), Refusal> {
        if let Some(job) = self.jobs.values().find(|job| job.key == fork.key) {
            return Ok((job.id.clone(), Change::default()));
        }
        let outcome = self.job(origin)?.fork(fork, closed, now)?;
        Ok((outcome.job.id.clone(), self.settle(outcome, now)?))
    }

    /// A transition of one job.
    ///
    /// # Errors
    /// As [`Job::apply`]; [`Reason::NotFound`].
    pub fn apply(&self, id: &JobId, transition: Transition, now: Timestamp) -> Result<Change, Refusal> {
        self.settle(self.job(id)?.apply(transition, now)?, now)
    }

    /// The present assignments of all jobs for an institution, oldest job first.
    #[must_use]
    pub fn assignments(&self, institution: &InstitutionName) -> Vec<Assignment<Target>> {
        let mut jobs: Vec<_> = self.jobs.values().filter(|job| !job.has_ended()).collect();
        jobs.sort_by(|a, b| (a.submitted_at, &a.id).cmp(&(b.submitted_at, &b.id)));
        jobs.into_iter().filter_map(|job| job.assignment(institution)).collect()
    }
}
