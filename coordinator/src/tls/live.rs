//! The connections that are open: how many each member and anonymous callers have, and a way to close those of
//! members that may no longer call.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eosfed_common::clock::Clock;
use eosfed_transport::certificate::Certificate;
use tokio_util::sync::CancellationToken;

use super::limits::{Limits, Source};
use super::peer::Peer;

/// The open connections; clones are the same.
#[derive(Debug, Clone)]
pub struct LiveConnections {
    limits: Limits,
    clock: Arc<dyn Clock>,
    open: Arc<Mutex<Open>>,
    turned_away: Arc<TurnedAway>,
}

/// Connections and handshakes that came to nothing, since the start.
#[derive(Debug, Default)]
pub struct TurnedAway {
    /// A member had too many connections.
    pub members: AtomicU64,
    /// There were too many connections without a certificate.
    pub anonymous: AtomicU64,
    /// An address had too many handshakes.
    pub handshakes: AtomicU64,
    /// Handshakes that failed, took too long or gave way.
    pub failed: AtomicU64,
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
        Self { limits: Limits::default(), clock, open: Arc::default(), turned_away: Arc::default() }
    }

    /// How many handshakes and connections there may be.
    pub(super) const fn limits(&self) -> Limits {
        self.limits
    }

    /// What was turned away.
    #[must_use]
    pub fn turned_away(&self) -> &TurnedAway {
        &self.turned_away
    }

    /// The number of open connections of members, and of callers without a certificate.
    #[must_use]
    pub fn count(&self) -> [usize; 2] {
        let open = self.lock();
        let members = open.connections.values().filter(|(peer, _)| peer.certificate.is_some()).count();
        [members, open.connections.len() - members]
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

    /// Notes a connection. The newest one is refused, so that a caller with too many cannot interrupt
    /// the calls of others, or its own.
    ///
    /// # Errors
    /// If its caller has as many connections as it may have.
    pub(super) fn enter(&self, peer: &Peer) -> io::Result<OpenConnection> {
        let closing = CancellationToken::new();
        let mut open = self.lock();
        if let Err(refused) = open.check(&self.limits, peer) {
            let TurnedAway { members, anonymous, .. } = &*self.turned_away;
            let counter = if peer.certificate.is_some() { members } else { anonymous };
            counter.fetch_add(1, Ordering::Relaxed);
            return Err(refused);
        }
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, (peer.clone(), closing.clone()));
        drop(open);
        let left = match &peer.certificate {
            Some(certificate) => certificate.not_after.since(self.clock.now()),
            None => self.limits.anonymous_timeout,
        };
        let ended = Box::pin(async move {
            tokio::select! {
                () = closing.cancelled() => {}
                () = tokio::time::sleep(left) => {}
            }
        });
        Ok(OpenConnection { live: self.clone(), number, ended })
    }
}

impl Open {
    /// Whether one more connection of a caller fits.
    fn check(&self, limits: &Limits, peer: &Peer) -> io::Result<()> {
        let count = |counts: &dyn Fn(&Peer) -> bool| {
            self.connections.values().filter(|(other, _)| counts(other)).count()
        };
        let refuse = |what: String| Err(io::Error::new(io::ErrorKind::QuotaExceeded, what));
        match &peer.certificate {
            Some(certificate) => {
                let own = |other: &Peer| {
                    other.certificate.as_ref().is_some_and(|other| other.identity == certificate.identity)
                };
                let most = limits.max_connections_per_member;
                if count(&own) >= most {
                    return refuse(format!("`{}` has {most} connections already", certificate.identity));
                }
            }
            None => {
                let source = Source::of(peer.address.ip());
                let anonymous = |other: &Peer| other.certificate.is_none();
                let of_source = |other: &Peer| anonymous(other) && Source::of(other.address.ip()) == source;
                if count(&of_source) >= limits.max_anonymous_per_address
                    || count(&anonymous) >= limits.max_anonymous
                {
                    return refuse("too many connections without a certificate".to_owned());
                }
            }
        }
        Ok(())
    }
}

/// The entry of an open connection; given back when dropped.
pub(super) struct OpenConnection {
    live: LiveConnections,
    number: u64,
    /// Resolves when the connection is to be closed.
    pub(super) ended: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.live.lock().connections.remove(&self.number);
    }
}
