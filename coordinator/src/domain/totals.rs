//! What the results of a round add up to, for people. Nothing is decided by it.

use std::collections::BTreeMap;

use eosfed_common::card::Energy;
use eosfed_common::finite::Finite;
use eosfed_common::time_spent::TimeSpent;
use eosfed_common::view::{ParticipantCounts, RoundTotals};

use super::round::{Contribution, ParticipantState, Round};

/// What the results of a round that count add up to.
#[must_use]
pub fn totals(round: &Round) -> RoundTotals {
    let mut samples: u64 = 0;
    let mut energy: Option<Energy> = None;
    let mut times: Option<TimeSpent> = None;
    let mut means = Means::default();
    let mut starts = Means::default();
    for (_, contribution) in round.contributions() {
        let (count, metrics, spent, time) = match contribution {
            Contribution::Update { report, start_metrics, .. } => {
                starts.add(start_metrics, report.samples);
                (report.samples, &report.metrics, report.energy, report.spent.as_deref().copied())
            }
            Contribution::Evaluation(report) => (report.samples, &report.metrics, report.energy, None),
            Contribution::Statistics(_) => continue,
        };
        samples = samples.saturating_add(count);
        energy = Some(energy.map_or(spent, |before| before.plus(spent)));
        times = times.into_iter().chain(time).reduce(TimeSpent::costlier);
        means.add(metrics, count);
    }
    RoundTotals {
        participants: counts(round),
        samples,
        metrics: means.metrics(),
        start_metrics: starts.metrics(),
        energy,
        spent: times,
    }
}

/// The number of institutions in each status.
#[must_use]
pub fn counts(round: &Round) -> ParticipantCounts {
    let mut counts = ParticipantCounts::default();
    for participant in round.participants.values() {
        let count = match &participant.state {
            ParticipantState::Offered => &mut counts.offered,
            ParticipantState::Leased { .. } => &mut counts.working,
            ParticipantState::Submitted { .. } => &mut counts.submitted,
            ParticipantState::Refused { .. } => &mut counts.refused,
            ParticipantState::Rejected(_) => &mut counts.rejected,
            ParticipantState::Failed { .. } => &mut counts.failed,
        };
        *count += 1;
    }
    counts
}

/// Weighted means of metrics, of each over those who report it.
#[derive(Default)]
struct Means<'a>(BTreeMap<&'a str, (f64, f64)>);

impl<'a> Means<'a> {
    #[allow(clippy::cast_precision_loss, reason = "a weight of a mean for people")]
    fn add(&mut self, metrics: &'a BTreeMap<String, Finite>, samples: u64) {
        // Metrics of single classes are many; a round shows them for each institution.
        for (name, value) in metrics.iter().filter(|(name, _)| !name.contains('/')) {
            let (sum, weight) = self.0.entry(name).or_default();
            *sum += value.get() * samples as f64;
            *weight += samples as f64;
        }
    }

    fn metrics(self) -> BTreeMap<String, Finite> {
        let mean =
            |(name, (sum, weight)): (&str, (f64, f64))| Some((name.to_owned(), Finite::new(sum / weight)?));
        self.0.into_iter().filter_map(mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(entries: &[(&str, f64)]) -> BTreeMap<String, Finite> {
        entries.iter().map(|(name, value)| ((*name).to_owned(), Finite::literal(*value))).collect()
    }

    #[test]
    fn means_are_weighted_by_samples_and_leave_classes_out() {
        let (west, east) =
            (metrics(&[("miou", 0.5), ("iou/water", 0.9)]), metrics(&[("miou", 0.8), ("loss", 2.0)]));
        let mut means = Means::default();
        means.add(&west, 100);
        means.add(&east, 300);
        assert_eq!(means.metrics(), metrics(&[("miou", 0.725), ("loss", 2.0)]));
    }

    #[test]
    fn a_mean_that_is_no_number_is_left_out() {
        let west = metrics(&[("miou", 0.5)]);
        let mut means = Means::default();
        means.add(&west, 0);
        assert!(means.metrics().is_empty());
    }

    #[test]
    fn a_finished_round_adds_up() {
        let mut federation = crate::domain::Federation::default();
        federation.merge(crate::testing::enrolled(&["west", "east"]));
        let job = crate::testing::finished_one_shot(&federation).job;
        let totals = &job.closed.last().unwrap().totals;
        assert_eq!((totals.participants.submitted, totals.participants.asked()), (2, 2));
        assert!(totals.samples > 0 && totals.energy.is_some() && !totals.metrics.is_empty(), "{totals:?}");
    }
}
