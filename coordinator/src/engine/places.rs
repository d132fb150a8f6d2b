//! Places for work that keeps a processor busy over megabytes and whose caller waits as long as it takes:
//! hashing an upload. When hundreds of institutions finish together, they do so in turn, and greetings and
//! heartbeats are answered meanwhile. Not for calls that a client gives up after half a minute, such as
//! handing in: whoever gives up would lose its place.

use std::num::NonZero;
use std::sync::LazyLock;
use std::thread::available_parallelism;

use tokio::sync::{Semaphore, SemaphorePermit};

/// As many as there are processors; a process has them but once.
static PLACES: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, NonZero::get)));

/// Waits for a place, first come, first served; it is free again when dropped.
pub async fn take() -> Option<SemaphorePermit<'static>> {
    // Nobody closes it.
    PLACES.acquire().await.ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn there_are_as_many_places_as_processors_and_each_is_free_again() {
        let count = available_parallelism().map_or(1, NonZero::get);
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(take().await.unwrap());
        }
        assert!(tokio::time::timeout(Duration::from_millis(50), take()).await.is_err());
        taken.pop();
        assert!(tokio::time::timeout(Duration::from_secs(5), take()).await.unwrap().is_some());
    }
}
