//! Data statements of institutions.

use eosfed_common::data_statement::{DataStatement, PartSizes, SignedDataStatement};
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
    }
}

/// The same, with its signature.
#[must_use]
pub fn signed(institution: &str, training: u64) -> SignedDataStatement {
    SignedDataStatement::new(statement(institution, training), &signing::institution(institution))
}
