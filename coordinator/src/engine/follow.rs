//! Followers of the ledger: they read it as it grows, and the engine knows nothing of them.

use std::time::Duration;

use super::Handle;

/// Events that are read at once.
const PAGE: usize = 256;
/// Pause after the ledger could not be read.
const PAUSE: Duration = Duration::from_secs(10);

impl Handle {
    /// Gives `take` each event of the ledger from `from` on, with its number, for ever. `purpose` says in the
    /// log what the events are read for.
    pub async fn follow(&self, mut from: u64, purpose: &'static str, mut take: impl FnMut(u64, &str)) {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            match self.events(from, PAGE).await {
                Ok(lines) if lines.is_empty() => {
                    if changes.changed().await.is_err() {
                        return;
                    }
                }
                Ok(lines) => {
                    for line in lines {
                        take(from, &line);
                        from += 1;
                    }
                }
                Err(refusal) => {
                    tracing::warn!(%refusal, purpose, "cannot read the ledger; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
