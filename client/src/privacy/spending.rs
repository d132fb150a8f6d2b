//! The record of the updates that were made to leave with noise. It spans jobs, and budgets are computed from
//! it anew each time, so that a changed policy resets nothing.

use std::collections::{BTreeMap, BTreeSet};

use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::ids::{AssignmentId, DataSetName, JobId};
use serde::{Deserialize, Serialize};

use super::{Mechanism, epsilon};

/// The version of the record's format.
const VERSION: u32 = 1;

/// One update with noise. It is recorded before any of it may leave, and counts whether or not it arrived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// Its assignment.
    pub assignment: AssignmentId,
    /// The job's display name.
    pub job_name: String,
    /// Its clipping and noise.
    pub mechanism: Mechanism,
    /// The digest of its file.
    pub digest: Digest,
    /// When it was recorded.
    pub at: Timestamp,
    /// The data set that it was trained on, where the site has several with names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DataSetName>,
}

/// All updates with noise of an institution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spending {
    version: u32,
    updates: Vec<Charge>,
}

/// What one job has cost.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSpending {
    /// The job's display name.
    pub name: String,
    /// Number of updates.
    pub updates: usize,
    /// Their divergence at order 1.
    pub divergence: f64,
}

impl Default for Spending {
    fn default() -> Self {
        Self { version: VERSION, updates: Vec::new() }
    }
}

