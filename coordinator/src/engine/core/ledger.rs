//! The ledger of the engine. Each change is committed together with its events, and each event is written to
//! the log.

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{InstitutionName, JobId};
use eosfed_common::ledger::{Actor, Entry, Event, EventKind, EventRef};
use eosfed_common::refusal::Refusal;

use super::Core;
use crate::domain::refusals::{RefusalBudget, cut};
use crate::domain::{Change, Damaged, Federation};
use crate::storage::SCHEMA;

/// The end of the ledger.
pub(super) struct Ledger {
    head: Option<EventRef>,
    refusals: RefusalBudget,
    renewals: RefusalBudget,
}

impl Ledger {
    pub(super) fn new(head: Option<EventRef>) -> Self {
        Self { head, refusals: RefusalBudget::default(), renewals: RefusalBudget::default() }
    }

    /// Takes one renewal of what is left of them in this hour; nothing if none is.
    pub(super) fn take_renewal(&mut self, actor: &Actor, now: Timestamp) -> Option<u64> {
        self.renewals.take(actor, now)
    }

    /// The newest event.
    pub(super) const fn head(&self) -> Option<EventRef> {
        self.head
    }

    /// Numbers and chains entries after the newest event.
    pub(super) fn seal(&self, entries: &[Entry], now: Timestamp) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::with_capacity(entries.len());
        for entry in entries {
            let last = events.last().map(Event::event_ref).or(self.head);
            events.push(Event::follow(last, now, entry.clone()));
        }
        events
    }

    /// Advances the end of the ledger past stored events, and logs them.
    pub(super) fn committed(&mut self, events: &[Event]) {
        for event in events {
            let Event { sequence, entry: Entry { actor, job, institution, kind }, .. } = event;
            let job = job.as_ref().map(JobId::as_str);
            let institution = institution.as_ref().map(InstitutionName::as_str);
            tracing::info!(sequence, %actor, job, institution, details = %kind.details(), "{}", kind.name());
            self.head = Some(event.event_ref());
        }
    }
}

/// The events of a start.
pub(super) fn opening(
    federation: &Federation,
    head: Option<EventRef>,
    migrated_from: Option<u32>,
    damaged: Vec<Damaged>,
) -> Change {
    let entry = |kind| Entry::new(Actor::Coordinator, kind);
    let mut events = Vec::new();
    if head.is_none() {
        events.push(entry(EventKind::LedgerOpened {
            schema: SCHEMA,
            migrated_from,
            institutions: federation.institutions().count() as u64,
            jobs: federation.jobs.len() as u64,
            specialists: federation.registry.specialists.len() as u64,
            releases: federation.registry.releases.len() as u64,
        }));
    }
    events.push(entry(EventKind::CoordinatorStarted { version: env!("CARGO_PKG_VERSION").to_owned() }));
    for Damaged { record, reason, blobs: _ } in &damaged {
        tracing::error!(
            record,
            reason,
            "a record is damaged; it is quarantined, and the coordinator starts without it"
        );
        let record = record.clone();
        let reason = cut(reason);
        events.push(entry(EventKind::RecordQuarantined { record, reason }));
    }
    Change { events, quarantined: damaged, ..Change::default() }
}

impl Core {
    /// Records that a person's call was refused. The number of such events in an hour is limited; further
    /// ones are counted.
    pub async fn record_refusal(&self, actor: Actor, action: &str, job: Option<JobId>, refusal: &Refusal) {
        let mut writer = self.lock_writer().await;
        let now = self.now();
        let Some(omitted) = writer.ledger.refusals.take(&actor, now) else { return };
        let Refusal { reason, message } = refusal;
        let kind = EventKind::Refused { action: action.to_owned(), reason: *reason, message: cut(message) };
        let refused = Entry { job, ..Entry::new(actor, kind) };
        let mut change = Change::noted(refused);
        if omitted > 0 {
            let kind = EventKind::RefusalsOmitted { refusals: omitted };
            change.events.insert(0, Entry::new(Actor::Coordinator, kind));
        }
        if let Err(error) = self.store_change(&mut writer, change, now).await {
            tracing::warn!(%error, action, "cannot record a refused call");
        }
    }

    /// Up to `most` events of the ledger from this one on, each as its hashed line.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn events(&self, from: u64, most: usize) -> Result<Vec<String>, Refusal> {
        Ok(self.store.events(from, most).await?)
    }

    /// The newest event of the ledger.
    pub async fn ledger_head(&self) -> Option<EventRef> {
        self.lock_writer().await.ledger.head()
    }
}
