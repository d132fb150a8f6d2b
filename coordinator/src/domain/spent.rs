//! Energy by institution. It follows from closed rounds and is not stored; nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::Arc;

use eosfed_common::card::Energy;
use eosfed_common::ids::InstitutionName;

use super::closed::ClosedRound;
use super::round::Contribution;

/// What each institution has spent on the results of a job that count.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spent(Arc<BTreeMap<InstitutionName, Energy>>);

impl Spent {
    /// Adds the updates and scores of a closed round. Those of an incomplete one do not count.
    pub fn add(&mut self, closed: &ClosedRound) {
        if !closed.complete {
            return;
        }
        for (name, contribution) in closed.round.contributions() {
            let energy = match contribution {
                Contribution::Update { report, .. } => report.energy,
                Contribution::Evaluation(report) => report.energy,
                Contribution::Statistics(_) => continue,
            };
            add(Arc::make_mut(&mut self.0), name, energy);
        }
    }

    /// The sum of all institutions; absent while nobody has reported.
    #[must_use]
    pub fn total(&self) -> Option<Energy> {
        self.0.values().copied().reduce(Energy::plus)
    }

    /// The sum of each institution.
    pub fn by_institution(&self) -> impl Iterator<Item = (&InstitutionName, Energy)> {
        self.0.iter().map(|(name, energy)| (name, *energy))
    }
}

/// Adds energy to the sum of an institution.
pub(super) fn add(sums: &mut BTreeMap<InstitutionName, Energy>, name: &InstitutionName, energy: Energy) {
    let sum = sums.get(name).map_or(energy, |before| before.plus(energy));
    sums.insert(name.clone(), sum);
}

#[cfg(test)]
pub(super) mod tests {
    use eosfed_common::card::EnergySource;
    use eosfed_common::finite::Finite;

    use super::*;
    use crate::domain::round::ParticipantState;
    use crate::domain::{Federation, Job};
    use crate::testing::{enrolled, finished_one_shot, name};

    pub(in crate::domain) fn measured(kwh: f64) -> Energy {
        Energy { kwh: Finite::literal(kwh), source: EnergySource::Measured, co2e_g: None }
    }

    /// A finished one-shot job whose institutions have spent so much.
    pub(in crate::domain) fn finished(spent: &[(&str, f64)]) -> (Job, ClosedRound) {
        let mut federation = Federation::default();
        federation.merge(enrolled(&["west", "east"]));
        let outcome = finished_one_shot(&federation);
        let mut closed = outcome.closed.into_iter().next_back().unwrap();
        for (institution, kwh) in spent {
            let state = &mut closed.round.participants.get_mut(&name(institution)).unwrap().state;
            let ParticipantState::Submitted { contribution: Contribution::Update { report, .. }, .. } = state
            else {
                panic!("{institution} has not submitted");
            };
            report.energy = measured(*kwh);
        }
        (outcome.job, closed)
    }

    #[test]
    fn a_closed_round_is_added_to_its_job() {
        let (job, closed) = finished(&[]);
        let mut expected = Spent::default();
        expected.add(&closed);
        assert_eq!(expected.0.len(), 2);
        assert_eq!(job.spent, expected);
        assert_eq!(job.energy_spent(), Some(Energy::default()), "nobody has a counter");
    }

    #[test]
    fn what_an_incomplete_round_has_spent_does_not_count() {
        let (_, closed) = finished(&[("west", 0.5), ("east", 1.0)]);
        let mut spent = Spent::default();
        spent.add(&ClosedRound { complete: false, ..closed.clone() });
        assert_eq!(spent.total(), None);
        spent.add(&closed);
        assert_eq!(spent.total(), Some(measured(1.5)));
    }
}
