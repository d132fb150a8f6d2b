//! Lines for the journal of systemd. An entry has the line as a person reads it, its priority, and each field of
//! the event as a field of its own: `journalctl EOSFED_JOB=j-0a1b2c3d`. Where the journal's socket cannot be
//! reached, the line goes to standard error with its priority before it, as `sd-daemon(3)` has it.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;

use libsystemd::logging::{Priority, journal_send};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Before the name of each field, so that none is one of the journal's own.
const PREFIX: &str = "EOSFED_";
/// Longest name of a field that the journal takes, in bytes.
const LONGEST_NAME: usize = 64;

/// Whether standard error is connected to the journal: `JOURNAL_STREAM` then has its device and inode, as
/// `systemd.exec(5)` says.
pub(super) fn is_connected() -> bool {
    let told = std::env::var("JOURNAL_STREAM").ok();
    let stderr = std::fs::metadata("/proc/self/fd/2").ok();
    let (Some(told), Some(stderr)) = (told, stderr) else { return false };
    told == format!("{}:{}", stderr.dev(), stderr.ino())
}

/// Sends each event to the journal, as the line that another format makes of it.
pub(super) struct ForJournal<F> {
    line: F,
    identifier: String,
}

impl<F> ForJournal<F> {
    pub(super) fn new(line: F) -> Self {
        let program = std::env::current_exe().ok();
        let name = program.as_deref().and_then(|path| path.file_name());
        Self { line, identifier: name.map_or_else(String::new, |name| name.to_string_lossy().into_owned()) }
    }
}

impl<S, N, F> FormatEvent<S, N> for ForJournal<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.line.format_event(context, Writer::new(&mut line), event)?;
        let priority = priority(*event.metadata().level());
        let mut fields = Fields(vec![
            ("SYSLOG_IDENTIFIER".to_owned(), self.identifier.clone()),
            (format!("{PREFIX}TARGET"), event.metadata().target().to_owned()),
        ]);
        event.record(&mut fields);
        match journal_send(priority, line.trim_end_matches('\n'), fields.0.into_iter()) {
            // The writer is left empty: the journal has the line.
            Ok(()) => Ok(()),
            Err(_) => write!(writer, "<{}>{line}", u8::from(priority)),
        }
    }
}

const fn priority(level: Level) -> Priority {
    match level {
        Level::ERROR => Priority::Error,
        Level::WARN => Priority::Warning,
        Level::INFO => Priority::Info,
        Level::DEBUG | Level::TRACE => Priority::Debug,
    }
}

/// The fields of an event with the journal's names, but for the message, which the line has.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn push(&mut self, field: &Field, value: String) {
        if field.name() != "message" {
            self.0.push((name(field.name()), value));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, format!("{value:?}"));
    }
}

/// The journal's name of a field: capital letters, digits and underscores, at most 64.
fn name(field: &str) -> String {
    let letters = field.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    PREFIX.chars().chain(letters).take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_the_journal_takes() {
        assert_eq!(name("job"), "EOSFED_JOB");
        assert_eq!(name("otel.kind"), "EOSFED_OTEL_KIND");
        assert_eq!(name(&"größe".repeat(40)).len(), LONGEST_NAME);
        let takes = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        assert!(name("r#größe-7").chars().all(takes));
    }
}
