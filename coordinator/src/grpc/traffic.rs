//! The traffic from each institution: the time of the last message, and the bytes of each kind. Bytes are
//! counted where they arrive, independently of the client's own count.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use eosfed_common::clock::{Clock, Timestamp};
use eosfed_common::ids::InstitutionName;
use eosfed_common::traffic::ByteCounts;
use eosfed_transport::identity::Role;
use eosfed_transport::meter::{Meter, Metered};
use tonic::body::Body;
use tower::{Layer, Service};

use crate::tls::Peer;

#[derive(Debug, Default)]
struct Heard {
    last_seen: Option<Timestamp>,
    meter: Meter,
}

/// The traffic since the coordinator was started. Clones share it.
#[derive(Debug, Clone)]
pub struct Traffic {
    clock: Arc<dyn Clock>,
    heard: Arc<Mutex<BTreeMap<InstitutionName, Heard>>>,
}

impl Traffic {
    /// A counter without traffic.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, heard: Arc::default() }
    }

    /// The time of an institution's last message, and the bytes that it has sent.
    #[must_use]
    pub fn of(&self, name: &InstitutionName) -> (Option<Timestamp>, ByteCounts) {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard
            .get(name)
            .map_or_else(|| (None, ByteCounts::default()), |heard| (heard.last_seen, heard.meter.sent()))
    }

    fn note(&self, name: &InstitutionName) -> Meter {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = heard.entry(name.clone()).or_default();
        heard.last_seen = Some(self.clock.now());
        heard.meter.clone()
    }

    pub(super) fn layer(&self) -> TrafficLayer {
        TrafficLayer(self.clone())
    }
}

#[derive(Debug, Clone)]
pub(super) struct TrafficLayer(Traffic);

impl<S> Layer<S> for TrafficLayer {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting { inner, traffic: self.0.clone() }
    }
}

/// A service that counts the bytes of requests for the calling institution.
#[derive(Debug, Clone)]
pub(super) struct Counting<S> {
    inner: S,
    traffic: Traffic,
}

impl<S> Service<http::Request<Body>> for Counting<S>
where
    S: Service<http::Request<Body>> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> S::Future {
        let identity = request.extensions().get::<Peer>().and_then(|peer| peer.identity.as_ref());
        let Some(institution) = identity.filter(|one| one.role == Role::Institution) else {
            return self.inner.call(request);
        };
        let meter = self.traffic.note(&institution.name);
        // The ready service takes the call; its clone takes the next one.
        let waiting = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, waiting);
        Metered::new(ready, meter).call(request)
    }
}
