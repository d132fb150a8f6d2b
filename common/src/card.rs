//! Cards and release manifests: what a specialist is, where it came from, and which specialists an ensemble
//! release is made of. Plain data without optional defaults: the creator fills in every field.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::Display;

use crate::band_values::BandValues;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::finite::Finite;
use crate::ids::{InstitutionName, JobId, ReleaseNumber, SpecialistName, SpecialistVersion};
use crate::imagery::Imagery;
use crate::model::ModelSpec;
use crate::printable::is_printable;
use crate::scoring::Scoring;
use crate::signing::{KeySignature, PublicKey, SignedUpdate};
use crate::weights::Encoding;

/// Mean and standard deviation of one band, in the units of the data set after its scale and offset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BandNormalisation {
    /// The band's name.
    pub band: String,
    /// The subtracted value.
    pub mean: Finite,
    /// The divisor; positive.
    pub std: Finite,
    /// What its numbers look like: unit and range. Unknown on cards of before, and where a plan does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<BandValues>,
}

/// The source of an energy figure, which tells how reliable it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnergySource {
    /// Read from a counter of the hardware.
    Measured,
    /// Computed from processor time and an assumed power.
    Estimated,
    /// Read or computed for a part of the machine only, such as a processor without its GPU. The real figure is
    /// higher.
    Partial,
    /// Not known. The figure is zero and has no meaning.
    #[default]
    Unavailable,
}

/// Largest carbon intensity, in grams of CO2 equivalents a kilowatt-hour: three times that of old coal.
pub const MAX_CARBON_INTENSITY: u32 = 3000;

/// Energy spent on training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Energy {
    /// Kilowatt-hours.
    pub kwh: Finite,
    /// The source of the figure.
    pub source: EnergySource,
    /// Emissions in grams of CO2 equivalents, at the carbon intensity that the institutions have configured.
    /// Absent if it is not known for all of the energy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub co2e_g: Option<Finite>,
}

impl Energy {
    /// With its emissions at this many grams of CO2 equivalents a kilowatt-hour. Those of an unknown energy or at
    /// an unknown intensity are not known.
    #[must_use]
    pub fn at_intensity(self, grams_per_kwh: Option<u32>) -> Self {
        let grams = grams_per_kwh.filter(|_| self.source != EnergySource::Unavailable);
        let co2e_g = grams.and_then(|grams| Finite::new(self.kwh.get() * f64::from(grams)));
        Self { co2e_g, ..self }
    }

    /// The sum, with the less reliable of the two sources. It never exceeds [`Finite::MAX`]. Emissions are known if
    /// both are.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        use EnergySource::{Estimated, Measured, Partial, Unavailable};
        let source = match (self.source, other.source) {
            (Unavailable, _) | (_, Unavailable) => Unavailable,
            (Partial, _) | (_, Partial) => Partial,
            (Estimated, _) | (_, Estimated) => Estimated,
            (Measured, Measured) => Measured,
        };
        let sum = |a: Finite, b: Finite| Finite::new(a.get() + b.get()).unwrap_or(Finite::MAX);
        let co2e_g = self.co2e_g.zip(other.co2e_g).map(|(a, b)| sum(a, b));
        Self { kwh: sum(self.kwh, other.kwh), source, co2e_g }
    }
}

/// The file that an institution's own training started from. The file itself never leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InitialFile {
    /// Its name, without the folder.
    pub file: String,
    /// Digest of its bytes.
    pub digest: Digest,
}

impl InitialFile {
    /// Longest name in bytes.
    const LONGEST: usize = 255;

    /// Checks that the name can be displayed: not empty, without folders and control characters.
    ///
    /// # Errors
    /// A sentence with the rule and the value found.
    pub fn check(&self) -> Result<(), String> {
        let odd = |c: char| c == '/' || c == '\\' || !is_printable(c);
        if self.file.is_empty() || self.file.len() > Self::LONGEST || self.file.contains(odd) {
            let most = Self::LONGEST;
            let found: String = self.file.chars().take(80).collect();
            return Err(format!(
                "a file name of 1 to {most} bytes without folders, found `{}`",
                found.escape_default()
            ));
        }
        Ok(())
    }
}

/// The released specialist whose encoder a training started from, because the plan of its job says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// Its name.
    pub name: SpecialistName,
    /// Its version.
    pub version: u32,
    /// Digest of its weights.
    pub weights: Digest,
    /// The release that it was taken from.
    pub release: ReleaseNumber,
    /// A sentence for each band whose filter was not that of the same band of the parent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adapted: Vec<String>,
}

