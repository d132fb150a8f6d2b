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
    /// Numbers of samples; of several data sets the largest ones.
    pub samples: PartSizes,
    /// Whether the institution has others, so that these bound nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
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
        let statement = &self.signed.statement;
        Counted { since: self.at, samples: statement.largest(), partial: statement.partial }
    }

    /// The numbers that count for what was opened at this time: of the last statement before, or of the first
    /// one if there was none yet. `None` if that says nothing of some data sets.
    #[must_use]
    pub fn counting(&self, opened: Timestamp) -> Option<PartSizes> {
        let newest = self.counted();
        let all = || self.earlier.iter().chain([&newest]);
        let before = all().rfind(|one| one.since <= opened);
        let counted = before.or_else(|| all().next()).copied().unwrap_or(newest);
        (!counted.partial).then_some(counted.samples)
    }
}

/// Makes one of the two oldest, with the smaller numbers: to forget must not raise a bound.
fn merge_oldest(earlier: &mut Vec<Counted>) {
    let [first, second, ..] = earlier[..] else { return };
    // What bounds nothing is larger than any number.
    let samples = match (first.partial, second.partial) {
        (true, false) => second.samples,
        (false, true) => first.samples,
        (false, false) | (true, true) => first.samples.smaller(second.samples),
    };
    let partial = first.partial && second.partial;
    earlier.splice(..2, [Counted { since: first.since, samples, partial }]);
}

#[cfg(test)]
mod tests {
    use eosfed_testkit::data_statements::{further, signed};
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
        assert_eq!(grown.counting(Timestamp(0)).unwrap().training, 100, "there was no statement yet");
        assert_eq!(grown.counting(NOW).unwrap().training, 100);
        assert_eq!(grown.counting(Timestamp(NOW.plus(HOUR).0 - 1)).unwrap().training, 100);
        assert_eq!(grown.counting(NOW.plus(HOUR)).unwrap().training, 300);
        let shrunk = said(Some(&grown), 50, NOW.plus(2 * HOUR));
        assert_eq!(
            shrunk.counting(NOW.plus(HOUR)).unwrap().training,
            300,
            "work that was begun with more may end"
        );
        assert_eq!(shrunk.counting(NOW.plus(3 * HOUR)).unwrap().training, 50);
    }

    #[test]
    fn of_several_data_sets_the_largest_counts_and_nothing_where_some_are_not_stated() {
        let with = |count, partial| {
            let mut signed = signed("west", 15);
            signed.statement.further = further(count);
            signed.statement.partial = partial;
            Stated::after(None, signed, NOW).unwrap().counting(NOW)
        };
        assert_eq!(with(0, false).map(|sizes| sizes.training), Some(15));
        assert_eq!(with(3, false), Some(PartSizes { training: 30, validation: 5, test: 3 }));
        assert_eq!(with(3, true), None, "work may read one of which nothing is said");
    }

    #[test]
    fn to_forget_a_partial_statement_raises_no_bound() {
        let sizes = |training| PartSizes { training, validation: 0, test: 0 };
        let counted =
            |at, training, partial| Counted { since: Timestamp(at), samples: sizes(training), partial };
        for (first, second, bound) in [
            ((5, false), (9, false), Some(5)),
            ((5, true), (9, false), Some(9)),
            ((5, false), (3, true), Some(5)),
            ((5, true), (9, true), None),
        ] {
            let mut earlier = vec![counted(1, first.0, first.1), counted(2, second.0, second.1)];
            merge_oldest(&mut earlier);
            let [merged] = earlier[..] else { panic!("one is left") };
            assert_eq!((!merged.partial).then_some(merged.samples.training), bound);
        }
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
        assert_eq!(said(Some(&stated), 99, NOW.plus(HOUR)).counting(NOW.plus(HOUR)).unwrap().training, 99);
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
            let mut counted = stated.counting(at(opened)).unwrap().training;
            for (step, count) in (1..).zip(&counts[1..]) {
                stated = said(Some(&stated), *count, at(step));
                prop_assert!(stated.earlier.len() <= MAX_EARLIER);
                if step <= opened {
                    counted = stated.counting(at(opened)).unwrap().training;
                }
                prop_assert!(stated.counting(at(opened)).unwrap().training <= counted.max(stated.counting(at(step)).unwrap().training));
                if step > opened {
                    prop_assert!(stated.counting(at(opened)).unwrap().training <= counted);
                }
            }
        }
    }
}
