//! Collecting every broken rule of a plan, each with its key and the value found.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::Problem;

/// Longest value that is shown in a message, in characters.
const MAX_FOUND: usize = 200;

/// The broken rules so far.
#[derive(Default)]
pub(super) struct Report(Vec<Problem>);

impl Report {
    /// Adds a problem unless the rule holds.
    pub(super) fn rule(&mut self, holds: bool, key: impl Display, rule: impl Display, found: impl Display) {
        if !holds {
            let found = found.to_string().chars().take(MAX_FOUND).collect();
            self.0.push(Problem { key: key.to_string(), rule: rule.to_string(), found });
        }
    }

    /// Adds a problem unless a value is in a range.
    pub(super) fn range<T: PartialOrd + Display>(
        &mut self,
        key: impl Display,
        range: RangeInclusive<T>,
        found: T,
    ) {
        let rule = format!("between {} and {}", range.start(), range.end());
        self.rule(range.contains(&found), key, rule, found);
    }

    /// Adds a problem if there is a value that this kind of job does not have.
    pub(super) fn absent<T>(&mut self, key: impl Display, value: Option<&T>, rule: impl Display) {
        self.rule(value.is_none(), key, format!("absent {rule}"), "a value");
    }

    /// Adds a problem if a value is missing that this kind of job needs.
    pub(super) fn given<T>(&mut self, key: impl Display, value: Option<T>, rule: impl Display) -> Option<T> {
        self.rule(value.is_some(), key, format!("given {rule}"), "nothing");
        value
    }

    /// The value, unless a rule is broken.
    pub(super) fn conclude<T>(mut self, read: Option<T>) -> Result<T, Vec<Problem>> {
        match read {
            Some(read) if self.0.is_empty() => Ok(read),
            Some(_) => Err(self.0),
            None => {
                // A missing value has added its problem already.
                self.rule(!self.0.is_empty(), "plan", "complete", "an incomplete plan");
                Err(self.0)
            }
        }
    }
}
