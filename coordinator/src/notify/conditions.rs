//! Conditions that follow from the state and from time. Each is told once, and again after it has passed.

use std::collections::BTreeMap;

use eosfed_common::ids::{InstitutionName, JobId};
use serde::{Deserialize, Serialize};

use super::event::NotifyEvent;

/// A condition has passed when so many looks in a row have not seen it: a disk near its level is no news each
/// minute.
const GONE_AFTER: u32 = 5;

/// Names a condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct ConditionKey {
    pub(super) event: NotifyEvent,
    /// What it is about: a job, a member with its role, the disk.
    pub(super) about: String,
}

/// A condition that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) key: ConditionKey,
    pub(super) message: String,
    pub(super) command: Option<String>,
    pub(super) job: Option<JobId>,
    pub(super) institution: Option<InstitutionName>,
}

/// What a look at the state has found.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What holds.
    pub(super) present: Vec<Condition>,
    /// Institutions of which it is not known yet, right after a start.
    pub(super) unknown: Vec<ConditionKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Known {
    /// Looks in a row that have not seen it.
    gone_for: u32,
    /// Whether the receiver has had it.
    told: bool,
}

/// The conditions that one receiver was told of, or will be.
#[derive(Debug, Default)]
pub(super) struct Conditions(BTreeMap<ConditionKey, Known>);

impl Conditions {
    /// Those that were told before a restart.
    pub(super) fn told_before(keys: impl IntoIterator<Item = ConditionKey>) -> Self {
        Self(keys.into_iter().map(|key| (key, Known { gone_for: 0, told: true })).collect())
    }

    /// Those that the receiver has had.
    pub(super) fn told(&self) -> impl Iterator<Item = &ConditionKey> {
        self.0.iter().filter(|(_, known)| known.told).map(|(key, _)| key)
    }

    /// Forgets what the receiver has not had, but for these.
    pub(super) fn keep(&mut self, these: impl Fn(&ConditionKey) -> bool) {
        self.0.retain(|key, known| known.told || these(key));
    }

    /// Notes that the receiver has had one.
    pub(super) fn note_told(&mut self, key: &ConditionKey) {
        if let Some(known) = self.0.get_mut(key) {
            known.told = true;
        }
    }

    /// Takes what a look has seen; gives what is new. Of the others, those that are gone for long are
    /// forgotten.
    pub(super) fn look(&mut self, seen: &Seen) -> Vec<Condition> {
        let new = seen.present.iter().filter(|one| !self.0.contains_key(&one.key));
        let new: Vec<_> = new.cloned().collect();
        let holds = |key: &ConditionKey| seen.present.iter().any(|one| one.key == *key);
        for (key, known) in &mut self.0 {
            known.gone_for = match holds(key) || seen.unknown.contains(key) {
                true => 0,
                false => known.gone_for + 1,
            };
        }
        self.0.retain(|_, known| known.gone_for < GONE_AFTER);
        self.0.extend(new.iter().map(|one| (one.key.clone(), Known::default())));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(about: &str) -> Condition {
        let key = ConditionKey { event: NotifyEvent::InstitutionSilent, about: about.to_owned() };
        Condition { key, message: "silent".to_owned(), command: None, job: None, institution: None }
    }

    fn seen(abouts: &[&str]) -> Seen {
        Seen { present: abouts.iter().map(|about| silent(about)).collect(), unknown: Vec::new() }
    }

    #[test]
    fn a_condition_is_told_once_and_again_after_it_has_passed() {
        let mut known = Conditions::default();
        assert_eq!(known.look(&seen(&["east"])), [silent("east")]);
        assert_eq!(known.look(&seen(&["east", "west"])), [silent("west")]);
        for _ in 0..GONE_AFTER - 1 {
            assert_eq!(known.look(&seen(&["west"])), []);
        }
        assert_eq!(known.look(&seen(&["east", "west"])), [], "it was away too shortly");
        for _ in 0..GONE_AFTER {
            assert_eq!(known.look(&seen(&["west"])), []);
        }
        assert_eq!(known.look(&seen(&["east", "west"])), [silent("east")]);
    }

    #[test]
    fn a_restart_does_not_tell_again_of_who_is_still_silent() {
        let mut known = Conditions::default();
        known.look(&seen(&["east", "west"]));
        known.note_told(&silent("east").key);
        let told: Vec<_> = known.told().cloned().collect();
        assert_eq!(told, [silent("east").key]);
        let mut after = Conditions::told_before(told);
        for _ in 0..2 * GONE_AFTER {
            let start = Seen { present: Vec::new(), unknown: vec![silent("east").key] };
            assert_eq!(after.look(&start), []);
        }
        assert_eq!(after.look(&seen(&["east", "west"])), [silent("west")], "west was not told before");
    }
}
