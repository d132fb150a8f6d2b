//! The daemon: it polls for work, checks it against the site policy, does it and submits the result.
//!
//! Decisions come from the pure module [`step`]. What it decides is done in the other modules, one thing
//! after another, and each change of state is in the journal before it is acted upon. After a kill at any
//! instant, the daemon continues from the journal: a training from the trainer's checkpoint, a finished
//! update with the same idempotency key.
//!
//! Everything outside of the daemon is behind the traits of an [`Environment`]. All waiting is on
//! tokio's time, all randomness comes from [`Parts::rng`], and nothing here starts a thread. A test can
//! therefore run many daemons on one thread with paused time, and the same seed gives the same events.

mod budget;
mod data_memory;
mod disk_space;
mod encode;
mod environment;
mod fetch;
mod heartbeat;
mod lanes;
mod leftovers;
mod noise;
mod note;
mod noted_offers;
mod offer_memory;
mod poll_for_work;
mod progress;
mod renewal;
mod run;
mod share_policy;
mod state_data;
mod statistics;
pub mod step;
mod submit;
mod supervise;
mod task;
mod told;
mod traces;
mod train;
mod wait;
mod watcher;

pub use disk_space::{DiskSpace, SystemDisk, largest_work};
pub use environment::{DaemonError, Environment, Intervals, Parts, Programs, TaskSettings};
pub use lanes::beside;
pub use run::Daemon;
pub use traces::Traces;
pub use watcher::{Unwatched, Watcher};
