//! The inputs of an aggregate.

use eosfed_common::plan::{ServerPlan, Strategy};
use eosfed_common::weights::Signature;

use crate::weights_reader::WeightsReader;

/// One update.
#[derive(Debug)]
pub struct Update<'a> {
    /// Its weights.
    pub weights: &'a WeightsReader,
    /// Its weight in the aggregate, above 0.
    pub weight: f64,
    /// The weights that it started from, if they are not those of the round (asynchronous rounds).
    pub base: Option<&'a WeightsReader>,
}

/// The inputs of an aggregate.
#[derive(Debug)]
pub struct AggregationInput<'a> {
    /// The rule, and the server step that belongs to it.
    pub strategy: Strategy,
    /// The server step of strategies that have none of their own.
    pub server: ServerPlan,
    /// Names and shapes.
    pub signature: &'a Signature,
    /// The weights that the round started from.
    pub global_model: &'a WeightsReader,
    /// The state of the server optimizer after the last step, if there was one.
    pub optimizer_state: Option<&'a WeightsReader>,
    /// Server steps before this one.
    pub step: u32,
}
