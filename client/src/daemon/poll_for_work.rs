//! Polling for work: the greeting, the poll, the site policy's decision, accepting or declining.

use std::time::Duration;

use eosfed_common::assignment::{Assignment, Work};
use eosfed_common::digest::Digest;
use eosfed_common::ids::{AssignmentId, DataSetName, IdempotencyKey};
use eosfed_common::refusal::{Reason, Refusal};
use tokio::time::Instant;

use super::budget::refusal_bytes;
use super::data_memory::Greeted;
use super::environment::{DaemonError, Environment};
use super::run::{Daemon, Flow};
use super::step::Event;
use super::watcher::attended;
use crate::budgets::Direction;
use crate::condition::{ConditionKind, LocalCondition};
use crate::coordinator::{Coordinator as _, Greeting, Offers};
use crate::egress::unreadable;
use crate::imagery::{Imagery as _, NotChosen, Serving};
use crate::policy::{
    Approval, Decision, GivenApproval, Policy, PolicyStatus, Terms, decide, objections, objections_to_amount,
    refused,
};
use crate::retry::{Recovery, recovery};
use crate::trainer::Trainer as _;

/// Least time between two polls, whatever the coordinator answers.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The result of considering one offer.
enum OfferOutcome {
    /// It ends the polling.
    Event(Event),
    /// It was declined, or it waits.
    Skipped,
}

/// Why work that the policy allows cannot be accepted.
pub(super) enum NotAcceptable {
    /// This will change.
    Condition(LocalCondition),
    /// This will not.
    Refusal(Refusal),
}

impl<E: Environment> Daemon<E> {
    /// Polls until there is work, the coordinator bans this client, or the daemon is cancelled.
    pub(super) async fn poll_for_work(&mut self) -> Result<Flow, DaemonError> {
        if self.lane.ends || (self.parts.once && self.ended_assignments > 0) {
            return Ok(Flow::Exit);
        }
        let cancel = self.cancel.clone();
        tokio::select! {
            biased;
            () = cancel.cancelled() => Ok(Flow::Exit),
            flow = self.poll_at_the_desk() => flow,
        }
    }

    /// Polls as soon as no other lane does, with what is remembered of earlier polls.
    async fn poll_at_the_desk(&mut self) -> Result<Flow, DaemonError> {
        let lanes = self.lane.lanes.clone();
        let mut desk = lanes.desk().await;
        self.offers = std::mem::take(&mut desk.offers);
        self.data = std::mem::take(&mut desk.data);
        let flow = self.poll().await;
        desk.offers = std::mem::take(&mut self.offers);
        desk.data = std::mem::take(&mut self.data);
        flow
    }

    async fn poll(&mut self) -> Result<Flow, DaemonError> {
        if self.progress.contact_lost() {
            self.data.greeted = None;
        }
        let mut seen = self.offers.seen();
        let mut failures = 0;
        let mut said = false;
        loop {
            self.parts.watcher.progressed();
            self.renew_when_due().await?;
            let known = self.is_greeted();
            if known && !said {
                self.parts.watcher.doing("waits for work");
                said = true;
            }
            let offers = match self.greet().await? {
                Ok(()) => {
                    self.share_policy().await?;
                    self.ask(seen).await
                }
                Err(refusal) => Err(refusal),
            };
            match offers {
                // The coordinator may have another key since. It names it in a greeting.
                Ok(offers) if known && self.has_unknown_signature(&offers) => {
                    self.data.greeted = None;
                    seen = 0;
                }
                Ok(offers) => {
                    if !said || failures > 0 {
                        self.parts.watcher.doing("waits for work");
                        said = true;
                    }
                    seen = offers.revision;
                    if offers.assignments.is_empty() && offers.unknown.is_empty() {
                        self.offers.none_offered = Some(seen);
                    }
                    failures = 0;
                    if let Some(event) = self.consider(offers).await? {
                        return Ok(Flow::Event(event));
                    }
                    tokio::time::sleep(MIN_POLL_INTERVAL).await;
                }
                Err(refusal) if recovery(refusal.reason) == Recovery::Halt => {
                    return Ok(Flow::Event(Event::Banned(refusal)));
                }
                Err(refusal) => {
                    failures += 1;
                    self.data.greeted = None;
                    if failures == 1 {
                        let what = format!("tries until the coordinator answers; it does not: {refusal}");
                        self.parts.watcher.doing(&what);
                        tracing::warn!(%refusal, "the coordinator does not answer; trying until it does");
                    }
                    if !self.pause(failures).await {
                        return Ok(Flow::Exit);
                    }
                }
            }
        }
    }

