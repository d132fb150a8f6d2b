//! What a training program prints: events as JSON lines on its standard output, and a log file.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use eosfed_common::task::TrainerEvent;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::ChildStdout;
use tokio::sync::mpsc;

/// Longest line of the trainer.
const MAX_LINE: u64 = 1 << 20;
/// Size above which the log file is renamed at the start of a trainer.
const MAX_LOG: u64 = 4 << 20;
/// How many bytes from the end of the trainer's log the daemon's log repeats.
const LOG_TAIL: usize = 400;

/// Opens the log file for appending. One that has become large is renamed first.
pub(super) fn open_log(path: &Path) -> io::Result<File> {
    if path.metadata().is_ok_and(|found| found.len() > MAX_LOG) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// Sends each line as an event, until the output ends or nobody listens.
pub(super) async fn read_lines(stdout: ChildStdout, sender: mpsc::Sender<Result<TrainerEvent, String>>) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) if line.iter().all(u8::is_ascii_whitespace) => continue,
            Ok(_) => {}
        }
        let event = serde_json::from_slice(&line).map_err(|error| {
            let start: String = String::from_utf8_lossy(&line).chars().take(80).collect();
            tracing::warn!(%error, "the trainer printed `{}`, which is not an event", start.escape_debug());
            "it printed a line that is not an event".to_owned()
        });
        if sender.send(event).await.is_err() {
            return;
        }
    }
}

/// The end of a log.
pub(super) fn tail(log: &Path) -> String {
    let log = std::fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL)..]).trim().to_owned()
}
