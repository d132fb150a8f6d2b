//! Notifications by a command: JSON on its standard input, no environment, a limit of time, and a process group
//! of its own, which ends with it.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use eosfed_common::printable::Printable;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::delivery::{Delivery, Failure};

/// How much is kept of what a command prints on each of its outputs, in bytes.
const MAX_OUTPUT: usize = 4 << 10;
/// How much of it is shown.
const MAX_SHOWN: usize = 500;
/// How long is waited for the end of its output after its end: a process that has left its group may hold it.
const GRACE: Duration = Duration::from_millis(500);

/// Ends the processes of a group when it is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        // The group is gone already if nobody is left in it.
        let _ = self.0.map(|group| killpg(group, Signal::SIGKILL));
    }
}

/// Runs a command once, for at most `limit`. Gives what it has printed.
pub(super) async fn run(words: &[String], delivery: &Delivery, limit: Duration) -> Result<String, Failure> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Failure::Lasting("no command".to_owned()));
    };
    let again = |error: std::io::Error| Failure::Again(format!("{program}: {error}"));
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(again)?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let group = Group(id.map(Pid::from_raw));
    let mut printed = [Vec::new(), Vec::new()];
    let Some(ended) = attend(child, group, &delivery.body, &mut printed, limit).await else {
        let why = format!("{program} has not ended within {} s; it was killed", limit.as_secs());
        return Err(Failure::Again(why));
    };
    let status = ended.map_err(again)?;
    let text = shown(&printed);
    match status.success() {
        true => Ok(format!("{program} has ended with exit code 0{text}")),
        false => Err(Failure::Again(format!("{program} has ended with {status}{text}"))),
    }
}

/// Talks with a command until it ends. Nothing if it has not ended within the limit.
async fn attend(
    mut child: Child,
    group: Group,
    body: &[u8],
    printed: &mut [Vec<u8>; 2],
    limit: Duration,
) -> Option<std::io::Result<ExitStatus>> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let [out, err] = printed;
    let tell = async {
        if let Some(mut stdin) = stdin {
            // A command may end without reading.
            let _ = stdin.write_all(body).await;
        }
    };
    let mut talk = std::pin::pin!(async { tokio::join!(tell, keep(stdout, out), keep(stderr, err)) });
    let mut talked = false;
    let until_its_end = async {
        loop {
            tokio::select! {
                ended = child.wait() => return ended,
                _ = &mut talk, if !talked => talked = true,
            }
        }
    };
    let ended = tokio::time::timeout(limit, until_its_end).await.ok();
    drop(group);
    if !talked {
        let _ = tokio::time::timeout(GRACE, &mut talk).await;
    }
    ended
}

/// Keeps the first bytes of an output, and reads the rest so that the command does not wait.
async fn keep(output: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut output) = output else { return };
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = output.read(&mut buffer).await {
        let room = MAX_OUTPUT - kept.len();
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
}

fn shown(printed: &[Vec<u8>; 2]) -> String {
    let text = String::from_utf8_lossy(&printed.concat()).trim().to_owned();
    match text.is_empty() {
        true => String::new(),
        false => format!(": {}", Printable::escaped(&text, MAX_SHOWN)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::notify::event::NotifyEvent;

    async fn sh(script: &str, limit: Duration) -> Result<String, Failure> {
        let body = b"{\"id\":\"x\"}".to_vec();
        let delivery = Delivery { id: "x".to_owned(), event: NotifyEvent::Test, body };
        run(&["/bin/sh", "-c", script].map(ToOwned::to_owned), &delivery, limit).await
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_command_gets_the_notification_and_no_environment() {
        let said = sh("cat; tr '\\0' ' ' < /proc/self/environ; pwd", LONG).await.unwrap();
        assert_eq!(said, "/bin/sh has ended with exit code 0: {\"id\":\"x\"}/");
    }

    #[tokio::test]
    async fn what_it_prints_is_bounded_and_shown_as_one_line() {
        let failed = sh("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo oh >&2; exit 3", LONG).await;
        let Err(Failure::Again(why)) = failed else { panic!("{failed:?}") };
        assert!(why.contains("exit status: 3: xxx") && why.len() < MAX_SHOWN + 100, "{why}");
        let failed = sh("printf 'a\\nb\\033[2J' >&2; exit 1", LONG).await.unwrap_err();
        assert!(failed.why().ends_with(": a\\nb\\u{1b}[2J"), "{}", failed.why());
        assert!(sh("exec 0<&-; exit 0", LONG).await.is_ok(), "it need not read");
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("child");
        let began = Instant::now();
        let script = format!("sleep 300 & echo $! > {}; wait", file.display());
        let failed = sh(&script, Duration::from_secs(1)).await.unwrap_err();
        assert!(failed.why().contains("not ended within 1 s; it was killed"), "{}", failed.why());
        assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
        let child: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        while !state().is_empty() && !state().contains(") Z ") {
            assert!(began.elapsed() < LONG, "it lives: {}", state());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn one_that_leaves_its_group_and_holds_the_output_is_not_waited_for() {
        let began = Instant::now();
        sh("setsid sleep 3 & exit 0", LONG).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
}
