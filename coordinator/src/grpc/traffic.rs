//! The layer that counts the traffic of each member.

use std::task::{Context, Poll};

use eosfed_transport::meter::Metered;
use tonic::body::Body;
use tower::{Layer, Service};

use super::access::Caller;
use crate::traffic::Traffic;

/// Puts [`Counting`] before services.
#[derive(Debug, Clone)]
pub(super) struct TrafficLayer(pub(super) Traffic);

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
