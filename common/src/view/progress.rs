//! The progress of a watched job: a small view of the job, sent completely at first and then as changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::job::JobState;
use super::round::{ParticipantState, RoundKind, RoundPhase};
use crate::clock::Timestamp;
use crate::finite::Finite;
use crate::ids::{InstitutionName, JobId};

/// The progress of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobProgress {
    /// The job.
    pub id: JobId,
    /// Its state.
    pub state: JobState,
    /// Why it is paused, or who cancelled it.
    pub why: Option<String>,
    /// Number of rounds, including a statistics round.
    pub rounds: u32,
    /// The open round.
    pub round: Option<RoundProgress>,
}

/// The progress of an open round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundProgress {
    /// Its index in the job, from 0.
    pub index: u32,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Its kind.
    pub kind: RoundKind,
    /// The specialist that is scored, as `NAME@VERSION`. Only in evaluations.
    pub candidate: Option<String>,
    /// Its phase.
    pub phase: RoundPhase,
    /// Its deadline.
    pub deadline: Timestamp,
    /// The progress of each institution.
    pub participants: BTreeMap<InstitutionName, ParticipantProgress>,
}

/// The progress of an institution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParticipantProgress {
    /// Its status.
    pub state: ParticipantState,
    /// Steps done.
    pub step: u64,
    /// Number of steps; 0 while unknown.
    pub steps: u64,
    /// The last reported training loss.
    pub loss: Option<Finite>,
    /// Why it has declined or failed, or was rejected.
    pub message: Option<String>,
    /// The other job that it is at work for, if it has not answered for this reason. Absent of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_behind: Option<JobId>,
}

impl ParticipantProgress {
    /// Its state in a word, and why, as far as that is known.
    #[must_use]
    pub fn shown(&self) -> String {
        match (&self.queued_behind, &self.message) {
            (Some(job), _) => format!("queued: at work for {job}"),
            (None, Some(message)) => format!("{}: {message}", self.state),
            (None, None) => self.state.to_string(),
        }
    }
}

impl RoundProgress {
    /// Whether both are of the same attempt.
    const fn is_same_attempt(&self, other: &Self) -> bool {
        self.index == other.index && self.attempt == other.attempt
    }
}

impl JobProgress {
    /// The change from `before` to this view, with only the institutions whose progress has changed. Nothing
    /// if nothing has changed.
    #[must_use]
    pub fn since(&self, before: &Self) -> Option<Self> {
        if self == before {
            return None;
        }
        let mut change = self.clone();
        if let (Some(now), Some(before)) = (&mut change.round, &before.round)
            && now.is_same_attempt(before)
        {
            now.participants.retain(|name, progress| before.participants.get(name) != Some(progress));
        }
        Some(change)
    }

    /// Applies a change.
    pub fn apply(&mut self, change: Self) {
        let before = std::mem::replace(self, change);
        if let (Some(now), Some(before)) = (&mut self.round, before.round)
            && now.is_same_attempt(&before)
        {
            let changed = std::mem::replace(&mut now.participants, before.participants);
            now.participants.extend(changed);
        }
    }

    /// Splits the change into parts with at most this number of institutions. There is at least one part.
    #[must_use]
    pub fn split(mut self, most: usize) -> Vec<Self> {
        let mut changes = Vec::new();
        while let Some(round) = &mut self.round
            && let Some(name) = round.participants.keys().nth(most.max(1)).cloned()
        {
            let rest = round.participants.split_off(&name);
            let first = std::mem::replace(&mut round.participants, rest);
            let mut change = self.clone();
            if let Some(round) = &mut change.round {
                round.participants = first;
            }
            changes.push(change);
        }
        changes.push(self);
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(attempt: u32, steps: &[u64]) -> JobProgress {
        let one = |(place, step): (usize, &u64)| {
            let progress = ParticipantProgress {
                state: ParticipantState::Working,
                step: *step,
                steps: 100,
                loss: None,
                message: None,
                queued_behind: None,
            };
            (format!("site-{place}").parse().unwrap(), progress)
        };
        let round = RoundProgress {
            index: 0,
            attempt,
            kind: RoundKind::Train(0),
            candidate: None,
            phase: RoundPhase::Training,
            deadline: Timestamp(9),
            participants: steps.iter().enumerate().map(one).collect(),
        };
        JobProgress {
            id: "j-0a1b2c3d".parse().unwrap(),
            state: JobState::Running,
            why: None,
            rounds: 2,
            round: Some(round),
        }
    }

    fn institutions(progress: &JobProgress) -> usize {
        progress.round.as_ref().unwrap().participants.len()
    }

    #[test]
    fn a_change_has_only_the_differences_and_gives_the_new_view() {
        let before = progress(1, &[1, 2, 3]);
        assert_eq!(before.since(&before), None);
        let now = progress(1, &[1, 20, 3]);
        let change = now.since(&before).unwrap();
        assert_eq!(institutions(&change), 1);
        let mut seen = before.clone();
        seen.apply(change);
        assert_eq!(seen, now);
    }

    #[test]
    fn a_new_attempt_is_sent_with_all_its_institutions() {
        let before = progress(1, &[1, 2, 3]);
        let now = progress(2, &[1]);
        let change = now.since(&before).unwrap();
        assert_eq!(institutions(&change), 1, "the same step, in another attempt");
        let mut seen = before;
        seen.apply(change);
        assert_eq!(seen, now);
        let finished = JobProgress { state: JobState::Finished, round: None, ..seen.clone() };
        let change = finished.since(&seen).unwrap();
        seen.apply(change);
        assert_eq!(seen, finished);
    }

    #[test]
    fn a_large_change_is_sent_in_parts() {
        let steps: Vec<u64> = (0..25).collect();
        let now = progress(2, &steps);
        let parts = now.clone().split(10);
        assert_eq!(parts.iter().map(institutions).collect::<Vec<_>>(), [10, 10, 5]);
        let mut seen = progress(1, &[7; 30]);
        for part in parts {
            seen.apply(part);
        }
        assert_eq!(seen, now);
        assert_eq!(progress(1, &[1]).split(10), [progress(1, &[1])]);
    }
}