impl Parent {
    /// What people call it: its name and version.
    #[must_use]
    pub fn reference(&self) -> SpecialistVersion {
        SpecialistVersion { name: self.name.clone(), version: self.version }
    }
}

/// How a specialist was trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum TrainingMode {
    /// By one institution, to the end.
    OneShot,
    /// By several institutions together, in rounds.
    Rounds,
}

/// Where a specialist came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The job that made it.
    pub job: JobId,
    /// How it was trained.
    pub mode: TrainingMode,
    /// The institutions whose imagery it was trained on.
    pub institutions: Vec<InstitutionName>,
    /// Rounds of aggregation; 0 for one-shot.
    pub rounds: u32,
    /// Training samples, summed over institutions.
    pub samples: u64,
    /// The job's seed.
    pub seed: u64,
    /// When it was frozen.
    pub frozen_at: Timestamp,
    /// The file that its encoder started from, if the institution had one (one-shot).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<InitialFile>,
    /// The released specialist whose encoder it started from, if the plan names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// How updates of its rounds were encoded, other than as 32-bit floats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encodings: Vec<Encoding>,
}

/// The description of a specialist, without its weights. Immutable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Its name in the registry.
    pub name: SpecialistName,
    /// 1 for the first specialist with this name, then counted up.
    pub version: u32,
    /// Digest of the weights file.
    pub weights: Digest,
    /// Size of the weights file in bytes.
    pub weights_bytes: u64,
    /// The network.
    pub model: ModelSpec,
    /// Normalisation of each input band, in the order of `model.bands`; the same in training and use.
    pub normalisation: Vec<BandNormalisation>,
    /// Width and height in pixels that tiles were resized to in training, if they were.
    pub input_size: Option<u32>,
    /// Whether tiles were filtered as they were resized, and must be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub antialias: bool,
    /// What the imagery that it learned from has in common. Unknown where institutions do not tell, and on cards of
    /// before.
    #[serde(default, skip_serializing_if = "Imagery::is_unknown")]
    pub imagery: Imagery,
    /// Where it came from.
    pub provenance: Provenance,
    /// Scores on the institutions' own imagery (for rounds: means weighted by samples).
    pub metrics: BTreeMap<String, Finite>,
    /// What the scores are of. Absent on cards of before, whose scores are of validation parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scoring: Option<Scoring>,
    /// Energy spent on its training.
    pub energy: Energy,
    /// Licence of the weights, as an SPDX expression or words.
    pub licence: String,
    /// What institutions have signed: the update that the weights are (one-shot), or the updates of the last
    /// round. Empty if that round had more than [`MAX_UPDATES`], and on cards of before there were signatures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub updates: Vec<SignedUpdate>,
    /// The coordinator's signature of everything else on the card. Absent on cards of before there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<KeySignature>,
}

impl Card {
    /// What people call the specialist: its name and version.
    #[must_use]
    pub fn reference(&self) -> SpecialistVersion {
        SpecialistVersion { name: self.name.clone(), version: self.version }
    }
}

/// Most signed updates on a card.
pub const MAX_UPDATES: usize = 64;

/// The newest event of the ledger at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LedgerHead {
    /// Its sequence number.
    pub sequence: u64,
    /// Its hash.
    pub hash: Digest,
}

/// One ensemble release: immutable and numbered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseManifest {
    /// Its number.
    pub number: ReleaseNumber,
    /// When it was created.
    pub created_at: Timestamp,
    /// A description of what changed.
    pub note: String,
    /// Its specialists with their cards, ordered by name.
    pub specialists: Vec<Card>,
    /// The newest event of the ledger when it was created: who has a release can check that the ledger still
    /// has that event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerHead>,
    /// The keys with which institutions have signed the updates on the cards.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub institution_keys: BTreeMap<InstitutionName, Vec<PublicKey>>,
    /// The coordinator's signature of everything else. Absent in releases of before there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<KeySignature>,
}

impl ReleaseManifest {
    /// File name of the manifest in a pulled release's folder; each specialist lies beside it in
    /// `NAME/weights.safetensors` and `NAME/card.json`.
    pub const FILE: &'static str = "release.json";

    /// A release that nobody has signed yet.
    #[must_use]
    pub const fn unsigned(
        number: ReleaseNumber,
        created_at: Timestamp,
        note: String,
        specialists: Vec<Card>,
    ) -> Self {
        let institution_keys = BTreeMap::new();
        Self { number, created_at, note, specialists, ledger: None, institution_keys, signature: None }
    }
}

