//! Handing in what there is, again and again until the coordinator has answered for good. The same
//! idempotency key goes with each try, so that no more than one is counted.

use eosfed_common::assignment::{EvaluationSubmission, StatisticsSubmission, UpdateSubmission};
use eosfed_common::clock::Timestamp;
use eosfed_common::refusal::{Reason, Refusal};

use super::heart::{Tracker, flush, lost};
use super::step::{Event, Held, Outcome, Scores, State, Update};
use super::work::Beside;
use super::{Daemon, DaemonError, Flow};
use crate::coordinator::Coordinator;
use crate::outbound;
use crate::retry::{Course, course};

impl<C: Coordinator> Daemon<C> {
    pub(super) async fn submit(&mut self) -> Result<Flow, DaemonError> {
        let State::Submitting { held, outcome } = self.state.clone() else { return Ok(Flow::On) };
        if let Outcome::Update(update) = &outcome
            && let Err(why) = outbound::recheck(update, &held.assignment.trainee)
        {
            return Ok(Flow::Event(Event::Rejected(Refusal::new(Reason::Internal, why))));
        }
        let mut heart = self.heart(&held);
        let mut failures = 0;
        loop {
            let held = self.held();
            let (coordinator, tracker, now) =
                (self.parts.coordinator.clone(), self.tracker.clone(), self.parts.clock.now());
            let attempt = hand_in(&coordinator, &held, &outcome, &tracker, now);
            let event = match self.beside(&mut heart, attempt).await {
                Beside::End => return Ok(Flow::End),
                // What is handed in may have been recorded already: only the answer to it decides.
                Beside::Event(Event::Stopped(_)) => continue,
                Beside::Event(event) => Some(event),
                Beside::Done(Ok(at)) => Some(Event::Acknowledged(at)),
                Beside::Done(Err(refusal)) => {
                    lost(&coordinator, &held.assignment.id, refusal, Event::Rejected).await
                }
            };
            match event {
                Some(Event::Leased(lease)) => drop(self.apply(Event::Leased(lease))?),
                Some(event) => return Ok(Flow::Event(event)),
                None => {
                    failures += 1;
                    if !self.pause(failures).await {
                        return Ok(Flow::End);
                    }
                }
            }
        }
    }
}

async fn hand_in<C: Coordinator>(
    coordinator: &C,
    held: &Held,
    outcome: &Outcome,
    tracker: &Tracker,
    now: Timestamp,
) -> Result<Timestamp, Refusal> {
    match flush(coordinator, held, tracker).await {
        // Curve points that nobody wants are no reason to keep back the result.
        Err(refusal) if course(refusal.reason) == Course::Abandon => {}
        flushed => flushed?,
    }
    let (id, token, key) = (held.assignment.id.clone(), held.lease.token.clone(), held.key.clone());
    match outcome {
        Outcome::Update(update) => {
            let Update { file, weights, samples, metrics, normalisation, energy, initial } =
                (**update).clone();
            coordinator.upload(&file, weights).await?;
            let submission = UpdateSubmission {
                assignment: id,
                token,
                key,
                weights,
                samples,
                metrics,
                normalisation,
                energy,
                initial,
            };
            coordinator.submit_update(submission).await
        }
        Outcome::Statistics(bands) => {
            let submission = StatisticsSubmission { assignment: id, token, key, bands: bands.clone() };
            coordinator.submit_statistics(submission).await
        }
        Outcome::Scores(Scores { samples, metrics, energy }) => {
            let (samples, metrics, energy) = (*samples, metrics.clone(), *energy);
            let scores = EvaluationSubmission { assignment: id, token, key, samples, metrics, energy };
            coordinator.submit_evaluation(scores).await
        }
        Outcome::Failure(why) => {
            tracing::warn!(assignment = %id, "reporting that it failed here: {why}");
            coordinator.report_failure(&id, &token, why).await.map(|()| now)
        }
    }
}
