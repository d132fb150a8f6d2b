//! A limit on the events for refused calls. Without it, a caller could fill the disk with refusals.

use std::collections::BTreeMap;
use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::ledger::Actor;
use eosfed_common::printable::Printable;

/// The period over which events are counted.
pub const WINDOW: Duration = Duration::from_secs(3600);
/// Most events in this period for one person.
pub const MOST_EACH: u32 = 30;
/// Most events in this period for all persons. With messages of at most [`LONGEST`] bytes, this is less than
/// 100 kB an hour.
pub const MOST: u32 = 100;
/// Longest message of a refusal in an event, in bytes.
pub const LONGEST: usize = 400;

/// The remaining events of this hour. A restart resets it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RefusalBudget {
    since: Option<Timestamp>,
    count: u32,
    each: BTreeMap<Actor, u32>,
    omitted: u64,
}

impl RefusalBudget {
    /// Uses one event of a person's budget. Gives the number of events that were omitted since the last one,
    /// or nothing if this one must be omitted too.
    pub fn take(&mut self, actor: &Actor, now: Timestamp) -> Option<u64> {
        if self.since.is_none_or(|since| now < since || now.since(since) >= WINDOW) {
            self.since = Some(now);
            self.count = 0;
            self.each.clear();
        }
        let own = self.each.entry(actor.clone()).or_default();
        if self.count >= MOST || *own >= MOST_EACH {
            self.omitted += 1;
            return None;
        }
        self.count += 1;
        *own += 1;
        Some(std::mem::take(&mut self.omitted))
    }
}

/// A message as one printable line of at most [`LONGEST`] bytes.
#[must_use]
pub fn cut(message: &str) -> String {
    Printable::escaped(message, LONGEST).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);

    fn operator(name: &str) -> Actor {
        Actor::Operator(name.parse().unwrap())
    }

    #[test]
    fn each_person_and_all_persons_have_a_limit_and_omitted_events_are_counted() {
        let mut budget = RefusalBudget::default();
        let eve = operator("eve");
        let taken = (0..100_000).filter(|_| budget.take(&eve, NOW).is_some()).count();
        assert_eq!(taken, MOST_EACH as usize);
        assert_eq!(budget.take(&operator("admin"), NOW), Some(100_000 - u64::from(MOST_EACH)));
        let others = (0..100).flat_map(|number| std::iter::repeat_n(operator(&format!("o-{number}")), 10));
        let taken = others.filter(|actor| budget.take(actor, NOW).is_some()).count();
        assert_eq!(taken, (MOST - MOST_EACH - 1) as usize);
        assert_eq!(budget.take(&eve, NOW.plus(WINDOW)), Some(1000 - u64::from(MOST - MOST_EACH - 1)));
        // A clock that was set back does not block events.
        assert_eq!(budget.take(&eve, Timestamp(5)), Some(0));
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut("two\nlines\u{1b}"), "two\\nlines\\u{1b}");
        assert_eq!(cut(&"ö".repeat(LONGEST)).len(), LONGEST);
        assert_eq!(cut(&format!("x{}", "ö".repeat(LONGEST))).len(), LONGEST - 1);
    }
}
