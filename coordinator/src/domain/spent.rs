//! Energy by institution. It follows from closed rounds and is not stored; nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::Arc;

use eosfed_common::card::Energy;
use eosfed_common::ids::InstitutionName;
use eosfed_common::view::{EnergyView, InstitutionEnergy, MAX_ENERGY_INSTITUTIONS};

use super::closed::ClosedRound;
use super::round::Contribution;
use super::{Federation, Job};

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
}

fn add(sums: &mut BTreeMap<InstitutionName, Energy>, name: &InstitutionName, energy: Energy) {
    let sum = sums.get(name).map_or(energy, |before| before.plus(energy));
    sums.insert(name.clone(), sum);
}

/// Energy of all jobs, by institution.
#[must_use]
pub fn energy(state: &Federation) -> EnergyView {
    let mut sums = BTreeMap::new();
    let mut jobs: BTreeMap<&InstitutionName, u32> = BTreeMap::new();
    for (name, energy) in state.jobs.values().flat_map(|job| job.spent.0.iter()) {
        add(&mut sums, name, *energy);
        *jobs.entry(name).or_default() += 1;
    }
    let mut institutions: Vec<_> = sums
        .iter()
        .map(|(name, energy)| InstitutionEnergy {
            institution: name.clone(),
            energy: *energy,
            jobs: jobs.get(name).copied().unwrap_or_default(),
        })
        .collect();
    institutions.sort_by(|a, b| b.energy.kwh.get().total_cmp(&a.energy.kwh.get()));
    let more = institutions.len().saturating_sub(MAX_ENERGY_INSTITUTIONS);
    institutions.truncate(MAX_ENERGY_INSTITUTIONS);
    let reported: Vec<_> = state.jobs.values().filter_map(Job::energy_spent).collect();
    EnergyView {
        reported: reported.len() as u64,
        jobs: state.jobs.len() as u64,
        total: reported.into_iter().reduce(Energy::plus),
        institutions,
        more_institutions: u32::try_from(more).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::card::EnergySource;
    use eosfed_common::finite::Finite;

    use super::*;
    use crate::domain::round::ParticipantState;
    use crate::testing::{enrolled, finished_one_shot, name};

    fn measured(kwh: f64) -> Energy {
        Energy { kwh: Finite::literal(kwh), source: EnergySource::Measured, co2e_g: None }
    }

    /// A finished one-shot job whose institutions have spent so much.
    fn finished(spent: &[(&str, f64)]) -> (Job, ClosedRound) {
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
    fn institutions_are_added_up_over_jobs_most_first() {
        let mut federation = Federation::default();
        assert_eq!(energy(&federation).total, None);
        let (mut job, closed) = finished(&[("west", 0.5), ("east", 1.0)]);
        job.spent = Spent::default();
        job.spent.add(&closed);
        let mut again = Job { definition: job.definition.clone(), ..job.clone() };
        Arc::make_mut(&mut again.definition).id = "j-0000000f".parse().unwrap();
        for job in [job, again] {
            federation.jobs.insert(job.id.clone(), job);
        }
        let view = energy(&federation);
        assert_eq!((view.jobs, view.reported, view.total), (2, 2, Some(measured(3.0))));
        let of = |institution: &str, kwh| InstitutionEnergy {
            institution: name(institution),
            energy: measured(kwh),
            jobs: 2,
        };
        assert_eq!(view.institutions, [of("east", 2.0), of("west", 1.0)]);
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
