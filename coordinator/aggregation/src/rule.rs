//! The combination rule of a strategy.

use eosfed_common::plan::Strategy;
use eosfed_common::weights::WeightsError;

use crate::coordinates::Coordinates;
use crate::input::{AggregationInput, Update};
use crate::scratch::Scratch;
use crate::span::Span;
use crate::{distances, linear};

/// The prepared rule of a strategy, which computes pieces.
pub(crate) enum Rule<'a> {
    Linear(linear::Terms<'a>),
    Coordinates(Coordinates<'a>),
}

impl<'a> Rule<'a> {
    pub(crate) fn of(input: &AggregationInput<'a>, updates: &[Update<'a>]) -> Result<Self, WeightsError> {
        let all = || updates.iter().map(|update| update.weights).collect::<Vec<_>>();
        Ok(match input.strategy {
            Strategy::FedAvg
            | Strategy::FedProx { .. }
            | Strategy::FedAvgM { .. }
            | Strategy::FedAdam { .. }
            | Strategy::FedYogi { .. }
            | Strategy::FedAdagrad { .. } => Self::Linear(linear::mean(input.global_model, updates)),
            Strategy::Median => {
                Self::Coordinates(Coordinates::new(all(), updates.len().saturating_sub(1) / 2))
            }
            Strategy::TrimmedMean { trim } => {
                let cut = (trim * updates.len() as f64) as usize;
                Self::Coordinates(Coordinates::new(all(), cut))
            }
            Strategy::Krum { byzantine } => {
                let squares = distances::squares(input.signature, &all())?;
                Self::Linear(linear::krum(&squares, updates, byzantine, 1))
            }
            Strategy::MultiKrum { byzantine, keep } => {
                let squares = distances::squares(input.signature, &all())?;
                let keep = keep
                    .map_or_else(|| updates.len().saturating_sub(byzantine as usize), |keep| keep as usize);
                Self::Linear(linear::krum(&squares, updates, byzantine, keep))
            }
            Strategy::GeometricMedian => {
                let squares = distances::squares(input.signature, &all())?;
                Self::Linear(linear::geometric_median(&squares, updates))
            }
            Strategy::NormBoundedMean { bound } => {
                Self::Linear(linear::norm_bounded(input.signature, input.global_model, updates, bound)?)
            }
        })
    }

    /// Combines a piece into `scratch.combined`, which has its length.
    pub(crate) fn piece(&self, span: Span, scratch: &mut Scratch) -> Result<(), WeightsError> {
        match self {
            Self::Linear(terms) => terms.piece(span, scratch),
            Self::Coordinates(coordinates) => coordinates.piece(span, scratch),
        }
    }
}
