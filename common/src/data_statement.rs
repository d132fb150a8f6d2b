//! What an institution says of its data set: how many samples it has, of which bands, for which task. The
//! institution signs it; the samples that it claims later are bounded by it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::ids::InstitutionName;
use crate::model::Task;
use crate::signing::{KeySignature, SigningKey, Statement};

/// Numbers of samples, by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartSizes {
    /// Of the training part.
    pub training: u64,
    /// Of the validation part.
    pub validation: u64,
    /// Of the test part.
    pub test: u64,
}

impl PartSizes {
    /// The larger number of each part.
    #[must_use]
    pub fn larger(self, other: Self) -> Self {
        Self {
            training: self.training.max(other.training),
            validation: self.validation.max(other.validation),
            test: self.test.max(other.test),
        }
    }

    /// The smaller number of each part.
    #[must_use]
    pub fn smaller(self, other: Self) -> Self {
        Self {
            training: self.training.min(other.training),
            validation: self.validation.min(other.validation),
            test: self.test.min(other.test),
        }
    }
}

/// Most data sets of an institution.
pub const MAX_DATA_SETS: usize = 32;

/// One of several data sets of an institution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatedDataSet {
    /// Its name, by which plans can ask for it.
    pub dataset: String,
    /// What the labels are.
    pub task: Task,
    /// The names of the bands.
    pub bands: Vec<String>,
    /// The names of the classes. Empty unless the site policy lets them leave.
    pub classes: Vec<String>,
    /// Numbers of samples.
    pub samples: PartSizes,
    /// Digest of its description and of the names of its samples.
    pub inventory: Digest,
}

/// What an institution says of its data set, or of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataStatement {
    /// Who says it.
    pub institution: InstitutionName,
    /// The name of the data set; may be empty.
    pub dataset: String,
    /// What the labels are.
    pub task: Task,
    /// The names of the bands.
    pub bands: Vec<String>,
    /// The names of the classes. Empty unless the site policy lets them leave.
    pub classes: Vec<String>,
    /// Numbers of samples, each at most [`crate::plan::MAX_SAMPLES`].
    pub samples: PartSizes,
    /// Digest of the description of the data set and of the names of its samples, each with its part, as
    /// `eosfed-client data inspect` prints it.
    pub inventory: Digest,
    /// Further data sets, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<StatedDataSet>,
    /// Whether there are others, of which the site policy lets nothing be said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

impl DataStatement {
    /// Each data set that is stated.
    pub fn all(&self) -> impl Iterator<Item = StatedDataSet> {
        let Self { dataset, task, bands, classes, samples, inventory, further, .. } = self.clone();
        let first = StatedDataSet { dataset, task, bands, classes, samples, inventory };
        std::iter::once(first).chain(further)
    }

    /// The largest number of samples in each part of the data sets that are stated: work reads one of them.
    #[must_use]
    pub fn largest(&self) -> PartSizes {
        self.further.iter().fold(self.samples, |largest, one| largest.larger(one.samples))
    }
}

impl Statement for DataStatement {
    const KIND: &'static str = "data-statement";

    fn content(&self) -> Value {
        serde_json::to_value(self).expect("a statement is plain data")
    }
}

/// A data statement with the signature of its institution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedDataStatement {
    /// The statement.
    pub statement: DataStatement,
    /// The institution's signature.
    pub signature: KeySignature,
}

impl SignedDataStatement {
    /// Signs a statement.
    #[must_use]
    pub fn new(statement: DataStatement, key: &SigningKey) -> Self {
        let signature = key.sign(&statement);
        Self { statement, signature }
    }
}
