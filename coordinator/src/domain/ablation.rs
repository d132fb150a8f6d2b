//! What operators have handed in of the contributions of specialists to heads over releases. The records lie
//! beside the releases, whose bytes and signatures stay as they are.

use std::collections::BTreeMap;

use eosfed_common::ablation::Ablation;
use eosfed_common::card::ReleaseManifest;
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{InstitutionName, ReleaseNumber};
use eosfed_common::refusal::{Reason, Refusal};
use serde::{Deserialize, Serialize};

/// Most ablations of one release.
pub const MAX_ABLATIONS: usize = 8;

/// All ablations, by release and name of the head.
pub type Ablations = BTreeMap<(ReleaseNumber, String), RecordedAblation>;

/// An ablation, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedAblation {
    /// When it was handed in.
    pub at: Timestamp,
    /// The operator who has handed it in.
    pub by: InstitutionName,
    /// The ablation.
    pub ablation: Ablation,
}

impl RecordedAblation {
    /// Its place among all.
    #[must_use]
    pub fn key(&self) -> (ReleaseNumber, String) {
        (self.ablation.release, self.ablation.head.clone())
    }
}

/// The ablations of a release, by the names of their heads.
pub fn of_release(all: &Ablations, release: ReleaseNumber) -> impl Iterator<Item = &RecordedAblation> {
    let first = (release, String::new());
    all.range(first..).take_while(move |((of, _), _)| *of == release).map(|(_, one)| one)
}

/// Checks an ablation against its release and against those that are known of it.
///
/// # Errors
/// [`Reason::Malformed`] if it breaks a rule of its own or names what is no specialist of the release;
/// [`Reason::WrongState`] if the release has [`MAX_ABLATIONS`] under other names.
pub fn check(ablation: &Ablation, release: &ReleaseManifest, all: &Ablations) -> Result<(), Refusal> {
    ablation.check().map_err(|rule| Refusal::new(Reason::Malformed, format!("the ablation: {rule}")))?;
    let of = &release.specialists;
    // Each is there once, so there are at most as many as the release has.
    if let Some(other) =
        ablation.without.iter().find(|one| !of.iter().any(|card| card.weights == one.weights))
    {
        let (number, count) = (release.number, of.len());
        let message = format!(
            "the ablation must be about the {count} specialists of release {number}, found {}, which is none of \
             them; score the head over the folder of `eosfed release pull {number}`",
            other.weights
        );
        return Err(Refusal::new(Reason::Malformed, message));
    }
    let known: Vec<&str> = of_release(all, release.number).map(|one| one.ablation.head.as_str()).collect();
    if known.len() >= MAX_ABLATIONS && !known.contains(&ablation.head.as_str()) {
        let (number, names) = (release.number, known.join("`, `"));
        let message = format!(
            "release {number} has {} ablations, and at most {MAX_ABLATIONS}: `{names}`; hand this one in under one \
             of these names to replace that",
            known.len()
        );
        return Err(Refusal::new(Reason::WrongState, message));
    }
    Ok(())
}
