//! A pulled release: its manifest, and its encoders, which are checked against the manifest.

use std::path::{Path, PathBuf};

use eosfed_common::card::{BandNormalisation, CARD_FILE, Card, ReleaseManifest, WEIGHTS_FILE};
use eosfed_common::digest::Digest;
use eosfed_common::files;
use eosfed_common::head::{HeadEncoder, HeadFile};
use eosfed_common::ids::SpecialistName;
use eosfed_common::model::{
    Backbone, BandRule, ModelSpec, NamedBand, backbone_signature, initial_tensors, signature,
};
use eosfed_common::weights::Tensors;
use tch::Device;

use super::error::EnsembleError;
use crate::net::{ComputePrecision, ConvNeXt, Network};
use crate::parameters::{Parameters, read};
use crate::train::Learned;

/// The encoders under a head.
#[derive(Debug, Clone, PartialEq)]
pub enum EncoderChoice {
    /// All encoders of the release.
    All,
    /// The encoders with these names.
    Named(Vec<SpecialistName>),
    /// One with random weights, as a baseline.
    Random {
        /// The seed of its weights.
        seed: u64,
        /// Its bands, by name; empty: all of the data.
        bands: Vec<String>,
    },
    /// The encoders of another head.
    Given(Vec<HeadEncoder>),
}

