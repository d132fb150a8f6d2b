//! Aggregation of the weights of several institutions: weighted means, robust rules and server optimizers,
//! over files that are read piece by piece.
//!
//! An aggregate has two parts. A *rule* combines the updates of a round into one set of weights; a
//! *server step* goes from the round's starting weights towards it. [`eosfed_common::plan::Strategy`] names both.
//!
//! **The order of arithmetic is part of the contract**, so that anyone with the updates can recompute an
//! aggregate bit for bit. With the updates in the order given (the coordinator gives them in the order of the
//! institutions' names), all sums are of f64, and results are rounded to f32 once, at the end. For a mean,
//! for each element of each tensor:
//!
//! ```text
//! sum = 0.0 (f64);  for each update: sum = sum + weight * (w as f64)
//! combined = sum / (sum of the weights, added in the same order)
//! ```
//!
//! Distances between updates are summed in pieces of [`PIECE`] elements of each tensor, each piece in
//! eight interleaved sums; neither depends on the number of threads.
//!
//! An update may be an encoded step ([`eosfed_common::weights::StepFile`]); it is then the weights that follow.
//!
//! Admission of updates and their storage are tasks of the coordinator.

mod coordinates;
mod distances;
mod encoded;
mod input;
mod linear;
mod network;
mod plain;
mod rule;
mod scratch;
mod server;
mod span;
mod vectorised;
mod weights_reader;

use std::sync::{Mutex, PoisonError};

use eosfed_common::weights::{Signature, Tensors, WeightsError, WeightsWriter};
use rayon::prelude::*;

use rule::Rule;
use scratch::Scratch;
use span::{Span, spans};

pub use distances::{check_from, distance};
pub use input::{AggregationInput, Update};
pub use server::Server;
pub use span::PIECE;
pub use weights_reader::WeightsReader;

/// The result of an aggregation.
#[derive(Debug)]
pub struct Aggregate {
    /// The next weights.
    pub weights: Tensors,
    /// The state of the server optimizer for the next step, by [`Server::state_signature`]'s names.
    pub optimizer_state: Option<Tensors>,
}

/// Why an aggregation failed.
#[derive(Debug, thiserror::Error)]
pub enum AggregateError {
    /// A file cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The updates count for nothing together, so that there is nothing to divide by.
    #[error("the updates must have a finite total weight above 0, found {total}")]
    NoWeight {
        /// The sum of the updates' weights.
        total: f64,
    },
    /// The result would not be finite.
    #[error(
        "the aggregate's tensor `{tensor}` would hold {value}: the server's learning rate is too high, or \
         an update too large; `admission.norm_factor` sets outliers aside"
    )]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// The value.
        value: f32,
    },
    /// A moment of the server optimizer would not be finite.
    #[error(
        "the server optimizer's {moment} moment of tensor `{tensor}` would hold {value}: a moment is kept in 32 \
         bits, up to 3.4e38, and the second is a mean of squares; a step of the updates is too large for it; \
         `admission.norm_factor` sets outliers aside"
    )]
    Moment {
        /// `first` or `second`.
        moment: &'static str,
        /// The tensor.
        tensor: String,
        /// The value.
        value: f32,
    },
}

