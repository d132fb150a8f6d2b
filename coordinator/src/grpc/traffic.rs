//! What is heard from each institution: when, and how many bytes of what kind. Counted where bytes
//! arrive, beside what the client itself says it has sent.

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

/// What has been heard since the coordinator was started; clones are the same.
#[derive(Debug, Clone)]
pub struct Traffic {
    clock: Arc<dyn Clock>,
    heard: Arc<Mutex<BTreeMap<InstitutionName, Heard>>>,
}

impl Traffic {
    /// Nothing heard yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, heard: Arc::default() }
    }

    /// When an institution was last heard, and how many bytes it has sent.
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

/// A service whose requests are counted for the institution that they come from.
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
        // The readied service takes the call; its clone waits for the next.
        let waiting = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, waiting);
        Metered::new(ready, meter).call(request)
    }
}
