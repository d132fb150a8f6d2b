//! Conditions of this machine that prevent work for now and that are temporary: a disk that is not mounted, a
//! full disk, a program that is not installed, a policy that cannot be read. The daemon waits for them
//! instead of failing; [`give_up_at`] says for how long. Pure.

use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::refusal::{Reason, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long before the deadline of an assignment its condition is reported at the latest, so that the
/// operator can still act. With a near deadline it is a quarter of the time that is left.
const DEADLINE_MARGIN: Duration = Duration::from_secs(300);

/// The kind of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConditionKind {
    /// Files of the data set are missing, or a folder of it is empty.
    DataMissing,
    /// The disk of the state folder is full.
    DiskFull,
    /// The program of `trainer.launcher` cannot be started.
    LauncherMissing,
    /// The training program cannot be started.
    TrainerMissing,
    /// The training program gets no cgroup, and the settings require one.
    CgroupMissing,
    /// The site policy cannot be read, or was changed a moment ago.
    PolicyUnclear,
    /// The GPU has less free memory than the settings ask for.
    GpuBusy,
    /// The site log cannot be written.
    LogUnwritable,
    /// The record of spent privacy cannot be read.
    SpendingUnreadable,
    /// A limit of the policy on a day is reached.
    BudgetSpent,
}

/// A condition, with a sentence that names what was found and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct LocalCondition {
    /// Its kind.
    pub kind: ConditionKind,
    /// The value found, and what to do.
    pub message: String,
}

impl LocalCondition {
    /// A condition.
    pub fn new(kind: ConditionKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What the coordinator is told after the daemon has waited since `since`.
    #[must_use]
    pub fn refusal(&self, since: Timestamp) -> Refusal {
        let reason = match self.kind {
            ConditionKind::DataMissing => Reason::DataUnfit,
            ConditionKind::DiskFull
            | ConditionKind::LauncherMissing
            | ConditionKind::TrainerMissing
            | ConditionKind::CgroupMissing
            | ConditionKind::GpuBusy
            | ConditionKind::LogUnwritable => Reason::Internal,
            ConditionKind::PolicyUnclear | ConditionKind::SpendingUnreadable | ConditionKind::BudgetSpent => {
                Reason::Policy
            }
        };
        // Objections of the policy are always sent; where its file is stays here.
        let message = match self.kind {
            ConditionKind::PolicyUnclear => "the site policy cannot be read, or was changed a moment ago",
            ConditionKind::SpendingUnreadable => "the record of spent privacy cannot be read",
            _ => &self.message,
        };
        Refusal::new(reason, format!("this institution cannot do the work since {since}: {message}"))
    }
}

/// A condition that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalWait {
    /// What was found the last time.
    pub condition: LocalCondition,
    /// When it was found first.
    pub since: Timestamp,
    /// How often it has been found.
    pub tries: u32,
}

impl LocalWait {
    /// The wait after a condition was found, perhaps once more.
    #[must_use]
    pub fn after(earlier: Option<&Self>, condition: LocalCondition, now: Timestamp) -> Self {
        match earlier {
            None => Self { condition, since: now, tries: 1 },
            Some(earlier) => Self { condition, since: earlier.since, tries: earlier.tries.saturating_add(1) },
        }
    }
}

/// When the wait for a condition found at `since` ends and the coordinator is told: after `timeout`, but
/// some time before `deadline` in any case.
#[must_use]
pub fn give_up_at(since: Timestamp, deadline: Timestamp, timeout: Duration) -> Timestamp {
    let left = deadline.since(since);
    since.plus(timeout.min(left.saturating_sub(DEADLINE_MARGIN.min(left / 4))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_wait_ends_after_its_time_or_before_the_deadline() {
        let since = Timestamp(1000);
        let ends = |deadline: Duration| give_up_at(since, since.plus(deadline), 30 * MINUTE).since(since);
        assert_eq!(ends(300 * MINUTE), 30 * MINUTE);
        assert_eq!(ends(32 * MINUTE), 27 * MINUTE, "five minutes before the deadline");
        assert_eq!(ends(4 * MINUTE), 3 * MINUTE, "with a quarter of the time left");
        assert_eq!(give_up_at(since, Timestamp(0), MINUTE), since, "the deadline is over");
        assert_eq!(give_up_at(since, Timestamp(u64::MAX), MINUTE), since.plus(MINUTE));
    }

    #[test]
    fn a_wait_remembers_when_it_began() {
        let away = || LocalCondition::new(ConditionKind::DataMissing, "away");
        let first = LocalWait::after(None, away(), Timestamp(5));
        let second = LocalWait::after(Some(&first), away(), Timestamp(9));
        assert_eq!((second.since, second.tries), (Timestamp(5), 2));
    }

    #[test]
    fn the_coordinator_is_told_a_typed_reason() {
        let told = |kind| LocalCondition::new(kind, "away").refusal(Timestamp(0));
        assert_eq!(told(ConditionKind::DataMissing).reason, Reason::DataUnfit);
        assert_eq!(told(ConditionKind::PolicyUnclear).reason, Reason::Policy);
        assert!(told(ConditionKind::DiskFull).message.contains("since 1970-01-01T00:00:00Z: away"));
    }
}
