//! What the service manager's watchdog is fed with: the engine's own progress.

use std::future::pending;
use std::time::Duration;

use eosfed_common::service;

use crate::engine::{Core, Handle};

/// Proves, for ever, that the engine makes progress, as often as the manager wants. A thread for calls was
/// free, and the write lock was taken and released: if one of them hangs, nothing is told, and the manager
/// ends this program and starts it again.
pub(crate) async fn prove(engine: &Handle) {
    let Some(limit) = service::watchdog() else { return pending().await };
    loop {
        probe(engine).await;
        service::progressed();
        tokio::time::sleep(limit / 4).await;
    }
}

/// Resolves when the engine has answered.
async fn probe(engine: &Handle) {
    let mut pause = Duration::from_secs(1);
    let ask = async |core: &Core| {
        core.wait_for_writer().await;
        Ok(())
    };
    while let Err(refusal) = engine.call(ask).await {
        tracing::error!(%refusal, "the engine does not answer");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(60));
    }
}
