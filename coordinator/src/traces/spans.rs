//! Spans of events, as a pure function of the events so far.

use std::collections::BTreeMap;

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{AssignmentId, InstitutionName, JobId};
use eosfed_common::ledger::{Event, EventKind};
use eosfed_common::trace::{Span, TraceContext};

/// Most beginnings that are remembered. Each round and each accepted assignment is one, until it ends.
const MAX_OPEN: usize = 20_000;

/// What spans say of a job.
#[derive(Debug, Clone)]
pub(super) struct JobFacts {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) submitted_at: Timestamp,
}

/// What has begun and not ended.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// The attempt at a round, and when it was opened.
    rounds: BTreeMap<(JobId, u32), (u32, Timestamp)>,
    /// When institutions have accepted their work.
    work: BTreeMap<(JobId, u32, InstitutionName), (u32, Timestamp)>,
    /// When aggregations have begun.
    aggregations: BTreeMap<(JobId, u32), (u32, Timestamp)>,
}

impl Open {
    /// Notes that a round is open.
    pub(super) fn note_round(&mut self, job: &JobId, round: u32, attempt: u32, at: Timestamp) {
        self.rounds.insert((job.clone(), round), (attempt, at));
    }

    /// Takes an event; gives the spans that end with it.
    pub(super) fn take(&mut self, event: &Event, facts: Option<JobFacts>) -> Vec<Span> {
        let Some(job) = &event.entry.job else { return Vec::new() };
        let at = event.at;
        let ended = match &event.entry.kind {
            EventKind::RoundOpened { round, attempt, .. } => {
                self.note_round(job, *round, *attempt, at);
                None
            }
            EventKind::RoundClosed { round, attempt, complete, submitted } => {
                self.round(job, *round, *attempt, at).map(|span| {
                    let failure = (!complete).then(|| format!("{submitted} results, too few"));
                    Span { failure, ..span.with("eosfed.results", submitted) }
                })
            }
            EventKind::AggregationStarted { round, attempt, .. } => {
                self.aggregations.insert((job.clone(), *round), (*attempt, at));
                None
            }
            EventKind::RoundAggregated { round, .. } => self.aggregation(job, *round, at),
            EventKind::JobFinished => facts.map(|facts| of_job(job, &facts, at)),
            EventKind::JobCancelled => facts.map(|facts| {
                let failure = Some("cancelled".to_owned());
                Span { failure, ..of_job(job, &facts, at) }
            }),
            _ => self.work(event, job),
        };
        if matches!(event.entry.kind, EventKind::JobFinished | EventKind::JobCancelled) {
            self.forget(job);
        }
        self.bound();
        ended.into_iter().collect()
    }

    fn round(&mut self, job: &JobId, round: u32, attempt: u32, at: Timestamp) -> Option<Span> {
        let (_, opened) = self.rounds.remove(&(job.clone(), round)).filter(|(open, _)| *open == attempt)?;
        let context = TraceContext::of_round(job, round, attempt);
        let span =
            Span::within(TraceContext::of_job(job), context, format!("round {}", round + 1), [opened, at]);
        Some(span.with("eosfed.job", job).with("eosfed.round", &round).with("eosfed.attempt", &attempt))
    }

    fn aggregation(&mut self, job: &JobId, round: u32, at: Timestamp) -> Option<Span> {
        let (attempt, began) = self.aggregations.remove(&(job.clone(), round))?;
        let parent = TraceContext::of_round(job, round, attempt);
        let span = Span::within(
            parent,
            parent.at(&format!("{job}.{round}.{attempt} aggregation")),
            "aggregation",
            [began, at],
        );
        Some(span.with("eosfed.job", job).with("eosfed.round", &round))
    }

    /// The work of an institution: from its acceptance until it is submitted, rejected or failed.
    fn work(&mut self, event: &Event, job: &JobId) -> Option<Span> {
        let institution = event.entry.institution.clone()?;
        let (round, failure) = match &event.entry.kind {
            EventKind::AssignmentAccepted { round, attempt } => {
                self.work.insert((job.clone(), *round, institution), (*attempt, event.at));
                return None;
            }
            EventKind::UpdateSubmitted { round, .. }
            | EventKind::StatisticsSubmitted { round }
            | EventKind::EvaluationSubmitted { round, .. } => (*round, None),
            EventKind::UpdateRejected { round, message, .. } => {
                (*round, Some(format!("rejected: {message}")))
            }
            EventKind::FailureReported { round, message } => (*round, Some(message.clone())),
            EventKind::LeaseExpired { round, failed: true, .. } => {
                (*round, Some("its leases have expired".to_owned()))
            }
            EventKind::ParticipationEnded { round, .. } => {
                (*round, Some("its access was revoked".to_owned()))
            }
            _ => return None,
        };
        let (attempt, began) = self.work.remove(&(job.clone(), round, institution.clone()))?;
        let parent = TraceContext::of_round(job, round, attempt);
        let id = AssignmentId { job: job.clone(), round, attempt, institution: institution.clone() };
        let name = format!("work of {institution}");
        let span = Span::within(parent, TraceContext::of_assignment(&id), name, [began, event.at]);
        Some(Span { failure, ..span.with("eosfed.assignment", &id).with("eosfed.institution", &institution) })
    }

