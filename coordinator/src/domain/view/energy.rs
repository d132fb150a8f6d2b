//! The view of what jobs have cost.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use eosfed_common::card::Energy;
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::InstitutionName;
use eosfed_common::refusal::Refusal;
use eosfed_common::view::{EnergyView, InstitutionEnergy};
use serde::{Deserialize, Serialize};

use crate::domain::paging::{Key, PageRequest};
use crate::domain::spent::add;
use crate::domain::{Federation, Job};

/// What is asked of energy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnergyFilter {
    /// Institutions with this text in their names are listed.
    pub name: String,
    /// Jobs count that were submitted at this time or later.
    pub since: Option<Timestamp>,
}

/// Institutions are listed by what they have spent, those first that have spent most.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EnergyKey(Reverse<u64>, InstitutionName);

impl Key for EnergyKey {
    const LIST: &'static str = "what institutions have spent";
}

impl EnergyKey {
    fn of(spent: &InstitutionEnergy) -> Self {
        // The bits of floating-point numbers that are not negative have the order of the numbers.
        Self(Reverse(spent.energy.kwh.get().max(0.0).to_bits()), spent.institution.clone())
    }
}

/// The view of energy, with one page of the institutions.
#[derive(Debug, Clone, PartialEq)]
pub struct EnergyPage {
    /// The view.
    pub view: EnergyView,
    /// The token of the next page; empty on the last.
    pub next: String,
}

/// Energy of the jobs that count, with a page of the institutions that are listed. The sums are of all
/// institutions.
///
/// # Errors
/// If the key of a page cannot be encoded.
pub fn energy(
    state: &Federation,
    filter: &EnergyFilter,
    page: &PageRequest<EnergyKey>,
) -> Result<EnergyPage, Refusal> {
    let counts = |job: &&Job| filter.since.is_none_or(|since| job.submitted_at >= since);
    let counted: Vec<&Job> = state.jobs.values().filter(counts).collect();
    let mut sums = BTreeMap::new();
    let mut jobs: BTreeMap<&InstitutionName, u32> = BTreeMap::new();
    for (name, energy) in counted.iter().flat_map(|job| job.spent.by_institution()) {
        add(&mut sums, name, energy);
        *jobs.entry(name).or_default() += 1;
    }
    let listed = sums.into_iter().filter(|(name, _)| name.as_str().contains(&filter.name));
    let spent: BTreeMap<EnergyKey, InstitutionEnergy> = listed
        .map(|(institution, energy)| {
            let jobs = jobs.get(&institution).copied().unwrap_or_default();
            let one = InstitutionEnergy { institution, energy, jobs };
            (EnergyKey::of(&one), one)
        })
        .collect();
    let (institutions, next, more) = page.select(spent)?;
    let reported: Vec<_> = counted.iter().filter_map(|job| job.energy_spent()).collect();
    let view = EnergyView {
        reported: reported.len() as u64,
        jobs: counted.len() as u64,
        total: reported.into_iter().reduce(Energy::plus),
        institutions,
        more_institutions: u32::try_from(more).unwrap_or(u32::MAX),
    };
    Ok(EnergyPage { view, next })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::domain::spent::Spent;
    use crate::domain::spent::tests::{finished, measured};
    use crate::testing::name;

    /// The first page of this many institutions.
    fn first(federation: &Federation, filter: &EnergyFilter, limit: u32) -> EnergyPage {
        energy(federation, filter, &PageRequest::read(limit, "").unwrap()).unwrap()
    }

    #[test]
    fn institutions_are_added_up_over_jobs_most_first() {
        let mut federation = Federation::default();
        let all = EnergyFilter::default();
        assert_eq!(first(&federation, &all, 0).view.total, None);
        let (mut job, closed) = finished(&[("west", 0.5), ("east", 1.0)]);
        job.spent = Spent::default();
        job.spent.add(&closed);
        let mut again = Job { definition: job.definition.clone(), ..job.clone() };
        Arc::make_mut(&mut again.definition).id = "j-0000000f".parse().unwrap();
        for job in [job, again] {
            federation.jobs.insert(job.id.clone(), job);
        }
        let EnergyPage { view, next } = first(&federation, &all, 0);
        assert_eq!((view.jobs, view.reported, view.total), (2, 2, Some(measured(3.0))));
        let of = |institution: &str, kwh| InstitutionEnergy {
            institution: name(institution),
            energy: measured(kwh),
            jobs: 2,
        };
        assert_eq!(view.institutions, [of("east", 2.0), of("west", 1.0)]);
        assert_eq!((view.more_institutions, next.as_str()), (0, ""));

        // Page by page.
        let EnergyPage { view, next } = first(&federation, &all, 1);
        assert_eq!((view.institutions, view.more_institutions), (vec![of("east", 2.0)], 1));
        let second = energy(&federation, &all, &PageRequest::read(1, &next).unwrap()).unwrap();
        assert_eq!((second.view.institutions, second.next.as_str()), (vec![of("west", 1.0)], ""));

        // A name narrows the list and not the sums; a time narrows both.
        let named = EnergyFilter { name: "es".to_owned(), since: None };
        let view = first(&federation, &named, 0).view;
        assert_eq!((view.institutions, view.total), (vec![of("west", 1.0)], Some(measured(3.0))));
        let newest = federation.jobs.values().map(|job| job.submitted_at).max().unwrap();
        let later = EnergyFilter { name: String::new(), since: Some(newest.plus(Duration::from_millis(1))) };
        let view = first(&federation, &later, 0).view;
        assert_eq!((view.jobs, view.total, view.institutions.len()), (0, None, 0));
    }
}
