//! Metrics that are looked up with each scrape: they follow from the state of the federation, of its
//! connections and of the process.

mod connections;
mod federation;
mod files;
mod members;
mod process;
mod rounds;

use std::sync::Arc;

use super::Context;
pub(super) use files::{Sizes, sample};

/// Adds all observers to the metrics.
pub(super) fn observe(context: &Context, sizes: &Arc<Sizes>) {
    let Context { engine, metrics, traffic, live, authority_ends, state, .. } = context;
    metrics.observe(federation::Counts(engine.clone()));
    metrics.observe(members::Members {
        engine: engine.clone(),
        traffic: traffic.clone(),
        authority_ends: *authority_ends,
    });
    metrics.observe(rounds::OpenRounds(engine.clone()));
    metrics.observe(connections::Connections { traffic: traffic.clone(), live: live.clone() });
    metrics.observe(files::Files { sizes: Arc::clone(sizes), state: state.clone() });
    metrics.observe(process::Process { started: engine.now() });
}

/// The series of a metric without labels.
const fn single(value: f64) -> [([String; 0], f64); 1] {
    [([], value)]
}
