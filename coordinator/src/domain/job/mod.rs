//! A job: what a plan asks for, under way, as a state machine whose every transition is a method that gives the
//! next job and the answer to whoever asked, or a refusal.
//!
//! ```text
//!              prepared             complete              aggregated, last round
//!  Preparing -----------> Collecting ---------> Aggregating -----------------------> Finished
//!                          ^   |  ^  \____________ |  ^                                 ^
//!                          |   |  |   next round     /                                  |
//!          too few, again  |___|   \________________/     one-shot complete ___________/
//! ```
//!
//! From each state that is not an end, too many attempts or a failure on the coordinator's side
//! lead to `Paused`, from which an operator resumes; and an operator can cancel. What the
//! coordinator itself must compute follows from the state ([`Job::task`]), so that after a restart
//! it is simply computed again.

mod aggregation;
mod apply;
mod fork;
mod freeze;
mod institutions;
mod offer;
mod outcome;

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use eosfed_common::assignment::BlobRef;
use eosfed_common::card::{BandNormalisation, Card, Energy};
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId, ReleaseNumber, SpecialistName};
use eosfed_common::ledger::{Actor, EventKind};
use eosfed_common::plan::{JobKind, JobSpec, SharedNormalisation};
use eosfed_common::report::TrainingReport;
use eosfed_common::view::Origin;
use serde::{Deserialize, Serialize};
use strum::AsRefStr;

use super::closed::RoundSummary;
use super::round::Round;
use super::target::{HeadRef, Target};

pub use aggregation::{Aggregation, Task, WeightedUpdate};
pub use fork::Fork;
pub use outcome::Outcome;

/// Where a paused job goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Writing the first global weights.
    Prepare,
    /// Another attempt at this round.
    Collect(Round),
    /// Aggregating this round.
    Aggregate(Round),
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// The coordinator writes the first global weights.
    Preparing,
    /// Institutions are at work.
    Collecting(Round),
    /// The coordinator combines what they have sent; nothing more is taken.
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
    /// It has made what it was to make.
    Finished {
        /// When.
        at: Timestamp,
    },
    /// Somebody has cancelled it.
    Cancelled {
        /// When.
        at: Timestamp,
        /// Who.
        by: InstitutionName,
    },
}

/// What of a job never changes: stored once, when it is submitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobDefinition {
    /// Its id.
    pub id: JobId,
    /// The key of the call that submitted it.
    pub key: IdempotencyKey,
    /// What it is to do.
    pub spec: JobSpec,
    /// The job that it was forked from.
    pub origin: Option<Origin>,
    /// The head that it trains, as it was resolved when the job was submitted; only in downstream jobs.
    pub head: Option<HeadRef>,
    /// The specialists that it scores, a round each, as they were resolved when the job was submitted;
    /// only in evaluation jobs.
    pub candidates: Vec<Card>,
    /// Who is asked to take part.
    pub cohort: Vec<InstitutionName>,
    /// The operator who submitted it.
    pub submitted_by: InstitutionName,
    /// When.
    pub submitted_at: Timestamp,
}

/// A job. It dereferences to its definition. Cloning it, as each decision does, copies the open round and
/// little else.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// What of it never changes.
    pub definition: Arc<JobDefinition>,
    /// Where it stands.
    pub state: JobState,
    /// Attempts at rounds that are over, by round and attempt.
    pub closed: Arc<Vec<RoundSummary>>,
    /// The global model: the weights that the next training round starts from.
    pub global_model: Option<BlobRef>,
    /// The state of the server optimizer.
    pub optimizer_state: Option<BlobRef>,
    /// The normalisation that all use; absent while unknown or when each uses its own.
    pub normalisation: Option<Arc<Vec<BandNormalisation>>>,
    /// Whose updates count in a training round that is complete.
    pub contributors: BTreeSet<InstitutionName>,
    /// Energy spent on those updates.
    pub energy: Option<Energy>,
    /// What it has made: names and versions.
    pub produced: Vec<(SpecialistName, u32)>,
    /// The release that it has cut.
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

