//! How far a job is, for people who watch it: a small picture of the job, sent whole at first and then as
//! what has changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::job::JobState;
use super::round::{ParticipantState, RoundKind, RoundPhase};
use crate::clock::Timestamp;
use crate::finite::Finite;
use crate::ids::{InstitutionName, JobId};

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobProgress {
    /// The job.
    pub id: JobId,
    /// Where it stands.
    pub state: JobState,
    /// Why it is paused, or who has cancelled it.
    pub why: Option<String>,
    /// Number of rounds, a statistics round included.
    pub rounds: u32,
    /// The round that is open.
    pub round: Option<RoundProgress>,
}

/// How far an open round is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundProgress {
    /// Its index in the job, from 0.
    pub index: u32,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// What it is for.
    pub kind: RoundKind,
    /// The specialist that is scored, as `NAME@VERSION`; only in evaluations.
    pub candidate: Option<String>,
    /// How far it is.
    pub phase: RoundPhase,
    /// When it closes at the latest.
    pub deadline: Timestamp,
    /// How far each institution is.
    pub participants: BTreeMap<InstitutionName, ParticipantProgress>,
}

/// How far an institution is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParticipantProgress {
    /// What it has answered.
    pub state: ParticipantState,
    /// Steps done.
    pub step: u64,
    /// Number of steps; 0 while unknown.
    pub steps: u64,
    /// The newest training loss that it has reported.
    pub loss: Option<Finite>,
    /// Why it has refused or failed, or was rejected.
    pub message: Option<String>,
}

impl RoundProgress {
    /// Whether both are of the same attempt.
    const fn is_same_attempt(&self, other: &Self) -> bool {
        self.index == other.index && self.attempt == other.attempt
    }
}

impl JobProgress {
    /// The change that leads here from `before`: this picture, with only those institutions whose progress
    /// is another one. Nothing if all is the same.
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

    /// Takes a change.
    pub fn apply(&mut self, change: Self) {
        let before = std::mem::replace(self, change);
        if let (Some(now), Some(before)) = (&mut self.round, before.round)
            && now.is_same_attempt(&before)
        {
            let changed = std::mem::replace(&mut now.participants, before.participants);
            now.participants.extend(changed);
        }
    }

    /// The change as several, each with at most this many institutions, and at least one.
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
    fn a_change_has_only_what_is_another_and_leads_to_the_new_picture() {
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
    fn another_attempt_has_its_own_institutions() {
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
