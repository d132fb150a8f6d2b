//! Scores of frozen specialists at institutions: which specialists are scored, their scores, and whether a
//! specialist is good enough for a release by the plan that made it.

use eosfed_common::card::Card;
use eosfed_common::clock::Timestamp;
use eosfed_common::counted::counted;
use eosfed_common::digest::Digest;
use eosfed_common::finite::Finite;
use eosfed_common::ids::{InstitutionName, JobId};
use eosfed_common::plan::{EvaluationPlan, Floor, JobSpec};
use eosfed_common::refusal::Refusal;
use eosfed_common::robust::median;
use eosfed_common::scoring::Scoring;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::closed::{Score, scores};
use super::downstream::chosen;
use super::federation::Federation;
use super::job::Job;
use super::registry::{Registry, SpecialistRef};
use super::round::RoundKind;

/// The scores of one specialist at one institution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// The institution whose imagery it was scored on.
    pub institution: InstitutionName,
    /// The evaluation job.
    pub job: JobId,
    /// When the scores were recorded.
    pub at: Timestamp,
    /// Samples scored.
    pub samples: u64,
    /// The scores.
    pub metrics: BTreeMap<String, Finite>,
    /// What the scores are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scoring: Option<Scoring>,
}

impl Registry {
    /// The specialists that an evaluation scores: those of a release, or the latest version of each name.
    ///
    /// # Errors
    /// [`eosfed_common::refusal::Reason::NotFound`] if the release or specialist does not exist.
    pub fn candidates(&self, wanted: &EvaluationPlan) -> Result<Vec<Card>, Refusal> {
        let EvaluationPlan { release, specialists } = wanted;
        match release {
            Some(number) => {
                let release = &self.release(Some(*number))?.manifest;
                Ok(chosen("evaluation.specialists", release, specialists)?.into_iter().cloned().collect())
            }
            None if specialists.is_empty() => self.latest_of_all(),
            None => {
                let find = |name| self.specialist(&SpecialistRef::Latest(name)).cloned();
                specialists.iter().cloned().map(find).collect()
            }
        }
    }
}

impl Job {
    /// The scores of these weights at institutions, in closed rounds and in the open round.
    fn scores_of(&self, weights: &Digest) -> impl Iterator<Item = (InstitutionName, Score)> {
        let is_about = move |kind: RoundKind| match kind {
            RoundKind::Evaluate(index) => {
                self.candidates.get(index as usize).is_some_and(|card| card.weights == *weights)
            }
            RoundKind::Statistics | RoundKind::OneShot | RoundKind::Train(_) => false,
        };
        let closed = self.closed.iter().filter(move |closed| is_about(closed.kind));
        let closed = closed.flat_map(|closed| closed.scores.clone());
        let open = self.current().filter(move |round| is_about(round.kind));
        closed.chain(open.into_iter().flat_map(scores))
    }
}

impl Federation {
    /// The scores of the specialist with these weights, the newest of each institution, oldest first.
    #[must_use]
    pub fn evaluations(&self, weights: &Digest) -> Vec<Evaluation> {
        let mut newest: BTreeMap<InstitutionName, Evaluation> = BTreeMap::new();
        let scored = |job: &&Job| job.candidates.iter().any(|card| card.weights == *weights);
        for job in self.jobs.values().filter(scored) {
            for (institution, score) in job.scores_of(weights) {
                let Score { at, samples, metrics, scoring } = score;
                if newest.get(&institution).is_none_or(|known| known.at < at) {
                    let job = job.id.clone();
                    let evaluation =
                        Evaluation { institution: institution.clone(), job, at, samples, metrics, scoring };
                    newest.insert(institution, evaluation);
                }
            }
        }
        let mut list: Vec<_> = newest.into_values().collect();
        list.sort_by_key(|one| one.at);
        list
    }

