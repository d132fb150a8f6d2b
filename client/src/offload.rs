//! Runs work that keeps a processor or a disk busy for long. It runs on its own threads, so that heartbeats
//! continue meanwhile, or in the caller, for tests that run everything on one thread.

/// Where blocking work runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocking {
    /// On tokio's threads for blocking work.
    ThreadPool,
    /// In the caller.
    Inline,
}

impl Blocking {
    /// Does the work and gives its result.
    ///
    /// # Errors
    /// A sentence, if the work panicked on its thread.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        match self {
            Self::ThreadPool => tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string()),
            Self::Inline => Ok(work()),
        }
    }
}
