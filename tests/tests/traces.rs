//! One trace through the command line, the coordinator, the client and the trainer, at a real collector.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use eosfed_e2e::plans::{RGB, one_shot};
use eosfed_e2e::{Federation, Process, succeed};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

/// A collector: what it got, by the name of the program.
#[derive(Clone)]
struct Collector {
    port: u16,
    spans: Arc<Mutex<Vec<(String, Span)>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let collector = Self { port, spans: Arc::default() };
        let receiving = collector.clone();
        std::thread::spawn(move || listener.incoming().for_each(|stream| receiving.receive(stream.unwrap())));
        collector
    }

    fn receive(&self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        let end = loop {
            let read = stream.read(&mut buffer).unwrap();
            bytes.extend_from_slice(&buffer[..read]);
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        while bytes.len() < end + length.parse::<usize>().unwrap() {
            let read = stream.read(&mut buffer).unwrap();
            bytes.extend_from_slice(&buffer[..read]);
        }
        let request = ExportTraceServiceRequest::decode(&bytes[end..]).unwrap();
        for of in request.resource_spans {
            let named = of.resource.unwrap().attributes.into_iter().find(|one| one.key == "service.name");
            let Some(Value::StringValue(service)) = named.unwrap().value.unwrap().value else { panic!() };
            let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.spans.lock().unwrap().extend(spans.map(|span| (service.clone(), span)));
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    }

    fn spans(&self) -> Vec<(String, Span)> {
        self.spans.lock().unwrap().clone()
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn daemon(federation: &Federation, collector: &Collector) -> Process {
    let mut command = federation.daemon_command("west");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address());
    federation.start("west", command)
}

fn submit(federation: &Federation, collector: &Collector) -> String {
    let plan = federation.path("plan.toml");
    fs::write(&plan, one_shot(&[("west-rgb", "west", &RGB)]).text()).unwrap();
    let mut submit = federation.eosfed(&["job", "submit", plan.to_str().unwrap(), "--output", "json"]);
    let printed = succeed(submit.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address())).stdout;
    let printed: serde_json::Value = serde_json::from_slice(&printed).unwrap();
    printed["job"].as_str().unwrap().to_owned()
}

fn finish(federation: &Federation, job: &str) {
    federation.wait(job, "its end", |view| view["state"] == "finished");
}

/// The trace of a job, as the guide for operators says.
fn trace_of(job: &str) -> Vec<u8> {
    Sha256::digest(format!("eosfed trace {job}"))[..16].to_vec()
}

#[test]
fn a_job_is_one_trace_of_all_programs() {
    let federation = Federation::new();
    let collector = Collector::start();
    let settings = federation.path("coordinator/coordinator.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, format!("{text}\n[telemetry]\notlp = {:?}\n", collector.address())).unwrap();
    let _coordinator = federation.coordinator();
    federation.institution("west", 1);
    federation.set_policy("west", "may_leave = [", "may_leave = [\"traces\", ");
    let job = submit(&federation, &collector);
    let west = daemon(&federation, &collector);
    finish(&federation, &job);
    let wanted = |name: &str| collector.spans().iter().any(|(_, span)| span.name == name);
    federation.until("the spans of the job", || wanted("submitting") && wanted("Participant/SubmitUpdate"));
    federation.until("the span of the whole job", || {
        collector.spans().iter().any(|(_, span)| span.name.starts_with("job "))
    });
    assert!(west.terminate().success());

    let trace = trace_of(&job);
    let of_job: Vec<_> = collector.spans().into_iter().filter(|(_, span)| span.trace_id == trace).collect();
    let programs: BTreeSet<_> = of_job.iter().map(|(program, _)| program.as_str()).collect();
    let all = ["eosfed", "eosfed-client", "eosfed-coordinator", "eosfed-trainer"];
    assert_eq!(programs, all.into(), "{of_job:#?}");
    let by_name: BTreeMap<_, _> = of_job.iter().map(|(_, span)| (span.name.as_str(), span)).collect();
    let parent = |name: &str| by_name.get(name).unwrap_or_else(|| panic!("{name}")).parent_span_id.clone();
    let id = |name: &str| by_name[name].span_id.clone();
    let whole = by_name.keys().find(|name| name.starts_with("job ")).unwrap();
    assert!(parent(whole).is_empty());
    for (child, of) in [
        ("eosfed job submit", *whole),
        ("round 1", whole),
        ("work of west", "round 1"),
        ("fetching", "work of west"),
        ("training", "work of west"),
        ("epoch 1", "training"),
        ("submitting", "work of west"),
        ("Participant/SubmitUpdate", "submitting"),
    ] {
        assert_eq!(parent(child), id(of), "{child} is part of {of}");
    }
    let said = format!("{of_job:?}");
    assert!(!said.contains(".tif") && !said.contains(federation.path("").to_str().unwrap()), "{said}");
}

#[test]
fn nothing_of_a_site_is_traced_without_the_word_in_its_policy() {
    let federation = Federation::new();
    let collector = Collector::start();
    let mut coordinator = federation.coordinator_command();
    coordinator.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address());
    let _coordinator = federation.coordinator_by(coordinator);
    federation.institution("west", 1);
    let job = submit(&federation, &collector);
    let west = daemon(&federation, &collector);
    finish(&federation, &job);
    federation.until("the span of the job", || {
        collector.spans().iter().any(|(_, span)| span.name.starts_with("job "))
    });
    assert!(west.terminate().success());
    let spans = collector.spans();
    assert!(
        spans.iter().all(|(program, _)| program == "eosfed" || program == "eosfed-coordinator"),
        "{spans:#?}"
    );
    assert!(!spans.iter().any(|(_, span)| span.name.starts_with("Participant/")), "{spans:#?}");
}
