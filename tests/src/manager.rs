//! A service manager, as far as programs speak to one (sd_notify(3)).

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::WAIT_TIMEOUT;

/// Listens to one program.
pub struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    /// Listens on a socket in this folder.
    pub fn in_folder(folder: &Path) -> Self {
        let path = folder.join("notify");
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        Self { socket, path }
    }

    /// Watches the program of a command, which has to show progress within `limit`.
    pub fn watch(&self, command: &mut Command, limit: Duration) {
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", limit.as_micros().to_string());
    }

    /// What is told next, if anything is within a moment.
    pub fn heard(&self) -> Option<String> {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).ok()?;
        Some(String::from_utf8(message[..length].to_vec()).unwrap())
    }

    /// Waits until a message with this text is told.
    pub fn wait_for(&self, text: &str) -> String {
        let started = Instant::now();
        let mut before = Vec::new();
        while started.elapsed() < WAIT_TIMEOUT {
            match self.heard() {
                Some(message) if message.contains(text) => return message,
                Some(message) => before.push(message),
                None => {}
            }
        }
        panic!("`{text}` was not told; this was: {before:?}");
    }
}
