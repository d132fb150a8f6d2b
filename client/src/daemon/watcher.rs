//! Who watches the daemon: a service manager, or nobody.

use std::pin::pin;
use std::time::Duration;

/// Is told what the daemon does, and that its loop makes progress.
pub trait Watcher: Send + Sync {
    /// The daemon holds its state, has asked the coordinator once, and does this now.
    fn doing(&self, what: &str);

    /// The loop has made a step, or still waits as it should.
    fn progressed(&self);

    /// The time between two signs of progress while the loop waits for something long. `None`: none are wanted.
    fn interval(&self) -> Option<Duration>;
}

/// Nobody watches.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watcher for Unwatched {
    fn doing(&self, _: &str) {}

    fn progressed(&self) {}

    fn interval(&self) -> Option<Duration> {
        None
    }
}

/// Awaits work that may take long. The signs of progress come from the task that awaits: if it is blocked,
/// there are none.
pub(super) async fn attended<T>(watcher: &dyn Watcher, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let Some(interval) = watcher.interval() else { return work.await };
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(interval) => watcher.progressed(),
        }
    }
}
