//! How long a measurement has computed.

use nix::sys::resource::{UsageWho, getrusage};

/// Processor time of this process, all threads together, in seconds.
pub(crate) fn seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process may ask for its own usage");
    let times = [usage.user_time(), usage.system_time()];
    times.iter().map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6).sum()
}
