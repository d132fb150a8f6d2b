//! Spans of the daemon's work: one for each phase of an assignment, and one for each epoch of the trainer, in
//! the trace of the job. They leave only if the policy has the word `traces`.

use std::fmt;

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::AssignmentId;
use eosfed_common::trace::{Span, TraceContext};
use eosfed_transport::otlp::Exporter;
use eosfed_transport::traced::TraceSlot;

/// Where spans go, and where calls and the training program belong.
#[derive(Clone, Default)]
pub struct Traces {
    /// Takes the spans of the daemon.
    pub daemon: Exporter,
    /// Takes the spans of the training program.
    pub trainer: Exporter,
    /// The present place: of the calls, and of the training program.
    pub place: TraceSlot,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("on", &self.daemon.is_on()).finish_non_exhaustive()
    }
}

/// A phase that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Phase {
    assignment: AssignmentId,
    name: &'static str,
    began: Timestamp,
    /// When the last epoch ended, or the first began.
    epoch: Timestamp,
}

impl Phase {
    fn context(&self) -> TraceContext {
        let Self { assignment, name, began, .. } = self;
        TraceContext::of_assignment(assignment).at(&format!("{assignment} {name} {}", began.0))
    }

    fn span(&self, now: Timestamp) -> Span {
        let parent = TraceContext::of_assignment(&self.assignment);
        let span = Span::within(parent, self.context(), self.name, [self.began, now]);
        span.with("eosfed.assignment", &self.assignment)
    }
}

/// The present phase.
#[derive(Debug, Default)]
pub(super) struct Phases(Option<Phase>);

impl Phases {
    /// Takes the assignment in hand with its phase; gives the span of the phase that has ended.
    pub(super) fn see(
        &mut self,
        present: Option<(&AssignmentId, &'static str)>,
        now: Timestamp,
    ) -> Option<Span> {
        let same = |phase: &Phase| present == Some((&phase.assignment, phase.name));
        if self.0.as_ref().is_some_and(same) {
            return None;
        }
        let ended = self.0.take().map(|phase| phase.span(now));
        self.0 = present.map(|(assignment, name)| Phase {
            assignment: assignment.clone(),
            name,
            began: now,
            epoch: now,
        });
        ended
    }

    /// The training program has begun to train.
    pub(super) fn training_began(&mut self, now: Timestamp) {
        if let Some(phase) = &mut self.0 {
            phase.epoch = now;
        }
    }

    /// An epoch has ended; gives its span.
    pub(super) fn epoch_ended(&mut self, epoch: u64, now: Timestamp) -> Option<Span> {
        let phase = self.0.as_mut()?;
        let began = std::mem::replace(&mut phase.epoch, now);
        let parent = phase.context();
        let context = parent.at(&format!("{} epoch {epoch} {}", phase.assignment, began.0));
        Some(Span::within(parent, context, format!("epoch {epoch}"), [began, now]))
    }

    /// Where calls and the training program belong now.
    pub(super) fn place(&self) -> Option<TraceContext> {
        self.0.as_ref().map(Phase::context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_and_each_epoch_has_a_span_in_the_trace_of_the_job() {
        let id: AssignmentId = "j-0a1b2c3d.0.1.west".parse().unwrap();
        let mut phases = Phases::default();
        let at = Timestamp;
        assert_eq!((phases.see(None, at(0)), phases.place()), (None, None));
        assert_eq!(phases.see(Some((&id, "fetching")), at(1)), None);
        let fetched = phases.see(Some((&id, "training")), at(5)).unwrap();
        assert_eq!((fetched.name.as_str(), fetched.began, fetched.ended), ("fetching", at(1), at(5)));
        assert_eq!(phases.see(Some((&id, "training")), at(6)), None, "the same phase");
        phases.training_began(at(7));
        let epochs = [9, 12].map(|end| phases.epoch_ended(end, at(end)).unwrap());
        assert_eq!(epochs.each_ref().map(|one| (one.began.0, one.ended.0)), [(7, 9), (9, 12)]);
        let place = phases.place().unwrap();
        let trained = phases.see(None, at(20)).unwrap();
        assert_eq!((trained.context, trained.began), (place, at(5)));
        assert!(epochs.iter().all(|one| one.parent == Some(trained.context.span)));
        let work = TraceContext::of_assignment(&id);
        assert!([&fetched, &trained].iter().all(|one| one.parent == Some(work.span)));
        assert!([&fetched, &trained, &epochs[0]].iter().all(|one| one.context.trace == work.trace));
        assert_eq!(phases.place(), None);
    }
}