    /// The reason why a specialist is excluded from releases, if it is. It is excluded if more than half of
    /// the institutions that have scored it, and that it was not trained at, find it below the floor of the
    /// plan that made it. Each has one vote, whatever number of samples it reports. There must be at least
    /// the floor's quorum of them, each with the floor's least number of samples. A tie excludes nothing.
    #[must_use]
    pub fn excluded(&self, card: &Card) -> Option<String> {
        let floor = match &self.jobs.get(&card.provenance.job)?.spec {
            JobSpec::OneShot(spec) => spec.admission.floor.as_ref()?,
            JobSpec::Rounds(_) | JobSpec::Downstream(_) | JobSpec::Evaluation(_) | JobSpec::Statistics(_) => {
                return None;
            }
        };
        let Floor { metric, bound, quorum, min_samples } = floor;
        let evaluations = self.evaluations(&card.weights).into_iter();
        let others = evaluations
            .filter(|one| !card.provenance.institutions.contains(&one.institution))
            .filter(|one| one.samples >= *min_samples);
        let values: Vec<f64> =
            others.filter_map(|one| one.metrics.get(metric).map(|value| value.get())).collect();
        let poor = values.iter().filter(|value| !floor.holds(**value)).count();
        if values.len() < *quorum as usize || 2 * poor <= values.len() {
            return None;
        }
        Some(format!(
            "the plan that made `{}` requires `{metric}` of {bound} (`admission.floor`); {poor} of {} \
             found less, and the median is {:.4}",
            card.reference(),
            counted(values.len(), "other institution"),
            median(&values)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::JobState;
    use crate::testing::{EVALUATION, NOW, ONE_SHOT, enrolled, evaluation, finished, name, submit, token};

    /// A federation of west and east, with one specialist of each.
    fn federation(admission: &str) -> Federation {
        let mut federation = Federation::default();
        federation.merge(enrolled(&["west", "east"]));
        let outcome =
            finished(&federation, &ONE_SHOT.replace("[training]", &format!("{admission}[training]")));
        let change = federation.settle(outcome, NOW).unwrap();
        federation.merge(change);
        federation
    }

    fn evaluated(federation: &mut Federation, plan: &str, accuracies: &[(&str, f64)]) -> JobId {
        let (id, change) = submit(federation, plan);
        federation.merge(change);
        for place in 0..2 {
            for (site, accuracy) in accuracies.iter().copied() {
                let job = federation.job(&id).unwrap();
                let Some(offer) = job.assignment(&name(site)) else { continue };
                let (outcome, lease) = job.accept(&offer.id, token(place), NOW).unwrap();
                let scores = evaluation(&offer, &lease.token, accuracy);
                let (outcome, _) = outcome
                    .job
                    .submit_evaluation(scores, NOW.plus(std::time::Duration::from_secs(1)))
                    .unwrap();
                let change = federation.settle(outcome, NOW).unwrap();
                federation.merge(change);
            }
        }
        id
    }

    #[test]
    fn a_round_for_each_specialist_and_scores_of_each_institution() {
        let mut federation = federation("");
        let id = evaluated(&mut federation, EVALUATION, &[("west", 0.9), ("east", 0.4)]);
        let job = federation.job(&id).unwrap();
        assert!(matches!(job.state, JobState::Finished { .. }), "{:?}", job.state);
        assert_eq!(job.closed.len(), 2);
        for card in federation.registry.specialists.values() {
            let found = federation.evaluations(&card.weights);
            let scores: Vec<_> =
                found.iter().map(|one| (one.institution.as_str(), one.metrics["accuracy"].get())).collect();
            assert_eq!(scores.len(), 2);
            assert!(scores.contains(&("west", 0.9)) && scores.contains(&("east", 0.4)), "{scores:?}");
            assert_eq!(federation.excluded(card), None, "without a floor, none is excluded");
        }
    }

    #[test]
    fn a_specialist_with_poor_scores_elsewhere_is_excluded_from_releases() {
        let floor = "floor = { metric = \"accuracy\", bound = 0.5, quorum = 1 }";
        let mut federation = federation(&format!("[admission]\n{floor}\n"));
        let card = |federation: &Federation, text: &str| {
            federation.registry.specialist(&text.parse().unwrap()).unwrap().clone()
        };
        assert_eq!(
            federation.excluded(&card(&federation, "west-rgb")),
            None,
            "no other institution has a score"
        );
        evaluated(&mut federation, EVALUATION, &[("west", 0.9), ("east", 0.4)]);
        let why = federation.excluded(&card(&federation, "west-rgb")).unwrap();
        assert!(why.contains("`west-rgb@1`") && why.contains("0.4000"), "{why}");
        assert_eq!(federation.excluded(&card(&federation, "east-nir")), None, "west finds it good");
        let all = crate::domain::paging::PageRequest::read(0, "").unwrap();
        let listed = federation.list_specialists(&Default::default(), &all).unwrap().documents;
        let excluded: Vec<_> = listed.iter().map(|json| json.contains("\"excluded\":true")).collect();
        assert_eq!(excluded, [false, true], "as the list says: {listed:?}");
        let cut = |references: &[SpecialistRef]| {
            let key = crate::testing::key(77);
            federation.create_release(references, String::new(), key, name("admin"), NOW)
        };
        let (manifest, _) = cut(&[]).unwrap();
        let names: Vec<_> = manifest.specialists.iter().map(|card| card.name.as_str()).collect();
        assert_eq!(names, ["east-nir"]);
        let refused = cut(&["west-rgb".parse().unwrap()]).unwrap_err();
        assert_eq!(refused.reason, eosfed_common::refusal::Reason::QualityFloor);
        // A job that finishes later does not add it again.
        let card = card(&federation, "east-nir");
        let manifest = federation.release_with(&[card], String::new(), NOW).unwrap().unwrap();
        assert_eq!(manifest.specialists.len(), 1);
    }

    /// Why `west-rgb` is left out after these scores, by a floor of 0.5 with these further keys. West has
    /// made it.
    fn verdict(keys: &str, accuracies: &[(&str, f64)]) -> Option<String> {
        let floor = format!("floor = {{ metric = \"accuracy\", bound = 0.5{keys} }}");
        let mut federation = federation(&format!("[admission]\n{floor}\n"));
        federation.merge(enrolled(&["north", "south"]));
        let plan = EVALUATION.replace("[evaluation]", "[evaluation]\nspecialists = [\"west-rgb\"]");
        evaluated(&mut federation, &plan.replace("max = 2", "max = 4"), accuracies);
        let card = federation.registry.specialist(&"west-rgb".parse().unwrap()).unwrap().clone();
        federation.excluded(&card)
    }

    #[test]
    fn one_evaluator_decides_nothing() {
        assert_eq!(verdict("", &[("east", 0.0)]), None, "there must be two");
        assert_eq!(verdict("", &[("east", 0.0), ("west", 0.0)]), None, "its own score never counts");
        let why = verdict("", &[("east", 0.0), ("north", 0.2)]).unwrap();
        assert!(why.contains("2 of 2 other") && why.contains("0.1000"), "{why}");
        assert_eq!(verdict("", &[("east", 0.0), ("north", 0.9)]), None, "neither decides alone");
        assert_eq!(verdict("", &[("east", 0.0), ("north", 0.9), ("south", 0.6)]), None);
        assert!(verdict("", &[("east", 0.0), ("north", 0.4), ("south", 0.9)]).is_some());
        // West cannot save what others find poor.
        assert!(verdict("", &[("east", 0.0), ("north", 0.4), ("west", 1.0)]).is_some());
    }

    #[test]
    fn few_samples_do_not_count() {
        let poor = [("east", 0.0), ("north", 0.0)];
        // Each score is of twelve samples.
        assert!(verdict(", min_samples = 12", &poor).is_some());
        assert_eq!(verdict(", min_samples = 13", &poor), None);
        assert_eq!(verdict(", quorum = 3", &poor), None);
    }

    #[test]
    fn a_specialist_that_no_institution_can_score_is_skipped() {
        let mut federation = federation("");
        federation.merge(enrolled(&["north"]));
        let (id, change) = submit(&federation, EVALUATION);
        federation.merge(change);
        let mut job = federation.job(&id).unwrap().clone();
        for site in ["east", "north", "west"] {
            let offer = job.assignment(&name(site)).unwrap();
            let why = Refusal::new(eosfed_common::refusal::Reason::DataUnfit, "no such band");
            job = job.refuse(&offer.id, why, NOW).unwrap().0.job;
        }
        let round = job.collecting().unwrap();
        assert_eq!((round.index, round.kind), (1, RoundKind::Evaluate(1)));
        assert!(!job.closed[0].complete);
        let late = NOW.plus(std::time::Duration::from_secs(86_400));
        let job = job.apply(crate::domain::Transition::Tick, late).unwrap().job;
        assert!(matches!(job.state, JobState::Finished { .. }), "{:?}", job.state);
    }
}
