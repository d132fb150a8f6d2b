//! What can be said of a data set: its name, its bands and how many samples it has. The site policy decides
//! what of it leaves.

use eosfed_common::data_statement::{DataStatement, PartSizes, StatedDataSet};
use eosfed_common::digest::Digest;
use eosfed_common::ids::{DataSetName, InstitutionName};
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

    /// What of it the policy lets be stated; nothing if it does not let a statement leave. One of several is stated
    /// under its name in the settings, by which plans can ask for it.
    #[must_use]
    pub fn stated(&self, policy: &Policy, of_several: Option<&DataSetName>) -> Option<StatedDataSet> {
        if !policy.allows(Egress::DataStatement) {
            return None;
        }
        let Self { name, task, bands, classes, samples, inventory } = self;
        let classes = if policy.allows(Egress::ClassNames) { classes.clone() } else { Vec::new() };
        Some(StatedDataSet {
            dataset: of_several.map_or_else(|| name.clone(), ToString::to_string),
            task: *task,
            bands: bands.clone(),
            classes,
            samples: *samples,
            inventory: *inventory,
        })
    }
}

/// The statement about all data sets, of which some may have nothing that may leave. None if that is so of all.
#[must_use]
pub fn statement(institution: &InstitutionName, all: Vec<Option<StatedDataSet>>) -> Option<DataStatement> {
    let partial = all.iter().any(Option::is_none);
    let mut stated = all.into_iter().flatten();
    let StatedDataSet { dataset, task, bands, classes, samples, inventory } = stated.next()?;
    let (institution, further) = (institution.clone(), stated.collect());
    Some(DataStatement { institution, dataset, task, bands, classes, samples, inventory, further, partial })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::permissive;

    fn described(training: u64) -> DataDescription {
        DataDescription {
            name: "tiles".to_owned(),
            task: Task::Classification,
            bands: vec!["red".to_owned()],
            classes: vec!["a".to_owned()],
            samples: PartSizes { training, validation: 1, test: 0 },
            inventory: Digest::of(&training.to_le_bytes()),
        }
    }

    #[test]
    fn each_data_set_is_stated_as_its_own_policy_says() {
        let words = |words: &[Egress]| Policy { may_leave: words.to_vec(), ..permissive() };
        let (west, coast): (InstitutionName, DataSetName) =
            ("west".parse().unwrap(), "coast".parse().unwrap());
        let open = words(&[Egress::DataStatement, Egress::ClassNames]);
        let without_classes = words(&[Egress::DataStatement]);
        let closed = words(&[Egress::ClassNames]);
        let alone = statement(&west, vec![described(5).stated(&open, None)]).unwrap();
        assert_eq!((alone.dataset.as_str(), alone.further.len(), alone.partial), ("tiles", 0, false));
        let all = [(5, &closed), (7, &without_classes), (9, &open)];
        let all = all.map(|(count, policy)| described(count).stated(policy, Some(&coast)));
        let said = statement(&west, all.to_vec()).unwrap();
        assert_eq!((said.dataset.as_str(), said.samples.training, said.partial), ("coast", 7, true));
        assert!(said.classes.is_empty() && said.further[0].classes == ["a"] && said.further.len() == 1);
        assert_eq!(statement(&west, vec![described(5).stated(&closed, None)]), None);
    }
}
