//! A job: the execution of a plan, as a state machine. Each transition is a method that gives the next job
//! and the answer to the caller, or a refusal.
//!
//! ```text
//!              prepared             complete              aggregated, last round
//!  Preparing -----------> Collecting ---------> Aggregating -----------------------> Finished
//!                          ^   |  ^  \____________ |  ^                                 ^
//!                          |   |  |   next round     /                                  |
//!          too few, again  |___|   \________________/     one-shot complete ___________/
//! ```
//!
//! Every state except `Finished` and `Cancelled` leads to `Paused` after too many attempts or a failure of
//! the coordinator. An operator can resume a paused job, and can cancel every job that has not ended. The
//! computations of the coordinator follow from the state ([`Job::task`]), so they are repeated after a
//! restart.

mod aggregation;
mod apply;
mod fork;
mod freeze;
mod institutions;
mod offer;
mod outcome;
mod revoked;
mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use eosfed_common::assignment::BlobRef;
use eosfed_common::card::{BandNormalisation, Card, Energy};
use eosfed_common::clock::Timestamp;
use eosfed_common::head::StatisticsFrom;
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId, ReleaseNumber, SpecialistName};
use eosfed_common::ledger::{Actor, EventKind};
use eosfed_common::plan::{JobKind, JobSpec, SharedNormalisation};
use eosfed_common::report::TrainingReport;
use eosfed_common::view::Origin;
use eosfed_common::weights::Encoding;
use serde::{Deserialize, Serialize};
use strum::AsRefStr;

use super::closed::RoundSummary;
use super::round::Round;
use super::spent::Spent;
use super::start::Start;
use super::target::{HeadRef, Target};

pub use aggregation::{Aggregation, Preparation, Task, WeightedUpdate};
pub use fork::Fork;
pub use outcome::Outcome;

/// Where a paused job continues.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Generates the first global weights.
    Prepare,
    /// Opens another attempt at this round.
    Collect(Round),
    /// Aggregates this round.
    Aggregate(Round),
}

/// The state of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// The coordinator generates the first global weights.
    Preparing,
    /// Institutions are at work.
    Collecting(Round),
    /// The coordinator aggregates the updates. It accepts no more of them.
    Aggregating(Round),
    /// It waits for `eosfed job resume`.
    Paused {
        /// Since when.
        at: Timestamp,
        /// Why.
        why: String,
        /// Where it goes on.
        next: Next,
    },
    /// It has produced its results.
    Finished {
        /// When.
        at: Timestamp,
    },
    /// An operator has cancelled it.
    Cancelled {
        /// When.
        at: Timestamp,
        /// Who.
        by: InstitutionName,
    },
}

/// The part of a job that never changes. It is stored once, when the job is submitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobDefinition {
    /// Its id.
    pub id: JobId,
    /// The idempotency key of the call that submitted it.
    pub key: IdempotencyKey,
    /// The specification of the job.
    pub spec: JobSpec,
    /// The job that it was forked from.
    pub origin: Option<Origin>,
    /// The head that it trains, as it was resolved when the job was submitted; only in downstream jobs.
    pub head: Option<HeadRef>,
    /// The specialists that it scores, a round each, as they were resolved when the job was submitted;
    /// only in evaluation jobs.
    pub candidates: Vec<Card>,
    /// The released specialists that its specialists start from, by the names of its specialists.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub starts: BTreeMap<SpecialistName, Start>,
    /// The institutions that are asked to take part.
    pub cohort: Vec<InstitutionName>,
    /// The operator who submitted it.
    pub submitted_by: InstitutionName,
    /// When.
    pub submitted_at: Timestamp,
}

/// A job. It dereferences to its definition. Each decision clones it, which copies the open round and little
/// else.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The part that never changes.
    pub definition: Arc<JobDefinition>,
    /// Its state.
    pub state: JobState,
    /// Closed attempts, in the order of rounds and attempts.
    pub closed: Arc<Vec<RoundSummary>>,
    /// The global model: the weights that the next training round starts from.
    pub global_model: Option<BlobRef>,
    /// The state of the server optimizer.
    pub optimizer_state: Option<BlobRef>,
    /// The normalisation that all institutions use. Absent while it is unknown, or when each uses its own.
    pub normalisation: Option<Arc<Vec<BandNormalisation>>>,
    /// The institutions whose updates count in a complete training round.
    pub contributors: BTreeSet<InstitutionName>,
    /// The encodings of those updates, other than plain weights.
    pub encodings: BTreeSet<Encoding>,
    /// Energy spent on those updates.
    pub energy: Option<Energy>,
    /// What each institution has spent on results that count.
    pub spent: Spent,
    /// The specialists that it has produced: names and versions.
    pub produced: Vec<(SpecialistName, u32)>,
    /// The release that it has created.
    pub release: Option<ReleaseNumber>,
    /// The head that it has trained.
    pub trained: Option<Arc<TrainedHead>>,
}

