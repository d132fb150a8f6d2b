//! How long an attempt waits for whom. Each institution has the time of the plan for its answer. Where its work is
//! offered while it is at work for another job, it cannot begin, and its time does not run: its own deadline is
//! then later than that of the attempt. It is a time that is known in advance, since the other work has a
//! deadline too, and it only comes nearer when that work ends early.

use std::cmp::Reverse;
use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::InstitutionName;
use eosfed_common::plan::Participation;

use super::{Participant, ParticipantState, Round};

impl Round {
    /// When the time of an institution for its answer ends.
    #[must_use]
    pub fn deadline_of(&self, name: &InstitutionName) -> Timestamp {
        self.participants.get(name).map_or(self.deadline, |one| self.own_deadline(one))
    }

    fn own_deadline(&self, participant: &Participant) -> Timestamp {
        participant.own_deadline.map_or(self.deadline, |own| own.max(self.deadline))
    }

    /// When the attempt ends if nobody answers any more. With enough results this is its deadline. With too few,
    /// it goes on after its deadline as long as it can still get enough from institutions whose own time has not
    /// ended.
    #[must_use]
    pub fn ends_at(&self, rules: &Participation) -> Timestamp {
        let missing = (rules.min as usize).saturating_sub(self.submitted());
        let Some(last) = missing.checked_sub(1) else { return self.deadline };
        let waiting = self.participants.values().filter(|one| !one.state.is_final());
        let mut ends: Vec<Timestamp> = waiting.map(|one| self.own_deadline(one)).collect();
        ends.sort_by_key(|at| Reverse(*at));
        ends.get(last).copied().unwrap_or(self.deadline)
    }

    /// The institutions that have not begun.
    pub(in crate::domain) fn offered(&self) -> impl Iterator<Item = &InstitutionName> {
        self.participants.keys().filter(|name| self.is_offered(name))
    }

    /// Whether an institution is asked and has not begun.
    pub(in crate::domain) fn is_offered(&self, name: &InstitutionName) -> bool {
        self.participants.get(name).is_some_and(|one| one.state == ParticipantState::Offered)
    }

    /// The time of an institution does not run until it is free: at `until` at the latest. It then has `span`.
    pub(in crate::domain) fn stop_time(&mut self, name: &InstitutionName, until: Timestamp, span: Duration) {
        self.set_own_deadline(name, |_| Some(until.plus(span)));
    }

    /// An institution is free, or has begun: its time, if it has stood still, runs from `now` on.
    pub(in crate::domain) fn run_time(&mut self, name: &InstitutionName, now: Timestamp, span: Duration) {
        self.set_own_deadline(name, |own| Some(own?.min(now.plus(span))));
    }

    /// As [`Round::run_time`], for all institutions.
    pub(in crate::domain) fn run_times(&mut self, now: Timestamp, span: Duration) {
        let names: Vec<_> = self.participants.keys().cloned().collect();
        names.iter().for_each(|name| self.run_time(name, now, span));
    }

    fn set_own_deadline(
        &mut self,
        name: &InstitutionName,
        change: impl FnOnce(Option<Timestamp>) -> Option<Timestamp>,
    ) {
        let common = self.deadline;
        if let Some(participant) = self.participants.get_mut(name) {
            participant.own_deadline = change(participant.own_deadline).filter(|own| *own > common);
        }
    }

    /// Moves the deadline and the own deadlines of institutions.
    pub(in crate::domain) fn move_deadlines(&mut self, change: impl Fn(Timestamp) -> Timestamp) {
        self.deadline = change(self.deadline);
        for participant in self.participants.values_mut() {
            participant.own_deadline = participant.own_deadline.map(&change);
        }
    }
}
