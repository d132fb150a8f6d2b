//! `eosfed audit`.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use console::measure_text_width;
use eosfed_common::clock::Timestamp;
use eosfed_common::counted::counted;
use eosfed_common::files::folder_of;
use eosfed_common::ledger::{EventRef, Verified, Verifier};
use eosfed_common::outln;
use eosfed_proto::v1;
use eosfed_tables::{terminal_columns, wrapped};
use eosfed_transport::operator::IdentityFolder;
use eosfed_transport::status::from_status;
use indicatif::ProgressBar;
use serde_json::Value;

use super::arguments::{Audit, EventFilter, Output};
use super::connection::Connection;
use super::document::{Events, ExportedEvents, ShownEvent, VerifiedEvents};
use super::{print, query, verify};

/// Longest line of an export, in bytes. The coordinator's own lines are far shorter.
const MAX_LINE: u64 = 1 << 20;
/// Before the further lines of an event, so that a digest still fits into 80 columns.
const INDENT: &str = "  ";
/// Members of an event that have a column of their own.
const COLUMNS: [&str; 8] = ["sequence", "at", "actor", "kind", "job", "institution", "hash", "previous"];

pub(super) async fn run(
    connection: &mut Connection,
    identity: &IdentityFolder,
    command: &Audit,
    output: Output,
) -> anyhow::Result<ExitCode> {
    match command {
        Audit::List { filter, limit } => list(connection, filter, *limit, output).await?,
        Audit::Export { filter, file } => export(connection, filter, file, output).await?,
        Audit::Verify { noted, release, .. } => {
            let noted = match release {
                Some(release) => Some(released(connection, identity, release).await?),
                None => *noted,
            };
            let mut verifier = Verifier::expecting(noted);
            let bar = bar("verifying");
            let all = v1::ListEventsRequest::default();
            each(connection, all, |line| {
                bar.inc(1);
                Ok(verifier.line(&line)?)
            })
            .await?;
            bar.finish_and_clear();
            report(&verifier.finish()?, noted, output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The newest event of the ledger in a release: by its number, or in a pulled folder.
async fn released(
    connection: &mut Connection,
    identity: &IdentityFolder,
    release: &str,
) -> anyhow::Result<EventRef> {
    if let Ok(number) = release.parse() {
        let manifest = query::release(connection, Some(number)).await?.manifest;
        return verify::noted(Path::new(&format!("release {number}")), &manifest, identity);
    }
    let (file, manifest) = verify::manifest(Path::new(release))?;
    verify::noted(&file, &manifest, identity)
}

/// The same without a coordinator.
pub(super) fn noted_offline(release: &str, identity: Option<&Path>) -> anyhow::Result<EventRef> {
    anyhow::ensure!(
        release.parse::<u32>().is_err(),
        "an export is verified without a coordinator; name the folder of the pulled release {release}"
    );
    let (file, manifest) = verify::manifest(Path::new(release))?;
    verify::noted(&file, &manifest, &super::connection::folder(identity)?)
}

/// Verifies an export without a coordinator.
pub(super) fn verify_file(path: &Path, noted: Option<EventRef>, output: Output) -> anyhow::Result<ExitCode> {
    let mut verifier = Verifier::expecting(noted);
    let name = || format!("cannot read {}", path.display());
    let mut file = BufReader::new(File::open(path).with_context(name)?);
    let mut line = String::new();
    while (&mut file).take(MAX_LINE).read_line(&mut line).with_context(name)? > 0 {
        let text = line.strip_suffix('\n').with_context(|| {
            format!("{}: the last line is not complete, or is longer than {MAX_LINE} bytes", path.display())
        })?;
        verifier.line(text).with_context(|| path.display().to_string())?;
        line.clear();
    }
    report(&verifier.finish().with_context(|| path.display().to_string())?, noted, output)?;
    Ok(ExitCode::SUCCESS)
}

async fn list(
    connection: &mut Connection,
    filter: &EventFilter,
    limit: u32,
    output: Output,
) -> anyhow::Result<()> {
    let request = v1::ListEventsRequest { newest: limit, ..request(filter) };
    let mut events = Events(Vec::new());
    each(connection, request, |line| {
        let damaged = "the coordinator's ledger has a damaged event";
        let event: Value = serde_json::from_str(&line).context(damaged)?;
        match output {
            Output::Table => lines(&event, terminal_columns()).iter().for_each(|line| outln!("{line}")),
            Output::Json => events.0.push(ShownEvent::of(event).context(damaged)?),
        }
        Ok(())
    })
    .await?;
    if output == Output::Json {
        print::json(&events)?;
    }
    Ok(())
}

/// An event as lines of a terminal; those after the first are indented. For another program it is one line.
fn lines(event: &Value, columns: Option<usize>) -> Vec<String> {
    let row = row(event);
    let Some(columns) = columns.filter(|columns| measure_text_width(&row) > *columns) else {
        return vec![row];
    };
    let lines = wrapped(&row, columns.saturating_sub(INDENT.len()).max(1));
    let lines = lines.into_iter().enumerate();
    lines.map(|(at, line)| if at == 0 { line } else { format!("{INDENT}{line}") }).collect()
}

/// An event as one line of text: its columns, then its other members.
fn row(event: &Value) -> String {
    let text = |member: &str| event[member].as_str().unwrap_or("–");
    let at = Timestamp(event["at"].as_u64().unwrap_or_default()).to_string();
    let sequence = event["sequence"].as_u64().unwrap_or_default();
    let mut row = format!("{sequence:>6}  {at}  {:<20}  {}", text("actor"), text("kind"));
    for about in ["job", "institution"] {
        if let Some(name) = event[about].as_str() {
            row.push_str(&format!("  {name}"));
        }
    }
    let details = event.as_object().into_iter().flatten();
    for (name, value) in details.filter(|(name, _)| !COLUMNS.contains(&name.as_str())) {
        row.push_str(&format!("  {name}={}", detail(name, value)));
    }
    print::printable(&row)
}

/// A value as text: timestamps as times, rounds counted from 1, text with spaces in quotation marks.
fn detail(name: &str, value: &Value) -> String {
    match value {
        Value::Number(index) if name == "round" => {
            index.as_u64().map_or_else(|| index.to_string(), |index| (index + 1).to_string())
        }
        Value::Number(moment) if name.ends_with("_at") || name == "deadline" => {
            moment.as_u64().map_or_else(|| moment.to_string(), |moment| Timestamp(moment).to_string())
        }
        Value::String(text) if !text.is_empty() && !text.contains([' ', '"']) => text.clone(),
        other => other.to_string(),
    }
}

async fn export(
    connection: &mut Connection,
    filter: &EventFilter,
    file: &Path,
    output: Output,
) -> anyhow::Result<()> {
    let to_stdout = file == Path::new("-");
    if to_stdout {
        each(connection, request(filter), |line| {
            outln!("{line}");
            Ok(())
        })
        .await?;
        return Ok(());
    }
    let name = || format!("cannot write {}", file.display());
    let mut partial = tempfile::NamedTempFile::new_in(folder_of(file)).with_context(name)?;
    let bar = bar("exporting");
    let events = {
        let mut writer = BufWriter::new(&mut partial);
        let mut events = 0_u64;
        each(connection, request(filter), |line| {
            events += 1;
            bar.inc(1);
            Ok(writeln!(writer, "{line}")?)
        })
        .await?;
        writer.flush().with_context(name)?;
        events
    };
    bar.finish_and_clear();
    partial.as_file().sync_all().with_context(name)?;
    partial.persist(file).with_context(name)?;
    let whole = filter.is_empty();
    match output {
        Output::Json => print::json(&ExportedEvents { file, events, whole })?,
        Output::Table if whole => outln!(
            "{events} events are in {}. Check them with `eosfed audit verify {}`.",
            file.display(),
            file.display()
        ),
        Output::Table => outln!(
            "{events} events are in {}. A filtered export cannot be verified: its events do not follow one \
             another.",
            file.display()
        ),
    }
    Ok(())
}

fn report(verified: &Verified, noted: Option<EventRef>, output: Output) -> anyhow::Result<()> {
    let newest = verified.head.map(|head| head.to_string());
    match output {
        Output::Json => {
            print::json(&VerifiedEvents { events: verified.events, first: verified.first, newest })?;
        }
        Output::Table => {
            outln!(
                "{}: each is unchanged and follows from the one before it.",
                counted(verified.events, "event")
            );
            if let Some(noted) = noted {
                outln!("Event {} is among them with the hash that was noted.", noted.sequence);
            }
            if let Some(first) = verified.first.filter(|first| *first > 0) {
                outln!("They begin with event {first}; nothing is known about the events before it.");
            }
            if let Some(newest) = newest {
                outln!("Newest: {newest}");
                outln!("Keep that line elsewhere. `eosfed audit verify --noted {newest}`");
                outln!("later shows whether the ledger still contains it.");
            }
        }
    }
    Ok(())
}

fn request(filter: &EventFilter) -> v1::ListEventsRequest {
    let EventFilter { since, until, actor, job, institution, kind } = filter;
    let time = |time: &Option<Timestamp>| time.map_or(0, |time| time.0);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    v1::ListEventsRequest {
        since: time(since),
        until: time(until),
        actor: actor.as_ref().map(ToString::to_string).unwrap_or_default(),
        job: text(job),
        institution: text(institution),
        kind: kind.as_ref().map(ToString::to_string).unwrap_or_default(),
        newest: 0,
    }
}

/// Receives the lines of the coordinator one by one.
async fn each(
    connection: &mut Connection,
    request: v1::ListEventsRequest,
    mut take: impl FnMut(String) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let answer = connection.operator.list_events(request).await;
    let mut messages = connection.answer(answer)?;
    while let Some(message) = messages.message().await.map_err(|status| from_status(&status))? {
        for line in message.lines {
            take(line)?;
        }
    }
    Ok(())
}

/// A count of events on standard error, if that is a terminal.
fn bar(verb: &'static str) -> ProgressBar {
    ProgressBar::new_spinner().with_message(verb)
}

#[cfg(test)]
mod tests {
    use eosfed_common::digest::Digest;
    use eosfed_common::printed;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        let event = json!({
            "sequence": 12, "at": 1_795_000_000_000_u64, "actor": "operator:ada", "kind": "job_paused",
            "job": "j-0a1b2c3d", "reason": "two\nlines \u{1b}[2J", "hash": "sha256:00", "previous": null
        });
        let expected = "    12  2026-11-18T11:06:40Z  operator:ada          job_paused  j-0a1b2c3d  \
                        reason=\"two\\nlines \\u001b[2J\"";
        assert_eq!(row(&event), expected);
        let closed = json!({ "sequence": 1, "at": 0, "actor": "x", "kind": "y", "attempt": 1, "round": 0 });
        assert!(row(&closed).ends_with("attempt=1  round=1"), "{}", row(&closed));
        let name = json!({ "sequence": 1, "at": 0, "actor": "x", "kind": "y", "name": "a\u{9b}b" });
        assert!(row(&name).ends_with("name=a\u{fffd}b"), "{}", row(&name));
    }

    #[test]
    fn an_event_fits_into_the_terminal_and_is_one_line_elsewhere() {
        let event = json!({
            "sequence": 12, "at": 1_795_000_000_000_u64, "actor": "coordinator", "kind": "specialist_frozen",
            "job": "j-0a1b2c3d", "specialist": "land-cover-of-the-coast", "digest": Digest::of(b"weights"),
        });
        assert_eq!(lines(&event, None), [row(&event)]);
        assert_eq!(lines(&event, Some(300)), [row(&event)]);
        let lines = lines(&event, Some(80));
        assert!(lines.len() > 1 && lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        assert!(lines[1..].iter().all(|line| line.starts_with(INDENT)), "{lines:#?}");
        for word in row(&event).split_whitespace() {
            assert!(lines.iter().any(|line| line.contains(word)), "{word} is broken: {lines:#?}");
        }
    }

    #[test]
    fn events_are_printed_with_texts_as_times_and_nothing_is_lost() {
        let hash = Digest::of(b"");
        let known = json!({
            "sequence": 12, "at": 1_795_000_000_000_u64, "actor": "coordinator", "kind": "round_opened",
            "job": "j-0a1b2c3d", "round": 0, "attempt": 1, "deadline": 1_795_000_060_000_u64, "hash": hash,
            "previous": hash,
        });
        let printed = |event: &Value| {
            let text = printed::line(&Events(vec![ShownEvent::of(event.clone()).unwrap()])).unwrap();
            serde_json::from_str::<Value>(&text).unwrap()[0].take()
        };
        let mut expected = known.clone();
        expected["at"] = json!("2026-11-18T11:06:40.000Z");
        expected["deadline"] = json!("2026-11-18T11:07:40.000Z");
        assert_eq!(printed(&known), expected);
        // A kind of a later version, and a member of a later version.
        for (member, value) in [("kind", json!("comet_seen")), ("brightness", json!({"left": 7}))] {
            let (mut later, mut expected) = (known.clone(), known.clone());
            later[member] = value.clone();
            expected[member] = value;
            expected["at"] = json!("2026-11-18T11:06:40.000Z");
            assert_eq!(printed(&later), expected, "what has no known type stays as it is");
        }
    }

    #[test]
    fn a_damaged_export_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        std::fs::write(&path, "{\"sequence\":0}\n").unwrap();
        let error = verify_file(&path, None, Output::Json).unwrap_err();
        assert!(format!("{error:#}").contains("line 1 is not an event"), "{error:#}");
        std::fs::write(&path, "{\"sequence\":0").unwrap();
        let error = verify_file(&path, None, Output::Json).unwrap_err();
        assert!(format!("{error:#}").contains("the last line is not complete"), "{error:#}");
    }
}
