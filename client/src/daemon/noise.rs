//! Clipping and noise of an update that the site policy demands them for, before any of it is sent.
//!
//! The order protects against a crash at any instant: the file with noise, then its record, then the journal,
//! then the first byte. A file whose record exists is used again, so noise is drawn once and charged once. A
//! file without a record was never sent, and is made anew.

use eosfed_common::assignment::{Assignment, BlobRef, Work};
use eosfed_common::refusal::{Reason, Refusal};
use rand::RngExt as _;

use super::environment::{DaemonError, Environment, unless_full};
use super::fetch::BASE;
use super::poll_for_work::NotAcceptable;
use super::run::Daemon;
use super::step::Event;
use crate::condition::{ConditionKind, LocalCondition};
use crate::noised::{Base, NoisedFile, path_in};
use crate::outbound;
use crate::policy::{
    Policy, PolicyStatus, Privacy, demanded, objections_to_spending, objections_to_spent, refused,
};
use crate::privacy::{Charge, Mechanism, Spending};
use crate::site_log::{Entry, EntryKind, NoisedUpdate, text};
use crate::spent::SpentError;
use crate::state::{HeldAssignment, Update};

/// The condition of a record of spent privacy that cannot be read or is not believed.
fn unreadable(error: &SpentError) -> LocalCondition {
    LocalCondition::new(ConditionKind::SpendingUnreadable, error.to_string())
}

impl<E: Environment> Daemon<E> {
    /// Sees to it that an update has the noise that the policy demands, and that it is recorded. Gives the event
    /// that replaces it or ends the work; nothing if it can be sent as it is.
    pub(super) async fn add_noise(
        &mut self,
        held: &HeldAssignment,
        update: &Update,
    ) -> Result<Option<Event>, DaemonError> {
        // While the policy is unclear, the gate lets nothing leave.
        let PolicyStatus::Settled(policy) = self.gate.policy_status(Some(&self.work_in_hand(held))) else {
            return Ok(None);
        };
        let Some(privacy) = demanded(&policy, &held.assignment) else { return Ok(None) };
        // What is spent is read, held against the budget and written again by one lane at a time.
        let lanes = self.lane.lanes.clone();
        let _turn = lanes.turn().await;
        let spending = match self.spent.spending() {
            Ok(spending) => spending,
            Err(error) => return Ok(Some(self.blocked(unreadable(&error)))),
        };
        match update.mechanism {
            Some(mechanism) => self.charge_once(held, update.weights, mechanism, &privacy, &spending),
            None => self.replace_by_noised(held, update, &privacy, &spending).await,
        }
    }

    async fn replace_by_noised(
        &mut self,
        held: &HeldAssignment,
        update: &Update,
        privacy: &Privacy,
        spending: &Spending,
    ) -> Result<Option<Event>, DaemonError> {
        let (weights, mechanism) = match self.recorded(held, spending) {
            Some(recorded) => recorded,
            None => match self.make_noised(held, update, privacy, spending).await? {
                Ok(weights) => (weights, privacy.mechanism()),
                Err(event) => return Ok(Some(event)),
            },
        };
        if let Some(event) = self.charge_once(held, weights, mechanism, privacy, spending)? {
            return Ok(Some(event));
        }
        let file = path_in(&self.folder(held)?);
        let mechanism = Some(mechanism);
        Ok(Some(Event::NoiseAdded(Box::new(Update {
            file,
            weights,
            mechanism,
            encoded: None,
            ..update.clone()
        }))))
    }

    /// The file with noise that an earlier run of the daemon has made and recorded.
    fn recorded(&self, held: &HeldAssignment, spending: &Spending) -> Option<(BlobRef, Mechanism)> {
        let file = path_in(&self.parts.site.folder(&held.assignment.id));
        let found = outbound::check(&file, &held.assignment.training_target).ok()?;
        let charge = spending.find(&held.assignment.id, &found.digest)?;
        Some((found, charge.mechanism))
    }

