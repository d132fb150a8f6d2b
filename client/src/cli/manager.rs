//! What the service manager is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eosfed_client::daemon::Watcher;
use eosfed_common::service;

/// The service manager, which shows one line of what the daemon does.
#[derive(Debug, Clone, Default)]
pub(super) struct Manager(Arc<Mutex<BTreeMap<usize, String>>>);

/// The same for one of several lanes.
#[derive(Debug)]
pub(super) struct OfLane {
    manager: Manager,
    lane: usize,
    device: String,
}

impl Manager {
    /// The watcher of a lane, which works on this device.
    pub(super) fn of_lane(&self, lane: usize, device: String) -> OfLane {
        OfLane { manager: self.clone(), lane, device }
    }

    /// The line, after a lane has said something.
    fn line(&self, lane: usize, said: String) -> String {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.insert(lane, said);
        lines.values().map(String::as_str).collect::<Vec<_>>().join("; ")
    }
}

impl Watcher for Manager {
    fn doing(&self, what: &str) {
        service::ready(what);
    }

    fn progressed(&self) {
        service::progressed();
    }

    fn interval(&self) -> Option<Duration> {
        service::watchdog().map(|limit| limit / 3)
    }
}

impl Watcher for OfLane {
    fn doing(&self, what: &str) {
        self.manager.doing(&self.manager.line(self.lane, format!("{}: {what}", self.device)));
    }

    fn progressed(&self) {
        self.manager.progressed();
    }

    fn interval(&self) -> Option<Duration> {
        self.manager.interval()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_has_what_all_lanes_do() {
        let manager = Manager::default();
        assert_eq!(manager.line(1, "cuda:1: trains".to_owned()), "cuda:1: trains");
        assert_eq!(manager.line(0, "cuda:0: polls".to_owned()), "cuda:0: polls; cuda:1: trains");
        assert_eq!(manager.line(1, "cuda:1: polls".to_owned()), "cuda:0: polls; cuda:1: polls");
    }
}
