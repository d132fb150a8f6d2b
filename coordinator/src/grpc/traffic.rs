//! The traffic from each member: the time of the last message, and the bytes of each kind. Bytes are
//! counted where they arrive, independently of the client's own count.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use eosfed_common::clock::{Clock, Timestamp};
use eosfed_common::identity::Identity;
use eosfed_common::traffic::ByteCounts;
use eosfed_transport::meter::{Meter, Metered};
use eosfed_transport::protocol::shown;
use tonic::body::Body;
use tower::{Layer, Service};

use super::access::Caller;

#[derive(Debug, Default)]
struct MemberTraffic {
    last_seen: Option<Timestamp>,
    version: Option<String>,
    meter: Meter,
}

/// The traffic since the coordinator was started. Clones share it.
#[derive(Debug, Clone)]
pub struct Traffic {
    clock: Arc<dyn Clock>,
    members: Arc<Mutex<BTreeMap<Identity, MemberTraffic>>>,
}

impl Traffic {
    /// A counter without traffic.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, members: Arc::default() }
    }

    /// The time of a member's last message, and the bytes that it has sent.
    #[must_use]
    pub fn of(&self, member: &Identity) -> (Option<Timestamp>, ByteCounts) {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members
            .get(member)
            .map_or_else(|| (None, ByteCounts::default()), |member| (member.last_seen, member.meter.sent()))
    }

    /// The version of a member's client, as it has said.
    #[must_use]
    pub fn version_of(&self, member: &Identity) -> Option<String> {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.get(member).and_then(|member| member.version.clone())
    }

    /// Notes the version that a client says it has.
    pub(super) fn note_version(&self, member: &Identity, version: &str) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.entry(member.clone()).or_default().version = Some(shown(version));
    }

    fn note(&self, member: &Identity) -> Meter {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let member = members.entry(member.clone()).or_default();
        member.last_seen = Some(self.clock.now());
        member.meter.clone()
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

/// A service that counts the bytes of requests for the calling member.
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
        let Some(caller) = request.extensions().get::<Caller>() else { return self.inner.call(request) };
        let meter = self.traffic.note(&caller.identity);
        // The ready service takes the call; its clone takes the next one.
        let waiting = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, waiting);
        Metered::new(ready, meter).call(request)
    }
}
