//! Downloading a blob, again when the way was bad.

use std::path::Path;
use std::time::Duration;

use eosfed_common::assignment::BlobRef;
use eosfed_transport::transfer::download;

use super::connection::Connection;

/// Tries at one file; each goes on where the last ended.
const TRIES: u32 = 5;

/// Downloads a blob into a file, which is then known to have its digest.
pub(super) async fn blob(connection: &Connection, blob: BlobRef, path: &Path) -> anyhow::Result<()> {
    let mut tries = 1;
    while let Err(refusal) = download(connection.transport.clone(), blob, path).await {
        if !refusal.reason.is_transient() || tries == TRIES {
            return Err(refusal.into());
        }
        tokio::time::sleep(Duration::from_secs(tries.into())).await;
        tries += 1;
    }
    Ok(())
}
