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

/// What an institution says of its data set.
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
