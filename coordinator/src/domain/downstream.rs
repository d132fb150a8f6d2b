//! The head of a downstream job, resolved against a release when the job is submitted, so
//! that no later release changes what a job trains.

use eosfed_common::card::{Card, ReleaseManifest};
use eosfed_common::head::{HeadEncoder, HeadFile, HeadOver, MAX_HEAD_BYTES};
use eosfed_common::ids::SpecialistName;
use eosfed_common::model::{Method, NamedBand};
use eosfed_common::plan::{DownstreamSpec, OutputPlan};
use eosfed_common::refusal::{Reason, Refusal};

use super::registry::Registry;

impl Registry {
    /// The head that a job asks for, over the release that it names or the latest.
    ///
    /// # Errors
    /// [`Reason::NotFound`] without that release or specialist, [`Reason::Malformed`] if a specialist
    /// cannot be fed from the plan's bands, answers cannot be combined or maps not be composed.
    pub fn head_over(&self, spec: &DownstreamSpec) -> Result<HeadOver, Refusal> {
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
        let bytes = serde_json::to_string(&over).map_or(usize::MAX, |json| json.len());
        if bytes > MAX_HEAD_BYTES {
            let message = format!(
                "release {} is described in {bytes} bytes, more than the {MAX_HEAD_BYTES} that travel with a \
                 downstream job; cut a smaller one with `eosfed release create`",
                over.release.number
            );
            return Err(Refusal::new(Reason::TooLarge, message));
        }
        Ok(over)
    }
}

fn malformed(message: String) -> Refusal {
    Refusal::new(Reason::Malformed, message)
}

/// The specialists of these names in a release, or all; `key` is the plan's key that names them.
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
        "`head.method`: a router weighs answers to the same question; `{}` answers for {} of {}, the plan asks for {} \
         of {}; choose others in `head.specialists`, or use `fusion`",
        card.name,
        model.task,
        model.classes.join(", "),
        asked.task,
        asked.classes.join(", ")
    )))
}
