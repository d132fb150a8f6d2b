//! The head of a downstream job, resolved against a release when the job is submitted, so
//! that no later release changes what a job trains.

use eosfed_common::card::{Card, ReleaseManifest};
use eosfed_common::head::{HeadEncoder, HeadFile, HeadOver};
use eosfed_common::ids::SpecialistName;
use eosfed_common::model::{Method, NamedBand};
use eosfed_common::plan::{DownstreamSpec, OutputPlan};
use eosfed_common::refusal::{Reason, Refusal};

use super::registry::Registry;
use super::target::HeadRef;

impl Registry {
    /// The head that a job asks for, over the release that it names or the latest, with the bytes of its
    /// document.
    ///
    /// # Errors
    /// [`Reason::NotFound`] without that release or specialist, [`Reason::Malformed`] if a specialist cannot
    /// use the plan's bands, outputs cannot be combined, or maps cannot be composed.
    pub fn head(&self, spec: &DownstreamSpec) -> Result<(HeadRef, Vec<u8>), Refusal> {
        let wanted = &spec.head;
        let release = self.release(wanted.release)?.manifest.clone();
        let cards = chosen("head.specialists", &release, &wanted.specialists)?;
        if wanted.method == Method::Router {
            cards.iter().try_for_each(|card| same_answer(&spec.output, card))?;
        }
        let bands: Vec<_> = wanted.bands.iter().map(|band| NamedBand::of(band)).collect();
        let (encoders, _) = HeadEncoder::of_cards(&cards, &bands, wanted.band_rule)
            .map_err(|(name, reason)| malformed(format!("`head.bands`: specialist `{name}`: {reason}")))?;
        let head = HeadFile::planned(spec, release.number, encoders);
        let over = HeadOver { head, release };
        over.check().map_err(|reason| malformed(format!("`head.composition`: {reason}")))?;
        HeadRef::of(&over).map_err(|error| {
            let message = format!(
                "a head over release {} is not possible: {error}; create a smaller release \
                 with `eosfed release create`",
                over.release.number
            );
            Refusal::new(Reason::TooLarge, message)
        })
    }
}

fn malformed(message: String) -> Refusal {
    Refusal::new(Reason::Malformed, message)
}

/// The specialists with these names in a release, or all of them. `key` is the plan's key that names them.
pub(super) fn chosen<'a>(
    key: &str,
    release: &'a ReleaseManifest,
    names: &[SpecialistName],
) -> Result<Vec<&'a Card>, Refusal> {
    if names.is_empty() {
        return Ok(release.specialists.iter().collect());
    }
    let find = |name: &SpecialistName| {
        release.specialists.iter().find(|card| card.name == *name).ok_or_else(|| {
            let there: Vec<_> = release.specialists.iter().map(|card| card.name.as_str()).collect();
            let message = format!(
                "`{key}`: release {} has no specialist `{name}`; it has {}",
                release.number,
                there.join(", ")
            );
            Refusal::new(Reason::NotFound, message)
        })
    };
    names.iter().map(find).collect()
}

fn same_answer(asked: &OutputPlan, card: &Card) -> Result<(), Refusal> {
    let model = &card.model;
    if model.task == asked.task && model.classes == asked.classes {
        return Ok(());
    }
    Err(malformed(format!(
        "`head.method`: a router weights outputs for the same task and classes; `{}` has {} of {}, the plan \
         has {} of {}; choose others in `head.specialists`, or use `fusion`",
        card.name,
        model.task,
        model.classes.join(", "),
        asked.task,
        asked.classes.join(", ")
    )))
}
