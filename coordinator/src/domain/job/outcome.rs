//! The outcome of a transition: the next job, with the records and events that belong to it.
//!
//! Every change that must survive a restart has an event. A transition without events has changed only the
//! progress of leases, and its job is not stored.

use std::sync::Arc;

use eosfed_common::card::{Card, Energy};
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::InstitutionName;
use eosfed_common::ledger::{Actor, Entry, EventKind};

use super::{Job, JobState};
use crate::domain::closed::ClosedRound;
use crate::domain::round::{Contribution, Round, RoundKind};

/// A job after a transition, with the other effects of the transition.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The job.
    pub job: Job,
    /// The attempts that it has closed.
    pub closed: Vec<ClosedRound>,
    /// The specialists that it has frozen. They are complete except for their version, which is 0 until the
    /// registry assigns one.
    pub frozen: Vec<Card>,
    /// The events, in order.
    pub events: Vec<Entry>,
}

impl Outcome {
    /// An outcome without effects.
    #[must_use]
    pub const fn of(job: Job) -> Self {
        Self { job, closed: Vec::new(), frozen: Vec::new(), events: Vec::new() }
    }

    /// Adds an event about the job.
    pub(super) fn note(&mut self, actor: Actor, kind: EventKind) {
        self.events.push(Entry::new(actor, kind).of(&self.job.definition.id));
    }

    /// Adds an event about the job and an institution.
    pub(super) fn note_of(&mut self, institution: &InstitutionName, actor: Actor, kind: EventKind) {
        self.events.push(Entry::new(actor, kind).of(&self.job.definition.id).at(institution));
    }

    /// Opens the round with this index.
    pub(super) fn open(&mut self, index: u32, now: Timestamp) {
        let Job { definition, .. } = &self.job;
        let kind = self.job.kind_of(index);
        self.collect(Round::open(&definition.id, index, kind, &definition.cohort, &definition.spec, now));
    }

    /// Starts an attempt: institutions can take part in it.
    pub(super) fn collect(&mut self, round: Round) {
        let opened =
            EventKind::RoundOpened { round: round.index, attempt: round.attempt, deadline: round.deadline };
        self.note(Actor::Coordinator, opened);
        self.job.state = JobState::Collecting(round);
    }

    /// Starts the aggregation of a complete round.
    pub(super) fn aggregate(&mut self, round: Round) {
        let updates = u32::try_from(round.submitted()).unwrap_or(u32::MAX);
        let index = round.index;
        let attempt = round.attempt;
        self.note(Actor::Coordinator, EventKind::AggregationStarted { round: index, attempt, updates });
        self.job.state = JobState::Aggregating(round);
    }

    /// Records a closed attempt.
    pub(super) fn close(&mut self, round: Round, complete: bool, now: Timestamp) {
        let submitted = u32::try_from(round.submitted()).unwrap_or(u32::MAX);
        let index = round.index;
        let attempt = round.attempt;
        self.note(Actor::Coordinator, EventKind::RoundClosed { round: index, attempt, complete, submitted });
        let Job { definition, global_model, optimizer_state, .. } = &self.job;
        let job = definition.id.clone();
        let base = *global_model;
        let optimizer_state = *optimizer_state;
        self.record(ClosedRound { job, round, at: now, complete, base, optimizer_state, pruned: None });
    }

    /// Adds a closed round to the job's records.
    pub(super) fn record(&mut self, closed: ClosedRound) {
        if let (true, RoundKind::Train(_)) = (closed.complete, closed.round.kind) {
            for (name, contribution) in closed.round.contributions() {
                let Contribution::Update { report, .. } = contribution else { continue };
                let spent = report.energy;
                self.job.contributors.insert(name.clone());
                self.job.encodings.extend(Some(report.encoding).filter(|encoding| !encoding.is_plain()));
                let sum = self.job.energy.map_or(spent, |sum: Energy| sum.plus(spent));
                self.job.energy = Some(sum);
            }
        }
        self.job.spent.add(&closed);
        // A job that was paused because its attempts were used up can still receive submissions. When it is
        // cancelled, its last attempt is closed again with them.
        let again = self.job.has_closed(&closed.round);
        let summaries = Arc::make_mut(&mut self.job.closed);
        if again {
            summaries.pop();
        }
        summaries.push(closed.summary());
        self.closed.push(closed);
    }

    /// Finishes the job.
    pub(super) fn finish(&mut self, now: Timestamp) {
        self.note(Actor::Coordinator, EventKind::JobFinished);
        self.job.state = JobState::Finished { at: now };
    }
}