/// File name of a specialist's weights inside its folder of a pulled release.
pub const WEIGHTS_FILE: &str = "weights.safetensors";
/// File name of a specialist's card inside its folder of a pulled release.
pub const CARD_FILE: &str = "card.json";

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by fuzzing: without a feature of the JSON parser, numbers come back with another last bit.
    #[test]
    fn numbers_read_back_from_json_with_every_bit() {
        use rand::{RngExt as _, SeedableRng as _};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for _ in 0..10_000 {
            let kwh = Finite::literal(f64::from_bits(rng.random::<u64>() & !(1 << 62)));
            let energy = Energy { kwh, source: EnergySource::Measured, co2e_g: Some(kwh) };
            let json = serde_json::to_string(&energy).unwrap();
            assert_eq!(serde_json::from_str::<Energy>(&json).unwrap(), energy, "{json}");
        }
    }

    #[test]
    fn what_a_training_started_from_is_on_the_card() {
        let old = r#"{"job":"j-0a1b2c3d","mode":"one-shot","institutions":["west"],"rounds":0,"samples":9,"seed":0,"frozen_at":5}"#;
        let mut provenance: Provenance = serde_json::from_str(old).unwrap();
        assert_eq!((&provenance.initial, serde_json::to_string(&provenance).unwrap().as_str()), (&None, old));
        provenance.initial =
            Some(InitialFile { file: "atto.safetensors".to_owned(), digest: Digest::of(b"w") });
        let new = serde_json::to_string(&provenance).unwrap();
        assert!(new.contains(r#""initial":{"file":"atto.safetensors","digest":"sha256:"#), "{new}");
        assert_eq!(serde_json::from_str::<Provenance>(&new).unwrap(), provenance);
        provenance.initial = None;
        provenance.parent = Some(Parent {
            name: "west".parse().unwrap(),
            version: 2,
            weights: Digest::of(b"w"),
            release: ReleaseNumber(3),
            adapted: Vec::new(),
        });
        let new = serde_json::to_string(&provenance).unwrap();
        assert!(new.contains(r#""parent":{"name":"west","version":2,"weights":"sha256:"#), "{new}");
        assert_eq!(serde_json::from_str::<Provenance>(&new).unwrap(), provenance);
    }

    #[test]
    fn file_names_have_no_folders_and_no_control_characters() {
        let named = |file: &str| InitialFile { file: file.to_owned(), digest: Digest::of(b"w") }.check();
        assert!(named("convnextv2_atto.fcmae_ft_in1k.safetensors").is_ok() && named("größe 1").is_ok());
        for bad in ["", "a/b", "a\\b", "a\nb", "\u{1b}[2J", &"x".repeat(256)] {
            assert!(named(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_sum_of_energies_has_the_less_reliable_source() {
        let energy = |kwh, source| Energy { kwh: Finite::literal(kwh), source, co2e_g: None };
        let measured = energy(1.0, EnergySource::Measured);
        let estimated = energy(0.5, EnergySource::Estimated);
        assert_eq!(measured.plus(estimated), energy(1.5, EnergySource::Estimated));
        assert_eq!(estimated.plus(Energy::default()).source, EnergySource::Unavailable);
        let partial = energy(1.0, EnergySource::Partial);
        assert_eq!(partial.plus(estimated).source, EnergySource::Partial);
        assert_eq!(partial.plus(Energy::default()).source, EnergySource::Unavailable);
        let most = energy(f64::MAX, EnergySource::Measured);
        assert_eq!(most.plus(most), most, "a sum can be stored, whatever its parts");
    }

    #[test]
    fn emissions_are_known_only_where_energy_and_intensity_are() {
        let energy = |kwh, source| Energy { kwh: Finite::literal(kwh), source, co2e_g: None };
        let measured = energy(0.5, EnergySource::Measured);
        let at = |energy: Energy, grams| energy.at_intensity(grams).co2e_g.map(Finite::get);
        assert_eq!(at(measured, Some(300)), Some(150.0));
        assert_eq!(at(measured, Some(0)), Some(0.0), "a site with its own wind turbine");
        assert_eq!(at(measured, None), None);
        assert_eq!(at(Energy::default(), Some(300)), None, "unknown, not zero");
        let known = measured.at_intensity(Some(300));
        assert_eq!(known.plus(known).co2e_g.map(Finite::get), Some(300.0));
        assert_eq!(known.plus(measured).co2e_g, None, "a part of the sum is not known");
        assert!(
            !serde_json::to_string(&measured).unwrap().contains("co2e"),
            "signatures of before stay valid"
        );
    }
}