    /// Whether the coordinator was greeted with this certificate, and was reached since.
    fn is_greeted(&self) -> bool {
        self.data.greeted.is_some_and(|greeted| greeted.until == self.parts.credentials.not_after)
    }

    /// Whether an offer that was not declined yet is not signed with a key that this client knows.
    fn has_unknown_signature(&self, offers: &Offers) -> bool {
        let unsigned = |(id, why): &(AssignmentId, Refusal)| {
            why.reason == Reason::NotSigned && !self.offers.declined.contains(id)
        };
        offers.unknown.iter().any(unsigned)
    }

    /// Greets the coordinator, unless that was done since the last failure.
    async fn greet(&mut self) -> Result<Result<(), Refusal>, DaemonError> {
        if self.is_greeted() {
            return Ok(Ok(()));
        }
        let Greeting { institution, coordinator_keys, now: _, takes_points } =
            match self.parts.coordinator.hello().await {
                Ok(greeting) => greeting,
                Err(refusal) => return Ok(Err(refusal)),
            };
        self.pin(&coordinator_keys)?;
        tracing::info!(%institution, "connected; waiting for work");
        self.data.shared = None;
        if let Err(refusal) = self.state_data_once().await? {
            return Ok(Err(refusal));
        }
        self.data.greeted = Some(Greeted { until: self.parts.credentials.not_after, takes_points });
        Ok(Ok(()))
    }

    async fn ask(&self, seen: u64) -> Result<Offers, Refusal> {
        let coordinator = &self.parts.coordinator;
        let intervals = &self.parts.intervals;
        let mut wait =
            if self.offers.postponed.is_empty() { intervals.poll } else { intervals.postponed_poll };
        if let Some(next) = self.offers.next_look {
            wait = wait.min(next.saturating_duration_since(Instant::now()));
        }
        let asked = attended(&*self.parts.watcher, coordinator.poll(seen, wait, self.offer_guard()));
        tokio::select! {
            biased;
            offers = asked => return offers,
            // What was passed over may be taken now, and the coordinator does not tell of it again.
            () = self.lane.lanes.freed(), if self.offers.elsewhere => {}
        }
        attended(&*self.parts.watcher, coordinator.poll(0, wait, self.offer_guard())).await
    }

    /// Accepts the first assignment that can be accepted. Assignments that this client holds already come
    /// first, then those with the nearest deadline.
    async fn consider(&mut self, offers: Offers) -> Result<Option<Event>, DaemonError> {
        let mut assignments = offers.assignments;
        assignments.sort_by_key(|offer| (!offer.accepted, offer.deadline));
        self.forget_other_offers(&assignments, &offers.unknown)?;
        for (id, why) in offers.unknown {
            if self.offers.declined.contains(&id) {
                continue;
            }
            self.note_offer(&id, None)?;
            if let OfferOutcome::Event(event) = self.decline(&id, why).await? {
                return Ok(Some(event));
            }
        }
        self.offers.elsewhere = false;
        for assignment in assignments {
            if self.lane.is_elsewhere(&assignment.id.job) {
                self.offers.elsewhere = true;
                continue;
            }
            if let OfferOutcome::Event(event) = self.consider_one(assignment).await? {
                return Ok(Some(event));
            }
        }
        self.log_is_written()?;
        Ok(None)
    }

