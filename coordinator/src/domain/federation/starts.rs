//! The released specialists whose encoders a job's specialists start from, resolved when the job is submitted, so
//! that no later release changes what a job starts from.

use std::collections::BTreeMap;

use eosfed_common::assignment::BlobRef;
use eosfed_common::card::{Card, ReleaseManifest};
use eosfed_common::head::MAX_HEAD_BYTES;
use eosfed_common::ids::{ReleaseNumber, SpecialistName, SpecialistVersion};
use eosfed_common::plan::{NetworkPlan, OneShotSpec, RoundsSpec};
use eosfed_common::refusal::{Reason, Refusal};

use super::Federation;
use crate::domain::registry::SpecialistRef;
use crate::domain::start::Start;

/// The starts of a job.
#[derive(Debug, Default)]
pub(super) struct Starts {
    /// By the names of the job's specialists.
    pub starts: BTreeMap<SpecialistName, Start>,
    /// The documents of the releases, each once.
    pub documents: Vec<Vec<u8>>,
}

impl Federation {
    /// The specialist that a job of rounds starts from.
    ///
    /// # Errors
    /// As [`Federation::start`].
    pub(super) fn start_of_shared(&self, spec: &RoundsSpec) -> Result<Starts, Refusal> {
        let Some(wanted) = &spec.specialist.start_from else { return Ok(Starts::default()) };
        let (start, _) = self.start(wanted, &spec.network)?;
        Ok(Starts { starts: [(spec.specialist.name.clone(), start)].into(), documents: Vec::new() })
    }

    /// The specialists that those of a one-shot job start from.
    ///
    /// # Errors
    /// As [`Federation::start`]; [`Reason::WrongState`] and [`Reason::TooLarge`] if institutions could not verify
    /// a release.
    pub(super) fn starts_of_each(&self, spec: &OneShotSpec) -> Result<Starts, Refusal> {
        let mut resolved = Starts::default();
        let mut documents: BTreeMap<ReleaseNumber, BlobRef> = BTreeMap::new();
        for specialist in &spec.specialists {
            let Some(wanted) = &specialist.start_from else { continue };
            let (start, release) = self.start(wanted, &spec.network)?;
            let document = match documents.get(&start.release) {
                Some(document) => *document,
                None => {
                    let bytes = document_of(release)?;
                    let document = BlobRef::of(&bytes);
                    resolved.documents.push(bytes);
                    documents.insert(start.release, document);
                    document
                }
            };
            resolved.starts.insert(specialist.name.clone(), Start { document: Some(document), ..start });
        }
        Ok(resolved)
    }

    /// A released specialist to start from, with its newest release.
    ///
    /// # Errors
    /// [`Reason::NotFound`] if there is no such specialist, [`Reason::WrongState`] if it is in no release,
    /// [`Reason::QualityFloor`] if it is excluded from releases, [`Reason::PlanInvalid`] if it has another
    /// backbone.
    fn start(
        &self,
        wanted: &SpecialistVersion,
        network: &NetworkPlan,
    ) -> Result<(Start, &ReleaseManifest), Refusal> {
        let refused = |reason, why: String| Refusal::new(reason, format!("`start_from`: {why}"));
        let reference = SpecialistRef::Version(wanted.name.clone(), wanted.version);
        let card = (self.registry.specialist(&reference)).map_err(|no| refused(no.reason, no.message))?;
        let Some(number) = self.registry.newest_release_with(card) else {
            let why = format!(
                "specialist `{wanted}` is in no release; name another one of `eosfed specialist list`, or create a \
                 release with it: `eosfed release create {wanted}`"
            );
            return Err(refused(Reason::WrongState, why));
        };
        if let Some(why) = self.excluded(card) {
            let why = format!("specialist `{wanted}` is excluded from releases: {why}; name another version");
            return Err(refused(Reason::QualityFloor, why));
        }
        let (wants, has) = (network.backbone, card.model.backbone);
        if wants != has {
            let why = format!(
                "specialist `{wanted}` has the backbone `{has}`, and `model.backbone` is `{wants}`; set \
                 `model.backbone` to `{has}`, or start from another specialist"
            );
            return Err(refused(Reason::PlanInvalid, why));
        }
        let Card { weights, weights_bytes, model, .. } = card;
        let weights = BlobRef { digest: *weights, size: *weights_bytes };
        let (specialist, model) = (wanted.clone(), model.clone());
        let release = &self.registry.release(Some(number))?.manifest;
        Ok((Start { specialist, weights, model, release: number, document: None }, release))
    }
}

