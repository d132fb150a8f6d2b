//! What a job trains, as far as decisions need it. The description of a head is a blob. The job has its
//! digest and the signature of its weights.

use eosfed_common::assignment::{BlobRef, Offered};
use eosfed_common::head::{HeadError, HeadOver};
use eosfed_common::ids::ReleaseNumber;
use eosfed_common::model::{ModelSpec, initial_tensors, signature};
use eosfed_common::weights::{Signature, Tensors};
use serde::{Deserialize, Serialize};

/// What is trained or scored: a complete network, or a head over frozen encoders.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A specialist: encoder and head.
    Specialist(ModelSpec),
    /// A head over the frozen encoders of a release.
    Head(HeadRef),
    /// Nothing is trained; these bands are measured.
    Bands(Vec<String>),
}

/// The head of a downstream job, as it was resolved when the job was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadRef {
    /// The blob with the head and the release under it: a [`HeadOver`] as JSON.
    pub document: BlobRef,
    /// The release.
    pub release: ReleaseNumber,
    /// Names and shapes of its weights.
    pub signature: Signature,
    /// The bands of the data that it needs, in order. Empty in jobs of before: what institutions tell of their bands is
    /// then not kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bands: Vec<String>,
}

impl HeadRef {
    /// A head with the bytes of its document.
    ///
    /// # Errors
    /// If the document is larger than the limit for messages.
    pub fn of(over: &HeadOver) -> Result<(Self, Vec<u8>), HeadError> {
        let bytes = over.to_bytes()?;
        let signature = over.head.signature();
        let bands = over.head.bands();
        Ok((Self { document: BlobRef::of(&bytes), release: over.release.number, signature, bands }, bytes))
    }
}

impl Target {
    /// Names and shapes of its weights: exactly the tensors that may be sent.
    #[must_use]
    pub fn signature(&self) -> Signature {
        match self {
            Self::Specialist(model) => signature(model),
            Self::Head(head) => head.signature.clone(),
            Self::Bands(_) => Signature::default(),
        }
    }

    /// Starting values from a seed.
    #[must_use]
    pub fn initial_weights(&self, seed: u64) -> Tensors {
        initial_tensors(&self.signature(), seed)
    }

    /// Names of the bands whose normalisation is part of its training. Frozen encoders have their own.
    #[must_use]
    pub fn normalised(&self) -> &[String] {
        match self {
            Self::Specialist(model) => &model.bands,
            Self::Head(_) => &[],
            Self::Bands(bands) => bands,
        }
    }

    /// Its description for institutions.
    #[must_use]
    pub fn offered(self) -> Offered {
        match self {
            Self::Specialist(model) => Offered::Specialist(model),
            Self::Head(head) => Offered::Head(head.document),
            Self::Bands(bands) => Offered::Bands(bands),
        }
    }
}
