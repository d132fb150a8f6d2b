//! The daemon's decisions: a pure function from a state and an event to the next state and what to do.
//!
//! ```text
//!         accepted            fetched             finished              acknowledged
//!  Idle ----------> Fetching ---------> Training ----------> Submitting ------------> Idle
//!    \                                  (crashes: twice more)   ^   (kept until then)
//!     \  accepted (statistics)                  computed        |
//!      `----------> ComputingStatistics ------------------------'
//! ```
//!
//! An update that the site policy demands noise for gets it in `Submitting`, before anything is sent: the
//! journal then has the file with noise in its place. An evaluation takes the path of a training and submits scores. From each state but `Idle`, a
//! coordinator that no longer wants the work leads back to `Idle`; a failure, or a site policy that no
//! longer allows the work, leads to `Submitting`, where it is reported. A condition of this machine
//! changes no state: it is waited for. What to do in a state follows from the state alone ([`resume`]),
//! so a restart is not a special case. No timers and no I/O: retries and waiting are in the activities.

use eosfed_common::assignment::{Assignment, BandMoments, Lease, Work};
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{AssignmentId, DataSetName, IdempotencyKey};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::report::EvaluationReport;

use crate::condition::{LocalCondition, LocalWait};
use crate::state::{HeldAssignment, Outcome, Process, State, Update};

/// How often a crashed trainer is started again.
pub const MAX_RESTARTS: u32 = 2;

/// The events of the daemon.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The coordinator has granted the lease of an assignment, which is for the data set of this name.
    Accepted(Box<Assignment>, Lease, IdempotencyKey, Option<DataSetName>),
    /// The starting weights are here.
    Fetched,
    /// A trainer has been started.
    TrainerStarted(Process),
    /// The work continues: no condition prevents it any more.
    Progressed,
    /// Training has finished and its weights are good.
    Finished(Box<Update>),
    /// The update in hand has been clipped, has got its noise and is charged; this one takes its place.
    NoiseAdded(Box<Update>),
    /// The update in hand is encoded, or no longer is; this one takes its place.
    UpdateEncoded(Box<Update>),
    /// The specialist is scored.
    Scored(EvaluationReport),
    /// The trainer ended without a result.
    TrainerCrashed(String),
    /// The statistics are computed.
    StatisticsComputed(Vec<BandMoments>),
    /// The work cannot be done here; trying again would not help.
    Failed(Refusal),
    /// A condition of this machine prevents the work for now.
    Blocked(LocalCondition),
    /// The wait for a condition is over: try again.
    WaitOver,
    /// The site policy no longer allows the work or its result.
    PolicyDenied(Refusal),
    /// The lease has been granted anew.
    Leased(Lease),
    /// The coordinator's answer to a heartbeat was to stop.
    Stopped(Refusal),
    /// The coordinator refuses the work in hand for good.
    Rejected(Refusal),
    /// The coordinator has recorded what was submitted.
    Acknowledged(Timestamp),
    /// The coordinator does not accept this client.
    Banned(Refusal),
}

/// The actions of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Poll for work and accept some.
    PollForWork,
    /// Download the starting weights.
    Fetch,
    /// End a trainer that an earlier daemon has left running.
    Reap(Process),
    /// Run the trainer, after so many crashes.
    Train(u32),
    /// Compute statistics.
    ComputeStatistics,
    /// Submit the outcome.
    Submit,
    /// Wait before the next try; this many tries have found a condition.
    Wait(u32),
    /// Remove the assignment's folder.
    Discard(AssignmentId),
    /// Log how an assignment ended.
    Report(Ending),
    /// End the daemon, keeping the journal.
    Halt(Refusal),
}

/// How an assignment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Its result was recorded by the coordinator at this time.
    Recorded(Timestamp),
    /// The coordinator was told that it failed here.
    FailureReported,
    /// Dropped, because of this refusal.
    Dropped(Refusal),
}

/// What to do in a state that was entered now, or found in the journal.
#[must_use]
pub fn resume(state: &State) -> Vec<Action> {
    match state {
        State::Idle { .. } => vec![Action::PollForWork],
        State::Fetching { .. } => vec![Action::Fetch],
        State::Training { held: _, crash_count, process } => process
            .iter()
            .map(|process| Action::Reap(*process))
            .chain([Action::Train(*crash_count)])
            .collect(),
        State::ComputingStatistics { .. } => vec![Action::ComputeStatistics],
        State::Submitting { .. } => vec![Action::Submit],
    }
}

