//! A whole federation in one thread: the coordinator's engine, its leases and its admission, and the
//! daemons of the institutions, all as they are in the programs; with a simulated clock, network, disks
//! and trainer, and one seed from which everything follows.
//!
//! What goes wrong: messages are lost, doubled, delayed and so reordered; the coordinator and the
//! daemons die before, during and after each write; files are torn; disks fill; clocks jump; trainers
//! crash and are slow; data are away; site policies change; people pause, resume and ask again;
//! institutions vanish for hours; attackers guess leases and send what is no model. What must hold
//! nevertheless is in [`oracle`] and, for daemons, in [`site`].
//!
//! Not simulated: the bytes on the wire, TLS, libtorch and sled itself, whose contract (a commit is
//! there whole or not at all) the disk here keeps; real processes are killed in `tests/kill.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test tool says by its panic what went wrong")]

pub mod clock;
pub mod connection;
pub mod coordinator;
pub mod disk;
pub mod federation;
pub mod institution;
pub mod network;
pub mod oracle;
pub mod plan;
pub mod site;
pub mod trainer;
pub mod weather;
pub mod world;

pub use federation::{Report, Weather, run, run_with};
pub use oracle::Violation;
pub use site::Planted;