impl std::str::FromStr for EncoderChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            _ if text == "all" => Ok(Self::All),
            None if text == "random" => Ok(Self::Random { seed: 0, bands: Vec::new() }),
            Some(("random", rest)) => {
                let (seed, bands) = rest.split_once(':').unwrap_or((rest, ""));
                let seed = seed.parse().map_err(|_| format!("`{seed}` is not a seed: use a whole number"))?;
                let bands = bands.split(',').map(str::trim).filter(|band| !band.is_empty());
                Ok(Self::Random { seed, bands: bands.map(ToOwned::to_owned).collect() })
            }
            _ => {
                let names: Result<Vec<_>, _> = text.split(',').map(|name| name.trim().parse()).collect();
                let known = "or use `all` or `random[:SEED[:BANDS]]`";
                names.map(Self::Named).map_err(|error| format!("{error}; {known}"))
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

    /// Its manifest.
    #[must_use]
    pub const fn manifest(&self) -> &ReleaseManifest {
        &self.manifest
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The cards of the chosen specialists; none if the choice does not depend on the release.
    ///
    /// # Errors
    /// If a name is not in the release, or the release is empty.
    pub fn cards(&self, choice: &EncoderChoice) -> Result<Vec<&Card>, EnsembleError> {
        let manifest = self.folder.join(ReleaseManifest::FILE);
        let cards = &self.manifest.specialists;
        match choice {
            EncoderChoice::All if cards.is_empty() => {
                Err(EnsembleError::file(&manifest, "the release has no specialists"))
            }
            EncoderChoice::All => Ok(cards.iter().collect()),
            EncoderChoice::Named(names) => {
                let find = |name: &SpecialistName| {
                    cards.iter().find(|card| card.name == *name).ok_or_else(|| {
                        let there: Vec<_> = cards.iter().map(|card| card.name.as_str()).collect();
                        let reason =
                            format!("the release has no specialist `{name}`; it has {}", there.join(", "));
                        EnsembleError::file(&manifest, reason)
                    })
                };
                names.iter().map(find).collect()
            }
            EncoderChoice::Random { .. } | EncoderChoice::Given(_) => Ok(Vec::new()),
        }
    }

    /// What the specialists under a head were trained on, as far as their cards tell.
    pub(crate) fn learned(&self, head: &HeadFile) -> Vec<Learned> {
        let card_of = |encoder: &HeadEncoder| {
            let weights = encoder.weights?;
            self.manifest.specialists.iter().find(|card| card.weights == weights)
        };
        // A band that is the mean of several has no moments of its own.
        let normalisation = |encoder: &HeadEncoder| {
            let entries = encoder.normalisation.iter().zip(&encoder.sources);
            let single = entries.filter_map(|(entry, sources)| match &sources[..] {
                [band] => Some(BandNormalisation { band: band.clone(), ..entry.clone() }),
                _ => None,
            });
            single.collect()
        };
        let encoders = head.encoders.iter();
        let known = encoders.filter_map(|encoder| Some((encoder, card_of(encoder)?)));
        known
            .map(|(encoder, card)| Learned {
                name: card.reference().to_string(),
                normalisation: normalisation(encoder),
                imagery: card.imagery,
                input_size: card.input_size,
                untold: None,
            })
            .collect()
    }

    /// The entries of the chosen encoders in a head file for data with these bands, and notes about bands
    /// that were not found by name. A random encoder takes its bands, normalised by `normalisation`, which has all of
    /// the data, and has the backbone of the release's first specialist.
    ///
    /// # Errors
    /// As [`Release::cards`], or if the data lack bands of an encoder.
    pub fn choose(
        &self,
        choice: &EncoderChoice,
        bands: &[NamedBand],
        rule: BandRule,
        normalisation: &[BandNormalisation],
    ) -> Result<(Vec<HeadEncoder>, Vec<String>), EnsembleError> {
        if let EncoderChoice::Random { seed, bands: wanted } = choice {
            let backbone =
                self.manifest.specialists.first().map_or(Backbone::Atto, |card| card.model.backbone);
            let its_own = chosen(wanted, normalisation).map_err(EnsembleError::Choice)?;
            return Ok((vec![HeadEncoder::random(backbone, *seed, &its_own)], Vec::new()));
        }
        if let EncoderChoice::Given(encoders) = choice {
            return Ok((encoders.clone(), Vec::new()));
        }
        HeadEncoder::of_cards(&self.cards(choice)?, bands, rule).map_err(|(name, reason)| {
            EnsembleError::file(&self.folder.join(name.as_str()).join(CARD_FILE), reason)
        })
    }

    /// Loads a frozen encoder. Its file must have the digest of the manifest and the tensors of the
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
        Ok(ConvNeXt::new(&shape, &parameters, 0.0, ComputePrecision::FULL))
    }

    /// Loads a whole frozen specialist with its own head.
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
        Ok((card.model.clone(), Network::new(&card.model, &parameters, 0.0, ComputePrecision::FULL)))
    }

    /// All tensors of a specialist, after the checks.
    fn values(&self, entry: &HeadEncoder) -> Result<(&Card, Tensors), EnsembleError> {
        let name = &entry.name;
        let Some(digest) = entry.weights else {
            let reason = format!("`{name}` has no digest and so is not a specialist of a release");
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

/// The entries of these bands, in their order; all of them if there are no names.
fn chosen(bands: &[String], all: &[BandNormalisation]) -> Result<Vec<BandNormalisation>, String> {
    if bands.is_empty() {
        return Ok(all.to_vec());
    }
    let find = |band: &String| {
        all.iter().find(|entry| entry.band == *band).cloned().ok_or_else(|| {
            let there: Vec<_> = all.iter().map(|entry| entry.band.as_str()).collect();
            format!("the data have no band `{band}` for a random encoder; they have {}", there.join(", "))
        })
    };
    bands.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use eosfed_common::finite::Finite;

    use super::*;

    #[test]
    fn choices_are_parsed() {
        assert_eq!("all".parse(), Ok(EncoderChoice::All));
        let random = |seed, bands: &[&str]| {
            Ok(EncoderChoice::Random { seed, bands: bands.iter().map(ToString::to_string).collect() })
        };
        assert_eq!("random".parse(), random(0, &[]));
        assert_eq!("random:7".parse(), random(7, &[]));
        assert_eq!("random:7:red, nir".parse(), random(7, &["red", "nir"]));
        let names = ["west-rgb", "shared"].map(|name| name.parse().unwrap()).to_vec();
        assert_eq!("west-rgb, shared".parse(), Ok(EncoderChoice::Named(names)));
        for bad in ["random:x", "random:x:red", "West", "", "a,,b"] {
            assert!(bad.parse::<EncoderChoice>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_random_encoder_takes_the_bands_that_are_named() {
        let of = |band: &str, mean| BandNormalisation {
            band: band.to_owned(),
            mean: Finite::literal(mean),
            std: Finite::literal(1.0),
            values: None,
        };
        let all = [of("red", 1.0), of("green", 2.0), of("nir", 3.0)];
        assert_eq!(chosen(&[], &all).unwrap(), all);
        let two = ["nir", "red"].map(ToOwned::to_owned);
        assert_eq!(chosen(&two, &all).unwrap(), [all[2].clone(), all[0].clone()]);
        let refused = chosen(&["swir16".to_owned()], &all).unwrap_err();
        assert!(refused.contains("`swir16`") && refused.contains("they have red, green, nir"), "{refused}");
    }
}
