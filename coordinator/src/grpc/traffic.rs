//! The traffic from each institution: the time of the last message, and the bytes of each kind. Bytes are
//! counted where they arrive, independently of the client's own count.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use eosfed_common::clock::{Clock, Timestamp};
use eosfed_common::identity::Role;
use eosfed_common::ids::InstitutionName;
use eosfed_common::traffic::ByteCounts;
use eosfed_transport::meter::{Meter, Metered};
use tonic::body::Body;
use tower::{Layer, Service};

use super::access::Caller;

#[derive(Debug, Default)]
struct InstitutionTraffic {
    last_seen: Option<Timestamp>,
    meter: Meter,
}

/// The traffic since the coordinator was started. Clones share it.
#[derive(Debug, Clone)]
pub struct Traffic {
    clock: Arc<dyn Clock>,
    institutions: Arc<Mutex<BTreeMap<InstitutionName, InstitutionTraffic>>>,
}

impl Traffic {
    /// A counter without traffic.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, institutions: Arc::default() }
    }

    /// The time of an institution's last message, and the bytes that it has sent.
    #[must_use]
    pub fn of(&self, name: &InstitutionName) -> (Option<Timestamp>, ByteCounts) {
        let institutions = self.institutions.lock().unwrap_or_else(PoisonError::into_inner);
        institutions.get(name).map_or_else(
            || (None, ByteCounts::default()),
            |institutions| (institutions.last_seen, institutions.meter.sent()),
        )
    }

    fn note(&self, name: &InstitutionName) -> Meter {
        let mut institutions = self.institutions.lock().unwrap_or_else(PoisonError::into_inner);
        let institutions = institutions.entry(name.clone()).or_default();
        institutions.last_seen = Some(self.clock.now());
        institutions.meter.clone()
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
        let identity = request.extensions().get::<Caller>().map(|caller| &caller.identity);
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
