//! The progress of a job.

use eosfed_common::view::{JobProgress, ParticipantProgress, ParticipantView, RoundProgress, RoundView};

use super::{open_round, rounds, state, why};
use crate::domain::job::Job;
use crate::domain::round::RoundKind;

/// The progress of a job. `mark` says of its institutions what only the other jobs tell.
#[must_use]
pub fn progress(job: &Job, mark: impl FnOnce(&mut RoundView)) -> JobProgress {
    JobProgress {
        id: job.id.clone(),
        state: state(&job.state),
        why: why(&job.state),
        rounds: rounds(job),
        round: round_progress(job, mark),
    }
}

fn round_progress(job: &Job, mark: impl FnOnce(&mut RoundView)) -> Option<RoundProgress> {
    let mut round = open_round(job, &[])?;
    mark(&mut round);
    let RoundView { index, attempt, kind, phase, deadline, participants, .. } = round;
    let candidate = match kind {
        RoundKind::Evaluate(index) => job.candidates.get(index as usize),
        RoundKind::Statistics | RoundKind::OneShot | RoundKind::Train(_) => None,
    };
    let participants = participants.into_iter().map(|(name, one)| {
        let ParticipantView { state, step, steps, loss, message, queued_behind, .. } = one;
        (name, ParticipantProgress { state, step, steps, loss, message, queued_behind })
    });
    Some(RoundProgress {
        index,
        attempt,
        kind,
        candidate: candidate.map(|card| card.reference().to_string()),
        phase,
        deadline,
        participants: participants.collect(),
    })
}
