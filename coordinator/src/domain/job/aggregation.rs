//! The computations of the coordinator for a job, and the inputs of an aggregate.

use eosfed_common::assignment::BlobRef;
use eosfed_common::plan::{Asynchronous, DEFAULT_MAX_SHARE, RoundsPlan, ServerPlan, Strategy};
use eosfed_common::report::TrainingReport;
use eosfed_common::weights::StepCode;

use super::Job;
use crate::domain::round::{Contribution, Round, RoundKind};
use crate::domain::start::Start;
use crate::domain::target::Target;
use crate::domain::weighting::weights;

/// A computation of the coordinator that follows from a state. A repetition gives the same bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Make the first weights.
    Prepare(Box<Preparation>),
    /// Aggregate the updates of a round.
    Aggregate(Box<Aggregation>),
}

/// All inputs of the first weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Preparation {
    /// What is trained.
    pub target: Target,
    /// The seed of random values.
    pub seed: u64,
    /// The released specialist whose encoder is the start. Without one, all values are random.
    pub start: Option<Start>,
}

/// All inputs of an aggregate.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregation {
    /// What is trained.
    pub target: Target,
    /// Index of their round.
    pub round: u32,
    /// The aggregation strategy.
    pub strategy: Strategy,
    /// The server step, for strategies that have none of their own.
    pub server: ServerPlan,
    /// The global model that the round started from.
    pub global_model: BlobRef,
    /// The state of the server optimizer.
    pub optimizer_state: Option<BlobRef>,
    /// Server steps before this one.
    pub step: u32,
    /// The updates, in the order of the institutions' names.
    pub updates: Vec<WeightedUpdate>,
}

/// One update of an aggregation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeightedUpdate {
    /// Its weights.
    pub weights: BlobRef,
    /// Its weight in the aggregate.
    pub weight: f64,
    /// The weights that it started from, if they are not those of the round.
    pub base: Option<BlobRef>,
    /// How its file encodes the step from there. Nothing if it holds weights.
    pub code: Option<StepCode>,
}

impl Job {
    /// The largest share of one institution in what is pooled or aggregated.
    #[must_use]
    pub fn max_share(&self) -> Option<f64> {
        match self.spec.federated() {
            Some(federated) => federated.rounds.max_share,
            None => Some(DEFAULT_MAX_SHARE),
        }
    }

    /// The rules of asynchronous rounds, if the job has them.
    pub(super) fn asynchronous(&self) -> Option<Asynchronous> {
        self.spec.federated()?.rounds.asynchronous
    }

    /// Whether work that started from the weights of round `since` can still count in `round`.
    pub(super) fn is_fresh(&self, since: u32, round: &Round) -> bool {
        since == round.index
            || self.asynchronous().is_some_and(|rules| {
                since < round.index
                    && round.index - since <= rules.max_staleness
                    && matches!(self.kind_of(since), RoundKind::Train(_))
            })
    }

    /// The weights that the round with this index started from.
    #[must_use]
    pub fn base_of(&self, index: u32) -> Option<BlobRef> {
        if self.current().is_some_and(|round| round.index == index) {
            return self.global_model;
        }
        // Attempts are in order: only the last one at a round can be complete.
        let end = self.closed.partition_point(|closed| closed.id.round <= index);
        let last = end.checked_sub(1).and_then(|last| self.closed.get(last))?;
        if last.complete && last.id.round == index { last.base } else { None }
    }

    /// The weights that running work or an update of the open round started from.
    pub fn bases(&self) -> impl Iterator<Item = BlobRef> {
        let behind = self.asynchronous().map_or(0, |rules| rules.max_staleness);
        let index = self.current().map_or(0, |round| round.index);
        let live = !self.has_ended();
        (index.saturating_sub(behind)..=index).filter(move |_| live).filter_map(|index| self.base_of(index))
    }

    /// The document that describes the head that it trains.
    pub fn document(&self) -> Option<BlobRef> {
        self.head.as_ref().map(|head| head.document)
    }

    /// The weights that its specialists start from, and the releases that institutions verify them with.
    pub fn start_blobs(&self) -> impl Iterator<Item = BlobRef> {
        self.starts.values().flat_map(|start| std::iter::once(start.weights).chain(start.document))
    }

    /// The blobs that it needs to continue.
    pub fn needs(&self) -> impl Iterator<Item = BlobRef> {
        let updates = self.current().into_iter().flat_map(Round::blobs);
        self.bases()
            .chain(self.start_blobs())
            .chain(self.document())
            .chain(self.global_model)
            .chain(self.optimizer_state)
            .chain(updates)
    }

    pub(super) fn aggregation(&self, round: &Round) -> Option<Aggregation> {
        let RoundsPlan {
            count: _,
            strategy,
            weighting,
            max_share,
            server,
            asynchronous,
            encodings: _,
            top_k_share,
        } = &self.spec.federated()?.rounds;
        let exponent = asynchronous.map_or(0.0, |rules| rules.exponent);
        let updates: Vec<_> = round
            .contributions()
            .filter_map(|(name, contribution)| match contribution {
                Contribution::Update { weights, report, since, .. } => {
                    Some((name, *weights, &**report, *since))
                }
                Contribution::Statistics(_) | Contribution::Evaluation { .. } => None,
            })
            .collect();
        let weighed = updates.iter().map(|(name, _, report, since)| {
            (*name, report.samples, (1.0 + f64::from(round.index - since)).powf(-exponent))
        });
        let weighed = weights(weighting, *max_share, &weighed.collect::<Vec<_>>());
        let weighted_update =
            |((_, weights, report, since), weight): (&(_, BlobRef, &TrainingReport, u32), f64)| {
                let base = if *since == round.index { None } else { self.base_of(*since) };
                WeightedUpdate { weights: *weights, weight, base, code: report.encoding.code(*top_k_share) }
            };
        let RoundKind::Train(step) = round.kind else { return None };
        Some(Aggregation {
            target: self.shared()?,
            round: round.index,
            strategy: *strategy,
            server: *server,
            global_model: self.global_model?,
            optimizer_state: self.optimizer_state,
            step,
            updates: updates.iter().zip(weighed).map(weighted_update).collect(),
        })
    }
}
