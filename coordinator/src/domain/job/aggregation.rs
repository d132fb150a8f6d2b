//! What an aggregate of a round is made of.

use eosfed_common::assignment::BlobRef;
use eosfed_common::plan::{Asynchronous, RoundsPlan};

use super::{Aggregation, Job, Operand};
use crate::domain::round::{Contribution, Purpose, Round};
use crate::domain::weighting::weights;

impl Job {
    /// The rules of asynchronous rounds, if the job has such.
    pub(super) fn asynchronous(&self) -> Option<Asynchronous> {
        self.spec.federated()?.rounds.asynchronous
    }

    /// Whether work on the weights of round `since` is still of use in `round`.
    pub(super) fn is_fresh(&self, since: u32, round: &Round) -> bool {
        since == round.index
            || self.asynchronous().is_some_and(|rules| {
                since < round.index
                    && round.index - since <= rules.max_staleness
                    && matches!(self.purpose(since), Purpose::Train(_))
            })
    }

    /// The weights that the round of this index started from.
    #[must_use]
    pub fn base_of(&self, index: u32) -> Option<BlobRef> {
        if self.current().is_some_and(|round| round.index == index) {
            return self.global;
        }
        self.history.iter().find(|closed| closed.complete && closed.round.index == index)?.base
    }

    /// The weights that work under way, or an update waiting to be counted, has started from.
    pub fn bases(&self) -> impl Iterator<Item = BlobRef> {
        let behind = self.asynchronous().map_or(0, |rules| rules.max_staleness);
        let index = self.current().map_or(0, |round| round.index);
        let live = !self.has_ended();
        (index.saturating_sub(behind)..=index).filter(move |_| live).filter_map(|index| self.base_of(index))
    }

    /// The blobs that it cannot go on without.
    pub fn needs(&self) -> impl Iterator<Item = BlobRef> {
        let updates = self.current().into_iter().flat_map(Round::blobs);
        self.bases().chain(self.global).chain(self.memory).chain(updates)
    }

    pub(super) fn aggregation(&self, round: &Round) -> Option<Aggregation> {
        let RoundsPlan { count: _, strategy, weighting, max_share, server, asynchronous } =
            &self.spec.federated()?.rounds;
        let exponent = asynchronous.map_or(0.0, |rules| rules.exponent);
        let updates: Vec<_> = round
            .contributions()
            .filter_map(|(name, contribution)| match contribution {
                Contribution::Update { weights, samples, since, .. } => {
                    Some((name, *weights, *samples, *since))
                }
                Contribution::Statistics(_) | Contribution::Evaluation { .. } => None,
            })
            .collect();
        let weighed = updates.iter().map(|(name, _, samples, since)| {
            (*name, *samples, (1.0 + f64::from(round.index - since)).powf(-exponent))
        });
        let weighed = weights(weighting, *max_share, &weighed.collect::<Vec<_>>());
        let operand = |((_, weights, _, since), weight): (&(_, BlobRef, u64, u32), f64)| {
            let base = if *since == round.index { None } else { self.base_of(*since) };
            Operand { weights: *weights, weight, base }
        };
        let Purpose::Train(step) = round.purpose else { return None };
        Some(Aggregation {
            trainee: self.shared()?,
            round: round.index,
            strategy: *strategy,
            server: *server,
            now: self.global?,
            memory: self.memory,
            step,
            updates: updates.iter().zip(weighed).map(operand).collect(),
        })
    }
}
