//! The EoS-Fed coordinator: holds the registry of specialists, schedules rounds, aggregates updates
//! and cuts ensemble releases. Never links libtorch.
//!
//! ```text
//! grpc, http -> engine -> domain
//!         engine -> storage -> domain
//! ```

#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod authority_files;
pub mod backup;
pub mod ca;
pub mod ca_command;
pub mod ca_request;
pub mod check;
pub mod disk;
pub mod domain;
pub mod engine;
pub mod exit;
pub mod external_ca;
pub mod grpc;
pub mod health;
pub mod http;
pub mod init;
pub mod metrics;
pub mod notify;
pub mod open_files;
pub mod overview;
mod pem_files;
mod progress;
pub mod serve;
pub mod sessions;
pub mod settings;
pub mod signing_keys;
pub mod storage;
pub mod tls;
mod traces;
pub mod traffic;

#[cfg(test)]
mod testing;