/// The next state and what to do. An event that means nothing in a state changes nothing.
#[must_use]
pub fn step(state: State, event: Event, now: Timestamp) -> (State, Vec<Action>) {
    match (state, event) {
        (State::Idle { .. }, Event::Accepted(assignment, lease, key, dataset)) => {
            let statistics = assignment.work == Work::Statistics;
            let held =
                HeldAssignment { assignment: *assignment, lease, key, since: now, wait: None, dataset };
            let held = Box::new(held);
            enter(if statistics { State::ComputingStatistics { held } } else { State::Fetching { held } })
        }
        (State::Fetching { held }, Event::Fetched) => {
            enter(State::Training { held: clear_condition(held), crash_count: 0, process: None })
        }
        (state @ State::Training { .. }, event) => step_training(state, event, now),
        (State::ComputingStatistics { held }, Event::StatisticsComputed(bands)) => {
            submit(held, Outcome::Statistics(bands))
        }
        (State::Submitting { held, outcome }, event) => step_submitting(held, outcome, event, now),
        (
            State::Fetching { held } | State::ComputingStatistics { held },
            Event::Failed(why) | Event::PolicyDenied(why),
        ) => submit(held, Outcome::Failure(why)),
        (
            State::Fetching { held } | State::ComputingStatistics { held },
            Event::Stopped(refusal) | Event::Rejected(refusal),
        ) => leave(&held, Ending::Dropped(refusal)),
        (state, event) => step_any(state, event, now),
    }
}

fn step_training(state: State, event: Event, now: Timestamp) -> (State, Vec<Action>) {
    let State::Training { held, crash_count, process } = state else { return (state, Vec::new()) };
    match event {
        Event::TrainerStarted(process) => {
            (State::Training { held, crash_count, process: Some(process) }, Vec::new())
        }
        Event::Finished(update) => submit(held, Outcome::Update(update)),
        Event::Scored(scores) => submit(held, Outcome::Scores(scores)),
        Event::TrainerCrashed(_) if crash_count < MAX_RESTARTS => {
            enter(State::Training { held, crash_count: crash_count + 1, process: None })
        }
        Event::TrainerCrashed(why) => {
            let message = format!("the trainer crashed {} times; the last time: {why}", crash_count + 1);
            submit(held, Outcome::Failure(Refusal::new(Reason::Internal, message)))
        }
        Event::Failed(why) | Event::PolicyDenied(why) => submit(held, Outcome::Failure(why)),
        Event::Stopped(refusal) | Event::Rejected(refusal) => leave(&held, Ending::Dropped(refusal)),
        Event::Blocked(condition) => {
            step_any(State::Training { held, crash_count, process: None }, Event::Blocked(condition), now)
        }
        event => step_any(State::Training { held, crash_count, process }, event, now),
    }
}

fn step_submitting(
    held: Box<HeldAssignment>,
    outcome: Outcome,
    event: Event,
    now: Timestamp,
) -> (State, Vec<Action>) {
    match (outcome, event) {
        (outcome, Event::Acknowledged(at)) => {
            let ending = if outcome.is_result() { Ending::Recorded(at) } else { Ending::FailureReported };
            leave(&held, ending)
        }
        (_, Event::Rejected(refusal)) => leave(&held, Ending::Dropped(refusal)),
        (Outcome::Update(_), Event::NoiseAdded(update) | Event::UpdateEncoded(update)) => {
            submit(held, Outcome::Update(update))
        }
        (Outcome::Update(_), Event::PolicyDenied(why)) => submit(held, Outcome::Withheld(why)),
        (Outcome::Statistics(_) | Outcome::Scores(_), Event::PolicyDenied(why)) => {
            submit(held, Outcome::Failure(why))
        }
        // A submission may have been recorded already, so only its answer decides.
        (outcome, event) => step_any(State::Submitting { held, outcome }, event, now),
    }
}

/// What an event means in every state.
fn step_any(mut state: State, event: Event, now: Timestamp) -> (State, Vec<Action>) {
    match event {
        Event::Leased(lease) => {
            if let Some(held) = state.held_mut() {
                held.lease = lease;
            }
            (state, Vec::new())
        }
        Event::Progressed => {
            if let Some(held) = state.held_mut() {
                held.wait = None;
            }
            (state, Vec::new())
        }
        Event::Banned(refusal) => (state, vec![Action::Halt(refusal)]),
        Event::Blocked(condition) => {
            let wait = LocalWait::after(state.wait(), condition, now);
            let tries = wait.tries;
            match &mut state {
                // The next poll checks again.
                State::Idle { wait: known } => {
                    *known = Some(wait);
                    (state, Vec::new())
                }
                State::Fetching { held }
                | State::Training { held, .. }
                | State::ComputingStatistics { held }
                | State::Submitting { held, .. } => {
                    held.wait = Some(wait);
                    (state, vec![Action::Wait(tries)])
                }
            }
        }
        Event::WaitOver => match state {
            State::Idle { .. } => (State::default(), Vec::new()),
            state => enter(state),
        },
        _ => (state, Vec::new()),
    }
}

fn enter(state: State) -> (State, Vec<Action>) {
    let actions = resume(&state);
    (state, actions)
}

fn submit(held: Box<HeldAssignment>, outcome: Outcome) -> (State, Vec<Action>) {
    enter(State::Submitting { held: clear_condition(held), outcome })
}

fn clear_condition(mut held: Box<HeldAssignment>) -> Box<HeldAssignment> {
    held.wait = None;
    held
}

fn leave(held: &HeldAssignment, ending: Ending) -> (State, Vec<Action>) {
    let id = held.assignment.id.clone();
    (State::default(), vec![Action::Report(ending), Action::Discard(id), Action::PollForWork])
}

#[cfg(test)]
mod tests;
