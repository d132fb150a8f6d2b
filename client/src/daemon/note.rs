//! What the daemon writes in the site log about offers and decisions, before it acts on them.

use eosfed_common::assignment::Assignment;
use eosfed_common::ids::{AssignmentId, DataSetName};
use eosfed_common::refusal::Refusal;

use super::environment::{DaemonError, Environment};
use super::noted_offers::{MAX_OFFERS_A_DAY, Noting};
use super::run::Daemon;
use crate::egress::unreadable;
use crate::policy::{GivenApproval, PolicyStatus, Terms, explain};
use crate::site_log::{Approved, Entry, EntryKind, Why, lines, name, text};

impl<E: Environment> Daemon<E> {
    /// Notes that the daemon has started, and the rules that it keeps.
    pub(super) fn note_start(&mut self) {
        let of = |name: &DataSetName| {
            let rules = self.rules(Some(name)).into_iter();
            rules.map(move |rule| format!("data set `{name}`: {rule}")).collect::<Vec<_>>()
        };
        let mut policy = self.rules(None);
        policy.extend(self.gate.data_sets().flat_map(of));
        if let PolicyStatus::Settled(policy) = self.gate.policy_status(None)
            && policy.privacy.is_some()
            && let Err(error) = self.spent.spending()
        {
            tracing::error!("{error}");
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.parts.log.note(Entry::new(EntryKind::Started { version, policy: lines(policy) }));
    }

    /// The rules for a data set, or the site's.
    fn rules(&self, dataset: Option<&DataSetName>) -> Vec<String> {
        match self.gate.policy_of(dataset) {
            PolicyStatus::Settled(policy) => explain(&policy),
            PolicyStatus::Unreadable(why) => vec![unreadable(&why)],
            PolicyStatus::Unsettled => vec!["it has just been changed".to_owned()],
        }
    }

    /// Notes an offer, once; without terms if this version does not know its work. Returns whether decisions about it are noted too.
    pub(super) fn note_offer(
        &mut self,
        id: &AssignmentId,
        terms: Option<&Terms>,
    ) -> Result<bool, DaemonError> {
        let now = self.parts.clock.now();
        match self.offers.noted.look(id, now) {
            Noting::Known => {}
            Noting::New => {
                let noted = self.note_asked(id, terms);
                if noted.is_err() {
                    self.offers.noted.ids.remove(id);
                }
                noted?;
            }
            Noting::First => {
                self.parts.log.record(Entry::new(EntryKind::NotNoted { offers: MAX_OFFERS_A_DAY }))?;
                return Ok(false);
            }
            Noting::TooMany => return Ok(false),
        }
        Ok(true)
    }

    fn note_asked(&self, id: &AssignmentId, terms: Option<&Terms>) -> Result<(), DaemonError> {
        let unknown = || vec!["work that this version does not know".to_owned()];
        let asked = EntryKind::Asked {
            name: terms.map(|terms| name(&terms.job_name)),
            terms: lines(terms.map_or_else(unknown, Terms::words)),
            digest: terms.map(Terms::digest),
        };
        Ok(self.parts.log.record(Entry::of(id, asked))?)
    }

    /// Notes that an offer waits.
    pub(super) fn note_wait(&self, id: &AssignmentId, why: &str) -> Result<(), DaemonError> {
        if self.offers.noted.ids.contains(id) {
            self.parts.log.record_once(Entry::of(id, EntryKind::Waits { why: text(why) }))?;
        }
        Ok(())
    }

    /// Notes that an offer is declined, and what the coordinator is told.
    pub(super) fn note_refusal(
        &self,
        id: &AssignmentId,
        why: &Refusal,
        told: &Refusal,
    ) -> Result<(), DaemonError> {
        if self.offers.noted.ids.contains(id) {
            self.parts.log.record_once(Entry::of(id, EntryKind::Refused(Why::new(why, told))))?;
        }
        Ok(())
    }

    /// Notes that work is accepted, and by whose approval.
    pub(super) fn note_acceptance(
        &self,
        assignment: &Assignment,
        terms: &Terms,
        approval: Option<&GivenApproval>,
        dataset: Option<&DataSetName>,
    ) -> Result<(), DaemonError> {
        let id = &assignment.id;
        if !self.offers.noted.ids.contains(id) {
            self.note_asked(id, Some(terms))?;
        }
        let approval = approval.map(Approved::from);
        let dataset = dataset.cloned();
        Ok(self.parts.log.record_once(Entry::of(id, EntryKind::Accepted { approval, dataset }))?)
    }

    /// Forgets the offers that are no longer there.
    pub(super) fn forget_noted_offers(&mut self, offered: impl Fn(&AssignmentId) -> bool) {
        self.offers.noted.ids.retain(&offered);
        self.parts.log.forget(|entry| entry.assignment.as_ref().is_some_and(&offered));
    }
}