impl Deref for Job {
    type Target = JobDefinition;

    fn deref(&self) -> &JobDefinition {
        &self.definition
    }
}

/// The result of a downstream job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedHead {
    /// The trained weights. [`JobDefinition::head`] describes the head.
    pub weights: BlobRef,
    /// The institutions whose imagery it was trained on.
    pub institutions: Vec<InstitutionName>,
    /// The number of aggregated rounds.
    pub rounds: u32,
    /// The report of its training: samples, mean validation metrics and shared properties of the imagery, all
    /// of the last round, and the energy of all rounds.
    pub report: TrainingReport,
    /// Statistics of the bands, pooled over the institutions of the last round that told theirs. Empty if they were
    /// fewer than the job combines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statistics: Vec<BandNormalisation>,
    /// How many they were. Absent in records of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics_from: Option<StatisticsFrom>,
}

/// The transitions of a job that no institution makes.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    /// Time has passed.
    Tick,
    /// The coordinator was down. All leases and deadlines are extended by that time.
    Restart,
    /// The first global weights are stored.
    Prepared(BlobRef),
    /// The aggregate of the round of this index is stored, and the new state of the server optimizer.
    Aggregated(u32, BlobRef, Option<BlobRef>),
    /// The computation of this state has failed.
    TaskFailed(String),
    /// An operator cancels it.
    Cancel(InstitutionName),
    /// An operator pauses it. No new work is offered and the round does not close. Institutions at work may
    /// finish and submit.
    Pause(InstitutionName),
    /// An operator resumes it.
    Resume(InstitutionName),
    /// An operator repeats the offer to an institution that has declined, failed or been rejected.
    Retry {
        /// The operator.
        by: InstitutionName,
        /// The institution.
        institution: InstitutionName,
    },
}

/// An action of an operator on a job. Its name is the action's name in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr)]
pub enum JobAction {
    /// Cancel it.
    #[strum(serialize = "CancelJob")]
    Cancel,
    /// Offer no new work until it is resumed; institutions at work may finish and submit.
    #[strum(serialize = "PauseJob")]
    Pause,
    /// Resume it.
    #[strum(serialize = "ResumeJob")]
    Resume,
    /// Repeat the offer to an institution that has declined, failed or been rejected in the open round.
    #[strum(serialize = "RetryInstitution")]
    Retry(InstitutionName),
}

impl JobAction {
    /// The transition of this action.
    #[must_use]
    pub fn by(self, operator: InstitutionName) -> Transition {
        match self {
            Self::Cancel => Transition::Cancel(operator),
            Self::Pause => Transition::Pause(operator),
            Self::Resume => Transition::Resume(operator),
            Self::Retry(institution) => Transition::Retry { by: operator, institution },
        }
    }
}

impl Job {
    /// A job that has just been submitted.
    #[must_use]
    pub fn submit(definition: JobDefinition, now: Timestamp) -> Outcome {
        let mut job = Self::new(definition);
        job.normalisation = job.given_normalisation().map(Arc::new);
        let name = job.spec.name().to_owned();
        let by = Actor::Operator(job.submitted_by.clone());
        let kind = job.spec.kind();
        let mut outcome = Outcome::of(job);
        outcome.note(by, EventKind::JobSubmitted { name });
        match kind {
            JobKind::OneShot | JobKind::Evaluation | JobKind::Statistics => outcome.open(0, now),
            // The first weights are generated before the first round.
            JobKind::Rounds | JobKind::Downstream => {}
        }
        outcome
    }

    /// A job before its first round.
    fn new(definition: JobDefinition) -> Self {
        Self {
            definition: Arc::new(definition),
            state: JobState::Preparing,
            closed: Arc::default(),
            global_model: None,
            optimizer_state: None,
            normalisation: None,
            contributors: BTreeSet::new(),
            encodings: BTreeSet::new(),
            energy: None,
            spent: Spent::default(),
            produced: Vec::new(),
            release: None,
            trained: None,
        }
    }

    /// Energy spent on its results that count: on averaged updates, or else on trainings and scores.
    #[must_use]
    pub fn energy_spent(&self) -> Option<Energy> {
        self.energy.or_else(|| self.spent.total())
    }