impl Spending {
    /// Checks a record that was read.
    ///
    /// # Errors
    /// A sentence with the first rule that is broken and the value found.
    pub fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!("`version` must be {VERSION}, found `{}`", self.version));
        }
        let mut seen = BTreeSet::new();
        for Charge { assignment, mechanism, digest, .. } in &self.updates {
            let Mechanism { clip, noise_multiplier } = mechanism;
            for (name, value) in [("clip", clip), ("noise_multiplier", noise_multiplier)] {
                if !(value.is_finite() && *value > 0.0) {
                    return Err(format!("`{name}` of {assignment} must be above 0, found `{value}`"));
                }
            }
            if !seen.insert(digest) {
                return Err(format!("the update {digest} of {assignment} is recorded twice"));
            }
        }
        Ok(())
    }

    /// Adds an update.
    pub fn add(&mut self, charge: Charge) {
        self.updates.push(charge);
    }

    /// All updates, in the order of their records.
    #[must_use]
    pub fn updates(&self) -> &[Charge] {
        &self.updates
    }

    /// The record of an assignment's update with this digest.
    #[must_use]
    pub fn find(&self, assignment: &AssignmentId, digest: &Digest) -> Option<&Charge> {
        self.updates.iter().find(|charge| charge.assignment == *assignment && charge.digest == *digest)
    }

    /// The divergence at order 1 of all updates.
    #[must_use]
    pub fn divergence(&self) -> f64 {
        self.updates.iter().map(|charge| charge.mechanism.divergence()).sum()
    }

    /// The epsilon of all updates.
    #[must_use]
    pub fn epsilon(&self, delta: f64) -> f64 {
        epsilon(self.divergence(), delta)
    }

    /// The epsilon of all updates and one more.
    #[must_use]
    pub fn epsilon_with(&self, more: &Mechanism, delta: f64) -> f64 {
        epsilon(self.divergence() + more.divergence(), delta)
    }

    /// The epsilon if the data of an update are replaced by any others instead of being left out: its step can
    /// then change by twice the clip, which is half of the noise multiplier.
    #[must_use]
    pub fn epsilon_of_replacement(&self, delta: f64) -> f64 {
        epsilon(4.0 * self.divergence(), delta)
    }

    /// What each job has cost.
    #[must_use]
    pub fn by_job(&self) -> BTreeMap<&JobId, JobSpending> {
        let mut jobs = BTreeMap::new();
        for Charge { assignment, job_name, mechanism, .. } in &self.updates {
            let none = || JobSpending { name: job_name.clone(), updates: 0, divergence: 0.0 };
            let job = jobs.entry(&assignment.job).or_insert_with(none);
            job.updates += 1;
            job.divergence += mechanism.divergence();
        }
        jobs
    }

    /// The number of updates that were trained on each data set with a name, and their divergence at order 1.
    #[must_use]
    pub fn by_data_set(&self) -> BTreeMap<&DataSetName, (usize, f64)> {
        let mut data_sets = BTreeMap::new();
        for Charge { dataset, mechanism, .. } in &self.updates {
            let Some(name) = dataset else { continue };
            let (updates, divergence) = data_sets.entry(name).or_insert((0, 0.0));
            *updates += 1;
            *divergence += mechanism.divergence();
        }
        data_sets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(id: &str, noise_multiplier: f64) -> Charge {
        Charge {
            assignment: id.parse().unwrap(),
            job_name: "shared".to_owned(),
            mechanism: Mechanism { clip: 1.0, noise_multiplier },
            digest: Digest::of(id.as_bytes()),
            at: Timestamp(5),
            dataset: None,
        }
    }

    fn spending() -> Spending {
        let mut spending = Spending::default();
        for (id, noise) in
            [("j-0a1b2c3d.0.1.west", 2.0), ("j-0a1b2c3d.1.1.west", 4.0), ("j-00000001.0.1.west", 2.0)]
        {
            spending.add(charge(id, noise));
        }
        spending
    }

    #[test]
    fn updates_of_all_jobs_add_up() {
        let spending = spending();
        assert_eq!(spending.check(), Ok(()));
        assert!((spending.divergence() - (0.125 + 0.03125 + 0.125)).abs() < 1e-12);
        let jobs = spending.by_job();
        assert_eq!(jobs.values().map(|job| job.updates).collect::<Vec<_>>(), [1, 2]);
        let total: f64 = jobs.values().map(|job| job.divergence).sum();
        assert!((total - spending.divergence()).abs() < 1e-12);
        let more = Mechanism { clip: 9.0, noise_multiplier: 2.0 };
        assert!(spending.epsilon_with(&more, 1e-5) > spending.epsilon(1e-5));
        assert!(spending.epsilon_of_replacement(1e-5) > spending.epsilon(1e-5));
        let text = serde_json::to_string(&spending).unwrap();
        assert_eq!(serde_json::from_str::<Spending>(&text).unwrap(), spending);
    }

    #[test]
    fn what_each_data_set_has_cost_is_told_apart() {
        let mut spending = spending();
        assert!(spending.by_data_set().is_empty());
        let text = serde_json::to_string(&spending).unwrap();
        assert!(!text.contains("dataset"), "records of before stay as they are");
        let coast: DataSetName = "coast".parse().unwrap();
        for (id, noise) in [("j-0a1b2c3d.5.1.west", 2.0), ("j-0a1b2c3d.6.1.west", 4.0)] {
            spending.add(Charge { dataset: Some(coast.clone()), ..charge(id, noise) });
        }
        let (updates, divergence) = spending.by_data_set()[&coast];
        assert_eq!(updates, 2);
        assert!((divergence - (0.125 + 0.03125)).abs() < 1e-12);
    }

    #[test]
    fn a_record_that_cannot_be_true_is_refused() {
        let altered = |change: fn(&mut Spending)| {
            let mut spending = spending();
            change(&mut spending);
            spending.check().unwrap_err()
        };
        for noise in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let mut spending = spending();
            spending.updates[1].mechanism.noise_multiplier = noise;
            assert!(spending.check().unwrap_err().contains(&format!("found `{noise}`")));
        }
        assert!(altered(|spending| spending.version = 2).contains("found `2`"));
        assert!(altered(|spending| spending.updates[0].mechanism.clip = 0.0).contains("`clip`"));
        assert!(altered(|spending| spending.updates.push(spending.updates[0].clone())).contains("twice"));
    }
}