    fn forget(&mut self, job: &JobId) {
        self.rounds.retain(|(of, _), _| of != job);
        self.work.retain(|(of, _, _), _| of != job);
        self.aggregations.retain(|(of, _), _| of != job);
    }

    fn bound(&mut self) {
        if self.rounds.len() + self.work.len() + self.aggregations.len() > MAX_OPEN {
            tracing::warn!(MAX_OPEN, "too much has begun and not ended; the traces of it have gaps");
            *self = Self::default();
        }
    }
}

fn of_job(job: &JobId, facts: &JobFacts, at: Timestamp) -> Span {
    let context = TraceContext::of_job(job);
    let span = Span::within(context, context, format!("job {}", facts.name), [facts.submitted_at, at]);
    Span { parent: None, ..span.with("eosfed.job", job).with("eosfed.job.kind", &facts.kind) }
}

#[cfg(test)]
mod tests {
    use eosfed_common::digest::Digest;
    use eosfed_common::ledger::{Actor, Entry};
    use eosfed_common::weights::Encoding;

    use super::*;
    use crate::testing::name;

    #[test]
    fn a_job_is_one_trace_with_its_rounds_and_the_work_in_them() {
        let job: JobId = "j-0a1b2c3d".parse().unwrap();
        let facts = || {
            Some(JobFacts { name: "trees".to_owned(), kind: "rounds".to_owned(), submitted_at: Timestamp(5) })
        };
        let weights = Digest::of(b"w");
        let about = |kind| Entry::new(Actor::Coordinator, kind).of(&job);
        let of = |institution: &str, kind| about(kind).at(&name(institution));
        let entries = [
            about(EventKind::RoundOpened { round: 0, attempt: 2, deadline: Timestamp(99) }),
            of("west", EventKind::AssignmentAccepted { round: 0, attempt: 2 }),
            of("east", EventKind::AssignmentAccepted { round: 0, attempt: 2 }),
            of("west", EventKind::UpdateSubmitted { round: 0, weights, samples: 1, encoding: Encoding::F32 }),
            of("east", EventKind::FailureReported { round: 0, message: "no disk".to_owned() }),
            about(EventKind::RoundClosed { round: 0, attempt: 2, complete: true, submitted: 1 }),
            about(EventKind::AggregationStarted { round: 0, attempt: 2, updates: 1 }),
            about(EventKind::RoundAggregated { round: 0, weights }),
            about(EventKind::JobFinished),
        ];
        let mut open = Open::default();
        let events =
            entries.into_iter().zip(10..).map(|(entry, at)| Event::follow(None, Timestamp(at), entry));
        let spans: Vec<Span> = events.flat_map(|event| open.take(&event, facts())).collect();
        let shown: Vec<_> = spans.iter().map(|one| (one.name.as_str(), one.began.0, one.ended.0)).collect();
        let expected = [
            ("work of west", 11, 13),
            ("work of east", 12, 14),
            ("round 1", 10, 15),
            ("aggregation", 16, 17),
            ("job trees", 5, 18),
        ];
        assert_eq!(shown, expected);
        let [west, east, round, aggregation, whole] = &spans[..] else { panic!("{spans:?}") };
        assert!(spans.iter().all(|one| one.context.trace == TraceContext::of_job(&job).trace));
        assert_eq!((whole.parent, round.parent), (None, Some(whole.context.span)));
        assert!([west, east, aggregation].iter().all(|one| one.parent == Some(round.context.span)));
        assert_eq!(west.context, TraceContext::of_assignment(&"j-0a1b2c3d.0.2.west".parse().unwrap()));
        assert_eq!((west.failure.as_deref(), east.failure.as_deref()), (None, Some("no disk")));
        assert!(open.rounds.is_empty() && open.work.is_empty() && open.aggregations.is_empty());
    }
}
