//! Downloading a blob, with retries.

use std::path::Path;
use std::time::Duration;

use eosfed_common::assignment::BlobRef;
use eosfed_common::refusal::Refusal;
use eosfed_transport::transfer::{download, fetch_document};

use super::connection::Connection;

/// Tries for one file. Each continues where the last one ended.
const TRIES: u32 = 5;

/// Downloads a blob into a file and checks its digest.
pub(super) async fn blob(connection: &Connection, blob: BlobRef, path: &Path) -> anyhow::Result<()> {
    with_retries(|| download(connection.transport.clone(), blob, path)).await
}

/// Downloads a blob with a limit on its size.
pub(super) async fn document(connection: &Connection, blob: BlobRef, most: u64) -> anyhow::Result<Vec<u8>> {
    with_retries(|| fetch_document(connection.transport.clone(), blob, most)).await
}

async fn with_retries<T, F>(fetch: impl Fn() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, Refusal>>,
{
    let mut tries = 1;
    loop {
        match fetch().await {
            Ok(fetched) => return Ok(fetched),
            Err(refusal) if !refusal.reason.is_transient() || tries == TRIES => return Err(refusal.into()),
            Err(_) => tokio::time::sleep(Duration::from_secs(tries.into())).await,
        }
        tries += 1;
    }
}
