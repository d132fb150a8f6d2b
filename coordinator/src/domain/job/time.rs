//! Who is at work for a job until when, and the time of those who cannot begin because they are at work for
//! another one.

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::InstitutionName;

use super::{Job, JobState};
use crate::domain::round::{ParticipantState, Round};

impl Job {
    /// The institutions that are at work, each with the end of its time.
    pub(in crate::domain) fn at_work(&self) -> impl Iterator<Item = (&InstitutionName, Timestamp)> {
        let names = self.round_at_work().into_iter().flat_map(|round| round.participants.keys());
        names.filter_map(|name| Some((name, self.busy_until(name)?)))
    }

    /// Until when an institution is at work at the latest, if it is at work.
    pub(in crate::domain) fn busy_until(&self, name: &InstitutionName) -> Option<Timestamp> {
        let round = self.round_at_work()?;
        let leased = matches!(round.participants.get(name)?.state, ParticipantState::Leased { .. });
        leased.then(|| round.deadline_of(name))
    }

    /// The round that institutions can be at work for. In asynchronous jobs they continue while the updates of
    /// the others are aggregated.
    fn round_at_work(&self) -> Option<&Round> {
        match &self.state {
            JobState::Aggregating(round) if self.asynchronous().is_some() => Some(round),
            JobState::Aggregating(_)
            | JobState::Collecting(_)
            | JobState::Preparing
            | JobState::Paused { .. }
            | JobState::Finished { .. }
            | JobState::Cancelled { .. } => self.open_round(),
        }
    }

    /// The time of an institution to which work is offered: it stands still until the institution is free, at
    /// `busy_until` at the latest, or it runs.
    pub(in crate::domain) fn set_time(
        &mut self,
        name: &InstitutionName,
        busy_until: Option<Timestamp>,
        now: Timestamp,
    ) {
        let span = self.spec.participation().deadline;
        let Some(round) = self.open_round_mut().filter(|round| round.is_offered(name)) else { return };
        match busy_until.filter(|until| *until > now) {
            Some(until) => round.stop_time(name, until, span),
            None => round.run_time(name, now, span),
        }
    }
}
