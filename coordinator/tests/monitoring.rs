//! The listener for monitoring of a whole coordinator.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use eosfed_coordinator::metrics::table;
use eosfed_coordinator::serve::Coordinator;
use eosfed_coordinator::settings;
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use server::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SETTINGS: &str = "
[http]
listen = \"127.0.0.1:0\"

[[notify]]
name = \"ops\"
command = [\"/bin/true\"]
";

/// The status and the body of the answer to a request.
async fn ask(server: &Server, method: &str, path: &str, host: &str) -> (u16, String, String) {
    let url = std::fs::read_to_string(server.state().http_address()).unwrap();
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_ascii_lowercase(), body.to_owned())
}

async fn get(server: &Server, path: &str) -> (u16, String) {
    let (status, _, body) = ask(server, "GET", path, "localhost").await;
    (status, body)
}

/// The families of a scrape, with the type of each, and the names of the labels that its series have.
fn families(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect()
}

#[tokio::test]
async fn health_readiness_and_metrics_are_served() {
    let server = Server::start_with(SETTINGS).await;
    assert_eq!(get(&server, "/healthz").await, (200, "alive\n".to_owned()));
    assert_eq!(get(&server, "/readyz").await, (200, "ready\n".to_owned()));
    let (status, head, text) = ask(&server, "GET", "/metrics", "127.0.0.1:1").await;
    assert!(status == 200 && head.contains("content-type: application/openmetrics-text"), "{head}");
    assert!(head.contains("nosniff") && head.contains("no-store"), "{head}");
    assert!(text.contains("eosfed_institutions{state=\"active\"} 0"), "{text}");
    server.enrol("east").await;
    let (_, text) = get(&server, "/metrics").await;
    assert!(text.contains("eosfed_institutions{state=\"active\"} 1"), "{text}");
}

#[tokio::test]
async fn the_output_and_the_table_have_the_same_metrics() {
    let server = Server::start_with(SETTINGS).await;
    server.enrol("east").await;
    // Refused, because the certificate is of an institution.
    let mut stranger = OperatorClient::new(server.client("east"));
    stranger.list_events(v1::ListEventsRequest::default()).await.unwrap_err();
    let mut table: BTreeMap<String, String> = table::ALL
        .iter()
        .map(|metric| {
            let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
            (name.to_owned(), format!("{:?}", metric.kind).to_lowercase())
        })
        .collect();
    // Nothing was submitted or declined; `http::ledger` tests these.
    for without_series in ["eosfed_updates", "eosfed_update_encodings", "eosfed_assignments_declined"] {
        table.remove(without_series).unwrap();
    }
    let series = [
        "eosfed_calls_total{method=\"Operator/ListEvents\",code=\"PermissionDenied\"} 1",
        "eosfed_refusals_total{reason=\"FORBIDDEN\"} 1",
        "eosfed_ledger_events_total{kind=\"institution_enrolled\"} 1",
        "eosfed_ledger_events_total{kind=\"refused\"} 1",
        "eosfed_write_lock_wait_seconds_bucket{le=\"600.0\"}",
        "eosfed_sent_bytes_total{kind=\"control\"}",
        "eosfed_notifications_total{receiver=\"ops\",outcome=\"delivered\"} ",
    ];
    // Events of the ledger are counted a moment after they are committed.
    let is_whole = |text: &str| families(text) == table && series.iter().all(|one| text.contains(one));
    let patience = Instant::now() + Duration::from_secs(20);
    let mut text = String::new();
    while !is_whole(&text) && Instant::now() < patience {
        text = get(&server, "/metrics").await.1;
    }
    assert_eq!(families(&text), table);
    assert!(text.ends_with("# EOF\n"), "{text}");
    for one in series {
        assert!(text.contains(one), "{one} is missing in\n{text}");
    }
}

#[tokio::test]
async fn other_methods_foreign_hosts_and_unknown_pages_are_refused() {
    let server = Server::start_with(SETTINGS).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let (status, head, _) = ask(&server, method, "/metrics", "localhost").await;
        assert!(status == 405 && head.contains("allow: get, head"), "{method} {head}");
    }
    assert_eq!(ask(&server, "HEAD", "/healthz", "localhost").await.0, 200);
    for host in ["evil.example", "localhost.evil.example:80", "192.0.2.1", ""] {
        assert_eq!(ask(&server, "GET", "/metrics", host).await.0, 421, "{host}");
    }
    let paths = ["/nowhere", "/../../etc/passwd", "/metrics/..", "//metrics", "/%2e%2e/", "/metrics%00"];
    for path in paths {
        assert_eq!(get(&server, path).await.0, 404, "{path}");
    }
    assert_eq!(get(&server, "/").await.0, 401, "the dashboard asks for a login");
    assert_eq!(get(&server, "/<script>").await.0, 400, "no path has such characters");
}

#[tokio::test]
async fn without_the_table_there_is_no_listener_and_a_taken_port_is_named() {
    let server = Server::start().await;
    assert!(!server.state().http_address().exists());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let (folder, _) = server.stop().await;
    let path = folder.path().join("state");
    let file = path.join("coordinator.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n[http]\nlisten = \"{listen}\"\n")).unwrap();
    // The first pass of the timer of the coordinator that was stopped may still hold its store.
    let patience = Instant::now() + Duration::from_secs(20);
    let coordinator = loop {
        let (state, settings) = settings::load(&path).unwrap();
        match Coordinator::open(state, settings).await {
            Ok(coordinator) => break coordinator,
            Err(error) => assert!(Instant::now() < patience, "{error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let error = coordinator.serve(|_| {}, std::future::pending()).await.unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains(&listen.to_string()) && said.contains("`[http]`"), "{said}");
}
