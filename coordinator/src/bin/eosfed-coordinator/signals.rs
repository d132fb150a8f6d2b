//! What signals tell the daemon.

use std::sync::Arc;

use eosfed_common::exit;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// Tells the coordinator at each SIGHUP to read its settings again.
pub(super) fn on_hangup(reload: Arc<Notify>) -> anyhow::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            reload.notify_one();
        }
    })
}

/// Resolves at SIGTERM or SIGINT. A second one ends the program at once: what was acknowledged is stored.
pub(super) fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut next = async move || {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    };
    Ok(async move {
        next().await;
        tokio::spawn(async move {
            next().await;
            tracing::warn!("ending at once on a second signal");
            std::process::exit(exit::DONE.into());
        });
    })
}
