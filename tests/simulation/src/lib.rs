//! A whole federation in one thread: the coordinator's engine, its leases and its admission, and the daemons
//! of the institutions, all with the real code; with a simulated clock, network, disks and trainer, all
//! determined by one seed.
//!
//! The faults: messages are lost, duplicated, delayed and thus reordered; the coordinator and the daemons die
//! before, during and after each write; files are torn; disks fill; clocks jump; trainers crash and are slow;
//! data are unavailable; site policies change; operators pause, resume and repeat offers; institutions
//! disappear for hours; attackers guess leases and send files that are not models. The invariants are in
//! [`oracle`] and, for daemons, in [`site`].
//!
//! Not simulated: the bytes on the network, TLS, libtorch and sled. The simulated disk keeps sled's contract
//! (commits are atomic). `tests/kill.rs` kills real processes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test tool says by its panic what went wrong")]

pub mod clock;
pub mod connection;
pub mod coordinator;
pub mod disk;
pub mod faults;
pub mod federation;
pub mod institution;
pub mod network;
pub mod oracle;
pub mod plan;
pub mod site;
pub mod trainer;
pub mod world;

pub use federation::{Report, Scenario, run, run_with};
pub use oracle::Violation;
pub use site::Planted;
