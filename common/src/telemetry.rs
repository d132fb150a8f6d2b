//! Logging, set up once at the start of a program: text for people or JSON for machines, always on
//! standard error so that standard output stays free for results. Under systemd, each line is an entry of the
//! journal with priority and fields, and journald adds the time.

mod journal;

use std::fmt;
use std::io::{IsTerminal as _, Write as _};

use journal::ForJournal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::fmt::format::{self, Format};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, reload};

/// The environment variable whose filter holds before the settings'.
const VARIABLE: &str = "EOSFED_LOG";
/// Longest filter, in bytes.
const MAX_FILTER: usize = 1000;

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

/// What is logged: a level, or a `tracing` filter such as `info,eosfed_coordinator::tls=debug`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct LogFilter(String);

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl TryFrom<String> for LogFilter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let shown: String = text.escape_debug().take(100).collect();
        let rule = "use error, warn, info, debug or trace, or a filter such as \
                    `info,eosfed_coordinator::tls=debug`";
        if text.is_empty() || text.len() > MAX_FILTER {
            return Err(format!("{rule}; found {} bytes", text.len()));
        }
        EnvFilter::try_new(&text).map_err(|error| format!("{rule}; found `{shown}` ({error})"))?;
        Ok(Self(text))
    }
}

impl From<LogFilter> for String {
    fn from(filter: LogFilter) -> Self {
        filter.0
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Changes what is logged while the program runs.
#[derive(Debug, Clone)]
pub struct LogControl(reload::Handle<EnvFilter, Registry>);

impl LogControl {
    /// Logs by this filter from now on, unless the environment has one.
    ///
    /// # Errors
    /// A sentence, if the environment has a filter or logging has ended.
    pub fn set(&self, filter: &LogFilter) -> Result<(), String> {
        if std::env::var_os(VARIABLE).is_some() {
            return Err(format!("{VARIABLE} is set and holds until the program ends"));
        }
        let new = EnvFilter::try_new(&filter.0).map_err(|error| error.to_string())?;
        self.0.reload(new).map_err(|error| error.to_string())
    }
}

/// Starts logging. `EOSFED_LOG` (a `tracing` filter) overrides `default_filter`. A filter that does not parse
/// is reported, and the default is used.
pub fn init(format: LogFormat, default_filter: &str) -> LogControl {
    let asked = std::env::var(VARIABLE).unwrap_or_else(|_| default_filter.to_owned());
    let filter = EnvFilter::try_new(&asked).unwrap_or_else(|error| {
        // Standard error may be closed.
        let _ = writeln!(
            std::io::stderr(),
            "{VARIABLE}=`{asked}` is not a log filter ({error}); using `{default_filter}`"
        );
        EnvFilter::new(default_filter)
    });
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // Otherwise it would report a closed standard error on standard error, and panic.
        .log_internal_errors(false);
    let lines = match (format, journal::is_connected()) {
        (LogFormat::Text, false) => lines.with_target(false).boxed(),
        (LogFormat::Json, false) => lines.json().boxed(),
        (LogFormat::Text, true) => {
            lines.event_format(ForJournal::new(Format::default().with_target(false).without_time())).boxed()
        }
        (LogFormat::Json, true) => {
            let fields = format::JsonFields::new();
            lines.fmt_fields(fields).event_format(ForJournal::new(Format::default().json())).boxed()
        }
    };
    // A second call, as in tests, keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    LogControl(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_directives() {
        for right in ["error", "info", "debug", "info,eosfed_coordinator::tls=debug"] {
            assert_eq!(LogFilter::try_from(right.to_owned()).unwrap().to_string(), right);
        }
        for wrong in ["", "info,=", "eosfed=loud", &"a".repeat(MAX_FILTER + 1)] {
            let said = LogFilter::try_from(wrong.to_owned()).unwrap_err();
            assert!(said.contains("use error, warn"), "{said}");
        }
    }
}
