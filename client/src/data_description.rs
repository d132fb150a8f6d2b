//! What can be said of a data set: its name, its bands and how many samples it has. The site policy decides
//! what of it leaves.

use eosfed_common::data_statement::{DataStatement, PartSizes};
use eosfed_common::digest::Digest;
use eosfed_common::ids::InstitutionName;
use eosfed_common::model::Task;
use eosfed_data::{Dataset, Split};

use crate::policy::{Egress, Policy};

/// A data set in words and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDescription {
    /// The name in `dataset.toml`; empty if there is none.
    pub name: String,
    /// What the labels are.
    pub task: Task,
    /// The bands, by name.
    pub bands: Vec<String>,
    /// The classes, by name.
    pub classes: Vec<String>,
    /// Numbers of samples.
    pub samples: PartSizes,
    /// Digest of the description and of the samples' names; see [`Dataset::inventory`].
    pub inventory: Digest,
}

impl DataDescription {
    /// Of an opened data set.
    #[must_use]
    pub fn of(dataset: &Dataset) -> Self {
        let config = dataset.config();
        let size = |split| dataset.len(split) as u64;
        Self {
            name: config.name.clone().unwrap_or_default(),
            task: config.task,
            bands: config.bands.clone(),
            classes: config.classes.clone(),
            samples: PartSizes {
                training: size(Split::Train),
                validation: size(Split::Validation),
                test: size(Split::Test),
            },
            inventory: dataset.inventory(),
        }
    }

    /// What of it the policy lets this institution state; nothing if it does not let a statement leave.
    #[must_use]
    pub fn stated(&self, policy: &Policy, institution: &InstitutionName) -> Option<DataStatement> {
        if !policy.allows(Egress::DataStatement) {
            return None;
        }
        let Self { name, task, bands, classes, samples, inventory } = self;
        let classes = if policy.allows(Egress::ClassNames) { classes.clone() } else { Vec::new() };
        Some(DataStatement {
            institution: institution.clone(),
            dataset: name.clone(),
            task: *task,
            bands: bands.clone(),
            classes,
            samples: *samples,
            inventory: *inventory,
        })
    }
}
