//! The daemon's decisions: a pure function from a state and an event to the next state and what to
//! do about it.
//!
//! ```text
//!         accepted            fetched             finished              acknowledged
//!  Idle ----------> Fetching ---------> Training ----------> Submitting ------------> Idle
//!    \                                  (dies: twice more)      ^   (kept until then)
//!     \  accepted (statistics)          measured or failed      |
//!      `----------> Measuring ----------------------------------'
//! ```
//!
//! An evaluation goes the way of a training and hands in scores. From each state but `Idle`, a coordinator that no longer wants the work leads back to `Idle`. What
//! to do in a state follows from the state alone ([`resume`]), so a restart is not a special case.
//! No timers, no I/O: retries and waiting are the affair of the activities.

use std::collections::BTreeMap;
use std::path::PathBuf;

use eosfed_common::assignment::{Assignment, BandMoments, BlobRef, Lease, Work};
use eosfed_common::card::{BandNormalisation, Energy, InitialFile};
use eosfed_common::clock::Timestamp;
use eosfed_common::finite::Finite;
use eosfed_common::ids::{AssignmentId, IdempotencyKey};
use eosfed_common::refusal::Refusal;
use serde::{Deserialize, Serialize};

/// How often a trainer that died is started again.
pub const MAX_DEATHS: u32 = 2;

/// An assignment whose lease this client holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The work.
    pub assignment: Assignment,
    /// Proof of holding it.
    pub lease: Lease,
    /// Makes repeating its submission harmless.
    pub key: IdempotencyKey,
    /// When it was accepted.
    pub since: Timestamp,
}

/// A running trainer, as it can be found again after this daemon was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its process id, which is its group's too.
    pub pid: i32,
    /// When the kernel started it, in clock ticks since boot: tells it from a later process of the same id.
    pub start_ticks: u64,
}

/// A finished training whose weights have passed every check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The weights.
    pub file: PathBuf,
    /// Their digest and size.
    pub weights: BlobRef,
    /// Training samples that they have learned from.
    pub samples: u64,
    /// Validation metrics, as far as the policy lets them out.
    pub metrics: BTreeMap<String, Finite>,
    /// The normalisation used.
    pub normalisation: Vec<BandNormalisation>,
    /// Energy spent by the process that finished.
    pub energy: Energy,
    /// What the encoder started from, if the settings named a file.
    #[serde(default)]
    pub initial: Option<InitialFile>,
}

/// What a frozen specialist was found to do here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Validation samples scored.
    pub samples: u64,
    /// The scores.
    pub metrics: BTreeMap<String, Finite>,
    /// Energy spent.
    pub energy: Energy,
}

/// What there is to hand in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Weights.
    Update(Box<Update>),
    /// Moments of each band.
    Statistics(Vec<BandMoments>),
    /// Scores of a frozen specialist.
    Scores(Scores),
    /// It failed here for good, for this reason.
    Failure(String),
}

/// Where the daemon stands; what the journal holds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum State {
    /// Looking for work.
    #[default]
    Idle,
    /// Getting the starting weights.
    Fetching {
        /// The assignment.
        held: Box<Held>,
    },
    /// The trainer is at work.
    Training {
        /// The assignment.
        held: Box<Held>,
        /// How often the trainer has died on it.
        deaths: u32,
        /// The running trainer, once it runs.
        process: Option<Process>,
    },
    /// Computing statistics.
    Measuring {
        /// The assignment.
        held: Box<Held>,
    },
    /// Handing in what there is, until the coordinator has acknowledged it.
    Submitting {
        /// The assignment.
        held: Box<Held>,
        /// What is handed in.
        outcome: Outcome,
    },
}

impl State {
    /// The assignment in hand.
    #[must_use]
    pub fn held(&self) -> Option<&Held> {
        match self {
            Self::Idle => None,
            Self::Fetching { held }
            | Self::Training { held, .. }
            | Self::Measuring { held }
            | Self::Submitting { held, .. } => Some(held),
        }
    }

    /// Its name for people.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Fetching { .. } => "fetching",
            Self::Training { .. } => "training",
            Self::Measuring { .. } => "measuring",
            Self::Submitting { .. } => "submitting",
        }
    }

    fn with_lease(mut self, lease: Lease) -> Self {
        match &mut self {
            Self::Idle => {}
            Self::Fetching { held }
            | Self::Training { held, .. }
            | Self::Measuring { held }
            | Self::Submitting { held, .. } => held.lease = lease,
        }
        self
    }
}

