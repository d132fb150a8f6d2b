//! A pulled release: its manifest, and its encoders checked against it before they are used.

use std::path::{Path, PathBuf};

use eosfed_common::card::{BandNormalisation, CARD_FILE, Card, ReleaseManifest, WEIGHTS_FILE};
use eosfed_common::digest::Digest;
use eosfed_common::files;
use eosfed_common::head::HeadEncoder;
use eosfed_common::ids::SpecialistName;
use eosfed_common::model::{
    Backbone, BandRule, ModelSpec, NamedBand, backbone_signature, initial_tensors, signature,
};
use eosfed_common::weights::Tensors;
use tch::Device;

use super::error::EnsembleError;
use crate::net::{Compute, ConvNeXt, Network};
use crate::parameters::{Parameters, read};

/// Which encoders a head is built on.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// All of the release.
    All,
    /// These.
    Named(Vec<SpecialistName>),
    /// One that has learned nothing, from this seed: the baseline.
    Random(u64),
    /// These, as another head has them.
    Given(Vec<HeadEncoder>),
}

impl std::str::FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            _ if text == "all" => Ok(Self::All),
            None if text == "random" => Ok(Self::Random(0)),
            Some(("random", seed)) => seed
                .parse()
                .map(Self::Random)
                .map_err(|_| format!("`{seed}` is not a seed: use a whole number")),
            _ => {
                let names: Result<Vec<_>, _> = text.split(',').map(|name| name.trim().parse()).collect();
                names.map(Self::Named).map_err(|error| format!("{error}; or use `all` or `random[:SEED]`"))
            }
        }
    }
}

/// A release in a folder.
#[derive(Debug)]
pub struct Release {
    folder: PathBuf,
    manifest: ReleaseManifest,
}

impl Release {
    /// Opens the folder that `eosfed release pull` made.
    ///
    /// # Errors
    /// If the manifest is missing or damaged.
    pub fn open(folder: &Path) -> Result<Self, EnsembleError> {
        let path = folder.join(ReleaseManifest::FILE);
        let json = std::fs::read(&path).map_err(|error| {
            EnsembleError::file(&path, format!("{error}; get a release with `eosfed release pull --to DIR`"))
        })?;
        let manifest = serde_json::from_slice(&json).map_err(|error| EnsembleError::file(&path, error))?;
        Ok(Self { folder: folder.to_owned(), manifest })
    }

