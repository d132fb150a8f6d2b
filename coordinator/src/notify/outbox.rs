//! The queue of one receiver: bounded, in order, and aware of how far it is.

use std::collections::VecDeque;
use std::sync::Arc;

use super::conditions::{Condition, ConditionKey, Conditions, Seen};
use super::event::NotifyEvent;
use super::notification::Notification;
use super::places::Place;

/// Where a notification comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The event of this number.
    Ledger(u64),
    /// A condition.
    Condition(ConditionKey),
}

/// A notification that waits.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) source: Source,
    pub(super) notification: Arc<Notification>,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Outbox {
    limit: usize,
    waiting: VecDeque<Item>,
    sending: Option<Item>,
    /// The place after the last event that was looked at.
    next: u64,
    conditions: Conditions,
}

impl Outbox {
    /// An empty queue of at most `limit` waiting notifications, which goes on at this place.
    pub(super) fn new(limit: usize, place: Place) -> Self {
        let Place { next, told } = place;
        let conditions = Conditions::told_before(told);
        Self { limit, waiting: VecDeque::new(), sending: None, next, conditions }
    }

    /// Takes the event of number `sequence`, with what it is to this receiver. Gives what was dropped for it.
    pub(super) fn take_event(&mut self, sequence: u64, told: Option<Arc<Notification>>) -> Option<Item> {
        if sequence < self.next {
            return None;
        }
        self.next = sequence + 1;
        let notification = told?;
        self.push(Item { source: Source::Ledger(sequence), notification })
    }

    /// Takes what a look at the state has seen; gives what is new.
    pub(super) fn look(&mut self, seen: &Seen) -> Vec<Condition> {
        self.conditions.look(seen)
    }

    /// Adds one; gives the oldest that waits if there is no room for it.
    pub(super) fn push(&mut self, item: Item) -> Option<Item> {
        self.waiting.push_back(item);
        if self.waiting.len() <= self.limit {
            return None;
        }
        self.waiting.pop_front()
    }

    /// The next one to send. It is not noted as sent before [`Outbox::done`].
    pub(super) fn take(&mut self) -> Option<Arc<Notification>> {
        if self.sending.is_none() {
            self.sending = self.waiting.pop_front();
        }
        self.sending.as_ref().map(|item| Arc::clone(&item.notification))
    }

    /// Notes that the one being sent was delivered, or given up.
    pub(super) fn done(&mut self) {
        if let Some(Item { source: Source::Condition(key), .. }) = self.sending.take() {
            self.conditions.note_told(&key);
        }
    }

    /// Gives the queue to another desk of the same receiver, which wants these events. What was being sent is
    /// sent again.
    pub(super) fn handed_over(&mut self, wants: impl Fn(NotifyEvent) -> bool) -> Self {
        let waiting = self.sending.take().into_iter().chain(self.waiting.drain(..));
        let waiting: VecDeque<Item> = waiting.filter(|item| wants(item.notification.event)).collect();
        let mut conditions = std::mem::take(&mut self.conditions);
        // What was not wanted before is new to the other desk.
        conditions.keep(|key| {
            waiting.iter().any(|item| matches!(&item.source, Source::Condition(of) if of == key))
        });
        Self { limit: self.limit, waiting, sending: None, next: self.next, conditions }
    }

    /// How many wait, the one being sent included.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.sending.is_some())
    }

    /// Where to go on after a restart.
    pub(super) fn place(&self) -> Place {
        let of_ledger = |item: &Item| match item.source {
            Source::Ledger(sequence) => Some(sequence),
            Source::Condition(_) => None,
        };
        let first = self.sending.iter().chain(&self.waiting).find_map(of_ledger);
        Place { next: first.unwrap_or(self.next), told: self.conditions.told().cloned().collect() }
    }

    /// The place after the last event that was looked at.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::clock::Timestamp;

    use super::*;

    fn outbox(limit: usize) -> Outbox {
        Outbox::new(limit, Place { next: 10, told: Vec::new() })
    }

    fn some() -> Option<Arc<Notification>> {
        Some(Arc::new(Notification::test("https://eo.example.org", Timestamp(1))))
    }

    #[test]
    fn a_full_queue_drops_its_oldest_and_never_the_one_being_sent() {
        let mut outbox = outbox(2);
        assert!(outbox.take_event(9, some()).is_none() && outbox.len() == 0, "it was sent before");
        assert!(outbox.take_event(10, some()).is_none());
        assert!(outbox.take().is_some());
        for sequence in [11, 12] {
            assert!(outbox.take_event(sequence, some()).is_none());
        }
        let dropped = outbox.take_event(13, some()).unwrap();
        assert_eq!(dropped.source, Source::Ledger(11));
        assert_eq!((outbox.len(), outbox.place().next), (3, 10), "10 is being sent");
        outbox.done();
        assert_eq!((outbox.len(), outbox.place().next), (2, 12));
    }

    #[test]
    fn the_place_is_that_of_the_oldest_which_was_not_sent() {
        let mut outbox = outbox(5);
        assert!(outbox.take_event(10, None).is_none());
        assert_eq!(outbox.place().next, 11, "nobody has to be told of 10");
        outbox.take_event(11, some());
        outbox.take_event(12, None);
        outbox.take_event(13, some());
        assert_eq!(outbox.place().next, 11);
        outbox.take();
        outbox.done();
        assert_eq!(outbox.place().next, 13);
        outbox.take();
        outbox.done();
        assert_eq!((outbox.place().next, outbox.len()), (14, 0));
    }
}
