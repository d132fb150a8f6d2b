//! The EoS-Fed coordinator: holds the registry of specialists, schedules rounds, aggregates updates
//! and cuts ensemble releases. Never links libtorch.
//!
//! ```text
//! grpc, cli -> engine -> domain
//!              engine -> storage -> domain
//! ```

pub mod backup;
pub mod cli;
pub mod domain;
pub mod engine;
pub mod grpc;
pub mod identity;
pub mod init;
pub mod serve;
pub mod settings;
pub mod storage;

#[cfg(test)]
mod testing;
