//! Logging, set up once at the start of a program: text for people or JSON for machines, always on
//! standard error so that standard output stays free for results.

use std::io::{IsTerminal as _, Write as _};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One readable line for each event.
    #[default]
    Text,
    /// One JSON object for each event.
    Json,
}

/// Starts logging. `EOSFED_LOG` (a `tracing` filter) overrides `default_filter`. A filter that does not parse
/// is reported, and the default is used.
pub fn init(format: LogFormat, default_filter: &str) {
    let asked = std::env::var("EOSFED_LOG").unwrap_or_else(|_| default_filter.to_owned());
    let filter = EnvFilter::try_new(&asked).unwrap_or_else(|error| {
        // Standard error may be closed.
        let _ = writeln!(
            std::io::stderr(),
            "EOSFED_LOG=`{asked}` is not a log filter ({error}); using `{default_filter}`"
        );
        EnvFilter::new(default_filter)
    });
    let colours = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        // Otherwise it would report a closed standard error on standard error, and panic.
        .log_internal_errors(false);
    // A second call, as in tests, keeps the first subscriber.
    let _ = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
