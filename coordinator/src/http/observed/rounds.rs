//! The open rounds of jobs. Jobs that have ended have no series, and the number of jobs is bounded.

use std::fmt;

use eosfed_common::view::{JobSummary, ParticipantCounts};

use super::members::seconds;
use crate::engine::Handle;
use crate::metrics::{Observer, Scrape, table};

/// Most jobs that have series.
const MAX_JOBS: usize = 100;

/// The open rounds.
#[derive(Debug)]
pub(super) struct OpenRounds(pub(super) Handle);

impl Observer for OpenRounds {
    fn observe(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        let now = self.0.now();
        let mut open: Vec<(JobSummary, u32)> = self.0.read(|state| {
            let jobs = state.jobs.values().filter(|job| job.current().is_some());
            jobs.map(|job| (job.summary(), job.spec.participation().min)).collect()
        });
        open.sort_by(|(a, _), (b, _)| (a.submitted_at, &a.id).cmp(&(b.submitted_at, &b.id)));
        open.truncate(MAX_JOBS);
        let rounds = open.iter().filter_map(|(job, needed)| Some((job, job.current.as_ref()?, *needed)));
        let institutions = rounds.clone().flat_map(|(job, round, _)| {
            by_state(&round.participants)
                .map(|(state, count)| ([job.id.to_string(), state.to_owned()], f64::from(count)))
        });
        scrape.gauge(&table::ROUND_INSTITUTIONS, institutions)?;
        let needed = rounds.clone().map(|(job, _, needed)| ([job.id.to_string()], f64::from(needed)));
        scrape.gauge(&table::ROUND_NEEDED, needed)?;
        let deadlines = rounds.map(|(job, round, _)| ([job.id.to_string()], seconds(now, round.deadline)));
        scrape.gauge(&table::ROUND_DEADLINE, deadlines)
    }
}

const fn by_state(counts: &ParticipantCounts) -> [(&'static str, u32); 6] {
    let ParticipantCounts { offered, working, submitted, refused, rejected, failed } = *counts;
    [
        ("offered", offered),
        ("working", working),
        ("submitted", submitted),
        ("refused", refused),
        ("rejected", rejected),
        ("failed", failed),
    ]
}
