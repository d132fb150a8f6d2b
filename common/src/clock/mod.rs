//! Time as an argument: programs hold a [`Clock`], and what decides is given a [`Timestamp`].

mod manual;
mod system;
mod timestamp;

use std::fmt;

pub use manual::ManualClock;
pub use system::SystemClock;
pub use timestamp::Timestamp;

/// Where a program's `now` comes from.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}
