//! What a job asks of one institution now.

use eosfed_common::assignment::{Assignment, BlobRef, EvaluationWork, TrainingWork, Work};
use eosfed_common::card::BandNormalisation;
use eosfed_common::digest::Digest;
use eosfed_common::ids::{AssignmentId, InstitutionName};
use eosfed_common::plan::{Mode, Normalisation, SpecialistPlan, Training};
use eosfed_common::task::Keep;
use eosfed_common::trainee::Trainee;

use super::Job;
use crate::domain::round::{Purpose, Slot};

impl Job {
    /// The assignment that is offered or lent to `institution` now.
    #[must_use]
    pub fn assignment(&self, institution: &InstitutionName) -> Option<Assignment> {
        let round = self.collecting()?;
        let (accepted, since) = match round.participants.get(institution)?.slot {
            Slot::Offered => (false, round.index),
            Slot::Leased { since, .. } => (true, since),
            Slot::Submitted { .. } | Slot::Refused { .. } | Slot::Rejected(_) | Slot::Failed { .. } => {
                return None;
            }
        };
        Some(Assignment {
            id: AssignmentId {
                job: self.id.clone(),
                round: since,
                attempt: round.attempt,
                institution: institution.clone(),
            },
            job_name: self.plan.name.clone(),
            trainee: self.trainee_in(since, institution)?,
            deadline: round.deadline,
            min_institutions: match self.plan.mode {
                Mode::OneShot => 1,
                Mode::Rounds => self.plan.participation.min,
            },
            accepted,
            work: match self.purpose(since) {
                Purpose::Statistics => Work::Statistics,
                Purpose::OneShot => Work::Training(Box::new(self.one_shot(institution)?)),
                Purpose::Train(index) => {
                    Work::Training(Box::new(self.training(since, index, institution)?))
                }
                Purpose::Evaluate(place) => Work::Evaluation(Box::new(self.evaluation(place)?)),
            },
        })
    }

    /// What the round of this index is about at an institution.
    fn trainee_in(&self, index: u32, institution: &InstitutionName) -> Option<Trainee> {
        match self.purpose(index) {
            Purpose::Evaluate(place) => {
                Some(Trainee::Specialist(self.candidates.get(place as usize)?.model.clone()))
            }
            Purpose::Statistics | Purpose::OneShot | Purpose::Train(_) => self.trainee_of(institution),
        }
    }

    fn evaluation(&self, place: u32) -> Option<EvaluationWork> {
        let card = self.candidates.get(place as usize)?;
        Some(EvaluationWork {
            weights: BlobRef { digest: card.weights, size: card.weights_bytes },
            normalisation: card.normalisation.clone(),
            input_size: card.input_size,
        })
    }

    /// What an institution trains; nothing in evaluation jobs.
    #[must_use]
    pub fn trainee_of(&self, institution: &InstitutionName) -> Option<Trainee> {
        match self.plan.mode {
            Mode::OneShot => self.plan.model_of(self.specialist_of(institution)?).map(Trainee::Specialist),
            Mode::Rounds => self.shared(),
        }
    }

    /// The plan's specialist that an institution works on.
    pub(super) fn specialist_of(&self, institution: &InstitutionName) -> Option<&SpecialistPlan> {
        match self.plan.mode {
            Mode::OneShot => {
                self.plan.specialists.iter().find(|plan| plan.institution.as_ref() == Some(institution))
            }
            Mode::Rounds => self.plan.specialists.first(),
        }
    }

    fn one_shot(&self, institution: &InstitutionName) -> Option<TrainingWork> {
        let specialist = self.specialist_of(institution)?;
        let normalisation = match &self.plan.normalisation {
            Normalisation::Given { bands } => Some(in_order(bands, &specialist.bands)),
            Normalisation::Local | Normalisation::Federated => None,
        };
        Some(TrainingWork {
            mode: Mode::OneShot,
            strategy: None,
            base: None,
            initial_seed: self.plan.seed,
            normalisation,
            seed: derived_seed(self.plan.seed, 0, institution),
            schedule: [0.0, 1.0],
            keep: Keep::Best,
            settings: self.plan.training.clone()?,
        })
    }

    fn training(&self, since: u32, index: u32, institution: &InstitutionName) -> Option<TrainingWork> {
        let rounds = f64::from(self.plan.training_rounds());
        let strategy = self.plan.rounds.as_ref().map(|rounds| rounds.strategy);
        let proximal_mu = strategy.map_or(0.0, |strategy| strategy.proximal_mu());
        Some(TrainingWork {
            mode: Mode::Rounds,
            strategy: strategy.map(|strategy| strategy.name().to_owned()),
            base: self.base_of(since),
            initial_seed: self.plan.seed,
            normalisation: self.normalisation.clone(),
            seed: derived_seed(self.plan.seed, since, institution),
            schedule: [f64::from(index) / rounds, f64::from(index + 1) / rounds],
            keep: Keep::Last,
            settings: Training { proximal_mu, ..self.plan.training.clone()? },
        })
    }
}

/// The entries of `given` for `bands`, in their order.
pub(super) fn in_order(given: &[BandNormalisation], bands: &[String]) -> Vec<BandNormalisation> {
    bands.iter().filter_map(|band| given.iter().find(|entry| entry.band == *band)).cloned().collect()
}

/// A seed of its own for each round and institution: shuffles must not move in step. The first
/// 52 bits of SHA-256, which every JSON reader keeps exactly.
fn derived_seed(seed: u64, round: u32, institution: &InstitutionName) -> u64 {
    let digest = Digest::of(format!("eosfed training seed {seed} {round} {institution}").as_bytes());
    u64::from_str_radix(&digest.to_hex()[..13], 16).unwrap_or(seed)
}
