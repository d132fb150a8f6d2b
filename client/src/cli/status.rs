//! `eosfed-client status`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use comfy_table::{Table, presets};
use eosfed_client::report;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::outln;
use eosfed_common::stdout::print_warning;
use eosfed_transport::certificate::Certificate;
use serde_json::Value;

use super::shared::{Output, site};

/// Show the institution, its present work, the conditions that it waits for and the bytes sent. Reads the
/// state folder only.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// The state folder.
    #[arg(long)]
    state: PathBuf,
    /// Format of the answer.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

impl Status {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let site = site(&self.state)?;
        let certificate = Certificate::of_pem(&site.credentials()?.pair.certificate_pem).ok();
        if let Some(text) = certificate.and_then(|one| one.expiry_warning(SystemClock.now())) {
            print_warning(format_args!("{text}"));
        }
        let report = serde_json::to_value(report::status(&site, SystemClock.now())?)?;
        match self.output {
            Output::Json => outln!("{report:#}"),
            Output::Text => outln!("{}", table(&report)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn table(report: &Value) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut row = |key: &str, value: &Value| {
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let key = key.replace('_', " ");
        match value {
            Value::Null => {}
            Value::Array(values) => {
                table.add_row([key, values.iter().map(shown).collect::<Vec<_>>().join("\n")]);
            }
            value => drop(table.add_row([key, shown(value)])),
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
        "since",
    ] {
        row(key, &report[key]);
    }
    if let Some(wait) = report["waiting_for"].as_object() {
        row("waiting_for", &wait["message"]);
        row("waiting_since", &wait["since"]);
        row("tries", &wait["tries"]);
    }
    for kind in ["weights", "metrics", "control"] {
        row(&format!("sent_bytes, {kind}"), &report["sent_bytes"][kind]);
    }
    table
}
