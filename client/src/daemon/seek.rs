//! Looking for work: greeting, polling, the site policy's word, accepting or declining.

use std::time::Duration;

use eosfed_common::assignment::Assignment;
use eosfed_common::ids::{AssignmentId, IdempotencyKey};
use eosfed_common::refusal::Refusal;

use super::step::Event;
use super::{Daemon, DaemonError, Flow, describe};
use crate::coordinator::{Coordinator, Offers};
use crate::imagery;
use crate::policy::{Decision, decide};
use crate::retry::{Course, course};

/// Least time between two polls, whatever the coordinator answers.
const BREATH: Duration = Duration::from_millis(200);

/// What has become of one offer.
enum Verdict {
    Take(Event),
    Pass,
}

impl<C: Coordinator> Daemon<C> {
    pub(super) async fn seek(&mut self) -> Result<Flow, DaemonError> {
        if self.parts.once && self.done > 0 {
            return Ok(Flow::End);
        }
        let stop = self.stop.clone();
        tokio::select! {
            flow = self.look() => flow,
            () = stop.raised() => Ok(Flow::End),
        }
    }

    async fn look(&mut self) -> Result<Flow, DaemonError> {
        let (mut seen, mut failures, mut greeted) = (0, 0, false);
        loop {
            self.renew_when_due().await?;
            match self.ask(seen, &mut greeted).await {
                Ok(offers) => {
                    (seen, failures) = (offers.revision, 0);
                    if let Some(event) = self.consider(offers).await? {
                        return Ok(Flow::Event(event));
                    }
                    tokio::time::sleep(BREATH).await;
                }
                Err(refusal) if course(refusal.reason) == Course::Halt => {
                    return Ok(Flow::Event(Event::Banned(refusal)));
                }
                Err(refusal) => {
                    failures += 1;
                    greeted = false;
                    if failures == 1 {
                        tracing::warn!(%refusal, "the coordinator does not answer; trying until it does");
                    }
                    if !self.pause(failures).await {
                        return Ok(Flow::End);
                    }
                }
            }
        }
    }

    async fn ask(&self, seen: u64, greeted: &mut bool) -> Result<Offers, Refusal> {
        let coordinator = &self.parts.coordinator;
        if !*greeted {
            let institution = coordinator.hello().await?;
            tracing::info!(%institution, "connected; waiting for work");
            *greeted = true;
        }
        let wait = if self.waiting.is_empty() { self.parts.pace.poll } else { self.parts.pace.waiting };
        coordinator.poll(seen, wait).await
    }

    /// Takes the first assignment that can be taken: what is ours already, then what ends soonest.
    async fn consider(&mut self, offers: Offers) -> Result<Option<Event>, DaemonError> {
        let mut assignments = offers.assignments;
        assignments.sort_by_key(|offer| (!offer.accepted, offer.deadline));
        self.waiting.retain(|job| assignments.iter().any(|offer| offer.id.job == *job));
        // What is offered again after it was declined is looked at again: an operator has asked for it.
        let unknown = offers.unknown;
        self.declined.retain(|id| {
            assignments
                .iter()
                .map(|offer| &offer.id)
                .chain(unknown.iter().map(|(id, _)| id))
                .any(|one| one == id)
        });
        for (id, why) in unknown {
            if !self.declined.contains(&id)
                && let Verdict::Take(event) = self.decline(&id, why).await
            {
                return Ok(Some(event));
            }
        }
        for assignment in assignments {
            if let Verdict::Take(event) = self.judge(assignment).await? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    async fn judge(&mut self, assignment: Assignment) -> Result<Verdict, DaemonError> {
        if self.declined.contains(&assignment.id) {
            return Ok(Verdict::Pass);
        }
        let approved = self.parts.site.is_approved(&assignment.id.job);
        match decide(&self.policy()?, &assignment, approved, self.parts.clock.now()) {
            Decision::Refuse(refusal) => Ok(self.decline(&assignment.id, refusal).await),
            Decision::Wait(why) => {
                if self.waiting.insert(assignment.id.job.clone()) {
                    tracing::info!(assignment = %assignment.id, "not yet: {why}");
                }
                Ok(Verdict::Pass)
            }
            Decision::Accept => match self.fits(&assignment).await {
                Ok(()) => Ok(self.accept(assignment).await),
                Err(refusal) => Ok(self.decline(&assignment.id, refusal).await),
            },
        }
    }

    async fn fits(&self, assignment: &Assignment) -> Result<(), Refusal> {
        let (dataset, assignment) = (self.parts.dataset.clone(), assignment.clone());
        let look = tokio::task::spawn_blocking(move || imagery::fits(&dataset, &assignment));
        look.await.unwrap_or_else(|error| {
            let message = format!("the data set cannot be read: {error}");
            Err(Refusal::new(eosfed_common::refusal::Reason::DataUnfit, message))
        })
    }

    async fn decline(&mut self, id: &AssignmentId, why: Refusal) -> Verdict {
        tracing::warn!(assignment = %id, refusal = %why, "declining");
        match self.parts.coordinator.decline(id, why).await {
            Err(refusal) if course(refusal.reason) == Course::Halt => Verdict::Take(Event::Banned(refusal)),
            // Said with the next poll, then.
            Err(refusal) if course(refusal.reason) == Course::Retry => Verdict::Pass,
            Ok(()) | Err(_) => {
                self.declined.insert(id.clone());
                Verdict::Pass
            }
        }
    }

    async fn accept(&mut self, assignment: Assignment) -> Verdict {
        match self.parts.coordinator.accept(&assignment.id).await {
            Ok(lease) => {
                tracing::info!(assignment = %assignment.id, "accepted {}", describe(&assignment));
                self.tracker.clear();
                self.waiting.remove(&assignment.id.job);
                let key = IdempotencyKey::random(&mut self.parts.rng);
                Verdict::Take(Event::Accepted(Box::new(assignment), lease, key))
            }
            Err(refusal) if course(refusal.reason) == Course::Halt => Verdict::Take(Event::Banned(refusal)),
            Err(refusal) => {
                tracing::info!(assignment = %assignment.id, %refusal, "not lent");
                Verdict::Pass
            }
        }
    }
}
