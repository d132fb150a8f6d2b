//! The programs of `eosfed-hostile` in a federation: a dishonest member, and a lying coordinator.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use crate::{Federation, WAIT_TIMEOUT, classes, programs, succeed};

/// What a dishonest member's program has printed of a call.
#[derive(Debug)]
pub struct Answer {
    pub call: String,
    /// `OK`, a reason of the protocol, or the code of gRPC.
    pub answer: String,
    pub message: String,
}

impl Answer {
    pub fn of(line: &str) -> Self {
        let value: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| value[key].as_str().unwrap().to_owned();
        Self { call: text("call"), answer: text("answer"), message: text("message") }
    }
}

impl Federation {
    /// The command of an attack with this identity.
    pub fn attack_command(&self, identity: &Path, attack: &[&str]) -> Command {
        let mut command = Command::new(programs().join("eosfed-hostile"));
        command.args(["member", "--coordinator", &format!("127.0.0.1:{}", self.port())]);
        command.arg("--identity").arg(identity).args(attack);
        command
    }

    /// An attack with the identity of an institution.
    pub fn attack(&self, institution: &str, attack: &[&str]) -> Vec<Answer> {
        self.attack_as(&self.path(institution), attack)
    }

    /// An attack with the identity in this folder.
    pub fn attack_as(&self, identity: &Path, attack: &[&str]) -> Vec<Answer> {
        let output = succeed(self.attack_command(identity, attack).stdin(Stdio::null()));
        String::from_utf8(output.stdout).unwrap().lines().map(Answer::of).collect()
    }
}

/// A running `eosfed-hostile coordinator`. It ends with its standard input.
pub struct Liar {
    child: Child,
    orders: ChildStdin,
    lines: Receiver<String>,
}

impl Liar {
    fn start(federation: &Federation, lies: &[&str], options: &[&str]) -> Self {
        let mut command = Command::new(programs().join("eosfed-hostile"));
        command.args(["coordinator", "--listen", &format!("127.0.0.1:{}", federation.port())]);
        command.arg("--token-file").arg(Self::token(federation));
        command.args(["--lies", &lies.join(",")]).args(options).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let orders = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        // A test that waits in vain fails, so the lines are read beside it.
        std::thread::spawn(move || output.lines().try_for_each(|line| sender.send(line.unwrap())));
        assert_eq!(lines.recv_timeout(WAIT_TIMEOUT).unwrap(), "READY");
        Self { child, orders, lines }
    }

    /// Starts it on the federation's port with these lies. The institution `west` joins it, with this program
    /// as its training program.
    pub fn joined(federation: &Federation, lies: &[&str], trainer: &str) -> Self {
        Self::joined_with(federation, lies, trainer, &[])
    }

    /// The same, with more options of the coordinator.
    pub fn joined_with(federation: &Federation, lies: &[&str], trainer: &str, options: &[&str]) -> Self {
        let liar = Self::start(federation, lies, options);
        classes(&federation.path("west-data"), 1);
        succeed(&mut federation.join("west", &Self::token(federation)));
        federation.use_stub("west", trainer);
        federation.set("west", "heartbeat_seconds = 10", "heartbeat_seconds = 1");
        liar
    }

    /// The file of the token for `west`.
    fn token(federation: &Federation) -> PathBuf {
        federation.path("west.token")
    }

    /// How the next lie has ended.
    pub fn next_end(&mut self) -> Value {
        let line = self.lines.recv_timeout(WAIT_TIMEOUT).expect("a line of the lying coordinator");
        serde_json::from_str(&line).unwrap()
    }

    /// Withdraws the present offer. Its end is printed like that of any other.
    pub fn withdraw(&mut self) {
        writeln!(self.orders, "next").unwrap();
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
