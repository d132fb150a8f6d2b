//! The timer: it expires leases, closes rounds at their deadlines and sweeps blobs, without calls from
//! clients.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{Core, Handle, on_thread};

/// Longest sleep. A jump of the clock is noticed after it.
const LONGEST: Duration = Duration::from_secs(30);
/// Time between two sweeps of blobs.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// Starts the timer; it ends when the engine is dropped.
pub(super) fn spawn(handle: &Handle) {
    let core = Arc::downgrade(&handle.0);
    let mut changes = handle.changes();
    tokio::spawn(async move {
        while let Some(pause) = pass(&core).await {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    });
    let core = Arc::downgrade(&handle.0);
    tokio::spawn(async move {
        while let Some(core) = core.upgrade() {
            let swept = on_thread(async move || core.sweep().await).await;
            if let Ok(removed @ 1..) = swept {
                tracing::info!(removed, "removed blobs that are no longer needed");
            }
            tokio::time::sleep(SWEEP_INTERVAL).await;
        }
    });
}

/// Does what is due. Gives the time to sleep, or nothing when the engine was dropped.
async fn pass(core: &Weak<Core>) -> Option<Duration> {
    let handle = Handle(core.upgrade()?);
    let due = handle.call(async |core: &Core| {
        // Without calls nobody asks for the write lock, and its progress could not be seen.
        core.let_in().await;
        Ok(core.tick().await)
    });
    let due = due.await;
    if due == Ok(true) {
        return Some(Duration::ZERO);
    }
    let now = handle.now();
    let wakeups = handle.next_wakeups();
    let next = wakeups.into_values().map(|at| at.since(now)).min();
    Some(next.unwrap_or(LONGEST).clamp(Duration::from_millis(1), LONGEST))
}
