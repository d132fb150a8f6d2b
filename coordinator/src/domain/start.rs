//! A released specialist whose encoder a job's specialist starts from.

use std::fmt;

use eosfed_common::assignment::BlobRef;
use eosfed_common::card::Parent;
use eosfed_common::ids::{ReleaseNumber, SpecialistVersion};
use eosfed_common::model::{ModelSpec, named, stem_words};
use serde::{Deserialize, Serialize};

/// A released specialist that a training starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Name and version.
    pub specialist: SpecialistVersion,
    /// Its weights.
    pub weights: BlobRef,
    /// Its network.
    pub model: ModelSpec,
    /// The newest release that has it.
    pub release: ReleaseNumber,
    /// The blob with the signed release, by which institutions verify the weights. Absent in rounds, whose first
    /// weights the coordinator makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<BlobRef>,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "specialist `{}` of release {}", self.specialist, self.release)
    }
}

impl Start {
    /// What a card says of it, where a network of these bands started from it.
    #[must_use]
    pub fn parent(&self, bands: &[String]) -> Parent {
        Parent {
            name: self.specialist.name.clone(),
            version: self.specialist.version,
            weights: self.weights.digest,
            release: self.release,
            adapted: stem_words(&named(&self.model.bands), &named(bands)),
        }
    }
}
