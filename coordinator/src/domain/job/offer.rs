//! The present assignment of a job for one institution.

use eosfed_common::assignment::{Assignment, BlobRef, EvaluationWork, TrainingWork, Work};
use eosfed_common::digest::Digest;
use eosfed_common::ids::{AssignmentId, InstitutionName};
use eosfed_common::plan::{JobSpec, OneShotNormalisation, OneShotSpec, Training, in_order};
use eosfed_common::task::Keep;
use eosfed_common::weights::DEFAULT_TOP_K_SHARE;

use super::Job;
use crate::domain::round::{ParticipantState, RoundKind};
use crate::domain::target::Target;

impl Job {
    /// The assignment that is offered or leased to `institution` now.
    #[must_use]
    pub fn assignment(&self, institution: &InstitutionName) -> Option<Assignment<Target>> {
        let round = self.collecting()?;
        let (accepted, since) = match round.participants.get(institution)?.state {
            ParticipantState::Offered => (false, round.index),
            ParticipantState::Leased { since, .. } => (true, since),
            ParticipantState::Submitted { .. }
            | ParticipantState::Refused { .. }
            | ParticipantState::Rejected(_)
            | ParticipantState::Failed { .. } => {
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
            job_name: self.spec.name().to_owned(),
            kind: self.spec.kind(),
            training_target: self.target_in(since, institution)?,
            deadline: round.deadline_of(institution),
            min_institutions: self.spec.min_institutions(),
            accepted,
            dataset: self.spec.participation().dataset.clone(),
            work: self.work(since, institution)?,
        })
    }

    /// The work of the round with this index for an institution.
    fn work(&self, since: u32, institution: &InstitutionName) -> Option<Work> {
        Some(match self.kind_of(since) {
            RoundKind::Statistics => Work::Statistics,
            RoundKind::OneShot => match &self.spec {
                JobSpec::OneShot(spec) => Work::Training(Box::new(self.one_shot(spec, institution)?)),
                JobSpec::Rounds(_)
                | JobSpec::Downstream(_)
                | JobSpec::Evaluation(_)
                | JobSpec::Statistics(_) => return None,
            },
            RoundKind::Train(index) => Work::Training(Box::new(self.training(since, index, institution)?)),
            RoundKind::Evaluate(index) => Work::Evaluation(Box::new(self.evaluation(index)?)),
        })
    }

    /// What the round with this index trains, measures or scores at an institution.
    fn target_in(&self, index: u32, institution: &InstitutionName) -> Option<Target> {
        match self.kind_of(index) {
            RoundKind::Evaluate(index) => {
                Some(Target::Specialist(self.candidates.get(index as usize)?.model.clone()))
            }
            RoundKind::Statistics | RoundKind::OneShot | RoundKind::Train(_) => self.target_of(institution),
        }
    }

    fn evaluation(&self, index: u32) -> Option<EvaluationWork> {
        let card = self.candidates.get(index as usize)?;
        Some(EvaluationWork {
            weights: BlobRef { digest: card.weights, size: card.weights_bytes },
            normalisation: card.normalisation.clone(),
            input_size: card.input_size,
            antialias: card.antialias,
        })
    }

    /// What an institution trains or measures. Nothing in evaluation jobs.
    #[must_use]
    pub fn target_of(&self, institution: &InstitutionName) -> Option<Target> {
        match &self.spec {
            JobSpec::OneShot(spec) => {
                let specialist = spec.specialist_of(institution)?;
                Some(Target::Specialist(spec.network.on(&specialist.bands)))
            }
            JobSpec::Rounds(_) | JobSpec::Downstream(_) => self.shared(),
            JobSpec::Statistics(spec) => Some(Target::Bands(spec.statistics.bands.clone())),
            JobSpec::Evaluation(_) => None,
        }
    }

    fn training(&self, since: u32, index: u32, institution: &InstitutionName) -> Option<TrainingWork> {
        let (seed, federated) = match &self.spec {
            JobSpec::Rounds(spec) => (spec.seed, &spec.federated),
            JobSpec::Downstream(spec) => (spec.seed, &spec.federated),
            JobSpec::OneShot(_) | JobSpec::Evaluation(_) | JobSpec::Statistics(_) => return None,
        };
        let rounds = f64::from(federated.rounds.count);
        let strategy = federated.rounds.strategy;
        Some(TrainingWork {
            strategy: Some(strategy.name()),
            base: self.base_of(since),
            base_release: None,
            base_model: None,
            initial_seed: seed,
            normalisation: self.normalisation.as_deref().cloned(),
            seed: derived_seed(seed, since, institution),
            schedule: [f64::from(index) / rounds, f64::from(index + 1) / rounds],
            keep: Keep::Last,
            settings: Training { proximal_mu: strategy.proximal_mu(), ..federated.training.clone() },
            encodings: federated.rounds.encodings.clone(),
            top_k_share: federated.rounds.top_k_share,
        })
    }

    fn one_shot(&self, spec: &OneShotSpec, institution: &InstitutionName) -> Option<TrainingWork> {
        let specialist = spec.specialist_of(institution)?;
        let normalisation = match &spec.normalisation {
            OneShotNormalisation::Given { bands } => Some(in_order(bands, &specialist.bands)),
            OneShotNormalisation::Local => None,
        };
        let start = self.starts.get(&specialist.name);
        Some(TrainingWork {
            strategy: None,
            base: start.map(|start| start.weights),
            base_release: start.and_then(|start| start.document),
            base_model: start.map(|start| Box::new(start.model.clone())),
            initial_seed: spec.seed,
            normalisation,
            seed: derived_seed(spec.seed, 0, institution),
            schedule: [0.0, 1.0],
            keep: Keep::Best,
            settings: spec.training.clone(),
            encodings: Vec::new(),
            top_k_share: DEFAULT_TOP_K_SHARE,
        })
    }
}

/// A separate seed for each round and institution, so that institutions do not shuffle in the same order. The
/// first 52 bits of SHA-256, which every JSON reader keeps exactly.
fn derived_seed(seed: u64, round: u32, institution: &InstitutionName) -> u64 {
    let digest = Digest::of(format!("eosfed training seed {seed} {round} {institution}").as_bytes());
    u64::from_str_radix(&digest.to_hex()[..13], 16).unwrap_or(seed)
}
