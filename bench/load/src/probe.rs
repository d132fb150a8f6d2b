//! Calls that are repeated during the uploads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;

use crate::institution::{Institution, Member};
use crate::report::Report;

/// Time between two calls of a probe during the uploads.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// Durations that a probe has measured.
type Durations = Arc<Mutex<Vec<Duration>>>;

/// Calls that are repeated during the uploads: none of them may fail.
pub(crate) struct Probes {
    greetings: Durations,
    connections: Durations,
    running: JoinSet<anyhow::Result<()>>,
}

impl Probes {
    /// Greets over an open connection, and over a new one each time.
    pub(crate) fn start(institution: Institution, newcomer: Member, url: &str) -> Self {
        let greetings = Durations::default();
        let connections = Durations::default();
        let url = url.to_owned();
        let mut running = JoinSet::new();
        running.spawn(probe(Arc::clone(&greetings), move || {
            let institution = institution.clone();
            async move { Ok(institution.hello().await?) }
        }));
        running.spawn(probe(Arc::clone(&connections), move || {
            let newcomer = newcomer.clone();
            let url = url.clone();
            async move { newcomer.reconnect(&url).await }
        }));
        Self { greetings, connections, running }
    }

    pub(crate) fn end(mut self, report: &mut Report) -> anyhow::Result<()> {
        if let Some(refused) = self.running.try_join_next() {
            refused?.context("a greeting was refused")?;
        }
        report.spread("a greeting meanwhile", std::mem::take(&mut *lock(&self.greetings)));
        report.spread("a new connection meanwhile", std::mem::take(&mut *lock(&self.connections)));
        Ok(())
    }
}

/// Calls repeatedly. Ends only when a call fails.
async fn probe<F>(found: Durations, call: impl Fn() -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<Duration>>,
{
    loop {
        let took = call().await?;
        lock(&found).push(took);
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
