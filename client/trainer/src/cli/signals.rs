//! Stopping on request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use eosfed_data::remove_unfinished;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// A flag that SIGTERM and SIGINT set.
pub(super) struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Handles both signals from now on.
    pub(super) fn install() -> anyhow::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    /// Whether a signal has arrived.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// From now on, SIGTERM and SIGINT end the program as they do anyway, but the files that it is writing are removed before.
pub(super) fn remove_unfinished_at_end() -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            remove_unfinished(|| {
                let _ = emulate_default_handler(signal);
            });
        }
    });
    Ok(())
}
