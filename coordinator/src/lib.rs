//! The EoS-Fed coordinator: holds the registry of specialists, schedules rounds, aggregates updates
//! and cuts ensemble releases. Never links libtorch.
//!
//! ```text
//! grpc, cli -> engine -> domain
//!              engine -> storage, aggregation -> domain
//! ```

pub mod aggregation;
pub mod domain;
pub mod engine;
pub mod grpc;
pub mod storage;

#[cfg(test)]
mod testing;
