//! The view of what jobs have cost.

use std::collections::BTreeMap;

use eosfed_common::card::Energy;
use eosfed_common::ids::InstitutionName;
use eosfed_common::view::{EnergyView, InstitutionEnergy, MAX_ENERGY_INSTITUTIONS};

use crate::domain::spent::add;
use crate::domain::{Federation, Job};

/// Energy of all jobs, by institution.
#[must_use]
pub fn energy(state: &Federation) -> EnergyView {
    let mut sums = BTreeMap::new();
    let mut jobs: BTreeMap<&InstitutionName, u32> = BTreeMap::new();
    for (name, energy) in state.jobs.values().flat_map(|job| job.spent.by_institution()) {
        add(&mut sums, name, energy);
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
    use std::sync::Arc;

    use super::*;
    use crate::domain::spent::Spent;
    use crate::domain::spent::tests::{finished, measured};
    use crate::testing::name;

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
}