/// What a downstream job has made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedHead {
    /// What it has learned; [`JobDefinition::head`] says what it is.
    pub weights: BlobRef,
    /// Whose imagery it has learned from.
    pub institutions: Vec<InstitutionName>,
    /// Rounds of aggregation.
    pub rounds: u32,
    /// What is known of its training: samples, means of the validation metrics and the imagery that all
    /// share, of the last round, and the energy of all rounds.
    pub report: TrainingReport,
}

/// What can happen to a job besides what institutions do.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    /// Time has passed.
    Tick,
    /// The coordinator has been away: everybody gets that time back.
    Restart,
    /// The first global weights are stored.
    Prepared(BlobRef),
    /// The aggregate of the round of this index is stored, and the new state of the server optimizer.
    Aggregated(u32, BlobRef, Option<BlobRef>),
    /// The coordinator could not compute what the state asks for.
    TaskFailed(String),
    /// An operator stops it for good.
    Cancel(InstitutionName),
    /// An operator lets it rest: nothing new is offered, and the round does not close; who is at work
    /// may go on and hand in.
    Pause(InstitutionName),
    /// An operator lets a paused job go on.
    Resume(InstitutionName),
    /// An operator has an institution asked again that has refused, failed or been rejected.
    Retry {
        /// The operator.
        by: InstitutionName,
        /// The institution.
        institution: InstitutionName,
    },
}

/// What an operator can do to a job. Its name is that of the call in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr)]
pub enum JobAction {
    /// End it for good.
    #[strum(serialize = "CancelJob")]
    Cancel,
    /// Offer no new work until it is resumed; institutions at work may finish and submit.
    #[strum(serialize = "PauseJob")]
    Pause,
    /// Resume it.
    #[strum(serialize = "ResumeJob")]
    Resume,
    /// Ask an institution again that has refused, failed or been rejected in the open round.
    #[strum(serialize = "RetryInstitution")]
    Retry(InstitutionName),
}

impl JobAction {
    /// The transition that it is.
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
            // Their first weights are written before the first round.
            JobKind::Rounds | JobKind::Downstream => {}
        }
        outcome
    }

    /// A job that has done nothing yet.
    fn new(definition: JobDefinition) -> Self {
        Self {
            definition: Arc::new(definition),
            state: JobState::Preparing,
            closed: Arc::default(),
            global_model: None,
            optimizer_state: None,
            normalisation: None,
            contributors: BTreeSet::new(),
            energy: None,
            produced: Vec::new(),
            release: None,
            trained: None,
        }
    }

    /// The normalisation of all, if the plan gives it.
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

    /// The job as if no lease had made any progress: what of it must survive a restart.
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

    /// Whether nothing more will happen.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.state, JobState::Finished { .. } | JobState::Cancelled { .. })
    }

    /// Whether this attempt is over: the job waits for an operator, since there was none after it.
    fn has_closed(&self, round: &Round) -> bool {
        self.closed.last().is_some_and(|closed| closed.id == round.id())
    }

    /// The round in which institutions are at work.
    #[must_use]
    pub const fn collecting(&self) -> Option<&Round> {
        if matches!(self.state, JobState::Paused { .. }) { None } else { self.open_round() }
    }

    /// The round in which institutions may hand in: also while an operator lets the job rest.
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

    /// The round that the job is at, in whatever state.
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

    /// What the coordinator has to compute now.
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

    /// What all train together, in jobs of federated rounds.
    fn shared(&self) -> Option<Target> {
        match &self.spec {
            JobSpec::Rounds(spec) => Some(Target::Specialist(spec.model())),
            JobSpec::Downstream(_) => self.head.clone().map(Target::Head),
            JobSpec::OneShot(_) | JobSpec::Evaluation(_) | JobSpec::Statistics(_) => None,
        }
    }

    fn preparation(&self) -> Option<Task> {
        let seed = match &self.spec {
            JobSpec::Rounds(spec) => spec.seed,
            JobSpec::Downstream(spec) => spec.seed,
            JobSpec::OneShot(_) | JobSpec::Evaluation(_) | JobSpec::Statistics(_) => return None,
        };
        Some(Task::Prepare(self.shared()?, seed))
    }
}

impl JobState {
    /// Its name for people and in JSON.
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
