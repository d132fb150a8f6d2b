//! Export of spans by OTLP: protobuf over HTTP, in batches. Spans wait in a bounded queue; what does not fit or
//! cannot be delivered is dropped and counted in the log. Nothing waits for a collector.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use eosfed_common::trace::{Span, SpanKind};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{self as proto, ResourceSpans, ScopeSpans, Status, status};
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};

use crate::post::{PostError, Receiver};

/// Most spans that wait.
const QUEUE: usize = 2048;
/// Most spans of a batch.
const BATCH: usize = 512;
/// Longest time that a span waits for others.
const PAUSE: Duration = Duration::from_secs(2);
/// Timeout of one export.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The environment variables of the OpenTelemetry specification: the whole address, or its start.
const VARIABLES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// What follows the start of an address.
const PATH: &str = "/v1/traces";

/// The address is not that of a collector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the address of an OTLP collector must be http://HOST:PORT or https://HOST:PORT, found `{0}`")]
pub struct InvalidCollector(String);

/// The address of a collector for traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector(Uri);

impl Collector {
    /// The collector at this address, to which `/v1/traces` is added.
    ///
    /// # Errors
    /// If it is not an address by HTTP, or has a user and a password.
    pub fn new(base: &str) -> Result<Self, InvalidCollector> {
        Self::exactly(&format!("{}{PATH}", base.trim_end_matches('/')))
            .map_err(|_| InvalidCollector(base.chars().take(200).flat_map(char::escape_debug).collect()))
    }

    fn exactly(url: &str) -> Result<Self, InvalidCollector> {
        let wrong = || InvalidCollector(url.chars().take(200).flat_map(char::escape_debug).collect());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let right = matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|one| !one.as_str().contains('@'))
            && url.len() <= 2000;
        if right { Ok(Self(uri)) } else { Err(wrong()) }
    }

    /// The collector of the environment's variables, if they name one.
    ///
    /// # Errors
    /// If one of them is not an address.
    pub fn of_environment(read: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, InvalidCollector> {
        let set = |name: &str| read(name).filter(|value| !value.is_empty());
        match (set(VARIABLES[0]), set(VARIABLES[1])) {
            (Some(url), _) => Self::exactly(&url).map(Some),
            (None, Some(base)) => Self::new(&base).map(Some),
            (None, None) => Ok(None),
        }
    }
}

enum Asked {
    Span(Box<Span>),
    Flush(oneshot::Sender<()>),
}

/// Takes spans. Clones share a queue; without a collector, spans are dropped at once.
#[derive(Clone, Default)]
pub struct Exporter(Option<(mpsc::Sender<Asked>, Arc<AtomicU64>)>);

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() { "Exporter(on)" } else { "Exporter(off)" })
    }
}

impl Exporter {
    /// Exports to this collector, if there is one, in a task of its own. `service` names the program.
    ///
    /// # Errors
    /// If the collector's certificate could not be verified.
    pub fn start(collector: Option<Collector>, service: &'static str) -> Result<Self, PostError> {
        let Some(Collector(url)) = collector else { return Ok(Self(None)) };
        tracing::info!(collector = %url.authority().map_or("", |one| one.as_str()), "traces are exported");
        let receiver = Receiver::new(url, None, None)?;
        let (sender, asked) = mpsc::channel(QUEUE);
        tokio::spawn(export(receiver, service, asked));
        Ok(Self(Some((sender, Arc::default()))))
    }

    /// Whether spans are exported.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Takes a span. It is dropped if too many wait.
    pub fn send(&self, span: Span) {
        let Some((sender, dropped)) = &self.0 else { return };
        if sender.try_send(Asked::Span(Box::new(span))).is_err() {
            let count = dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if count.is_power_of_two() {
                tracing::warn!(count, "spans are dropped: the collector is too slow or does not answer");
            }
        }
    }

    /// Waits until what was sent before is exported, or given up, for at most this time.
    pub async fn flush(&self, limit: Duration) {
        let Some((sender, _)) = &self.0 else { return };
        let (done, told) = oneshot::channel();
        let flushed = async {
            if sender.send(Asked::Flush(done)).await.is_ok() {
                let _ = told.await;
            }
        };
        let _ = tokio::time::timeout(limit, flushed).await;
    }
}

async fn export(receiver: Receiver, service: &'static str, mut asked: mpsc::Receiver<Asked>) {
    let mut spans = Vec::new();
    let mut failed: u64 = 0;
    loop {
        let next = if spans.is_empty() {
            Ok(asked.recv().await)
        } else {
            tokio::time::timeout(PAUSE, asked.recv()).await
        };
        let flushed = match next {
            Ok(Some(Asked::Span(span))) => {
                spans.push(*span);
                if spans.len() < BATCH {
                    continue;
                }
                None
            }
            Ok(Some(Asked::Flush(done))) => Some(done),
            Ok(None) => return,
            Err(_) => None,
        };
        let batch = std::mem::take(&mut spans);
        if let Some(why) = deliver(&receiver, service, &batch).await {
            let before = failed;
            failed += batch.len() as u64;
            if before == 0 || before.ilog2() != failed.ilog2() {
                tracing::warn!(spans = failed, why, "spans could not be exported");
            }
        }
        if let Some(done) = flushed {
            // Who asked may have given up.
            let _ = done.send(());
        }
    }
}

