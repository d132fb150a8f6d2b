//! A policy that may change at any time. An editor writes a file in several steps, so a change counts
//! after the file has stayed the same for a moment. Until then it is unsettled, and nothing may leave.

use std::time::Duration;

use super::{Policy, changes};

/// The policy in the file, or a sentence that tells why it cannot be read.
pub type Reading = Result<Policy, String>;

/// The status of the policy at a point in time.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicyStatus {
    /// It is settled.
    Settled(Box<Policy>),
    /// It cannot be read: this denies everything.
    Unreadable(String),
    /// It was changed a moment ago.
    Unsettled,
}

/// The result of a reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The status of the policy.
    pub status: PolicyStatus,
    /// What has changed. It is set once, when the change takes effect.
    pub change: Option<String>,
}

/// Compares each reading with the one before.
#[derive(Debug)]
pub struct PolicyWatch {
    settled: Reading,
    /// Another reading, and since when it has stayed the same.
    changed: Option<(Reading, Duration)>,
    settle_time: Duration,
}

impl PolicyWatch {
    /// A watch over a settled policy. Changes count after `settle_time`.
    #[must_use]
    pub const fn new(first: Reading, settle_time: Duration) -> Self {
        Self { settled: first, changed: None, settle_time }
    }

    /// Takes in what the file holds at `now`, a time that never goes backwards.
    pub fn observe(&mut self, found: Reading, now: Duration) -> Observation {
        let mut change = None;
        if found == self.settled {
            self.changed = None;
        } else {
            let since = match &self.changed {
                Some((reading, since)) if *reading == found => *since,
                _ => now,
            };
            if now.saturating_sub(since) < self.settle_time {
                self.changed = Some((found, since));
                return Observation { status: PolicyStatus::Unsettled, change: None };
            }
            change = Some(describe(&self.settled, &found));
            self.settled = found;
            self.changed = None;
        }
        let status = match &self.settled {
            Ok(policy) => PolicyStatus::Settled(Box::new(policy.clone())),
            Err(why) => PolicyStatus::Unreadable(why.clone()),
        };
        Observation { status, change }
    }
}

fn describe(old: &Reading, new: &Reading) -> String {
    match (old, new) {
        (Ok(old), Ok(new)) => changes(old, new).join(", "),
        (_, Err(why)) => format!("it cannot be read and therefore denies everything: {why}"),
        (Err(_), Ok(_)) => "it can be read again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Egress;
    use super::*;
    use crate::testing::permissive;

    const SETTLE: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn strict() -> Policy {
        Policy { may_leave: vec![Egress::Metrics], ..permissive() }
    }

    #[test]
    fn a_change_takes_effect_after_the_settle_time() {
        let mut watch = PolicyWatch::new(Ok(permissive()), SETTLE);
        assert_eq!(
            watch.observe(Ok(permissive()), at(0)).status,
            PolicyStatus::Settled(Box::new(permissive()))
        );
        for now in [100, 101, 104] {
            let seen = watch.observe(Ok(strict()), at(now));
            assert_eq!(seen, Observation { status: PolicyStatus::Unsettled, change: None });
        }
        let seen = watch.observe(Ok(strict()), at(105));
        assert_eq!(seen.status, PolicyStatus::Settled(Box::new(strict())));
        assert!(seen.change.unwrap().contains("`may_leave` no longer allows `frozen_weights`"));
        assert_eq!(watch.observe(Ok(strict()), at(106)).change, None, "a change is reported once");
    }

    #[test]
    fn a_half_written_policy_never_takes_effect() {
        let mut watch = PolicyWatch::new(Ok(permissive()), SETTLE);
        for (now, found) in
            [(1, Err("truncated".to_owned())), (2, Ok(strict())), (6, Err("truncated".to_owned()))]
        {
            assert_eq!(watch.observe(found, at(now)).status, PolicyStatus::Unsettled);
        }
        let seen = watch.observe(Ok(permissive()), at(60));
        assert_eq!(seen, Observation { status: PolicyStatus::Settled(Box::new(permissive())), change: None });
    }

    #[test]
    fn a_policy_that_cannot_be_read_denies_everything() {
        let mut watch = PolicyWatch::new(Ok(permissive()), SETTLE);
        let lost = || Err("policy.toml: no such file".to_owned());
        watch.observe(lost(), at(0));
        let seen = watch.observe(lost(), at(5));
        assert_eq!(seen.status, PolicyStatus::Unreadable("policy.toml: no such file".to_owned()));
        assert!(seen.change.unwrap().contains("denies everything: policy.toml: no such file"));
        watch.observe(Ok(permissive()), at(10));
        assert_eq!(watch.observe(Ok(permissive()), at(15)).change.unwrap(), "it can be read again");
    }
}
