//! The stream of changes: a line whenever something has changed. Pages then ask for themselves again, so that
//! the stream tells nobody anything.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

/// Most streams at a time, well below the listener's connections. When there are more, new ones are refused.
pub const MAX_STREAMS: usize = 48;
/// Shortest time between two lines.
const LEAST: Duration = Duration::from_millis(500);
/// Longest time between two lines: ages and deadlines change without the state.
const MOST: Duration = Duration::from_secs(20);

/// The streams that are open. Clones share them.
#[derive(Debug, Clone)]
pub struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_STREAMS)))
    }
}

impl Streams {
    /// Opens a stream that lasts while `may_look` says so; nothing if there are too many.
    #[must_use]
    pub fn open<T: Send + Sync + 'static>(
        &self,
        changes: watch::Receiver<T>,
        may_look: impl Fn() -> bool + Send + 'static,
    ) -> Option<Response> {
        let permit = Arc::clone(&self.0).try_acquire_owned().ok()?;
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(send(changes, may_look, sender, permit));
        Some(Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::default()).into_response())
    }
}

/// Sends lines until nobody listens any more, or the session has ended.
async fn send<T: Send + Sync>(
    mut changes: watch::Receiver<T>,
    may_look: impl Fn() -> bool,
    sender: mpsc::Sender<Result<Event, Infallible>>,
    _permit: OwnedSemaphorePermit,
) {
    loop {
        changes.mark_unchanged();
        if !may_look() || sender.send(Ok(Event::default().event("changed").data("1"))).await.is_err() {
            return;
        }
        tokio::time::sleep(LEAST).await;
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(MOST) => {}
            () = sender.closed() => return,
        }
    }
}
