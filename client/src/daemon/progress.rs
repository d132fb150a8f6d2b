//! The progress of the work, and the points of the training curve that have not been reported yet.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eosfed_common::assignment::{CurvePoint, MAX_METRICS, MAX_POINTS, Progress};
use eosfed_common::finite::Finite;
use eosfed_common::metric;
use tokio::time::Instant;

/// Most points that are kept for a coordinator that cannot be reached; older ones are dropped.
const MAX_UNSENT: usize = 10_000;

#[derive(Debug, Default)]
struct PendingReport {
    step: u64,
    steps: u64,
    points: VecDeque<CurvePoint>,
    /// When the coordinator has last granted or renewed the lease, as far as this process knows.
    renewed: Option<Instant>,
    /// Whether it could not be reached since the work was accepted.
    contact_lost: bool,
    /// Whether it takes points with an update.
    takes_points: bool,
}

/// Clones share it. Points are reported at least once, and again when an answer was lost. Repeated points
/// have the same step.
#[derive(Debug, Clone, Default)]
pub(super) struct ProgressTracker(Arc<Mutex<PendingReport>>);

impl ProgressTracker {
    fn lock(&self) -> MutexGuard<'_, PendingReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets how many steps there are.
    pub(super) fn begin(&self, step: u64, steps: u64) {
        let mut pending = self.lock();
        pending.step = step;
        pending.steps = steps;
    }

    /// Sets how many steps are done.
    pub(super) fn advance(&self, step: u64) {
        self.lock().step = step;
    }

    /// Adds a point. The coordinator takes values in the range of their definition only, so others, as
    /// those of a training that has diverged, are dropped.
    pub(super) fn add(&self, step: u64, loss: f64, metrics: BTreeMap<String, f64>) {
        let admitted = |name: &str, value| metric::check(name, value).ok().and_then(|()| Finite::new(value));
        let Some(loss) = admitted(metric::LOSS, loss) else { return };
        let finite =
            metrics.into_iter().filter_map(|(name, value)| Some((name.clone(), admitted(&name, value)?)));
        let metrics = finite.take(MAX_METRICS).collect();
        let mut pending = self.lock();
        if pending.points.len() == MAX_UNSENT {
            pending.points.pop_front();
        }
        pending.points.push_back(CurvePoint { step, loss, metrics });
    }

    /// Begins an assignment whose lease was just granted, by a coordinator that takes points with an update or does
    /// not.
    pub(super) fn accepted(&self, takes_points: bool) {
        *self.lock() =
            PendingReport { takes_points, renewed: Some(Instant::now()), ..PendingReport::default() };
    }

    /// Notes that the coordinator has renewed the lease.
    pub(super) fn renewed(&self) {
        self.lock().renewed = Some(Instant::now());
    }

    /// When the lease was last granted or renewed; nothing after a restart.
    pub(super) fn last_renewal(&self) -> Option<Instant> {
        self.lock().renewed
    }

    /// Notes that the coordinator cannot be reached.
    pub(super) fn lose_contact(&self) {
        self.lock().contact_lost = true;
    }

    /// Whether the coordinator could not be reached since the work was accepted.
    pub(super) fn contact_lost(&self) -> bool {
        self.lock().contact_lost
    }

    /// Drops the points that may not be reported.
    pub(super) fn discard_points(&self) {
        self.lock().points.clear();
    }

    /// How many points are not reported yet.
    pub(super) fn unsent(&self) -> usize {
        self.lock().points.len()
    }

    /// Whether the update may bring the last points. Once the coordinator could not be reached, it may be another
    /// version that does not take them.
    pub(super) fn may_come_with_update(&self) -> bool {
        let pending = self.lock();
        pending.takes_points && !pending.contact_lost
    }

    /// One report, with its points, which stay until [`Self::sent`]; or without anything, since the number of
    /// steps tells of the number of samples.
    pub(super) fn report(&self, with_points: bool) -> Progress {
        let pending = self.lock();
        if !with_points {
            return Progress::default();
        }
        let points = pending.points.iter().take(MAX_POINTS).cloned().collect();
        Progress { step: pending.step, steps: pending.steps, points }
    }

    /// Removes the points of a report that has arrived.
    pub(super) fn sent(&self, points: usize) {
        let mut pending = self.lock();
        let sent = points.min(pending.points.len());
        pending.points.drain(..sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> BTreeMap<String, f64> {
        [("nan".to_owned(), f64::NAN), ("miou".to_owned(), 0.5)].into()
    }

    #[test]
    fn points_stay_until_their_report_has_arrived() {
        let tracker = ProgressTracker::default();
        tracker.begin(0, 9);
        tracker.add(1, f64::NAN, metrics());
        tracker.add(2, 0.5, metrics());
        assert_eq!(tracker.report(false).points, []);
        let report = tracker.report(true);
        assert_eq!((report.points.len(), report.points[0].metrics.len()), (1, 1));
        assert_eq!(tracker.report(true), report, "the answer may have been lost");
        tracker.sent(1);
        assert_eq!(tracker.unsent(), 0);
    }

    #[test]
    fn points_come_with_an_update_if_the_coordinator_takes_them_and_was_reached_since() {
        let tracker = ProgressTracker::default();
        assert!(!tracker.may_come_with_update(), "nothing is known after a restart");
        tracker.accepted(true);
        assert!(tracker.may_come_with_update());
        tracker.lose_contact();
        assert!(!tracker.may_come_with_update());
        tracker.accepted(false);
        assert!(!tracker.may_come_with_update());
    }

    #[test]
    fn a_coordinator_out_of_reach_costs_bounded_memory() {
        let tracker = ProgressTracker::default();
        for step in 0..MAX_UNSENT as u64 + 5 {
            tracker.add(step, 0.5, metrics());
        }
        assert_eq!(tracker.report(true).points[0].step, 5);
    }
}
