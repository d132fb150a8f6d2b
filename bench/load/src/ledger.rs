//! A long ledger: what it takes to start on it, and to list, export and verify it.
//!
//! The ledger is made as a backup, of lines, and restored: so it goes into the store in bulk, and through
//! the checks of every restore.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::files;
use eosfed_common::ids::{InstitutionName, JobId};
use eosfed_common::ledger::{Actor, Entry, Event, EventKind, EventRef};
use eosfed_common::weights::Encoding;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::sleep;

use crate::coordinator::{Coordinator, peak};
use crate::report::{Report, bytes, seconds};

/// Institutions that the events are about.
const INSTITUTIONS: u64 = 20;
/// Between two measurements of the command's memory.
const CHECK_INTERVAL: Duration = Duration::from_millis(2);

/// Measures ledgers of each of these lengths.
pub(crate) async fn play(program: &Path, lengths: &[u64]) -> anyhow::Result<Report> {
    let mut report = Report::default();
    for length in lengths {
        let started = Instant::now();
        let mut coordinator = with_events(program, *length).await?;
        report.row(&format!("{length} events"), format!("made in {}", seconds(started.elapsed())));
        let measured = measure(&mut coordinator, program, &mut report).await;
        measured.with_context(|| format!("the end of the coordinator's log:\n{}", coordinator.log()))?;
    }
    Ok(report)
}

/// A coordinator whose ledger has so many events more than that of a new one.
async fn with_events(program: &Path, count: u64) -> anyhow::Result<Coordinator> {
    let new = Coordinator::start(program).await?;
    let backup = new.folder().join("backup");
    let state = new.folder().join("coordinator");
    run(Command::new(program).arg("backup").arg("--state").arg(state).arg("--to").arg(&backup)).await?;
    let old = new.end().await?;
    lengthen(&backup, count)?;
    let folder = TempDir::new()?;
    let state = folder.path().join("coordinator");
    run(Command::new(program).arg("restore").arg("--from").arg(&backup).arg("--state").arg(state)).await?;
    drop(old);
    Coordinator::open(program, folder).await
}

async fn run(command: &mut Command) -> anyhow::Result<()> {
    let done = command.output().await?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// Adds events to the ledger of a backup.
fn lengthen(backup: &Path, count: u64) -> anyhow::Result<()> {
    let records = backup.join("records.jsonl");
    let mut last = newest(&records)?;
    let mut writer = BufWriter::new(File::options().append(true).open(&records)?);
    for number in 0..count {
        let event = event(last, number)?;
        let line = json!({ "tree": "events", "key": format!("{:020}", event.sequence), "record": event });
        writeln!(writer, "{line}")?;
        last = event.event_ref();
    }
    writer.flush()?;
    let path = backup.join("backup.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    let events = manifest["counts"]["events"].as_u64().context("a backup counts its events")?;
    manifest["counts"]["events"] = (events + count).into();
    let entries = manifest["files"].as_array_mut().context("a backup lists its files")?;
    let entry = entries.iter_mut().find(|entry| entry["path"] == "records.jsonl");
    let entry = entry.context("a backup lists its records")?;
    entry["digest"] = files::digest(&records)?.to_string().into();
    entry["size"] = records.metadata()?.len().into();
    Ok(std::fs::write(&path, manifest.to_string())?)
}

/// The newest event among the records.
fn newest(records: &Path) -> anyhow::Result<EventRef> {
    let mut newest = None;
    for line in BufReader::new(File::open(records)?).lines() {
        let mut line: Value = serde_json::from_str(&line?)?;
        if line["tree"] == "events" {
            newest = Some(serde_json::from_value::<Event>(line["record"].take())?.event_ref());
        }
    }
    newest.context("the backup has no event")
}

/// An event of the kind that most are of: an institution accepts work, or its update is admitted.
fn event(last: EventRef, number: u64) -> anyhow::Result<Event> {
    let institution: InstitutionName = format!("site-{:02}", number % INSTITUTIONS).parse()?;
    let job: JobId = format!("j-{:08x}", number / 100_000).parse()?;
    let round = u32::try_from(number / 2 / INSTITUTIONS % 1_000)?;
    let kind = match number / INSTITUTIONS % 2 {
        0 => EventKind::AssignmentAccepted { round, attempt: 1 },
        _ => EventKind::UpdateSubmitted {
            round,
            weights: Digest::of(&number.to_le_bytes()),
            samples: 100 + number % 900,
            encoding: Encoding::F32,
        },
    };
    let entry = Entry::new(Actor::Institution(institution.clone()), kind).of(&job).at(&institution);
    Ok(Event::follow(Some(last), Timestamp(1_795_000_000_000 + number * 100), entry))
}

async fn measure(coordinator: &mut Coordinator, program: &Path, report: &mut Report) -> anyhow::Result<()> {
    let ready = coordinator.restart().await?.starting;
    report.row("  store", bytes(coordinator.store_size()?));
    report.row("  from start to ready", seconds(ready));
    report.footprint("  coordinator, started", coordinator.footprint());
    let export = coordinator.folder().join("events.jsonl");
    let export = export.to_str().context("a temporary folder's name is text")?.to_owned();
    for arguments in [
        &["audit", "list", "--limit", "50"][..],
        &["audit", "list", "--actor", "institution:site-07", "--limit", "50"],
        &["audit", "list", "--institution", "nobody", "--limit", "50"],
        &["audit", "export", &export],
        &["audit", "verify"],
        &["audit", "verify", &export],
    ] {
        let _ = coordinator.most();
        let (took, memory) = timed(coordinator, program, arguments).await?;
        let served = coordinator.most().resident;
        let shown = arguments.join(" ").replace(&export, "FILE");
        let [memory, served] = [memory, served].map(|kib| kib as f64 / 1024.0);
        let text = format!("{}; eosfed {memory:.0} MiB, coordinator {served:.0} MiB", seconds(took));
        report.row(&format!("  {shown}"), text);
    }
    report.row("  size of the export", bytes(Path::new(&export).metadata()?.len()));
    Ok(())
}

/// Runs `eosfed`, which lies beside the coordinator's program; gives its time and its largest resident memory
/// in KiB.
async fn timed(
    coordinator: &Coordinator,
    program: &Path,
    arguments: &[&str],
) -> anyhow::Result<(Duration, u64)> {
    let eosfed: PathBuf = program.with_file_name("eosfed");
    let mut command = Command::new(&eosfed);
    command.env("EOSFED_IDENTITY", coordinator.folder().join("coordinator/operator")).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot run {}", eosfed.display()))?;
    let pid = child.id().context("the command has ended at once")?;
    let mut most = 0;
    let status = loop {
        most = most.max(peak(pid).unwrap_or_default());
        if let Some(status) = child.try_wait()? {
            break status;
        }
        sleep(CHECK_INTERVAL).await;
    };
    let took = started.elapsed();
    ensure!(status.success(), "`eosfed {}` has failed", arguments.join(" "));
    Ok((took, most))
}

#[cfg(test)]
mod tests {
    use eosfed_common::ledger::Verifier;

    use super::*;

    #[test]
    fn the_events_of_a_long_ledger_follow_one_another() {
        let first = Event::follow(None, Timestamp(0), Entry::new(Actor::Coordinator, EventKind::JobResumed));
        let mut verifier = Verifier::default();
        let mut last = first.event_ref();
        verifier.line(&first.to_line()).unwrap();
        for number in 0..100 {
            let event = event(last, number).unwrap();
            verifier.line(&event.to_line()).unwrap();
            last = event.event_ref();
        }
        assert_eq!(verifier.finish().unwrap().events, 101);
    }
}