    /// Forgets assignments that are no longer offered. If an operator has one offered again later, it is
    /// considered again.
    fn forget_other_offers(
        &mut self,
        assignments: &[Assignment],
        unknown: &[(AssignmentId, Refusal)],
    ) -> Result<(), DaemonError> {
        let offered = |id: &AssignmentId| {
            assignments
                .iter()
                .map(|offer| &offer.id)
                .chain(unknown.iter().map(|(id, _)| id))
                .any(|one| one == id)
        };
        self.offers.declined.retain(|id| offered(id));
        self.offers.postponed.retain(|job| assignments.iter().any(|offer| offer.id.job == *job));
        self.offers.blocked.retain(|id, _| offered(id));
        self.forget_noted_offers(offered);
        self.forget_ended_jobs(assignments)?;
        self.end_wait_if_unblocked()
    }

    async fn consider_one(&mut self, assignment: Assignment) -> Result<OfferOutcome, DaemonError> {
        if self.offers.declined.contains(&assignment.id) || self.is_waiting_for_condition(&assignment) {
            return Ok(OfferOutcome::Skipped);
        }
        let terms = Terms::of(&assignment);
        self.note_offer(&assignment.id, Some(&terms))?;
        let site = match self.settled_for(None, &assignment).await? {
            Ok(policy) => policy,
            Err(outcome) => return Ok(outcome),
        };
        if let Some(why) = self.of_another(&assignment.id).or_else(|| assignment.check_sizes().err()) {
            return self.decline(&assignment.id, Refusal::new(Reason::Incompatible, why)).await;
        }
        // The site's rules come first, since to choose a data set the disk is read.
        if let Some(refusal) = refused(&objections(&site, &assignment)) {
            return self.decline(&assignment.id, refusal).await;
        }
        let dataset = match self.chosen(&assignment).await {
            Ok(dataset) => dataset,
            Err(obstacle) => return self.turn_away(&assignment, obstacle).await,
        };
        // A person approves work on one data set: another one needs another approval.
        let terms = terms.reading(dataset.as_ref());
        let policy = match self.settled_for(dataset.as_ref(), &assignment).await? {
            Ok(policy) => policy,
            Err(outcome) => return Ok(outcome),
        };
        let now = self.parts.clock.now();
        let digest = terms.digest();
        let approval = self.approval(&assignment, &digest);
        let approved = approval.is_some();
        let decision = decide(&policy, &assignment, approved, now);
        if !matches!(decision, Decision::Refuse(_))
            && let Some(obstacle) = self.beyond_budget(&policy, &assignment)
        {
            return self.turn_away(&assignment, obstacle).await;
        }
        match decision {
            Decision::Refuse(refusal) => self.decline(&assignment.id, refusal).await,
            Decision::Wait(why) => {
                if !approved {
                    self.parts.site.record_offer(&terms)?;
                }
                let named = dataset.map(|name| format!("{why}; it is for the data set `{name}`"));
                self.postpone(&assignment, &named.unwrap_or(why))
            }
            Decision::Accept if let Some(refusal) = self.over_limit(&policy.limits, &assignment) => {
                self.decline(&assignment.id, refusal).await
            }
            Decision::Accept => match self.obstacle_to(&policy, &assignment, dataset.as_ref()).await? {
                None => {
                    let approval = approval.filter(|_| policy.approval == Approval::Manual);
                    self.note_acceptance(&assignment, &terms, approval.as_ref(), dataset.as_ref())?;
                    if policy.approval == Approval::Manual {
                        self.parts.site.record_accepted(&digest, assignment.id.round)?;
                    }
                    self.take_assignment(&assignment.id)?;
                    self.accept(assignment, dataset).await
                }
                Some(obstacle) => self.turn_away(&assignment, obstacle).await,
            },
        }
    }

    /// The policy for a data set, or what comes of an offer while it is not clear.
    async fn settled_for(
        &mut self,
        dataset: Option<&DataSetName>,
        assignment: &Assignment,
    ) -> Result<Result<Box<Policy>, OfferOutcome>, DaemonError> {
        Ok(match self.gate.policy_of(dataset) {
            PolicyStatus::Settled(policy) => Ok(policy),
            PolicyStatus::Unsettled => {
                Err(self.postpone(assignment, "the site policy has just been changed")?)
            }
            PolicyStatus::Unreadable(why) => {
                let condition = LocalCondition::new(ConditionKind::PolicyUnclear, unreadable(&why));
                Err(self.block(assignment, condition).await?)
            }
        })
    }

