//! Time as an argument: programs hold a [`Clock`], and functions that decide take a [`Timestamp`].

mod manual;
mod moment;
mod system;
mod timestamp;

use std::fmt;

pub use manual::ManualClock;
pub use moment::moment;
pub use system::SystemClock;
pub use timestamp::Timestamp;

/// The source of a program's current time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}