    /// What it is made of.
    #[must_use]
    pub const fn manifest(&self) -> &ReleaseManifest {
        &self.manifest
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The cards of the chosen specialists; none where they are not chosen from the release.
    ///
    /// # Errors
    /// If a name is not in the release, or the release is empty.
    pub fn cards(&self, choice: &Choice) -> Result<Vec<&Card>, EnsembleError> {
        let manifest = self.folder.join(ReleaseManifest::FILE);
        let cards = &self.manifest.specialists;
        match choice {
            Choice::All if cards.is_empty() => {
                Err(EnsembleError::file(&manifest, "the release has no specialists"))
            }
            Choice::All => Ok(cards.iter().collect()),
            Choice::Named(names) => {
                let find = |name: &SpecialistName| {
                    cards.iter().find(|card| card.name == *name).ok_or_else(|| {
                        let there: Vec<_> = cards.iter().map(|card| card.name.as_str()).collect();
                        let reason =
                            format!("there is no specialist `{name}`; there are {}", there.join(", "));
                        EnsembleError::file(&manifest, reason)
                    })
                };
                names.iter().map(find).collect()
            }
            Choice::Random(_) | Choice::Given(_) => Ok(Vec::new()),
        }
    }

    /// What the head file says of each chosen encoder when the data have these bands, and in words
    /// what is done for the bands that are not there by name. A random encoder takes all of them,
    /// normalised by `normalisation`, and the backbone of the release's first specialist.
    ///
    /// # Errors
    /// As [`Release::cards`], or if an encoder cannot be fed.
    pub fn choose(
        &self,
        choice: &Choice,
        bands: &[NamedBand],
        rule: BandRule,
        normalisation: &[BandNormalisation],
    ) -> Result<(Vec<HeadEncoder>, Vec<String>), EnsembleError> {
        if let Choice::Random(seed) = choice {
            let backbone =
                self.manifest.specialists.first().map_or(Backbone::Atto, |card| card.model.backbone);
            return Ok((vec![HeadEncoder::random(backbone, *seed, normalisation)], Vec::new()));
        }
        if let Choice::Given(encoders) = choice {
            return Ok((encoders.clone(), Vec::new()));
        }
        HeadEncoder::of_cards(&self.cards(choice)?, bands, rule).map_err(|(name, reason)| {
            EnsembleError::file(&self.folder.join(name.as_str()).join(CARD_FILE), reason)
        })
    }

    /// Loads an encoder, frozen, after checking its file against the manifest's digest and the
    /// model's signature.
    ///
    /// # Errors
    /// If the file is missing, has another digest, or does not hold the model's tensors.
    pub fn encoder(&self, entry: &HeadEncoder, device: Device) -> Result<ConvNeXt, EnsembleError> {
        let shape = entry.backbone.shape();
        let encoder = backbone_signature(&shape, entry.normalisation.len());
        let values = match entry.random_seed {
            Some(seed) => initial_tensors(&encoder, seed),
            None => self.values(entry)?.1,
        };
        let parameters = Parameters::new(encoder, &values, device);
        Ok(ConvNeXt::new(&shape, &parameters, 0.0, Compute::FULL))
    }

    /// Loads a whole specialist, frozen, with the head it was trained with.
    ///
    /// # Errors
    /// As [`Release::encoder`], and for a random encoder, which has no head.
    pub fn specialist(
        &self,
        entry: &HeadEncoder,
        device: Device,
    ) -> Result<(ModelSpec, Network), EnsembleError> {
        let (card, values) = self.values(entry)?;
        let parameters = Parameters::new(signature(&card.model), &values, device);
        Ok((card.model.clone(), Network::new(&card.model, &parameters, 0.0, Compute::FULL)))
    }

    /// All tensors of a specialist, checked.
    fn values(&self, entry: &HeadEncoder) -> Result<(&Card, Tensors), EnsembleError> {
        let name = &entry.name;
        let Some(digest) = entry.weights else {
            let reason = format!("`{name}` is no specialist of a release: it has no digest");
            return Err(EnsembleError::file(&self.folder, reason));
        };
        let card = self.card(name, digest)?;
        let path = self.folder.join(name).join(WEIGHTS_FILE);
        let found = files::digest(&path).map_err(|error| {
            EnsembleError::file(&path, format!("{error}; the release is incomplete: pull it again"))
        })?;
        if found != digest {
            let reason = format!("the release says {digest}, found `{found}`; pull the release again");
            return Err(EnsembleError::file(&path, reason));
        }
        Ok((card, read(&path, &signature(&card.model))?))
    }

    /// The card of a specialist by name and digest.
    pub(super) fn card(&self, name: &str, digest: Digest) -> Result<&Card, EnsembleError> {
        let found = self
            .manifest
            .specialists
            .iter()
            .find(|card| card.name.as_str() == name && card.weights == digest);
        found.ok_or_else(|| {
            let path = self.folder.join(ReleaseManifest::FILE);
            EnsembleError::file(
                &path,
                format!("the head needs `{name}` with {digest}, which this release does not have"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_from_the_command_line() {
        assert_eq!("all".parse(), Ok(Choice::All));
        assert_eq!("random:7".parse(), Ok(Choice::Random(7)));
        let names = ["west-rgb", "shared"].map(|name| name.parse().unwrap()).to_vec();
        assert_eq!("west-rgb, shared".parse(), Ok(Choice::Named(names)));
        for bad in ["random:x", "West", "", "a,,b"] {
            assert!(bad.parse::<Choice>().is_err(), "{bad}");
        }
    }
}
