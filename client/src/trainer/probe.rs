//! A trial start of the training program: whether it runs here, on the device that the settings name.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use eosfed_common::task::DeviceChoice;
use serde::Deserialize;

use super::Trainer as _;
use super::process::TrainerCommand;

/// Interval between two looks whether it has ended.
const INTERVAL: Duration = Duration::from_millis(20);
/// Most of its output that is read, in bytes.
const MOST: u64 = 64 << 10;
/// Most characters of its complaint that are shown.
const SHOWN: usize = 400;

/// What `eosfed-trainer device` prints, as far as it is needed.
#[derive(Deserialize)]
struct Found {
    device: String,
    reason: String,
}

impl TrainerCommand {
    /// Starts the program through the launcher and the sandbox, has it choose the device and waits for its end.
    /// Returns the device with the reason for it.
    ///
    /// # Errors
    /// A sentence that says why it does not start, does not end within `limit` or cannot use the device.
    pub fn try_out(&self, device: DeviceChoice, folder: &Path, limit: Duration) -> Result<String, String> {
        self.ready().map_err(|condition| condition.to_string())?;
        let child = self
            .ask_device(device, folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|error| format!("{} cannot be started: {error}", self.shown()))?;
        let output = std::thread::scope(|scope| {
            let output = child.stdout.take().map(|pipe| scope.spawn(|| read(pipe)));
            let complaint = child.stderr.take().map(|pipe| scope.spawn(|| read(pipe)));
            let ended = wait(&mut child, limit);
            let text = |reader: Option<std::thread::ScopedJoinHandle<'_, String>>| {
                reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
            };
            (ended, text(output), text(complaint))
        });
        let (ended, output, complaint) = output;
        let Some(succeeded) = ended else {
            return Err(format!(
                "{} was started and has not ended within {} s; a launcher that waits in a queue needs longer, and \
                 works started by it do too",
                self.shown(),
                limit.as_secs()
            ));
        };
        match serde_json::from_str::<Found>(&output) {
            Ok(Found { device, reason }) if succeeded => Ok(format!("{device}: {reason}")),
            _ => Err(format!(
                "{} does not work with `trainer.device = \"{device}\"`: {}",
                self.shown(),
                shortened(if complaint.trim().is_empty() { &output } else { &complaint })
            )),
        }
    }
}

/// Waits for the end of a program; kills it when the time is over. Whether it has succeeded.
fn wait(child: &mut Child, limit: Duration) -> Option<bool> {
    let end = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) if Instant::now() < end => std::thread::sleep(INTERVAL),
            Ok(None) | Err(_) => {
                // What it has started ends with it where the sandbox is in force.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

fn read(pipe: impl std::io::Read) -> String {
    let mut bytes = Vec::new();
    let _ = pipe.take(MOST).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn shortened(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return "it says nothing".to_owned();
    }
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::TrainerLimits;

    /// A shell in the place of the program, behind which stands what it does.
    fn tried(script: &str, limit: Duration) -> Result<String, String> {
        let command = TrainerCommand {
            launcher: ["sh", "-c", script].map(str::to_owned).to_vec(),
            program: "eosfed-trainer".into(),
            sandbox: None,
            limits: TrainerLimits::default(),
            lane: 0,
            trace: eosfed_transport::traced::TraceSlot::default(),
        };
        command.try_out("cuda:1".parse().unwrap(), &std::env::temp_dir(), limit)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_program_is_started_with_the_device_of_the_settings() {
        let said = r#"test "$*" = "device --format json --device cuda:1" && echo '{"device":"cuda:1","reason":"as asked","new":1}'"#;
        assert_eq!(tried(said, LONG).unwrap(), "cuda:1: as asked");
    }

    #[test]
    fn what_does_not_work_is_said_with_the_programs_own_words() {
        let error = tried("echo 'there is  no GPU' >&2; exit 1", LONG).unwrap_err();
        assert!(error.contains("cuda:1") && error.ends_with("there is no GPU"), "{error}");
        let error = tried("exit 3", LONG).unwrap_err();
        assert!(error.ends_with("it says nothing"), "{error}");
        let error = tried("yes | head -c 1000000 >&2; exit 1", LONG).unwrap_err();
        assert!(error.len() < 700 && error.ends_with("..."), "{error}");
        let error = tried(r#"echo '{"device":"cuda:1","reason":"x"}'; exit 1"#, LONG).unwrap_err();
        assert!(error.contains("does not work"), "{error}");
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let started = Instant::now();
        let error = tried("exec sleep 100", Duration::from_millis(100)).unwrap_err();
        assert!(error.contains("has not ended") && started.elapsed() < Duration::from_secs(50), "{error}");
    }
}