/// Aggregates at least one update into files: the next weights, and the state of the server optimizer by
/// [`Server::state_signature`]'s names, if it has one. Neither is in memory as a whole. What the files hold after an
/// error is of no use.
///
/// # Errors
/// If a file cannot be read or written, the updates have no weight, or the result would not be finite.
///
/// # Panics
/// If the server optimizer has a state, and there is no file for it.
pub fn aggregate_into(
    input: &AggregationInput<'_>,
    updates: &[Update<'_>],
    weights: &WeightsWriter,
    optimizer_state: Option<&WeightsWriter>,
) -> Result<(), AggregateError> {
    compute(input, updates, |part, span, values| match part {
        Part::Weights => weights.write(span.tensor, span.start, values),
        Part::Moment(moment) => {
            let file = optimizer_state.expect("a server optimizer has a file for its state");
            let span = span.of_moment(moment, input.signature);
            file.write(span.tensor, span.start, values)
        }
    })
}

/// Aggregates at least one update in memory, as [`aggregate_into`] does into files.
///
/// # Errors
/// If a file cannot be read, the updates have no weight, or the result would not be finite.
pub fn aggregate(input: &AggregationInput<'_>, updates: &[Update<'_>]) -> Result<Aggregate, AggregateError> {
    let zeros = |signature: &Signature| -> Tensors {
        let zeros = |shape: &Vec<usize>| vec![0.0; shape.iter().product()];
        signature.0.iter().map(|(name, shape)| (name.clone(), zeros(shape))).collect()
    };
    let state = Server::of(input.strategy, input.server).state_signature(input.signature);
    let mut made = Aggregate { weights: zeros(input.signature), optimizer_state: state.as_ref().map(zeros) };
    let mut weights: Vec<&mut Vec<f32>> = made.weights.values_mut().collect();
    let mut moments: Vec<&mut Vec<f32>> =
        made.optimizer_state.iter_mut().flat_map(Tensors::values_mut).collect();
    let places = Mutex::new((&mut weights, &mut moments));
    compute(input, updates, |part, span, values| {
        let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
        let (place, span) = match part {
            Part::Weights => (&mut *places.0, span),
            Part::Moment(moment) => (&mut *places.1, span.of_moment(moment, input.signature)),
        };
        place[span.tensor][span.start..span.start + span.length].copy_from_slice(values);
        Ok(())
    })?;
    Ok(made)
}

/// What a result is a part of.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// The next weights.
    Weights,
    /// A moment of the server optimizer, by its position in [`Server::moments`].
    Moment(usize),
}

/// Computes an aggregate piece by piece, in parallel. `put` gets each part of each piece once, in any order.
fn compute(
    input: &AggregationInput<'_>,
    updates: &[Update<'_>],
    put: impl Fn(Part, Span, &[f32]) -> Result<(), WeightsError> + Sync,
) -> Result<(), AggregateError> {
    let total: f64 = updates.iter().map(|update| update.weight).sum();
    if !(total > 0.0 && total.is_finite()) {
        return Err(AggregateError::NoWeight { total });
    }
    let rule = Rule::of(input, updates)?;
    let server = Server::of(input.strategy, input.server);
    let pieces: Vec<Span> = spans(input.signature, PIECE).collect();
    let work = |scratch: &mut Scratch, (index, span): (usize, Span)| {
        piece(input, &rule, server, scratch, span, &put).err().map(|error| (index, error))
    };
    let failed = pieces.into_par_iter().enumerate().map_init(Scratch::default, work).flatten();
    // The first, so that the same aggregation fails with the same sentence.
    failed.min_by_key(|(index, _)| *index).map_or(Ok(()), |(_, error)| Err(error))
}

fn piece(
    input: &AggregationInput<'_>,
    rule: &Rule<'_>,
    server: Server,
    scratch: &mut Scratch,
    span: Span,
    put: impl Fn(Part, Span, &[f32]) -> Result<(), WeightsError>,
) -> Result<(), AggregateError> {
    scratch.combined.resize(span.length, 0.0);
    rule.piece(span, scratch)?;
    server.piece(input, span, scratch)?;
    let tensor = || input.signature.0.keys().nth(span.tensor).cloned().unwrap_or_default();
    for (moment, values) in server.moments().iter().zip(&scratch.moments) {
        if let Some(value) = not_finite(values) {
            return Err(AggregateError::Moment { moment, tensor: tensor(), value });
        }
    }
    if let Some(value) = not_finite(&scratch.next) {
        return Err(AggregateError::NotFinite { tensor: tensor(), value });
    }
    put(Part::Weights, span, &scratch.next)?;
    for (moment, values) in scratch.moments.iter().enumerate() {
        put(Part::Moment(moment), span, values)?;
    }
    Ok(())
}

fn not_finite(values: &[f32]) -> Option<f32> {
    values.iter().copied().find(|value| !value.is_finite())
}

#[cfg(test)]
mod tests;
