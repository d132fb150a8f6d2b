//! The server step: from the round's starting weights towards the combined updates (Reddi et al. 2021,
//! algorithm 2; `delta` is `combined - global`).

use eosfed_common::plan::{ServerPlan, Strategy};
use eosfed_common::weights::{Signature, WeightsError};

use crate::input::AggregationInput;
use crate::scratch::Scratch;
use crate::span::Span;
use crate::vectorised::{Stored, round, value};

/// A server step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Server {
    /// The next weights are the combined weights.
    Take,
    /// `m = momentum * m + delta; next = global + learning_rate * m`.
    Momentum {
        /// The server's learning rate.
        learning_rate: f64,
        /// The factor of the last step in the next one.
        momentum: f64,
    },
    /// `m = b1 m + (1 - b1) delta; v = second(v, delta^2); next = global + rate * m / (sqrt(v) + tau)`.
    Adaptive {
        /// The update rule of the second moment.
        second: Second,
        /// The server's learning rate.
        learning_rate: f64,
        /// The decay rate of the first moment.
        beta_1: f64,
        /// Added to the root of the second moment.
        tau: f64,
    },
}

/// The update rule of the second moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Second {
    /// `v = b2 v + (1 - b2) d2`, with bias correction.
    Adam(f64),
    /// `v = v - (1 - b2) d2 sign(v - d2)`.
    Yogi(f64),
    /// `v = v + d2`.
    Adagrad,
}

impl Server {
    /// The step of a strategy; `plan` is that of strategies without one of their own.
    #[must_use]
    pub fn of(strategy: Strategy, plan: ServerPlan) -> Self {
        match strategy {
            Strategy::FedAvgM { momentum } => Self::Momentum { learning_rate: plan.learning_rate, momentum },
            Strategy::FedAdam { learning_rate, beta_1, beta_2, tau } => {
                Self::Adaptive { second: Second::Adam(beta_2), learning_rate, beta_1, tau }
            }
            Strategy::FedYogi { learning_rate, beta_1, beta_2, tau } => {
                Self::Adaptive { second: Second::Yogi(beta_2), learning_rate, beta_1, tau }
            }
            Strategy::FedAdagrad { learning_rate, tau } => {
                Self::Adaptive { second: Second::Adagrad, learning_rate, beta_1: 0.0, tau }
            }
            Strategy::FedAvg
            | Strategy::FedProx { .. }
            | Strategy::Median
            | Strategy::TrimmedMean { .. }
            | Strategy::Krum { .. }
            | Strategy::MultiKrum { .. }
            | Strategy::GeometricMedian
            | Strategy::NormBoundedMean { .. }
                if plan == ServerPlan::default() =>
            {
                Self::Take
            }
            Strategy::FedAvg
            | Strategy::FedProx { .. }
            | Strategy::Median
            | Strategy::TrimmedMean { .. }
            | Strategy::Krum { .. }
            | Strategy::MultiKrum { .. }
            | Strategy::GeometricMedian
            | Strategy::NormBoundedMean { .. } => {
                Self::Momentum { learning_rate: plan.learning_rate, momentum: plan.momentum }
            }
        }
    }

    /// Names of the state tensors of each tensor.
    #[must_use]
    pub(crate) const fn moments(&self) -> &'static [&'static str] {
        match self {
            Self::Take => &[],
            Self::Momentum { .. } => &["first"],
            Self::Adaptive { .. } => &["first", "second"],
        }
    }

    /// The state tensors for weights of this signature. Nothing if it has no state.
    #[must_use]
    pub fn state_signature(&self, signature: &Signature) -> Option<Signature> {
        let tensors = self.moments().iter().flat_map(|moment| {
            signature.0.iter().map(move |(name, shape)| (format!("{moment}.{name}"), shape.clone()))
        });
        let tensors = tensors.collect();
        (!self.moments().is_empty()).then_some(Signature(tensors))
    }

    /// A piece of the next weights and moments, into `scratch.next` and `scratch.moments`.
    pub(crate) fn piece(
        &self,
        input: &AggregationInput<'_>,
        span: Span,
        Scratch { combined, next, moments, rows, .. }: &mut Scratch,
    ) -> Result<(), WeightsError> {
        next.resize(span.length, 0.0);
        if *self == Self::Take {
            round(combined, next);
            return Ok(());
        }
        rows.resize(span.length, Stored::default());
        moments.resize_with(self.moments().len(), Vec::new);
        for (moment, values) in moments.iter_mut().enumerate() {
            values.clear();
            match input.optimizer_state {
                Some(optimizer_state) => {
                    optimizer_state.read(span.of_moment(moment, input.signature), rows)?;
                    values.extend(rows.iter().map(|stored| f32::from_le_bytes(*stored)));
                }
                None => values.resize(span.length, 0.0),
            }
        }
        input.global_model.read(span, rows)?;
        for (index, next) in next.iter_mut().enumerate() {
            let global = value(rows[index]);
            let delta = combined[index] - global;
            let moved = match *self {
                Self::Take => delta,
                Self::Momentum { learning_rate, momentum } => {
                    let first = momentum * f64::from(moments[0][index]) + delta;
                    moments[0][index] = first as f32;
                    learning_rate * first
                }
                Self::Adaptive { second, learning_rate, beta_1, tau } => {
                    let first = beta_1 * f64::from(moments[0][index]) + (1.0 - beta_1) * delta;
                    let square = second.follow(f64::from(moments[1][index]), delta * delta);
                    (moments[0][index], moments[1][index]) = (first as f32, square as f32);
                    let rate = learning_rate * second.correction(beta_1, input.step);
                    rate * first / (square.sqrt() + tau)
                }
            };
            *next = (global + moved) as f32;
        }
        Ok(())
    }
}

impl Second {
    fn follow(self, second: f64, square: f64) -> f64 {
        match self {
            Self::Adam(beta) => beta * second + (1.0 - beta) * square,
            Self::Yogi(beta) => {
                let towards = (second - square).partial_cmp(&0.0).map_or(0.0, |order| f64::from(order as i8));
                second - (1.0 - beta) * square * towards
            }
            Self::Adagrad => second + square,
        }
    }

    /// Adam's correction of both moments' start at 0 (Kingma and Ba 2015, before section 2.1), with one step
    /// more than the paper, as in Flower.
    fn correction(self, beta_1: f64, step: u32) -> f64 {
        let exponent = f64::from(step) + 2.0;
        match self {
            Self::Adam(beta_2) => (1.0 - beta_2.powf(exponent)).sqrt() / (1.0 - beta_1.powf(exponent)),
            Self::Yogi(_) | Self::Adagrad => 1.0,
        }
    }
}
