//! A head with its release, and the document that is sent.

use serde::{Deserialize, Serialize};

use super::{HeadEncoder, HeadFile, MAX_HEAD_BYTES};
use crate::card::{Card, ReleaseManifest};

/// A head and its release: what an institution needs to train the head. It is sent as a blob.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadOver {
    /// The head.
    pub head: HeadFile,
    /// The release.
    pub release: ReleaseManifest,
}

/// Why a document does not describe a head over a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It is larger than the limit.
    #[error("its description has {0} bytes; at most {MAX_HEAD_BYTES} are allowed")]
    TooLarge(usize),
    /// It is not JSON of this schema, or describes an impossible head.
    #[error("{0}")]
    Malformed(String),
}

impl HeadOver {
    /// The JSON document that describes it, a blob of the coordinator.
    ///
    /// # Errors
    /// [`HeadError::TooLarge`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, HeadError> {
        let bytes = serde_json::to_vec(self).map_err(|error| HeadError::Malformed(error.to_string()))?;
        within(bytes.len())?;
        Ok(bytes)
    }

    /// Reads such a document.
    ///
    /// # Errors
    /// If it is too large, does not parse, or describes an impossible head.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HeadError> {
        within(bytes.len())?;
        let malformed = |error: serde_json::Error| HeadError::Malformed(error.to_string());
        let over: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        over.check().map_err(HeadError::Malformed)?;
        Ok(over)
    }

    /// The cards of the head's specialists, each once.
    #[must_use]
    pub fn cards(&self) -> Vec<&Card> {
        let stands_on = |card: &&Card| self.head.encoders.iter().any(|encoder| is_of(encoder, card));
        self.release.specialists.iter().filter(stands_on).collect()
    }

    /// Checks that the head is possible, and that each of its encoders is in the release with the same
    /// values.
    ///
    /// # Errors
    /// A sentence with the rule and the value found.
    pub fn check(&self) -> Result<(), String> {
        self.head.check()?;
        if self.head.release != self.release.number {
            return Err(format!(
                "the head must be over release {}, found `{}`",
                self.release.number, self.head.release
            ));
        }
        let known = |encoder: &HeadEncoder| {
            self.release.specialists.iter().any(|card| {
                is_of(encoder, card)
                    && card.model.backbone == encoder.backbone
                    && card.normalisation == encoder.normalisation
            })
        };
        match self.head.encoders.iter().find(|encoder| !known(encoder)) {
            Some(encoder) => Err(format!(
                "each encoder must be a specialist of release {}, found `{}`",
                self.release.number, encoder.name
            )),
            None => Ok(()),
        }
    }
}

fn is_of(encoder: &HeadEncoder, card: &Card) -> bool {
    encoder.name == card.name.as_str() && encoder.weights == Some(card.weights)
}

const fn within(bytes: usize) -> Result<(), HeadError> {
    if bytes <= MAX_HEAD_BYTES { Ok(()) } else { Err(HeadError::TooLarge(bytes)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finite::Finite;

    /// The document of the test kit.
    fn over() -> HeadOver {
        let document = include_bytes!("../../../tests/kit/documents/head.json");
        HeadOver::from_bytes(document).unwrap()
    }

    #[test]
    fn a_document_reads_back_and_an_impossible_head_is_refused() {
        assert_eq!(HeadOver::from_bytes(&over().to_bytes().unwrap()), Ok(over()));
        for (word, change) in [
            ("must be over release 1", (|over| over.head.release.0 = 2) as fn(&mut HeadOver)),
            ("found `../west`", |over| over.head.encoders[0].name = "../west".to_owned()),
            ("found `west`", |over| over.head.encoders[0].weights = None),
            ("found `west`", |over| over.head.encoders[0].normalisation[0].mean = Finite::literal(9.0)),
            ("sources for each of its 1 bands", |over| over.head.encoders[0].sources.clear()),
            ("sources for each", |over| over.head.encoders[0].sources[0].clear()),
            ("found `32` for classification", |over| over.head.decoder_channels = 32.try_into().unwrap()),
            ("at least one encoder", |over| over.head.encoders.clear()),
            ("at most 256 encoders", |over| over.head.encoders = vec![over.head.encoders[0].clone(); 257]),
        ] {
            let mut bad = over();
            change(&mut bad);
            let found = HeadOver::from_bytes(&bad.to_bytes().unwrap()).unwrap_err().to_string();
            assert!(found.contains(word), "{word}: {found}");
        }
    }

    #[test]
    fn the_size_of_a_document_is_limited_when_writing_and_reading() {
        let mut large = over();
        large.head.name = "x".repeat(MAX_HEAD_BYTES);
        let found = large.to_bytes().unwrap_err();
        assert!(matches!(found, HeadError::TooLarge(bytes) if bytes > MAX_HEAD_BYTES), "{found}");
        let bytes = serde_json::to_vec(&large).unwrap();
        assert_eq!(HeadOver::from_bytes(&bytes), Err(HeadError::TooLarge(bytes.len())));
    }
}
