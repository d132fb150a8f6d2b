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
//! Admission of updates and their storage are tasks of the coordinator.

mod coordinates;
mod distances;
mod input;
mod linear;
mod rule;
mod server;
mod weights_reader;

use eosfed_common::weights::{Tensors, WeightsError};
use rayon::prelude::*;

use rule::Rule;

pub use distances::distance;
pub use input::{AggregationInput, PIECE, Update};
pub use server::Server;
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
}

/// Aggregates at least one update.
///
/// # Errors
/// If a file cannot be read, or the result would not be finite.
pub fn aggregate(input: &AggregationInput<'_>, updates: &[Update<'_>]) -> Result<Aggregate, AggregateError> {
    let rule = Rule::of(input, updates)?;
    let server = Server::of(input.strategy, input.server);
    let mut weights = Tensors::new();
    let mut optimizer_state = Tensors::new();
    for (name, shape) in &input.signature.0 {
        let length: usize = shape.iter().product();
        let mut next = vec![0.0_f32; length];
        let mut moments: Vec<Vec<f32>> = server.moments().iter().map(|_| vec![0.0; length]).collect();
        // One list of pieces for each moment, turned into one list of moments for each piece.
        let mut pieces: Vec<Vec<&mut [f32]>> = next.chunks_mut(PIECE).map(|piece| vec![piece]).collect();
        for moment in &mut moments {
            for (piece, values) in pieces.iter_mut().zip(moment.chunks_mut(PIECE)) {
                piece.push(values);
            }
        }
        let work = |(index, mut piece): (usize, Vec<&mut [f32]>)| -> Result<(), WeightsError> {
            let (next, moments) = piece.split_at_mut(1);
            let start = index * PIECE;
            let next = &mut *next[0];
            let mut combined = vec![0.0_f64; next.len()];
            rule.piece(name, start, &mut combined)?;
            server.piece(input, name, start, &combined, next, moments)
        };
        pieces.into_par_iter().enumerate().try_for_each(work)?;
        if let Some(value) = next.iter().chain(moments.iter().flatten()).find(|value| !value.is_finite()) {
            return Err(AggregateError::NotFinite { tensor: name.clone(), value: *value });
        }
        weights.insert(name.clone(), next);
        for (moment, values) in server.moments().iter().zip(moments) {
            optimizer_state.insert(format!("{moment}.{name}"), values);
        }
    }
    Ok(Aggregate { weights, optimizer_state: (!server.moments().is_empty()).then_some(optimizer_state) })
}

#[cfg(test)]
mod tests;
