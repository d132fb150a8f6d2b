//! What an institution has said of its data set, now and earlier, and what of it counts for a round.

use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::data_statement::{PartSizes, SignedDataStatement};
use eosfed_common::refusal::{Reason, Refusal};
use serde::{Deserialize, Serialize};

/// Most statements of one institution, each other than the one before, in [`WINDOW`]. Each is an event.
pub const MOST: usize = 10;
/// The time in which they are counted.
pub const WINDOW: Duration = Duration::from_secs(3600);
/// Most earlier statements of which the numbers are kept.
const MAX_EARLIER: usize = 32;

/// Refuses one more document of an institution if it has handed in [`MOST`] others in [`WINDOW`].
///
/// # Errors
/// [`Reason::Unavailable`].
pub(super) fn not_too_often(what: &str, recent: usize) -> Result<(), Refusal> {
    if recent < MOST {
        return Ok(());
    }
    let message = format!(
        "at most {MOST} other {what} within an hour, found {recent} before this one; it is taken later"
    );
    Err(Refusal::new(Reason::Unavailable, message))
}

/// The numbers of a statement, and since when they count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Since when.
    pub since: Timestamp,
    /// Numbers of samples.
    pub samples: PartSizes,
}

/// What an institution has said of its data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stated {
    /// When it said so.
    pub at: Timestamp,
    /// The statement.
    pub signed: SignedDataStatement,
    /// The numbers of the statements before, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Counted>,
}

impl Stated {
    /// What is known after a statement; the same if the statement is the known one.
    ///
    /// # Errors
    /// [`Reason::Unavailable`] after too many statements in an hour.
    pub fn after(
        before: Option<&Self>,
        signed: SignedDataStatement,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let Some(before) = before else { return Ok(Self { at: now, signed, earlier: Vec::new() }) };
        if before.signed == signed {
            return Ok(before.clone());
        }
        // The clock may have been set back.
        let at = now.max(before.at);
        let mut earlier = before.earlier.clone();
        earlier.push(before.counted());
        let recent = earlier.iter().filter(|one| at.since(one.since) < WINDOW).count();
        not_too_often("data statements", recent)?;
        if earlier.len() > MAX_EARLIER {
            merge_oldest(&mut earlier);
        }
        Ok(Self { at, signed, earlier })
    }

    fn counted(&self) -> Counted {
        Counted { since: self.at, samples: self.signed.statement.samples }
    }

    /// The numbers that count for what was opened at this time: of the last statement before, or of the first
    /// one if there was none yet.
    #[must_use]
    pub fn counting(&self, opened: Timestamp) -> PartSizes {
        let newest = self.counted();
        let all = || self.earlier.iter().chain([&newest]);
        let before = all().rfind(|one| one.since <= opened);
        before.or_else(|| all().next()).map_or(newest.samples, |one| one.samples)
    }
}

/// Makes one of the two oldest, with the smaller numbers: to forget must not raise a bound.
fn merge_oldest(earlier: &mut Vec<Counted>) {
    let [first, second, ..] = earlier[..] else { return };
    let samples = PartSizes {
        training: first.samples.training.min(second.samples.training),
        validation: first.samples.validation.min(second.samples.validation),
        test: first.samples.test.min(second.samples.test),
    };
    earlier.splice(..2, [Counted { since: first.since, samples }]);
}

#[cfg(test)]
mod tests {
    use eosfed_testkit::data_statements::signed;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::NOW;

    const HOUR: Duration = WINDOW;

    fn said(before: Option<&Stated>, training: u64, at: Timestamp) -> Stated {
        Stated::after(before, signed("west", training), at).unwrap()
    }

    #[test]
    fn growth_counts_for_what_is_opened_after_it_and_the_first_statement_counts_at_once() {
        let first = said(None, 100, NOW);
        let grown = said(Some(&first), 300, NOW.plus(HOUR));
        assert_eq!(grown.counting(Timestamp(0)).training, 100, "there was no statement yet");
        assert_eq!(grown.counting(NOW).training, 100);
        assert_eq!(grown.counting(Timestamp(NOW.plus(HOUR).0 - 1)).training, 100);
        assert_eq!(grown.counting(NOW.plus(HOUR)).training, 300);
        let shrunk = said(Some(&grown), 50, NOW.plus(2 * HOUR));
        assert_eq!(shrunk.counting(NOW.plus(HOUR)).training, 300, "work that was begun with more may end");
        assert_eq!(shrunk.counting(NOW.plus(3 * HOUR)).training, 50);
    }

    #[test]
    fn a_repeated_statement_changes_nothing_and_others_are_limited() {
        let mut stated = said(None, 1, NOW);
        assert_eq!(said(Some(&stated), 1, NOW.plus(HOUR)), stated);
        for count in 2..=MOST as u64 {
            stated = said(Some(&stated), count, NOW);
        }
        let refusal = Stated::after(Some(&stated), signed("west", 99), NOW).unwrap_err();
        assert_eq!(refusal.reason, Reason::Unavailable);
        assert!(refusal.message.contains("found 10 before"), "{refusal}");
        assert_eq!(said(Some(&stated), 99, NOW.plus(HOUR)).counting(NOW.plus(HOUR)).training, 99);
    }

    proptest! {
        /// However many statements follow, what was opened earlier is not bounded by more than what counted then.
        #[test]
        fn later_statements_never_raise_an_earlier_bound(
            counts in prop::collection::vec(0..1000_u64, 1..120),
            opened in 0..130_u64,
        ) {
            let at = |step: u64| NOW.plus(HOUR * u32::try_from(step).unwrap());
            let mut stated = said(None, counts[0], at(0));
            let mut counted = stated.counting(at(opened)).training;
            for (step, count) in (1..).zip(&counts[1..]) {
                stated = said(Some(&stated), *count, at(step));
                prop_assert!(stated.earlier.len() <= MAX_EARLIER);
                if step <= opened {
                    counted = stated.counting(at(opened)).training;
                }
                prop_assert!(stated.counting(at(opened)).training <= counted.max(stated.counting(at(step)).training));
                if step > opened {
                    prop_assert!(stated.counting(at(opened)).training <= counted);
                }
            }
        }
    }
}
