//! The registry: specialists and ensemble releases. Both are immutable.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use eosfed_common::card::{Card, ReleaseManifest};
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::ids::{IdempotencyKey, ReleaseNumber, SpecialistName};
use eosfed_common::refusal::{Reason, Refusal};
use serde::{Deserialize, Serialize};

use super::ablation::Ablations;

/// A reference to a specialist in commands: `NAME` (its latest version), `NAME@VERSION` or a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpecialistRef {
    /// The latest version of a name.
    Latest(SpecialistName),
    /// One version.
    Version(SpecialistName, u32),
    /// By the digest of its weights.
    Weights(Digest),
}

impl FromStr for SpecialistRef {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bad = || {
            let shown: String = text.chars().take(80).flat_map(char::escape_default).collect();
            let rule = "a specialist is named by NAME, NAME@VERSION or `sha256:` and 64 hexadecimal digits";
            Refusal::new(Reason::Malformed, format!("{rule}, found `{shown}`"))
        };
        if let Ok(digest) = text.parse() {
            return Ok(Self::Weights(digest));
        }
        match text.split_once('@') {
            None => text.parse().map(Self::Latest).map_err(|_| bad()),
            Some((name, version)) => {
                let name = name.parse().map_err(|_| bad())?;
                Ok(Self::Version(name, version.parse().map_err(|_| bad())?))
            }
        }
    }
}

impl fmt::Display for SpecialistRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest(name) => name.fmt(f),
            Self::Version(name, version) => write!(f, "{name}@{version}"),
            Self::Weights(digest) => digest.fmt(f),
        }
    }
}

/// A release as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// The manifest that users receive.
    pub manifest: ReleaseManifest,
    /// The idempotency key of the call that created it. Absent if a job created it.
    pub key: Option<IdempotencyKey>,
}

/// All specialists and releases.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Registry {
    /// By name and version.
    pub specialists: BTreeMap<(SpecialistName, u32), Card>,
    /// By number.
    pub releases: BTreeMap<ReleaseNumber, Release>,
    /// What specialists contribute to heads over releases.
    pub ablations: Ablations,
    /// The highest version of each name, and the highest release number, among quarantined records.
    retired: (BTreeMap<SpecialistName, u32>, u32),
}

impl Registry {
    /// The version of the next specialist with this name.
    #[must_use]
    pub fn next_version(&self, name: &SpecialistName) -> u32 {
        let lost = self.retired.0.get(name).copied().unwrap_or_default();
        self.latest(name).map_or(0, |card| card.version).max(lost) + 1
    }

    /// Reserves the number of a quarantined record, so that it is not used again. `record` is its tree and
    /// key.
    pub(super) fn retire(&mut self, record: &str) {
        let (versions, release) = &mut self.retired;
        if let Some((name, version)) = record.strip_prefix("specialists/").and_then(|key| key.split_once('@'))
            && let (Ok(name), Ok(version)) = (name.parse(), version.parse::<u32>())
        {
            let known = versions.entry(name).or_default();
            *known = version.max(*known);
        }
        if let Some(Ok(number)) = record.strip_prefix("releases/").map(str::parse::<u32>) {
            *release = number.max(*release);
        }
    }

    fn latest(&self, name: &SpecialistName) -> Option<&Card> {
        let versions = self.specialists.range((name.clone(), 0)..=(name.clone(), u32::MAX));
        versions.last().map(|(_, card)| card)
    }

    /// The specialist that a reference names.
    ///
    /// # Errors
    /// [`Reason::NotFound`].
    pub fn specialist(&self, reference: &SpecialistRef) -> Result<&Card, Refusal> {
        let found = match reference {
            SpecialistRef::Latest(name) => self.latest(name),
            SpecialistRef::Version(name, version) => self.specialists.get(&(name.clone(), *version)),
            SpecialistRef::Weights(digest) => self.specialists.values().find(|card| card.weights == *digest),
        };
        found.ok_or_else(|| no_specialist(reference))
    }