    /// Makes the file with noise, if the budget has room for it.
    async fn make_noised(
        &mut self,
        held: &HeldAssignment,
        update: &Update,
        privacy: &Privacy,
        spending: &Spending,
    ) -> Result<Result<BlobRef, Event>, DaemonError> {
        if let Some(refusal) = refused(&objections_to_spending(privacy, spending)) {
            return Ok(Err(Event::PolicyDenied(refusal)));
        }
        let folder = self.folder(held)?;
        let Work::Training(work) = &held.assignment.work else {
            let message = "this assignment has no training";
            return Ok(Err(Event::Rejected(Refusal::new(Reason::Internal, message))));
        };
        let base = match work.base {
            Some(_) => Base::File(folder.join(BASE)),
            None => Base::Seed(work.initial_seed),
        };
        let noised = NoisedFile {
            trained: update.file.clone(),
            base,
            training_target: held.assignment.training_target.clone(),
            mechanism: privacy.mechanism(),
            key: self.parts.rng.random(),
            output: path_in(&folder),
        };
        match self.parts.blocking.run(move || noised.write()).await {
            Ok(Ok(weights)) => Ok(Ok(weights)),
            Ok(Err(error)) => unless_full(error).map(|why| Err(cannot(&why))),
            Err(why) => Ok(Err(cannot(&why))),
        }
    }

    /// Records a file with noise unless it is recorded already.
    fn charge_once(
        &self,
        held: &HeldAssignment,
        weights: BlobRef,
        mechanism: Mechanism,
        privacy: &Privacy,
        spending: &Spending,
    ) -> Result<Option<Event>, DaemonError> {
        let id = &held.assignment.id;
        if spending.find(id, &weights.digest).is_some() {
            return Ok(refused(&objections_to_spent(privacy, spending)).map(Event::PolicyDenied));
        }
        if let Some(refusal) = refused(&objections_to_spending(privacy, spending)) {
            return Ok(Some(Event::PolicyDenied(refusal)));
        }
        let words = charged(&mechanism, privacy, spending);
        tracing::info!(assignment = %id, "{words}");
        let update = NoisedUpdate {
            job_name: text(&held.assignment.job_name),
            clip: mechanism.clip.to_string(),
            noise_multiplier: mechanism.noise_multiplier.to_string(),
            dataset: held.dataset.clone(),
        };
        let kind = EntryKind::NoiseAdded { digest: weights.digest, spending: words, update: Some(update) };
        self.parts.log.record(Entry::of(id, kind))?;
        self.parts.site.charge(Charge {
            assignment: id.clone(),
            job_name: held.assignment.job_name.clone(),
            mechanism,
            digest: weights.digest,
            at: self.parts.clock.now(),
            dataset: held.dataset.clone(),
        })?;
        Ok(None)
    }

    /// Why an offer cannot be accepted because of what updates have spent.
    pub(super) fn beyond_budget(
        &mut self,
        policy: &Policy,
        assignment: &Assignment,
    ) -> Option<NotAcceptable> {
        let privacy = demanded(policy, assignment)?;
        let spending = match self.spent.spending() {
            Ok(spending) => spending,
            Err(error) => return Some(NotAcceptable::Condition(unreadable(&error))),
        };
        refused(&objections_to_spending(&privacy, &spending))
            .map(NotAcceptable::Refusal)
            .or_else(|| self.promised(policy, &privacy, &spending).map(NotAcceptable::Condition))
    }

    /// The condition that what the budget still has room for is promised to the work of other devices.
    fn promised(&self, policy: &Policy, privacy: &Privacy, spending: &Spending) -> Option<LocalCondition> {
        let elsewhere = self.lane.elsewhere().into_iter();
        let uncharged =
            |one: &Assignment| !spending.updates().iter().any(|charge| charge.assignment == one.id);
        let promised = elsewhere.filter(|one| demanded(policy, one).is_some() && uncharged(one)).count();
        let left = privacy.updates_left(spending);
        (promised as u64 >= left).then(|| {
            let message = format!(
                "`privacy.max_epsilon` is {}, which leaves room for {left} more updates, and other devices \
                 work on {promised}; wait for them, or raise it",
                privacy.max_epsilon
            );
            LocalCondition::new(ConditionKind::BudgetSpent, message)
        })
    }
}

/// What an update has and costs, in words.
fn charged(mechanism: &Mechanism, privacy: &Privacy, spending: &Spending) -> String {
    let Mechanism { clip, noise_multiplier } = mechanism;
    let spent = privacy.next_update(spending);
    format!("clipped to {clip}, with noise of {noise_multiplier} times that on each weight; {spent}")
}

/// The event of an update that cannot get noise.
fn cannot(why: &str) -> Event {
    Event::PolicyDenied(Refusal::new(Reason::Internal, format!("the update cannot get its noise: {why}")))
}
