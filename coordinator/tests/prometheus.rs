//! What `deploy/monitoring` has, against the table of metrics and against a real Prometheus. The programs
//! `prometheus` and `promtool` come from Debian's package `prometheus`; without them, tests skip by name.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eosfed_coordinator::metrics::table::{self, Kind};
use server::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn deployed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("deploy/monitoring").join(file)
}

/// Whether a program is there; says that the test is skipped if not.
fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        let test = std::thread::current();
        println!("skipped: {}: `{program}` is not installed", test.name().unwrap_or_default());
    }
    found
}

#[test]
fn the_rules_hold_their_tests() {
    if !has("promtool") {
        return;
    }
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts-test.yml"]] {
        let folder = deployed("");
        let output = Command::new("promtool").args(arguments).current_dir(folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}

/// Every name in a text that looks like a metric of ours.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("eosfed_") || word.starts_with("process_")).collect()
}

#[test]
fn the_dashboard_and_the_rules_name_metrics_of_the_table_and_the_dashboard_shows_them_all() {
    let known: BTreeSet<String> = table::ALL
        .iter()
        .flat_map(|metric| {
            let endings: &[&str] =
                if metric.kind == Kind::Histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
            endings.iter().map(|ending| format!("{}{ending}", metric.name))
        })
        .collect();
    let dashboard = std::fs::read_to_string(deployed("grafana.json")).unwrap();
    let rules = std::fs::read_to_string(deployed("alerts.yml")).unwrap();
    for name in names(&dashboard).union(&names(&rules)) {
        assert!(known.contains(*name), "{name} is not in the table");
    }
    for metric in table::ALL {
        assert!(
            names(&dashboard).iter().any(|name| name.starts_with(metric.name)),
            "{} is not shown",
            metric.name
        );
    }
    serde_json::from_str::<serde_json::Value>(&dashboard).unwrap();
}

/// A Prometheus that ends with the test.
struct Prometheus {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Scrapes this address every second, with the deployed rules.
    fn start(folder: &Path, target: &str) -> Self {
        std::fs::copy(deployed("alerts.yml"), folder.join("alerts.yml")).unwrap();
        let deployed = std::fs::read_to_string(deployed("prometheus.yml")).unwrap();
        let text =
            deployed.replace("127.0.0.1:7444", target).replace("scrape_interval: 15s", "scrape_interval: 1s");
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, text).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = folder.join("prometheus.log");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, port, log }
    }

    /// The `data` of an answer of its interface; nothing while it starts.
    async fn ask(&self, path: &str) -> Option<serde_json::Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        // HTTP/1.0, so that the answer comes in one piece.
        let request = format!("GET /api/v1/{path} HTTP/1.0\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        let mut body: serde_json::Value = serde_json::from_str(body).ok()?;
        (body["status"] == "success").then(|| body["data"].take())
    }

    /// The value of a query, once it is `wanted`.
    async fn wait_for(&self, query: &str, wanted: &str) {
        let patience = Instant::now() + Duration::from_secs(60);
        let mut last = None;
        while Instant::now() < patience {
            last = self.ask(&format!("query?query={query}")).await;
            let value =
                last.as_ref().and_then(|data| data["result"][0]["value"][1].as_str().map(str::to_owned));
            if value.as_deref() == Some(wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        panic!("{query} is not {wanted}: {last:?}\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_scrapes_a_coordinator_and_answers_queries() {
    if !has("prometheus") {
        return;
    }
    let server = Server::start_with("\n[http]\nlisten = \"127.0.0.1:0\"\n").await;
    server.enrol("east").await;
    let url = std::fs::read_to_string(server.state().http_address()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(folder.path(), url.strip_prefix("http://").unwrap());
    prometheus.wait_for("up{job=\"eosfed-coordinator\"}", "1").await;
    prometheus.wait_for("eosfed_institutions{state=\"active\"}", "1").await;
    prometheus.wait_for("eosfed_ledger_events_total{kind=\"institution_enrolled\"}", "1").await;
    prometheus.wait_for("eosfed_calls_total{method=\"Enrollment/Enroll\",code=\"Ok\"}", "1").await;
    prometheus.wait_for("sum(eosfed_call_duration_seconds_count{method=\"Enrollment/Enroll\"})", "1").await;
    let rules = prometheus.ask("rules").await.unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 5 && rules.iter().all(|rule| rule["lastError"].is_null()), "{rules:?}");
}
