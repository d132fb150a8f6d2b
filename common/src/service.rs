//! What a program tells its service manager (sd_notify(3)), and what it gets from it. Without a manager that
//! listens (`NOTIFY_SOCKET`), nothing is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sd_notify::NotifyState;

/// Longest status, in characters.
const MAX_STATUS: usize = 300;

/// Tells that the program is ready, and what it does.
pub fn ready(doing: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&line(doing))]);
}

/// Tells that settings are read again. [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager is not told of the reload"),
    }
}

/// Tells that the program ends.
pub fn stopping(doing: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(&line(doing))]);
}

/// Tells that the program has made progress. Not called in time ([`watchdog`]), the manager ends the program
/// and starts it again.
pub fn progressed() {
    tell(&[NotifyState::Watchdog]);
}

/// The longest time between two calls of [`progressed`], if the manager watches this program
/// (`WatchdogSec=`).
#[must_use]
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

/// The file of a credential (`LoadCredential=`), if the manager has given one of this name.
#[must_use]
pub fn credential(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY")?;
    Some(PathBuf::from(folder).join(name)).filter(|path| path.is_file())
}

/// Whether a file is a credential: only this program's user can read it, whatever its mode says (the manager
/// may grant that by an access control list).
#[must_use]
pub fn is_credential(path: &Path) -> bool {
    std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|folder| path.starts_with(folder))
}

/// One line: another would be another message to the manager.
fn line(text: &str) -> String {
    text.chars().take(MAX_STATUS).map(|one| if one.is_control() { ' ' } else { one }).collect()
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told anything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_of_bounded_length() {
        assert_eq!(line("a\nMAINPID=1"), "a MAINPID=1");
        assert_eq!(line(&"x".repeat(5000)).len(), MAX_STATUS);
    }
}
