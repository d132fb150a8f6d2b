//! Permits for hashing an upload, which keeps a processor busy for seconds and whose caller has no timeout.
//! When hundreds of institutions finish together, their uploads are hashed in turn, and heartbeats are
//! answered meanwhile. Calls with a timeout, such as submitting an update, must not wait for a permit: a
//! client that times out would lose its turn.

use std::num::NonZero;
use std::sync::LazyLock;
use std::thread::available_parallelism;

use tokio::sync::{Semaphore, SemaphorePermit};

/// One permit for each processor, for the whole process.
static PERMITS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, NonZero::get)));

/// Waits for a permit, in the order of the calls. Dropping the permit returns it.
pub async fn acquire() -> Option<SemaphorePermit<'static>> {
    // The semaphore is never closed.
    PERMITS.acquire().await.ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn there_is_a_permit_for_each_processor_and_it_is_returned() {
        let count = available_parallelism().map_or(1, NonZero::get);
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(acquire().await.unwrap());
        }
        assert!(tokio::time::timeout(Duration::from_millis(50), acquire()).await.is_err());
        taken.pop();
        assert!(tokio::time::timeout(Duration::from_secs(5), acquire()).await.unwrap().is_some());
    }
}