    /// As [`Registry::specialist`], among those that are in a release: to a reader, others do not exist.
    ///
    /// # Errors
    /// [`Reason::NotFound`].
    pub fn released_specialist(&self, reference: &SpecialistRef) -> Result<&Card, Refusal> {
        let found = match reference {
            SpecialistRef::Latest(name) => {
                let versions = self.specialists.range((name.clone(), 0)..=(name.clone(), u32::MAX));
                versions.rev().map(|(_, card)| card).find(|card| self.is_released(card))
            }
            SpecialistRef::Version(..) | SpecialistRef::Weights(_) => {
                self.specialist(reference).ok().filter(|card| self.is_released(card))
            }
        };
        found.ok_or_else(|| no_specialist(reference))
    }

    /// Whether a specialist is in a release.
    #[must_use]
    pub fn is_released(&self, card: &Card) -> bool {
        self.newest_release_with(card).is_some()
    }

    /// A release by number; the latest without one.
    ///
    /// # Errors
    /// [`Reason::NotFound`].
    pub fn release(&self, number: Option<ReleaseNumber>) -> Result<&Release, Refusal> {
        let found = match number {
            Some(number) => self.releases.get(&number),
            None => self.releases.last_key_value().map(|(_, release)| release),
        };
        found.ok_or_else(|| {
            let message = match number {
                Some(number) => format!("no release {number}; see `eosfed release list`"),
                None => "there is no release yet; create one with `eosfed release create`".to_owned(),
            };
            Refusal::new(Reason::NotFound, message)
        })
    }

    /// The newest release that has this specialist.
    #[must_use]
    pub fn newest_release_with(&self, card: &Card) -> Option<ReleaseNumber> {
        // The specialists of a release are in the order of their names.
        let has = |release: &Release| {
            let specialists = &release.manifest.specialists;
            let place = specialists.binary_search_by(|one| one.name.cmp(&card.name));
            place.is_ok_and(|place| specialists[place].version == card.version)
        };
        self.releases.iter().rev().find(|(_, release)| has(release)).map(|(number, _)| *number)
    }

    /// The latest version of every specialist.
    ///
    /// # Errors
    /// [`Reason::WrongState`] without specialists.
    pub fn latest_of_all(&self) -> Result<Vec<Card>, Refusal> {
        let mut latest = BTreeMap::new();
        for card in self.specialists.values() {
            latest.insert(card.name.clone(), card.clone());
        }
        if latest.is_empty() { Err(nothing()) } else { Ok(latest.into_values().collect()) }
    }

    /// The specialists with these references.
    ///
    /// # Errors
    /// [`Reason::NotFound`], or [`Reason::Malformed`] if a name is given twice.
    pub fn named(&self, references: &[SpecialistRef]) -> Result<Vec<Card>, Refusal> {
        let mut chosen = BTreeMap::new();
        for reference in references {
            let card = self.specialist(reference)?;
            if chosen.insert(card.name.clone(), card.clone()).is_some() {
                let message = format!("specialist `{}` is named twice", card.name);
                return Err(Refusal::new(Reason::Malformed, message));
            }
        }
        Ok(chosen.into_values().collect())
    }

    /// The specialists of the latest release with these added. A new one replaces the one with the same name.
    #[must_use]
    pub fn latest_release_with(&self, fresh: &[Card]) -> Vec<Card> {
        let before = self.releases.last_key_value().map(|(_, release)| &release.manifest.specialists);
        let cards = before.into_iter().flatten().chain(fresh);
        let cards: BTreeMap<_, _> = cards.map(|card| (card.name.clone(), card.clone())).collect();
        cards.into_values().collect()
    }

    /// The next release. It contains these specialists in the order of their names.
    ///
    /// # Errors
    /// [`Reason::WrongState`] if there are none.
    pub fn cut(
        &self,
        specialists: Vec<Card>,
        note: String,
        now: Timestamp,
    ) -> Result<ReleaseManifest, Refusal> {
        if specialists.is_empty() {
            return Err(nothing());
        }
        let last = self.releases.last_key_value().map_or(0, |(number, _)| number.0).max(self.retired.1);
        Ok(ReleaseManifest::unsigned(ReleaseNumber(last + 1), now, note, specialists))
    }
}

fn no_specialist(reference: &SpecialistRef) -> Refusal {
    let message = format!("no specialist `{reference}`; see `eosfed specialist list`");
    Refusal::new(Reason::NotFound, message)
}

fn nothing() -> Refusal {
    Refusal::new(Reason::WrongState, "there are no specialists; submit a job that makes some first")
}
