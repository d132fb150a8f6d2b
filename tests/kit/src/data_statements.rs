//! Data statements of institutions.

use eosfed_common::data_statement::{DataStatement, PartSizes, SignedDataStatement, StatedDataSet};
use eosfed_common::digest::Digest;
use eosfed_common::model::Task;

use crate::signing;

/// What an institution says of a data set with so many training samples and a third as many for validation.
#[must_use]
pub fn statement(institution: &str, training: u64) -> DataStatement {
    DataStatement {
        institution: institution.parse().unwrap(),
        dataset: "tiles of 2024".to_owned(),
        task: Task::Classification,
        bands: vec!["red".to_owned()],
        classes: vec!["forest".to_owned(), "water".to_owned()],
        samples: PartSizes { training, validation: training / 3, test: 0 },
        inventory: Digest::of(&training.to_le_bytes()),
        further: Vec::new(),
        partial: false,
    }
}

/// So many further data sets, the first with 10 training samples, each with 10 more than the one before.
#[must_use]
pub fn further(count: u64) -> Vec<StatedDataSet> {
    let one = |at: u64| StatedDataSet {
        dataset: format!("set-{at}"),
        task: Task::Segmentation,
        bands: vec!["red".to_owned(), "nir".to_owned()],
        classes: Vec::new(),
        samples: PartSizes { training: 10 * at, validation: 1, test: at },
        inventory: Digest::of(&at.to_le_bytes()),
    };
    (1..=count).map(one).collect()
}

/// The same, with its signature.
#[must_use]
pub fn signed(institution: &str, training: u64) -> SignedDataStatement {
    SignedDataStatement::new(statement(institution, training), &signing::institution(institution))
}