    /// The objection to an assignment of another institution: what this one sends would be signed as that.
    fn of_another(&self, id: &AssignmentId) -> Option<String> {
        let own = &self.parts.credentials.institution;
        (id.institution != *own).then(|| {
            format!("an assignment must be of `{own}`, who has this client, found `{}`", id.institution)
        })
    }

    async fn turn_away(
        &mut self,
        assignment: &Assignment,
        obstacle: NotAcceptable,
    ) -> Result<OfferOutcome, DaemonError> {
        match obstacle {
            NotAcceptable::Condition(condition) => self.block(assignment, condition).await,
            NotAcceptable::Refusal(refusal) => self.decline(&assignment.id, refusal).await,
        }
    }

    /// The approval of this round of work. What cannot be read approves nothing.
    fn approval(&self, assignment: &Assignment, terms: &Digest) -> Option<GivenApproval> {
        let found = self.parts.site.approval(terms, assignment.id.round, self.parts.clock.now());
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, "an approval cannot be read and does not count");
            None
        })
    }

    /// The data set that work is for, by its name; or why none is chosen.
    async fn chosen(&self, assignment: &Assignment) -> Result<Option<DataSetName>, NotAcceptable> {
        let chosen = attended(&*self.parts.watcher, self.parts.imagery.choose(assignment)).await;
        chosen.map_err(|why| match why {
            NotChosen::Condition(condition) => NotAcceptable::Condition(condition),
            NotChosen::Refusal(refusal) => NotAcceptable::Refusal(refusal),
        })
    }

    /// What prevents this machine from doing the work on a data set.
    async fn obstacle_to(
        &mut self,
        policy: &Policy,
        assignment: &Assignment,
        dataset: Option<&DataSetName>,
    ) -> Result<Option<NotAcceptable>, DaemonError> {
        if assignment.work != Work::Statistics
            && let Err(condition) = self.parts.trainer.ready()
        {
            return Ok(Some(NotAcceptable::Condition(condition)));
        }
        let imagery = self.parts.imagery.clone();
        if let Some(condition) = imagery.missing(dataset).await {
            return Ok(Some(NotAcceptable::Condition(condition)));
        }
        let refusal = match attended(&*self.parts.watcher, imagery.check(dataset, assignment)).await {
            Ok(Serving { samples, data }) => {
                let stale = self.data_found(assignment, dataset, data).await?;
                refused(&objections_to_amount(policy, &assignment.work, samples)).or(stale)
            }
            Err(refusal) => Some(refusal),
        };
        let Some(refusal) = refusal else { return Ok(None) };
        // The disk may have disappeared while it was read.
        let missing = imagery.missing(dataset).await;
        Ok(Some(missing.map_or(NotAcceptable::Refusal(refusal), NotAcceptable::Condition)))
    }

    /// Lets an offer wait for an approval or for the allowed hours.
    fn postpone(&mut self, assignment: &Assignment, why: &str) -> Result<OfferOutcome, DaemonError> {
        self.note_wait(&assignment.id, why)?;
        if self.offers.postponed.insert(assignment.id.job.clone()) {
            tracing::info!(assignment = %assignment.id, "not yet: {why}");
        }
        Ok(OfferOutcome::Skipped)
    }

    /// Lets an offer wait for a condition of this machine, which is checked at growing intervals. Declines
    /// the offer once the condition has lasted for too long.
    async fn block(
        &mut self,
        assignment: &Assignment,
        condition: LocalCondition,
    ) -> Result<OfferOutcome, DaemonError> {
        let now = self.parts.clock.now();
        if !self.offers.blocked.contains_key(&assignment.id) {
            self.note_wait(&assignment.id, &condition.message)?;
        }
        let since = *self.offers.blocked.entry(assignment.id.clone()).or_insert(now);
        if let Some(refusal) = self.given_up(&condition, since, assignment.deadline) {
            let considered = self.decline(&assignment.id, refusal).await?;
            if self.offers.declined.contains(&assignment.id) {
                self.offers.blocked.remove(&assignment.id);
                self.end_wait_if_unblocked()?;
            }
            return Ok(considered);
        }
        drop(self.apply(Event::Blocked(condition.clone()))?);
        let tries = self.state.wait().map_or(1, |wait| wait.tries);
        let delay = self.delay(tries);
        self.offers.next_look = Some(Instant::now() + delay);
        tracing::warn!(
            assignment = %assignment.id,
            %since,
            "not accepted yet, next try in {:.1} s: {condition}",
            delay.as_secs_f64()
        );
        Ok(OfferOutcome::Skipped)
    }

    /// Whether an offer waits for a condition that is not due for a check yet.
    fn is_waiting_for_condition(&self, assignment: &Assignment) -> bool {
        self.offers.blocked.contains_key(&assignment.id)
            && self.offers.next_look.is_some_and(|next| Instant::now() < next)
    }

    /// Ends the wait once no offer waits for a condition.
    fn end_wait_if_unblocked(&mut self) -> Result<(), DaemonError> {
        if self.offers.blocked.is_empty() {
            self.offers.next_look = None;
            let log = ConditionKind::LogUnwritable;
            if self.state.wait().is_some_and(|wait| wait.condition.kind != log) {
                drop(self.apply(Event::WaitOver)?);
            }
        }
        Ok(())
    }

    async fn decline(&mut self, id: &AssignmentId, why: Refusal) -> Result<OfferOutcome, DaemonError> {
        tracing::warn!(assignment = %id, refusal = %why, "declining");
        // It may be about any data set.
        let told = self.gate.described(&why, None);
        self.note_refusal(id, &why, &told)?;
        self.budgets.count(&id.job, Direction::Up, refusal_bytes(id, &told))?;
        Ok(match self.parts.coordinator.decline(id, told).await {
            Err(refusal) if recovery(refusal.reason) == Recovery::Halt => {
                OfferOutcome::Event(Event::Banned(refusal))
            }
            // It is declined with the next poll.
            Err(refusal) if recovery(refusal.reason) == Recovery::Retry => OfferOutcome::Skipped,
            Ok(()) | Err(_) => {
                self.offers.declined.insert(id.clone());
                OfferOutcome::Skipped
            }
        })
    }

    async fn accept(
        &mut self,
        assignment: Assignment,
        dataset: Option<DataSetName>,
    ) -> Result<OfferOutcome, DaemonError> {
        match self.parts.coordinator.accept(&assignment.id).await {
            Ok(lease) => {
                let named = dataset.as_ref().map(tracing::field::display);
                tracing::info!(assignment = %assignment.id, dataset = named, "accepted {}", describe(&assignment));
                self.parts.watcher.doing(&format!("works on {}", assignment.id));
                self.progress.accepted(self.data.greeted.is_some_and(|greeted| greeted.takes_points));
                self.offers.postponed.remove(&assignment.id.job);
                self.offers.blocked.clear();
                self.offers.next_look = None;
                let key = IdempotencyKey::random(&mut self.parts.rng);
                // From here on, no other lane takes it, even before the journal says so.
                self.lane.lanes.hold(self.lane.number, Some(&assignment));
                Ok(OfferOutcome::Event(Event::Accepted(Box::new(assignment), lease, key, dataset)))
            }
            Err(refusal) if recovery(refusal.reason) == Recovery::Halt => {
                Ok(OfferOutcome::Event(Event::Banned(refusal)))
            }
            Err(refusal) => {
                self.budgets.give_back_assignment(&assignment.id)?;
                tracing::info!(assignment = %assignment.id, %refusal, "the coordinator grants no lease");
                Ok(OfferOutcome::Skipped)
            }
        }
    }
}

/// An assignment in a few words.
fn describe(assignment: &Assignment) -> String {
    let training_target = &assignment.training_target;
    let kind = match assignment.work {
        Work::Statistics => "statistics",
        Work::Training(_) => "training",
        Work::Evaluation(_) => "evaluation",
    };
    let task = training_target.task().map_or_else(String::new, |task| format!("{task}, "));
    format!("{kind} for `{}`: {task}{}", assignment.job_name, training_target.bands().join(" "))
}