/// A signed release as institutions download it.
fn document_of(release: &ReleaseManifest) -> Result<Vec<u8>, Refusal> {
    let number = release.number;
    let refused = |reason, why: String| {
        let what = "create a new one with `eosfed release create`";
        Refusal::new(
            reason,
            format!("`start_from`: release {number} {why}, so no institution would start; {what}"),
        )
    };
    if release.signature.is_none() {
        return Err(refused(Reason::WrongState, "is not signed".to_owned()));
    }
    let bytes = serde_json::to_vec(release).expect("a release is plain data");
    if bytes.len() > MAX_HEAD_BYTES {
        let found = bytes.len();
        return Err(refused(Reason::TooLarge, format!("has {found} bytes, more than {MAX_HEAD_BYTES}")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use eosfed_common::assignment::Work;
    use eosfed_common::statements::Unverified;
    use eosfed_testkit::plans::Plan;
    use eosfed_testkit::signing;

    use super::*;
    use crate::domain::job::{Job, Task, Transition};
    use crate::testing::{
        EVALUATION, NOW, ONE_SHOT, ROUNDS, enrolled, evaluation, finished, name, submit, token, try_submit,
    };

    /// A federation of west and east with a specialist of each, `west-rgb` of red and `east-nir` of nir and swir, in
    /// a signed release.
    fn federation(plan: &str) -> Federation {
        let mut federation = Federation::default();
        federation.merge(enrolled(&["west", "east"]));
        let mut change = federation.settle(finished(&federation, plan), NOW).unwrap();
        change.sign(None, signing::coordinator().key());
        federation.merge(change);
        federation
    }

    /// The plan of rounds for red and nir that starts from a specialist.
    fn rounds(from: &str) -> Plan {
        let one = format!("[{{ name = \"shared\", bands = [\"red\", \"nir\"], start_from = \"{from}\" }}]");
        Plan::new(ROUNDS).set_toml("specialist", &one)
    }

    /// A one-shot plan whose second specialist starts from one of the first kind.
    fn one_shot(from: &str) -> Plan {
        let own = "{ name = \"east-nir\", institution = \"east\", bands = [\"nir\"] }";
        let warm = format!(
            "{{ name = \"west-sar\", institution = \"west\", bands = [\"VV\", \"red\"], start_from = \"{from}\" }}"
        );
        Plan::new(ONE_SHOT).set_toml("specialist", &format!("[{own}, {warm}]"))
    }

    fn refusal(federation: &Federation, plan: &Plan) -> Refusal {
        try_submit(federation, &plan.text()).unwrap_err()
    }

    #[test]
    fn rounds_start_from_the_encoder_of_the_specialist_and_the_card_says_so() {
        let federation = federation(ONE_SHOT);
        let (_, change) = submit(&federation, &rounds("west-rgb@1").text());
        assert_eq!(change.documents, Vec::<Vec<u8>>::new(), "the coordinator makes the first weights");
        let job = &change.jobs[0];
        let card = federation.registry.specialist(&"west-rgb@1".parse().unwrap()).unwrap();
        let Some(Task::Prepare(preparation)) = job.task() else { panic!("{:?}", job.task()) };
        let start = preparation.start.unwrap();
        assert_eq!((start.weights.digest, &start.model), (card.weights, &card.model));
        assert_eq!(job.needs().next(), Some(start.weights), "the sweep keeps it");
        let parent = start.parent(&["red".to_owned(), "nir".to_owned()]);
        assert_eq!((parent.name.as_str(), parent.version, parent.release), ("west-rgb", 1, ReleaseNumber(1)));
        assert_eq!(parent.adapted, ["nir is the mean of all: none is near"]);
        // What is stored is what was resolved, and a job without a start is stored as before.
        let json = serde_json::to_string(&*job.definition).unwrap();
        assert_eq!(serde_json::from_str::<crate::domain::JobDefinition>(&json).unwrap(), *job.definition);
        let (_, before) = submit(&federation, ROUNDS);
        let json = serde_json::to_string(&*before.jobs[0].definition).unwrap();
        assert!(!json.contains("start"), "{json}");
    }

    #[test]
    fn an_institution_gets_the_specialist_and_the_release_that_lists_it() {
        let mut federation = federation(ONE_SHOT);
        federation.merge(enrolled(&["north"]));
        let (id, change) = submit(&federation, &one_shot("west-rgb@1").text());
        let document = BlobRef::of(&change.documents[0]);
        let release: ReleaseManifest = serde_json::from_slice(&change.documents[0]).unwrap();
        let keys = [signing::coordinator().key().public()];
        assert_eq!(release.verify_signature(&keys), Ok::<(), Unverified>(()));
        federation.merge(change);
        let work = |site: &str| {
            let assignment = federation.job(&id).unwrap().assignment(&name(site)).unwrap();
            let Work::Training(work) = assignment.work else { panic!("{:?}", assignment.work) };
            work
        };
        let (warm, cold) = (work("west"), work("east"));
        let card = federation.registry.specialist(&"west-rgb@1".parse().unwrap()).unwrap();
        assert_eq!(warm.base.map(|base| base.digest), Some(card.weights));
        assert_eq!((warm.base_release, warm.base_model.as_deref()), (Some(document), Some(&card.model)));
        assert_eq!((cold.base, cold.base_release, cold.base_model), (None, None, None));
        let may = |site: &str| federation.may_download(&name(site), &document.digest);
        assert!(may("west") && may("east") && !may("north"), "those of the job may download it");
        assert!(federation.referenced().contains(&document.digest), "the sweep keeps it");
        let ended = federation.apply(&id, Transition::Cancel(name("admin")), NOW).unwrap();
        federation.merge(ended);
        assert!(!federation.referenced().contains(&document.digest), "an ended job does not need it");
    }

    #[test]
    fn the_card_of_a_one_shot_specialist_names_its_parent_and_the_bands_that_were_adapted() {
        let mut federation = federation(ONE_SHOT);
        let change = federation.settle(finished(&federation, &one_shot("west-rgb@1").text()), NOW).unwrap();
        let cards: Vec<&Card> = change.specialists.iter().collect();
        let [cold, warm] = cards[..] else { panic!("{cards:?}") };
        assert_eq!((cold.name.as_str(), &cold.provenance.parent), ("east-nir", &None));
        let parent = warm.provenance.parent.clone().unwrap();
        let card = federation.registry.specialist(&"west-rgb@1".parse().unwrap()).unwrap();
        assert_eq!((parent.weights, parent.adapted.len()), (card.weights, 1));
        assert_eq!(parent.adapted[0], "VV is the mean of all: none is near");
        federation.merge(change);
        // A fork starts where the other job did, so its card says the same.
        let (id, change) = submit(&federation, &rounds("west-rgb@1").text());
        federation.merge(change);
        let starts = |job: &Job| job.starts.clone();
        assert_eq!(starts(federation.job(&id).unwrap()).len(), 1);
    }

    #[test]
    fn what_cannot_be_a_start_is_refused_with_what_to_do() {
        let mut known = federation(ONE_SHOT);
        for plan in [rounds("nobody@1"), rounds("west-rgb@9"), one_shot("nobody@1")] {
            let refused = refusal(&known, &plan);
            assert_eq!(refused.reason, Reason::NotFound);
            assert!(refused.message.contains("`start_from`: no specialist `"), "{refused}");
        }
        for plan in [rounds("west-rgb@1"), one_shot("west-rgb@1")] {
            let refused = refusal(&known, &plan.set("model.backbone", "convnextv2_tiny"));
            assert_eq!(refused.reason, Reason::PlanInvalid);
            for words in
                ["`west-rgb@1` has the backbone `convnextv2_atto`", "`model.backbone` is `convnextv2_tiny`"]
            {
                assert!(refused.message.contains(words), "{refused}");
            }
        }
        // In no release.
        let manual = ONE_SHOT.replace("release = \"auto\"", "release = \"manual\"");
        let refused = refusal(&federation(&manual), &rounds("west-rgb@1"));
        assert_eq!(refused.reason, Reason::WrongState);
        assert!(refused.message.contains("eosfed release create west-rgb@1"), "{refused}");
        // In a release without a signature: the coordinator of rounds needs none, institutions do.
        for release in known.registry.releases.values_mut() {
            release.manifest.signature = None;
        }
        assert!(try_submit(&known, &rounds("west-rgb@1").text()).is_ok());
        let refused = refusal(&known, &one_shot("west-rgb@1"));
        assert_eq!(refused.reason, Reason::WrongState);
        assert!(refused.message.contains("release 1 is not signed"), "{refused}");
    }

    #[test]
    fn a_specialist_that_others_find_poor_is_no_start() {
        let floor = "[admission]\nfloor = { metric = \"accuracy\", bound = 0.5, quorum = 1 }\n[training]";
        let mut federation = federation(&ONE_SHOT.replace("[training]", floor));
        let only = EVALUATION.replace("[evaluation]", "[evaluation]\nspecialists = [\"west-rgb\"]");
        let (id, change) = submit(&federation, &only);
        federation.merge(change);
        let job = federation.job(&id).unwrap();
        let offer = job.assignment(&name("east")).unwrap();
        let (outcome, lease) = job.accept(&offer.id, token(1), NOW).unwrap();
        let scores = evaluation(&offer, &lease.token, 0.1);
        let (outcome, _) = outcome.job.submit_evaluation(scores, NOW).unwrap();
        let change = federation.settle(outcome, NOW).unwrap();
        federation.merge(change);
        let refused = refusal(&federation, &rounds("west-rgb@1"));
        assert_eq!(refused.reason, Reason::QualityFloor);
        assert!(refused.message.contains("1 of 1 other institution found less"), "{refused}");
        assert!(try_submit(&federation, &rounds("east-nir@1").text()).is_ok());
    }
}