    /// The normalisation for all institutions, if the plan gives it.
    fn given_normalisation(&self) -> Option<Vec<BandNormalisation>> {
        match &self.spec {
            JobSpec::Rounds(spec) => match &spec.normalisation {
                SharedNormalisation::Given { bands } => Some(bands.clone()),
                SharedNormalisation::Federated => None,
            },
            JobSpec::OneShot(_)
            | JobSpec::Downstream(_)
            | JobSpec::Evaluation(_)
            | JobSpec::Statistics(_) => None,
        }
    }

    /// The job without the progress of leases: the part that must survive a restart.
    pub(super) fn without_progress(&self) -> Self {
        let mut job = self.clone();
        if let JobState::Collecting(round)
        | JobState::Aggregating(round)
        | JobState::Paused { next: Next::Collect(round) | Next::Aggregate(round), .. } = &mut job.state
        {
            round.forget_progress();
        }
        job
    }

    /// Whether it has finished or was cancelled.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.state, JobState::Finished { .. } | JobState::Cancelled { .. })
    }

    /// Whether this attempt has closed because the attempts were used up, and the job waits for an operator.
    fn has_closed(&self, round: &Round) -> bool {
        self.closed.last().is_some_and(|closed| closed.id == round.id())
    }

    /// The round in which institutions are at work.
    #[must_use]
    pub const fn collecting(&self) -> Option<&Round> {
        if matches!(self.state, JobState::Paused { .. }) { None } else { self.open_round() }
    }

    /// The round in which institutions may submit, also while the job is paused by an operator.
    #[must_use]
    pub const fn open_round(&self) -> Option<&Round> {
        match &self.state {
            JobState::Collecting(round) | JobState::Paused { next: Next::Collect(round), .. } => Some(round),
            JobState::Preparing
            | JobState::Aggregating(_)
            | JobState::Paused { .. }
            | JobState::Finished { .. }
            | JobState::Cancelled { .. } => None,
        }
    }

    /// As [`Job::open_round`], to be changed.
    pub(super) const fn open_round_mut(&mut self) -> Option<&mut Round> {
        match &mut self.state {
            JobState::Collecting(round) | JobState::Paused { next: Next::Collect(round), .. } => Some(round),
            JobState::Preparing
            | JobState::Aggregating(_)
            | JobState::Paused { .. }
            | JobState::Finished { .. }
            | JobState::Cancelled { .. } => None,
        }
    }

    /// The current round, in every state that has one.
    #[must_use]
    pub const fn current(&self) -> Option<&Round> {
        match &self.state {
            JobState::Collecting(round)
            | JobState::Aggregating(round)
            | JobState::Paused { next: Next::Collect(round) | Next::Aggregate(round), .. } => Some(round),
            JobState::Preparing
            | JobState::Paused { next: Next::Prepare, .. }
            | JobState::Finished { .. }
            | JobState::Cancelled { .. } => None,
        }
    }

    /// The computation that is due now.
    #[must_use]
    pub fn task(&self) -> Option<Task> {
        match &self.state {
            JobState::Preparing => self.preparation(),
            JobState::Aggregating(round) => Some(Task::Aggregate(Box::new(self.aggregation(round)?))),
            JobState::Collecting(_)
            | JobState::Paused { .. }
            | JobState::Finished { .. }
            | JobState::Cancelled { .. } => None,
        }
    }

    /// What the institutions train together, in jobs of federated rounds.
    fn shared(&self) -> Option<Target> {
        match &self.spec {
            JobSpec::Rounds(spec) => Some(Target::Specialist(spec.model())),
            JobSpec::Downstream(_) => self.head.clone().map(Target::Head),
            JobSpec::OneShot(_) | JobSpec::Evaluation(_) | JobSpec::Statistics(_) => None,
        }
    }

    fn preparation(&self) -> Option<Task> {
        let (seed, start) = match &self.spec {
            JobSpec::Rounds(spec) => (spec.seed, self.starts.get(&spec.specialist.name).cloned()),
            JobSpec::Downstream(spec) => (spec.seed, None),
            JobSpec::OneShot(_) | JobSpec::Evaluation(_) | JobSpec::Statistics(_) => return None,
        };
        Some(Task::Prepare(Box::new(Preparation { target: self.shared()?, seed, start })))
    }
}

impl JobState {
    /// Its name in messages and in JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Collecting(_) => "running",
            Self::Aggregating(_) => "aggregating",
            Self::Paused { .. } => "paused",
            Self::Finished { .. } => "finished",
            Self::Cancelled { .. } => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests;
