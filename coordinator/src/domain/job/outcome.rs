//! A transition of a job under way: the job as it becomes, with everything that goes with it.
//!
//! Whatever is to survive a restart has an event. A transition without events has changed nothing but the
//! progress of leases, and its job is not stored.

use std::sync::Arc;

use eosfed_common::card::{Card, Energy};
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::InstitutionName;
use eosfed_common::ledger::{Actor, Entry, EventKind};

use super::{Job, JobState};
use crate::domain::closed::ClosedRound;
use crate::domain::round::{Contribution, Round, RoundKind};

/// A job after a transition, and what the transition has brought about besides.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The job.
    pub job: Job,
    /// The attempts at rounds that it has closed.
    pub closed: Vec<ClosedRound>,
    /// The specialists that it has frozen: complete but for their version, which is 0 until the registry
    /// numbers them.
    pub frozen: Vec<Card>,
    /// What has happened, in order.
    pub events: Vec<Entry>,
}

impl Outcome {
    /// Nothing has happened yet.
    #[must_use]
    pub const fn of(job: Job) -> Self {
        Self { job, closed: Vec::new(), frozen: Vec::new(), events: Vec::new() }
    }

    /// Notes that something has happened to the job.
    pub(super) fn note(&mut self, actor: Actor, kind: EventKind) {
        self.events.push(Entry::new(actor, kind).of(&self.job.definition.id));
    }

    /// Notes that something has happened to the job that is about an institution.
    pub(super) fn note_of(&mut self, institution: &InstitutionName, actor: Actor, kind: EventKind) {
        self.events.push(Entry::new(actor, kind).of(&self.job.definition.id).at(institution));
    }

    /// Opens the round of this index.
    pub(super) fn open(&mut self, index: u32, now: Timestamp) {
        let Job { definition, .. } = &self.job;
        let kind = self.job.kind_of(index);
        self.collect(Round::open(&definition.id, index, kind, &definition.cohort, &definition.spec, now));
    }

    /// Lets institutions take part in an attempt that was opened just now.
    pub(super) fn collect(&mut self, round: Round) {
        let opened =
            EventKind::RoundOpened { round: round.index, attempt: round.attempt, deadline: round.deadline };
        self.note(Actor::Coordinator, opened);
        self.job.state = JobState::Collecting(round);
    }

    /// Has the coordinator aggregate the updates of a round that has what it needs.
    pub(super) fn aggregate(&mut self, round: Round) {
        let updates = u32::try_from(round.submitted()).unwrap_or(u32::MAX);
        let index = round.index;
        let attempt = round.attempt;
        self.note(Actor::Coordinator, EventKind::AggregationStarted { round: index, attempt, updates });
        self.job.state = JobState::Aggregating(round);
    }

    /// Records an attempt at a round that is over.
    pub(super) fn close(&mut self, round: Round, complete: bool, now: Timestamp) {
        let submitted = u32::try_from(round.submitted()).unwrap_or(u32::MAX);
        let index = round.index;
        let attempt = round.attempt;
        self.note(Actor::Coordinator, EventKind::RoundClosed { round: index, attempt, complete, submitted });
        let Job { definition, global_model, optimizer_state, .. } = &self.job;
        let job = definition.id.clone();
        let base = *global_model;
        let optimizer_state = *optimizer_state;
        self.record(ClosedRound { job, round, at: now, complete, base, optimizer_state });
    }

    /// Adds a closed round to the job's records.
    pub(super) fn record(&mut self, closed: ClosedRound) {
        if let (true, RoundKind::Train(_)) = (closed.complete, closed.round.kind) {
            for (name, contribution) in closed.round.contributions() {
                let Contribution::Update { report, .. } = contribution else { continue };
                let spent = report.energy;
                self.job.contributors.insert(name.clone());
                let sum = self.job.energy.map_or(spent, |sum: Energy| sum.plus(spent));
                self.job.energy = Some(sum);
            }
        }
        // The last attempt of a job that waits for want of answers is closed once more when the job is
        // cancelled, with what has been handed in since.
        let again = self.job.has_closed(&closed.round);
        let summaries = Arc::make_mut(&mut self.job.closed);
        if again {
            summaries.pop();
        }
        summaries.push(closed.summary());
        self.closed.push(closed);
    }

    /// Ends the job: it has made what it was to make.
    pub(super) fn finish(&mut self, now: Timestamp) {
        self.note(Actor::Coordinator, EventKind::JobFinished);
        self.job.state = JobState::Finished { at: now };
    }
}
