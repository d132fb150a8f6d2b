//! The wish to end, from a signal to everything that waits.

use tokio::sync::watch;

/// Raises the wish; dropping it raises it too.
#[derive(Debug)]
pub struct StopSender(watch::Sender<bool>);

impl StopSender {
    /// Raises the wish, for good.
    pub fn raise(&self) {
        self.0.send_replace(true);
    }
}

/// Tells when the wish has been raised.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// A wish that has not been raised, and who can raise it.
#[must_use]
pub fn stop() -> (StopSender, Stop) {
    let (sender, receiver) = watch::channel(false);
    (StopSender(sender), Stop(receiver))
}

impl Stop {
    /// Waits until the wish is raised.
    pub async fn raised(&self) {
        let mut receiver = self.0.clone();
        // An error means that nobody can raise it any more: the program is ending.
        let _ = receiver.wait_for(|raised| *raised).await;
    }
}
