//! Counts calls by method and status, their refusals by reason, how long they take, and the bytes of answers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use eosfed_common::clock::Timestamp;
use eosfed_common::trace::{self, Span, SpanKind, TraceContext};
use eosfed_transport::body::observed;
use eosfed_transport::otlp::Exporter;
use eosfed_transport::status::from_status;
use http::HeaderMap;
use http_body::Frame;
use rand::RngExt as _;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::roles::callers;
use crate::engine::Handle;
use crate::metrics::Metrics;

/// Puts [`Calls`] before services.
#[derive(Debug, Clone)]
pub(super) struct CallsLayer {
    pub(super) metrics: Arc<Metrics>,
    pub(super) exporter: Exporter,
    pub(super) engine: Handle,
}

impl<S> Layer<S> for CallsLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Calls<S> {
        Calls { inner, layer: self.clone() }
    }
}

/// A service whose calls are counted.
#[derive(Debug, Clone)]
pub(super) struct Calls<S> {
    inner: S,
    layer: CallsLayer,
}

/// The method as a label: a caller cannot make others than those of the protocol.
fn method(path: &str) -> String {
    let known = callers(path).is_some();
    let name = path.strip_prefix("/eosfed.v1.").filter(|_| known);
    name.unwrap_or("unknown").to_owned()
}

impl<S> Service<http::Request<Body>> for Calls<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = method(request.uri().path());
        let metrics = Arc::clone(&self.layer.metrics);
        let traced = Traced::of(&self.layer, request.headers());
        let mut call = Call { metrics, method, began: Instant::now(), code: None, traced };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            call.note_status(answer.headers());
            Ok(answer.map(|body| observed(body, call, Call::see)))
        })
    }
}

/// A call, counted when it is dropped.
struct Call {
    metrics: Arc<Metrics>,
    method: String,
    began: Instant,
    /// Its status, once that is known.
    code: Option<Code>,
    traced: Option<Traced>,
}

/// A call that its caller has put into a trace.
struct Traced {
    exporter: Exporter,
    engine: Handle,
    parent: TraceContext,
    began: Timestamp,
}

impl Traced {
    /// The trace of a call, if spans are exported and the caller has named one.
    fn of(layer: &CallsLayer, headers: &HeaderMap) -> Option<Self> {
        let CallsLayer { metrics: _, exporter, engine } = layer;
        let named = headers.get(trace::HEADER).filter(|_| exporter.is_on())?;
        let parent = named.to_str().ok()?.parse().ok()?;
        Some(Self { exporter: exporter.clone(), engine: engine.clone(), parent, began: engine.now() })
    }

    fn end(self, method: &str, code: Code) {
        // Whoever has no right to call makes no spans either.
        if matches!(code, Code::Unauthenticated | Code::PermissionDenied) {
            return;
        }
        let context = TraceContext { span: rand::rng().random(), ..self.parent };
        let span = Span::within(self.parent, context, method, [self.began, self.engine.now()]);
        let failure = (code != Code::Ok).then(|| format!("{code:?}"));
        self.exporter.send(Span { kind: SpanKind::Server, failure, ..span.with("rpc.system", "grpc") });
    }
}

impl Call {
    /// Takes the status from headers or trailers, if they have one.
    fn note_status(&mut self, headers: &HeaderMap) {
        let Some(status) = Status::from_header_map(headers) else { return };
        self.code = Some(status.code());
        if status.code() != Code::Ok {
            self.metrics.refusals.add([from_status(&status).reason.code()], 1);
        }
    }

    /// Takes what a frame of the answer tells.
    fn see(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            let kind = if self.method == "Blobs/Download" { "weights" } else { "control" };
            self.metrics.sent_bytes.add([kind], data.len() as u64);
        }
        if let Some(trailers) = frame.trailers_ref() {
            self.note_status(trailers);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Without a status, the caller has gone before the end of the answer.
        let code = format!("{:?}", self.code.unwrap_or(Code::Cancelled));
        self.metrics.calls.add([&self.method, &code], 1);
        if let Some(traced) = self.traced.take() {
            traced.end(&self.method, self.code.unwrap_or(Code::Cancelled));
        }
        self.metrics.call_seconds.observe(&self.method, self.began.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_cannot_make_labels() {
        assert_eq!(method("/eosfed.v1.Participant/Poll"), "Participant/Poll");
        for made_up in
            ["/eosfed.v1.Participant/Pull", "/eosfed.v1.", "", "/\"}", "/eosfed.v2.Participant/Poll"]
        {
            assert_eq!(method(made_up), "unknown", "{made_up}");
        }
    }
}
