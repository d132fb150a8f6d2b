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

mod again;
mod aggregation;
mod apply;
mod freeze;
mod institutions;
mod offer;

use std::collections::BTreeMap;

use eosfed_common::assignment::BlobRef;
use eosfed_common::card::{BandNormalisation, Card, Energy};
use eosfed_common::clock::Timestamp;
use eosfed_common::finite::Finite;
use eosfed_common::head::{HeadFile, HeadOver};
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId, ReleaseNumber, SpecialistName};
use eosfed_common::plan::{JobKind, JobSpec, ServerPlan, SharedNormalisation, Strategy};
use eosfed_common::trainee::Trainee;
use serde::{Deserialize, Serialize};

use super::round::Round;

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

/// An attempt at a round that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClosedRound {
    /// The attempt, as it ended.
    pub round: Round,
    /// When it was over.
    pub at: Timestamp,
    /// Whether enough was submitted.
    pub complete: bool,
    /// The weights that it started from.
    pub base: Option<BlobRef>,
    /// What the server step remembered when it started.
    pub memory: Option<BlobRef>,
}

/// Which job a job goes on from, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The job.
    pub job: JobId,
    /// Index of its round.
    pub round: u32,
    /// What is done with that round.
    pub again: Again,
}

/// What is done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Again {
    /// The round is run again, from the weights that it started from.
    Round,
    /// Its kept updates are aggregated again, by another strategy.
    Aggregate,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The key of the call that submitted it.
    pub key: IdempotencyKey,
    /// What it is to do.
    pub spec: JobSpec,
    /// The job that it goes on from.
    pub origin: Option<Origin>,
    /// The head that it trains, as it was resolved when the job was submitted; only in downstream jobs.
    pub head: Option<Box<HeadOver>>,
    /// The specialists that it scores, a round each, as they were resolved when the job was submitted;
    /// only in evaluation jobs.
    #[serde(default)]
    pub candidates: Vec<Card>,
    /// Who is asked to take part.
    pub roster: Vec<InstitutionName>,
    /// The operator who submitted it.
    pub submitted_by: InstitutionName,
    /// When.
    pub submitted_at: Timestamp,
    /// Where it stands.
    pub state: JobState,
    /// Attempts at rounds that are over, in order.
    pub history: Vec<ClosedRound>,
    /// The weights that the next training round starts from.
    pub global: Option<BlobRef>,
    /// What the server step remembers.
    pub memory: Option<BlobRef>,
    /// The normalisation that all use; absent while unknown or when each uses its own.
    pub normalisation: Option<Vec<BandNormalisation>>,
    /// What it has made: names and versions.
    pub produced: Vec<(SpecialistName, u32)>,
    /// The release that it has cut.
    pub release: Option<ReleaseNumber>,
    /// The head that it has trained.
    pub trained: Option<Box<TrainedHead>>,
}

/// What a downstream job has made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedHead {
    /// The head, as its `head.json`.
    pub head: HeadFile,
    /// What it has learned.
    pub weights: BlobRef,
    /// Whose imagery it has learned from.
    pub institutions: Vec<InstitutionName>,
    /// Rounds of aggregation.
    pub rounds: u32,
    /// Means of the last round's validation metrics, weighted by samples.
    pub metrics: BTreeMap<String, Finite>,
    /// Energy spent on its training.
    pub energy: Energy,
}

/// A job after a transition, and the specialists that the transition has frozen: complete but for
/// their version, which is 0 until the registry numbers them.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The job.
    pub job: Job,
    /// Its new specialists.
    pub frozen: Vec<Card>,
}

/// What can happen to a job besides what institutions do.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The coordinator has been away: everybody gets that time back.
    Restart,
    /// The first global weights are stored.
    Prepared(BlobRef),
    /// The weights combined from the round of this index are stored, and what the server step remembers.
    Aggregated(u32, BlobRef, Option<BlobRef>),
    /// The coordinator could not compute what the state asks for.
    TaskFailed(String),
    /// An operator stops it for good.
    Cancel(InstitutionName),
    /// An operator lets it rest: nothing new is offered, and the round does not close; who is at work
    /// may go on and hand in.
    Pause(InstitutionName),
    /// An operator lets a paused job go on.
    Resume,
    /// An operator has an institution asked again that has refused, failed or been rejected.
    Retry(InstitutionName),
}

