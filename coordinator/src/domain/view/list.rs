//! The entries of lists.

use eosfed_common::card::ReleaseManifest;
use eosfed_common::view::{JobSummary, OpenRoundSummary, ReleaseSummary};

use super::{ended_at, open_phase, rounds, state};
use crate::domain::job::Job;
use crate::domain::totals::counts;

/// The entry of a job in a list.
pub(in crate::domain) fn job_summary(job: &Job) -> JobSummary {
    let complete = job.closed.iter().filter(|closed| closed.complete).count();
    JobSummary {
        id: job.id.clone(),
        name: job.spec.name().to_owned(),
        kind: job.spec.kind(),
        state: state(&job.state),
        submitted_by: job.submitted_by.clone(),
        submitted_at: job.submitted_at,
        ended_at: ended_at(&job.state),
        rounds: rounds(job),
        complete_rounds: u32::try_from(complete).unwrap_or(u32::MAX),
        current: open_round_summary(job),
        specialists: u32::try_from(job.produced.len()).unwrap_or(u32::MAX),
        release: job.release,
        head_over: job.trained.as_ref().and(job.head.as_ref()).map(|head| head.release),
        energy: job.energy_spent(),
    }
}

fn open_round_summary(job: &Job) -> Option<OpenRoundSummary> {
    let round = job.current()?;
    Some(OpenRoundSummary {
        index: round.index,
        attempt: round.attempt,
        kind: round.kind,
        phase: open_phase(job)?,
        opened_at: round.opened_at,
        deadline: round.ends_at(job.spec.participation()),
        participants: counts(round),
    })
}

/// The entry of a release in a list.
pub(in crate::domain) fn release_summary(release: &ReleaseManifest) -> ReleaseSummary {
    let ReleaseManifest { number, created_at, note, specialists, .. } = release;
    let specialists = u32::try_from(specialists.len()).unwrap_or(u32::MAX);
    ReleaseSummary { number: *number, created_at: *created_at, note: note.clone(), specialists }
}
