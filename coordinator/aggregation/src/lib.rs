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

use eosfed_common::weights::{Signature, Tensors, WeightsError};
use rayon::prelude::*;

use rule::Rule;
use scratch::Scratch;
use span::{Span, spans};

pub use distances::distance;
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

/// Some values of a tensor, and where its results go.
struct Piece<'a> {
    span: Span,
    next: &'a mut [f32],
    moments: Vec<&'a mut [f32]>,
}

/// Aggregates at least one update.
///
/// # Errors
/// If a file cannot be read, the updates have no weight, or the result would not be finite.
pub fn aggregate(input: &AggregationInput<'_>, updates: &[Update<'_>]) -> Result<Aggregate, AggregateError> {
    let total: f64 = updates.iter().map(|update| update.weight).sum();
    if !(total > 0.0 && total.is_finite()) {
        return Err(AggregateError::NoWeight { total });
    }
    let rule = Rule::of(input, updates)?;
    let server = Server::of(input.strategy, input.server);
    let zeros = || -> Tensors {
        let zeros = |shape: &Vec<usize>| vec![0.0; shape.iter().product()];
        input.signature.0.iter().map(|(name, shape)| (name.clone(), zeros(shape))).collect()
    };
    let mut weights = zeros();
    let mut moments: Vec<Tensors> = server.moments().iter().map(|_| zeros()).collect();
    let pieces = pieces(input.signature, &mut weights, &mut moments);
    let work = |scratch: &mut Scratch, (index, piece): (usize, Piece<'_>)| {
        compute(input, &rule, server, scratch, piece).err().map(|error| (index, error))
    };
    let failed = pieces.into_par_iter().enumerate().map_init(Scratch::default, work).flatten();
    // The first, so that the same aggregation fails with the same sentence.
    if let Some((_, error)) = failed.min_by_key(|(index, _)| *index) {
        return Err(error);
    }
    let optimizer_state = (server.moments().iter().zip(moments))
        .flat_map(|(moment, tensors)| {
            tensors.into_iter().map(move |(name, values)| (format!("{moment}.{name}"), values))
        })
        .collect();
    Ok(Aggregate { weights, optimizer_state: (!server.moments().is_empty()).then_some(optimizer_state) })
}

/// The pieces of all tensors, with those of the moments beside them.
fn pieces<'a>(signature: &Signature, weights: &'a mut Tensors, moments: &'a mut [Tensors]) -> Vec<Piece<'a>> {
    fn cut(tensors: &mut Tensors) -> impl Iterator<Item = &mut [f32]> {
        tensors.values_mut().flat_map(|values| values.chunks_mut(PIECE))
    }
    let mut pieces: Vec<_> = (spans(signature, PIECE).zip(cut(weights)))
        .map(|(span, next)| Piece { span, next, moments: Vec::new() })
        .collect();
    for moment in moments {
        for (piece, values) in pieces.iter_mut().zip(cut(moment)) {
            piece.moments.push(values);
        }
    }
    pieces
}

fn compute(
    input: &AggregationInput<'_>,
    rule: &Rule<'_>,
    server: Server,
    scratch: &mut Scratch,
    Piece { span, next, mut moments }: Piece<'_>,
) -> Result<(), AggregateError> {
    scratch.combined.resize(next.len(), 0.0);
    rule.piece(span, scratch)?;
    server.piece(input, span, scratch, next, &mut moments)?;
    let tensor = || input.signature.0.keys().nth(span.tensor).cloned().unwrap_or_default();
    for (moment, values) in server.moments().iter().zip(moments) {
        if let Some(value) = not_finite(values) {
            return Err(AggregateError::Moment { moment, tensor: tensor(), value });
        }
    }
    match not_finite(next) {
        Some(value) => Err(AggregateError::NotFinite { tensor: tensor(), value }),
        None => Ok(()),
    }
}

fn not_finite(values: &[f32]) -> Option<f32> {
    values.iter().copied().find(|value| !value.is_finite())
}

#[cfg(test)]
mod tests;
