//! The connections that are open, so that those of somebody who may no longer call can be closed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eosfed_common::clock::Clock;
use eosfed_transport::certificate::Certificate;
use tokio_util::sync::CancellationToken;

use super::peer::Peer;

/// The open connections whose callers have shown a certificate; clones are the same.
#[derive(Debug, Clone)]
pub struct LiveConnections {
    clock: Arc<dyn Clock>,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: BTreeMap<u64, (Peer, CancellationToken)>,
}

impl LiveConnections {
    /// None yet. By this clock, a connection is closed when its certificate expires.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, open: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the connections of which `why` gives a reason, each with it in the log; gives how many.
    pub fn close(&self, why: impl Fn(&Certificate) -> Option<String>) -> usize {
        let mut closed = 0;
        for (peer, closing) in self.lock().connections.values() {
            let Some(reason) = peer.certificate.as_deref().and_then(&why) else { continue };
            if !closing.is_cancelled() {
                tracing::info!(address = %peer.address, reason, "a connection is closed");
                closing.cancel();
                closed += 1;
            }
        }
        closed
    }

    /// Notes a connection of a caller with a certificate.
    pub(super) fn enter(&self, peer: &Peer, certificate: &Certificate) -> Place {
        let closing = CancellationToken::new();
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, (peer.clone(), closing.clone()));
        drop(open);
        let left = certificate.not_after.since(self.clock.now());
        let ended = Box::pin(async move {
            tokio::select! {
                () = closing.cancelled() => {}
                () = tokio::time::sleep(left) => {}
            }
        });
        Place { live: self.clone(), number, ended }
    }
}

/// The place of an open connection; given back when dropped.
pub(super) struct Place {
    live: LiveConnections,
    number: u64,
    /// Resolves when the connection is to be closed.
    pub(super) ended: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.live.lock().connections.remove(&self.number);
    }
}
