//! The stream of changes: a line whenever the state of the federation has changed. Pages then ask for
//! themselves again, so that the stream tells nobody anything.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::Dashboard;
use super::answer::Trouble;
use super::visitor::{Visitor, visitor};

/// Most streams at a time, well below the listener's connections. When there are more, new ones are refused.
pub(super) const MAX_STREAMS: usize = 48;
/// Shortest time between two lines.
const LEAST: Duration = Duration::from_millis(500);
/// Longest time between two lines: ages and deadlines change without the state.
const MOST: Duration = Duration::from_secs(20);

/// Opens a stream.
pub(super) async fn live(State(dashboard): State<Dashboard>, visitor: Visitor) -> Result<Response, Trouble> {
    let permit = Arc::clone(&dashboard.streams).try_acquire_owned().map_err(|_| Trouble::TooMany)?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(send(dashboard, visitor.session, sender, permit));
    Ok(Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::default()).into_response())
}

/// Sends lines until nobody listens any more, or the session has ended.
async fn send(
    dashboard: Dashboard,
    session: String,
    sender: mpsc::Sender<Result<Event, Infallible>>,
    _permit: OwnedSemaphorePermit,
) {
    let mut changes = dashboard.engine.changes();
    loop {
        changes.mark_unchanged();
        if visitor(&dashboard, &session).is_none() {
            return;
        }
        if sender.send(Ok(Event::default().event("changed").data("1"))).await.is_err() {
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