/// What the coordinator itself has to compute in a state. Doing it twice gives the same bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Write starting weights by this seed.
    Prepare(Trainee, u64),
    /// Combine the updates of a round.
    Aggregate(Box<Aggregation>),
}

/// Everything that an aggregate follows from.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregation {
    /// What the updates are of.
    pub trainee: Trainee,
    /// Index of their round.
    pub round: u32,
    /// How they become one.
    pub strategy: Strategy,
    /// The server step of strategies without one of their own.
    pub server: ServerPlan,
    /// The weights that the round started from.
    pub now: BlobRef,
    /// What the server step remembers.
    pub memory: Option<BlobRef>,
    /// Server steps before this one.
    pub step: u32,
    /// The updates, in the order of the institutions' names.
    pub updates: Vec<Operand>,
}

/// One update of an aggregation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Operand {
    /// Its weights.
    pub weights: BlobRef,
    /// How much it counts.
    pub weight: f64,
    /// The weights that it started from, where they are not the round's.
    pub base: Option<BlobRef>,
}

/// What a job is to do, with what that names in the registry.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// What it is to do.
    pub spec: JobSpec,
    /// Its head over the release that it stands on.
    pub head: Option<Box<HeadOver>>,
    /// The specialists that it scores.
    pub candidates: Vec<Card>,
}

impl Job {
    /// A job that has just been submitted.
    #[must_use]
    pub fn submit(
        id: JobId,
        key: IdempotencyKey,
        Resolved { spec, head, candidates }: Resolved,
        roster: Vec<InstitutionName>,
        by: InstitutionName,
        now: Timestamp,
    ) -> Self {
        let mut job = Self {
            id,
            key,
            spec,
            origin: None,
            head,
            candidates,
            roster,
            submitted_by: by,
            submitted_at: now,
            state: JobState::Preparing,
            history: Vec::new(),
            global: None,
            memory: None,
            normalisation: None,
            produced: Vec::new(),
            release: None,
            trained: None,
        };
        job.normalisation = job.given_normalisation();
        match job.spec.kind() {
            JobKind::OneShot | JobKind::Evaluation => job.open(0, now),
            // Their first weights are written before the first round.
            JobKind::Rounds | JobKind::Downstream => {}
        }
        job
    }

    /// The normalisation of all, if the plan gives it.
    fn given_normalisation(&self) -> Option<Vec<BandNormalisation>> {
        match &self.spec {
            JobSpec::Rounds(spec) => match &spec.normalisation {
                SharedNormalisation::Given { bands } => Some(bands.clone()),
                SharedNormalisation::Federated => None,
            },
            JobSpec::OneShot(_) | JobSpec::Downstream(_) | JobSpec::Evaluation(_) => None,
        }
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.state, JobState::Finished { .. } | JobState::Cancelled { .. })
    }

    /// The round in which institutions are at work.
    #[must_use]
    pub const fn collecting(&self) -> Option<&Round> {
        match &self.state {
            JobState::Collecting(round) => Some(round),
            JobState::Preparing
            | JobState::Aggregating(_)
            | JobState::Paused { .. }
            | JobState::Finished { .. }
            | JobState::Cancelled { .. } => None,
        }
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
    fn shared(&self) -> Option<Trainee> {
        match &self.spec {
            JobSpec::Rounds(spec) => Some(Trainee::Specialist(spec.model())),
            JobSpec::Downstream(_) => self.head.clone().map(Trainee::Head),
            JobSpec::OneShot(_) | JobSpec::Evaluation(_) => None,
        }
    }

    fn preparation(&self) -> Option<Task> {
        let seed = match &self.spec {
            JobSpec::Rounds(spec) => spec.seed,
            JobSpec::Downstream(spec) => spec.seed,
            JobSpec::OneShot(_) | JobSpec::Evaluation(_) => return None,
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
