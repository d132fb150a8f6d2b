//! Counts the bytes that a program sends, by kind: the bytes of each request's body with gRPC's framing,
//! where they enter the connection. Institutions can audit this figure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::{HeaderValue, Request};
use tonic::body::Body;
use tower::Service;

use eosfed_common::trace;
use eosfed_common::traffic::ByteCounts;

use crate::body::observed;
use crate::traced::TraceSlot;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Weights,
    Metrics,
    Control,
}

/// The kind of a request by its gRPC path, for each method of the protocol.
fn classify(path: &str) -> Option<Kind> {
    let (service, method) = path.strip_prefix("/eosfed.v1.")?.split_once('/')?;
    match (service, method) {
        ("Blobs", "Upload") => Some(Kind::Weights),
        (
            "Participant",
            "Heartbeat" | "SubmitUpdate" | "SubmitStatistics" | "SubmitEvaluation" | "ReportFailure"
            | "StateData" | "SharePolicy",
        ) => Some(Kind::Metrics),
        ("Participant", "Hello" | "Poll" | "Accept" | "Refuse")
        | ("Blobs", "Stat" | "Download")
        | ("Enrollment", "Enroll" | "Renew")
        | (
            "Operator",
            "Hello" | "InviteInstitution" | "InvitePerson" | "ReEnrol" | "Revoke" | "ListInstitutions"
            | "GetInstitution" | "ListPeople" | "SubmitJob" | "ListJobs" | "GetJob" | "ListRounds"
            | "GetRound" | "WatchJob" | "ControlJob" | "ForkJob" | "Backup" | "ListEvents" | "GetOverview"
            | "GetEnergy" | "GetStorage" | "PruneStorage" | "OpenDashboard" | "ListSpecialists"
            | "GetSpecialist" | "CreateRelease" | "ListReleases" | "GetRelease" | "RecordAblation",
        ) => Some(Kind::Control),
        _ => None,
    }
}

/// The kind of a request by its gRPC path. An unknown call may carry anything, so it is counted as weights,
/// whose figure is therefore never too low.
fn kind(path: &str) -> Kind {
    classify(path).unwrap_or(Kind::Weights)
}

/// Counters that clones share.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<[AtomicU64; 3]>);

impl Meter {
    /// The bytes sent so far.
    #[must_use]
    pub fn sent(&self) -> ByteCounts {
        let read = |kind: Kind| self.0[kind as usize].load(Ordering::Relaxed);
        ByteCounts {
            weights: read(Kind::Weights),
            metrics: read(Kind::Metrics),
            control: read(Kind::Control),
        }
    }

    fn add(&self, kind: Kind, bytes: usize) {
        self.0[kind as usize].fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A gRPC channel whose requests are counted.
#[derive(Debug, Clone)]
pub struct Metered<S> {
    inner: S,
    meter: Meter,
    trace: TraceSlot,
}

impl<S> Metered<S> {
    /// Counts what goes through `inner`.
    pub fn new(inner: S, meter: Meter) -> Self {
        Self { inner, meter, trace: TraceSlot::default() }
    }

    /// With the trace that calls belong to, of which each call tells.
    #[must_use]
    pub fn in_trace(self, trace: TraceSlot) -> Self {
        Self { trace, ..self }
    }
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Metered<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> S::Future {
        let context = self.trace.get().and_then(|one| HeaderValue::try_from(one.to_string()).ok());
        if let Some(context) = context {
            request.headers_mut().insert(trace::HEADER, context);
        }
        let kind = kind(request.uri().path());
        let meter = self.meter.clone();
        self.inner.call(request.map(|body| {
            observed(body, (kind, meter), |(kind, meter), frame| {
                if let Some(data) = frame.data_ref() {
                    meter.add(*kind, data.len());
                }
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use bytes::Bytes;
    use http_body::{Body as _, Frame};

    use super::*;

    #[test]
    fn kinds_follow_the_method() {
        assert_eq!(kind("/eosfed.v1.Blobs/Upload"), Kind::Weights);
        assert_eq!(kind("/eosfed.v1.Participant/Heartbeat"), Kind::Metrics);
        assert_eq!(kind("/eosfed.v1.Participant/SubmitEvaluation"), Kind::Metrics);
        assert_eq!(kind("/eosfed.v1.Participant/Poll"), Kind::Control);
        assert_eq!(kind("/eosfed.v2.Participant/Poll"), Kind::Weights, "an unknown call may carry anything");
    }

    #[test]
    fn every_method_of_the_protocol_is_classified() {
        let pool = prost_reflect::DescriptorPool::decode(eosfed_proto::DESCRIPTORS).unwrap();
        let methods: Vec<_> =
            pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
        assert!(methods.len() > 30, "{}", methods.len());
        for method in methods {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            assert!(classify(&path).is_some(), "add the kind of bytes of `{path}` to `classify`");
            // A call with results of training must not be classified as control. What people send is a filter.
            if method.parent_service().name() == "Operator" {
                continue;
            }
            let fields: Vec<_> = method.input().fields().map(|field| field.name().to_owned()).collect();
            if fields.iter().any(|name| ["metrics", "samples", "bands", "points"].contains(&name.as_str())) {
                assert_eq!(classify(&path), Some(Kind::Metrics), "{path} carries {fields:?}");
            }
        }
    }

    #[tokio::test]
    async fn frames_are_counted_when_they_are_sent() {
        let meter = Meter::default();
        let service = tower::service_fn(|request: Request<Body>| async move {
            let mut body = request.into_body();
            while std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.is_some() {}
            Ok::<_, tonic::Status>(())
        });
        let mut metered = Metered::new(service, meter.clone());
        let body = Body::new(Full(Some(Bytes::from_static(&[7; 1234]))));
        let request = Request::builder().uri("https://x/eosfed.v1.Blobs/Upload").body(body).unwrap();
        metered.call(request).await.unwrap();
        assert_eq!(meter.sent(), ByteCounts { weights: 1234, metrics: 0, control: 0 });
    }

    struct Full(Option<Bytes>);

    impl http_body::Body for Full {
        type Data = Bytes;
        type Error = tonic::Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
            Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
        }
    }
}