/// What can happen.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The coordinator has lent an assignment.
    Accepted(Box<Assignment>, Lease, IdempotencyKey),
    /// The starting weights are here.
    Fetched,
    /// A trainer has been started.
    TrainerStarted(Process),
    /// It has finished and its weights are good.
    Finished(Box<Update>),
    /// It has scored what it was to score.
    Scored(Scores),
    /// It ended without a result.
    TrainerDied(String),
    /// The statistics are computed.
    Measured(Vec<BandMoments>),
    /// The work cannot be done here; trying again would not help.
    Failed(String),
    /// The lease has been granted anew.
    Leased(Lease),
    /// The coordinator has told a heartbeat to stop.
    Stopped(Refusal),
    /// The coordinator refuses the work at hand for good.
    Rejected(Refusal),
    /// The coordinator has recorded what was handed in.
    Acknowledged(Timestamp),
    /// The coordinator does not want this client.
    Banned(Refusal),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Look for work and accept some.
    Seek,
    /// Get the starting weights.
    Fetch,
    /// End what an earlier daemon has left running.
    Reap(Process),
    /// Run the trainer, after so many deaths.
    Train(u32),
    /// Compute statistics.
    Measure,
    /// Hand in the outcome.
    Submit,
    /// Remove the assignment's folder.
    Discard(AssignmentId),
    /// Say to the person who reads the log how an assignment ended.
    Tell(Ending),
    /// End the daemon, keeping the journal.
    Halt(Refusal),
}

/// How an assignment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Handed in and recorded at this time.
    Recorded(Timestamp),
    /// Dropped, because of this refusal.
    Dropped(Refusal),
}

/// What to do in a state that was entered now, or found in the journal.
#[must_use]
pub fn resume(state: &State) -> Vec<Action> {
    match state {
        State::Idle => vec![Action::Seek],
        State::Fetching { .. } => vec![Action::Fetch],
        State::Training { held: _, deaths, process } => {
            process.iter().map(|process| Action::Reap(*process)).chain([Action::Train(*deaths)]).collect()
        }
        State::Measuring { .. } => vec![Action::Measure],
        State::Submitting { .. } => vec![Action::Submit],
    }
}

/// The next state and what to do. An event that means nothing in a state changes nothing.
#[must_use]
pub fn step(state: State, event: Event, now: Timestamp) -> (State, Vec<Action>) {
    match (state, event) {
        (State::Idle, Event::Accepted(assignment, lease, key)) => {
            let statistics = assignment.work == Work::Statistics;
            let held = Box::new(Held { assignment: *assignment, lease, key, since: now });
            enter(if statistics { State::Measuring { held } } else { State::Fetching { held } })
        }
        (State::Fetching { held }, Event::Fetched) => {
            enter(State::Training { held, deaths: 0, process: None })
        }
        (State::Training { held, deaths, .. }, Event::TrainerStarted(process)) => {
            (State::Training { held, deaths, process: Some(process) }, Vec::new())
        }
        (State::Training { held, .. }, Event::Finished(update)) => hand_in(held, Outcome::Update(update)),
        (State::Training { held, .. }, Event::Scored(scores)) => hand_in(held, Outcome::Scores(scores)),
        (State::Training { held, deaths, .. }, Event::TrainerDied(_)) if deaths < MAX_DEATHS => {
            enter(State::Training { held, deaths: deaths + 1, process: None })
        }
        (State::Training { held, deaths, .. }, Event::TrainerDied(why)) => hand_in(
            held,
            Outcome::Failure(format!("the trainer died {} times; the last time: {why}", deaths + 1)),
        ),
        (State::Measuring { held }, Event::Measured(bands)) => hand_in(held, Outcome::Statistics(bands)),
        (
            State::Fetching { held } | State::Training { held, .. } | State::Measuring { held },
            Event::Failed(why),
        ) => hand_in(held, Outcome::Failure(why)),
        (State::Submitting { held, .. }, Event::Acknowledged(at)) => leave(&held, Ending::Recorded(at)),
        // While an outcome is on its way, only the answer to it decides: it may have been recorded already.
        (state @ State::Submitting { .. }, Event::Stopped(_)) => (state, Vec::new()),
        (
            State::Fetching { held } | State::Training { held, .. } | State::Measuring { held },
            Event::Stopped(refusal) | Event::Rejected(refusal),
        )
        | (State::Submitting { held, .. }, Event::Rejected(refusal)) => {
            leave(&held, Ending::Dropped(refusal))
        }
        (state, Event::Leased(lease)) => (state.with_lease(lease), Vec::new()),
        (state, Event::Banned(refusal)) => (state, vec![Action::Halt(refusal)]),
        (state, _) => (state, Vec::new()),
    }
}

fn enter(state: State) -> (State, Vec<Action>) {
    let actions = resume(&state);
    (state, actions)
}

fn hand_in(held: Box<Held>, outcome: Outcome) -> (State, Vec<Action>) {
    enter(State::Submitting { held, outcome })
}

fn leave(held: &Held, ending: Ending) -> (State, Vec<Action>) {
    let id = held.assignment.id.clone();
    (State::Idle, vec![Action::Tell(ending), Action::Discard(id), Action::Seek])
}

#[cfg(test)]
mod tests;
