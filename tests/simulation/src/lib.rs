//! A whole federation in one thread: the coordinator's engine, its leases and its admission, and the
//! decisions of the institutions' daemons, all as they are in the programs; with a simulated clock,
//! network and disks, and one seed from which everything follows.
//!
//! What goes wrong: messages are lost, doubled, delayed and so reordered; the coordinator and the
//! daemons die before, during and after each write; files are torn; disks fill; clocks jump; people
//! pause, resume and ask again; institutions vanish for hours; attackers guess leases and send
//! what is no model. What must hold nevertheless is in [`oracle`].
//!
//! Not simulated: the bytes on the wire, TLS, libtorch and sled itself, whose contract (a commit is
//! there whole or not at all) the disk here keeps; real processes are killed in `tests/kill.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test tool says by its panic what went wrong")]

pub mod coordinator;
pub mod disk;
pub mod network;
pub mod oracle;
pub mod plan;
pub mod site;
pub mod world;

pub use oracle::Violation;
pub use world::{Report, run};
