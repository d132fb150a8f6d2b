//! `eosfed-client status`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use eosfed_client::report;
use eosfed_client::site::Site;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::duration;
use eosfed_common::outln;
use eosfed_common::quantity::bytes;
use eosfed_common::screen::Screen;
use eosfed_common::stdout::print_warning;
use eosfed_transport::certificate::Certificate;
use serde_json::Value;

use super::shared::{Output, site};

/// Show the institution, its present work, the conditions that it waits for and the bytes sent. Reads the
/// state folder only.
///
/// With `--watch`, it looks again and again, until Ctrl-C: on a terminal, the view is redrawn in place;
/// elsewhere, each change is a line; with `--output json`, each change is a line of JSON.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// The state folder.
    #[arg(long)]
    state: PathBuf,
    /// Format of the answer.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Look again and again, until Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// Time between two looks, from 1s on.
    #[arg(long, requires = "watch", default_value = "2s", value_name = "DURATION", value_parser = duration::parse)]
    every: Duration,
}

impl Status {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let site = site(&self.state)?;
        let certificate = Certificate::of_pem(&site.credentials()?.pair.certificate_pem).ok();
        if let Some(text) = certificate.and_then(|one| one.expiry_warning(SystemClock.now())) {
            print_warning(format_args!("{text}"));
        }
        if self.watch {
            return watch(&site, self.output, self.every.max(Duration::from_secs(1)));
        }
        let report = serde_json::to_value(report::status(&site, SystemClock.now())?)?;
        match self.output {
            Output::Json => outln!("{report:#}"),
            Output::Text => outln!("{}", table(&report)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Shows the status again and again. A state folder that cannot be read ends it: it is on this machine.
fn watch(site: &Site, output: Output, every: Duration) -> anyhow::Result<ExitCode> {
    let mut screen = Screen::stdout();
    loop {
        let report = serde_json::to_value(report::status(site, SystemClock.now())?)?;
        match (output, screen.columns()) {
            (Output::Json, _) => screen.say(vec![("status".to_owned(), report.to_string())]),
            (Output::Text, Some(columns)) => screen.draw(&view(&report, columns)),
            (Output::Text, None) => screen
                .say(rows(&report).map(|(key, value)| (key.clone(), format!("{key}: {value}"))).collect()),
        }
        std::thread::sleep(every);
    }
}

/// The status for a terminal of this width: what changes, below the time of the look.
fn view(report: &Value, columns: usize) -> Vec<String> {
    let mut table = table(report);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(columns).unwrap_or(u16::MAX));
    let lines = table.to_string();
    let at = format!(" {}", SystemClock.now());
    std::iter::once(at).chain(lines.lines().map(|line| line.trim_end().to_owned())).collect()
}

fn table(report: &Value) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (key, value) in rows(report) {
        table.add_row([key, value]);
    }
    table
}

/// What there is to say, each with its name.
fn rows(report: &Value) -> impl Iterator<Item = (String, String)> {
    let mut rows = Vec::new();
    let mut row = |key: &str, value: &Value| {
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let key = key.replace('_', " ");
        match value {
            Value::Null => {}
            Value::Array(values) => rows.push((key, values.iter().map(shown).collect::<Vec<_>>().join("\n"))),
            value => rows.push((key, shown(value))),
        }
    };
    for key in [
        "institution",
        "certificate_ends",
        "signing_key",
        "coordinator_keys",
        "daemon",
        "phase",
        "assignment",
        "job",
        "data_set",
        "since",
    ] {
        row(key, &report[key]);
    }
    if let Some(wait) = report["waiting_for"].as_object() {
        row("waiting_for", &wait["message"]);
        row("waiting_since", &wait["since"]);
        row("tries", &wait["tries"]);
    }
    for device in report["devices"].as_array().into_iter().flatten() {
        let word = |key: &str| device[key].as_str().unwrap_or("–");
        let reads = device["data_set"].as_str().map_or_else(String::new, |name| format!(" on `{name}`"));
        let work = device["assignment"].as_str().map_or_else(
            || word("phase").to_owned(),
            |id| format!("{} {id}, `{}`{reads}, since {}", word("phase"), word("job"), word("since")),
        );
        let wait =
            device["waiting_for"]["message"].as_str().map_or_else(String::new, |why| format!("; {why}"));
        row(&format!("device {}", word("device")), &Value::from(format!("{work}{wait}")));
    }
    row("queue", &report["queue"]);
    for one in report["data_sets"].as_array().into_iter().flatten() {
        let key =
            one["name"].as_str().map_or_else(|| "data set".to_owned(), |name| format!("data set {name}"));
        let policy = one["policy"].as_str().map_or_else(String::new, |file| format!("; policy {file}"));
        let problem = one["problem"].as_str().map_or_else(String::new, |why| format!("; problem: {why}"));
        row(&key, &Value::from(format!("{}{policy}{problem}", one["path"].as_str().unwrap_or("–"))));
    }
    for kind in ["weights", "metrics", "control"] {
        let sent = report["sent_bytes"][kind].as_u64().unwrap_or_default();
        row(&format!("sent, {kind}"), &Value::from(bytes(sent)));
    }
    rows.into_iter()
}
