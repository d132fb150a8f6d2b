//! How many offers the site log notes. Pure.

use std::collections::BTreeSet;

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::AssignmentId;

/// Most offers of a day that have entries of their own. A coordinator that offers more cannot push earlier
/// entries out of the log. What is accepted is always noted.
pub(super) const MAX_OFFERS_A_DAY: u64 = 2000;
const DAY: u64 = 86_400_000;

/// The offers that the site log has entries of.
#[derive(Debug, Default)]
pub(super) struct NotedOffers {
    day: u64,
    count: u64,
    pub(super) ids: BTreeSet<AssignmentId>,
}

/// Whether an offer is noted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Noting {
    /// It has been noted.
    Known,
    /// It is to be noted.
    New,
    /// It is the first one that is not noted any more.
    First,
    /// It is not noted.
    TooMany,
}

impl NotedOffers {
    pub(super) fn look(&mut self, id: &AssignmentId, now: Timestamp) -> Noting {
        let day = now.0 / DAY;
        if self.ids.contains(id) {
            return Noting::Known;
        }
        if day > self.day {
            self.day = day;
            self.count = 0;
        }
        self.count += 1;
        match self.count {
            count if count <= MAX_OFFERS_A_DAY => {
                self.ids.insert(id.clone());
                Noting::New
            }
            count if count == MAX_OFFERS_A_DAY + 1 => Noting::First,
            _ => Noting::TooMany,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(round: u32) -> AssignmentId {
        format!("j-0a1b2c3d.{round}.1.west").parse().unwrap()
    }

    fn on(day: u64) -> Timestamp {
        Timestamp(day * DAY)
    }

    #[test]
    fn a_flood_of_offers_is_noted_up_to_a_limit_each_day() {
        let mut noted = NotedOffers::default();
        let limit = u32::try_from(MAX_OFFERS_A_DAY).unwrap();
        assert!((0..limit).all(|round| noted.look(&id(round), on(5)) == Noting::New));
        assert_eq!(noted.look(&id(0), on(5)), Noting::Known);
        assert_eq!(noted.look(&id(limit), on(5)), Noting::First);
        assert_eq!(noted.look(&id(limit + 1), on(5)), Noting::TooMany);
        assert_eq!(noted.look(&id(limit + 1), on(4)), Noting::TooMany, "the clock went back");
        assert_eq!(noted.look(&id(limit + 1), on(6)), Noting::New);
    }
}
