//! What ended jobs leave in the state folder is removed: terms that waited for an approval, and releases under
//! heads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use eosfed_common::assignment::Assignment;
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::JobId;

use super::environment::{DaemonError, Environment};
use super::run::Daemon;

/// How long a release is kept for a job that offers nothing: between two of its rounds, others are waited for.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

impl<E: Environment> Daemon<E> {
    /// Removes what belongs to jobs that are neither among the offers nor in the hands of a lane.
    pub(super) fn forget_ended_jobs(&mut self, offers: &[Assignment]) -> Result<(), DaemonError> {
        let held = self.lane.lanes.held();
        let offered: BTreeSet<&JobId> = offers.iter().chain(&held).map(|offer| &offer.id.job).collect();
        self.parts.site.keep_offers(|job| offered.contains(job))?;
        let kept = self.parts.site.kept_releases()?;
        let now = self.parts.clock.now();
        for job in ended(&mut self.offers.idle_releases, &kept, &offered, now) {
            let path = self.parts.site.release(&job);
            tracing::info!(%job, path = %path.display(), "a release is removed: its job has offered nothing for a day");
            std::fs::remove_dir_all(&path).map_err(DaemonError::io(&path))?;
        }
        Ok(())
    }
}

/// The jobs whose releases have been of no use for long. `idle` remembers since when each is.
fn ended(
    idle: &mut BTreeMap<JobId, Timestamp>,
    kept: &[JobId],
    offered: &BTreeSet<&JobId>,
    now: Timestamp,
) -> Vec<JobId> {
    idle.retain(|job, _| kept.contains(job) && !offered.contains(job));
    let unused = kept.iter().filter(|job| !offered.contains(*job));
    let over = unused.filter(|job| now.since(*idle.entry((*job).clone()).or_insert(now)) >= KEPT);
    over.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_goes_when_its_job_has_offered_nothing_for_a_day() {
        let jobs: Vec<JobId> = ["j-00000001", "j-00000002"].map(|id| id.parse().unwrap()).to_vec();
        let mut idle = BTreeMap::new();
        let mut at = |hours: u64, offered: &[&JobId]| {
            let now = Timestamp(hours * 3_600_000);
            ended(&mut idle, &jobs, &offered.iter().copied().collect(), now)
        };
        assert_eq!(at(0, &[]), []);
        assert_eq!(at(23, &[&jobs[0]]), [], "the first is offered again");
        assert_eq!(at(24, &[]), [jobs[1].clone()]);
        assert_eq!(at(47, &[]), [jobs[1].clone()], "a day after it was offered");
        assert_eq!(at(48, &[]), jobs);
    }
}