/// Exports a batch; gives what went wrong.
async fn deliver(receiver: &Receiver, service: &str, batch: &[Span]) -> Option<String> {
    if batch.is_empty() {
        return None;
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    let body = Bytes::from(message(service, batch).encode_to_vec());
    match tokio::time::timeout(TIMEOUT, receiver.post(headers, body)).await {
        Ok(Ok((status, _))) if status.is_success() => None,
        Ok(Ok((status, said))) => Some(format!("{status}: {said}")),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {} s", TIMEOUT.as_secs())),
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn message(service: &str, batch: &[Span]) -> ExportTraceServiceRequest {
    let version = env!("CARGO_PKG_VERSION");
    let attributes = vec![text("service.name", service), text("service.version", version)];
    let scope = InstrumentationScope {
        name: "eosfed".to_owned(),
        version: version.to_owned(),
        ..InstrumentationScope::default()
    };
    let spans = batch.iter().map(span).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

fn span(span: &Span) -> proto::Span {
    let kind = match span.kind {
        SpanKind::Internal => proto::span::SpanKind::Internal,
        SpanKind::Server => proto::span::SpanKind::Server,
        SpanKind::Client => proto::span::SpanKind::Client,
    };
    let status = span
        .failure
        .as_ref()
        .map(|message| Status { message: message.clone(), code: status::StatusCode::Error.into() });
    proto::Span {
        trace_id: span.context.trace.to_vec(),
        span_id: span.context.span.to_vec(),
        parent_span_id: span.parent.map(Vec::from).unwrap_or_default(),
        name: span.name.clone(),
        kind: kind.into(),
        start_time_unix_nano: span.began.0.saturating_mul(1_000_000),
        end_time_unix_nano: span.ended.0.max(span.began.0).saturating_mul(1_000_000),
        attributes: span.attributes.iter().map(|(key, value)| text(key, value)).collect(),
        status,
        flags: 1,
        ..proto::Span::default()
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::clock::Timestamp;
    use eosfed_common::trace::TraceContext;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn one(at: u64) -> Span {
        let job = TraceContext::of_job(&"j-0a1b2c3d".parse().unwrap());
        let span = Span::within(job, job.at(&at.to_string()), "round 1", [Timestamp(at), Timestamp(at + 5)]);
        Span { failure: Some("too few".to_owned()), ..span.with("eosfed.job", "j-0a1b2c3d") }
    }

    /// Reads one request and answers it.
    async fn receive(listener: &TcpListener, status: &str) -> (String, ExportTraceServiceRequest) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        let end = loop {
            stream.read_buf(&mut bytes).await.unwrap();
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        while bytes.len() < end + length.parse::<usize>().unwrap() {
            stream.read_buf(&mut bytes).await.unwrap();
        }
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        (head, ExportTraceServiceRequest::decode(&bytes[end..]).unwrap())
    }

    #[tokio::test]
    async fn spans_arrive_in_one_batch_with_their_ids() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let exporter = Exporter::start(Some(Collector::new(&base).unwrap()), "eosfed-coordinator").unwrap();
        for at in [1, 2] {
            exporter.send(one(at));
        }
        let (flushed, (head, request)) =
            tokio::join!(exporter.flush(Duration::from_secs(20)), receive(&listener, "200 OK"));
        let () = flushed;
        assert!(
            head.starts_with("post /v1/traces http/1.1") && head.contains("application/x-protobuf"),
            "{head}"
        );
        let resource = &request.resource_spans[0];
        let named = resource.resource.as_ref().unwrap();
        assert!(named.attributes.contains(&text("service.name", "eosfed-coordinator")), "{named:?}");
        let spans = &resource.scope_spans[0].spans;
        assert_eq!(spans.len(), 2);
        let job = TraceContext::of_job(&"j-0a1b2c3d".parse().unwrap());
        assert_eq!((&spans[0].trace_id[..], &spans[0].parent_span_id[..]), (&job.trace[..], &job.span[..]));
        assert_eq!((spans[1].start_time_unix_nano, spans[1].end_time_unix_nano), (2_000_000, 7_000_000));
        assert_eq!(spans[0].status.as_ref().unwrap().message, "too few");
    }

    #[tokio::test]
    async fn a_collector_that_does_not_answer_costs_nothing_but_its_spans() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let exporter = Exporter::start(Some(Collector::new(&base).unwrap()), "eosfed").unwrap();
        let began = std::time::Instant::now();
        for at in 0..10_000 {
            exporter.send(one(at));
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let dropped = exporter.0.as_ref().unwrap().1.load(Ordering::Relaxed);
        assert!(dropped >= 10_000 - (QUEUE + BATCH) as u64, "{dropped}");
        exporter.flush(Duration::from_millis(50)).await;
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        Exporter::default().send(one(1));
    }

    #[test]
    fn a_collector_has_an_address_by_http() {
        let of = |name: &str, value: &str| {
            Collector::of_environment(|asked| (asked == name).then(|| value.to_owned()))
        };
        assert_eq!(of("X", "http://a"), Ok(None));
        assert_eq!(of(VARIABLES[1], "http://a:4318/"), Ok(Some(Collector::new("http://a:4318").unwrap())));
        assert_eq!(of(VARIABLES[0], "https://a/x"), Ok(Some(Collector::exactly("https://a/x").unwrap())));
        for wrong in ["a:4318", "grpc://a:4317", "http://ada:5ecret@a", "/x"] {
            assert!(of(VARIABLES[1], wrong).is_err(), "{wrong}");
        }
    }
}
