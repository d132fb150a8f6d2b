//! `eosfed-coordinator check`: one line for each thing that `serve` needs. Changes nothing and does not open
//! the store, so that it can be run beside a serving coordinator.

use std::net::TcpListener;
use std::path::Path;

use eosfed_common::clock::{Clock as _, SystemClock, Timestamp};
use eosfed_common::outln;
use eosfed_transport::authority::LEAST_TIME_LEFT;

use crate::authority_files;
use crate::notify;
use crate::serve::SERVER_VALIDITY;
use crate::settings::{self, Settings, StateFolder};
use crate::signing_keys;

type Finding = Result<String, String>;

/// Prints the findings. Gives whether there is no problem.
#[must_use]
pub fn check(folder: &Path) -> bool {
    let findings = findings(folder, SystemClock.now());
    let good = findings.iter().all(|(_, finding)| finding.is_ok());
    for (what, finding) in findings {
        match finding {
            Ok(found) => outln!("ok       {what}: {found}"),
            Err(problem) => outln!("problem  {what}: {problem}"),
        }
    }
    good
}

fn findings(folder: &Path, now: Timestamp) -> Vec<(&'static str, Finding)> {
    let (state, settings) = match settings::load(folder) {
        Ok(loaded) => loaded,
        Err(error) => return vec![("settings", Err(format!("{error:#}")))],
    };
    vec![
        ("settings", Ok(state.settings().display().to_string())),
        ("authority", authority(&state, &settings, now)),
        ("signing key", signing_key(&state)),
        ("store", store(&state)),
        ("address", address(&state, &settings)),
        ("notifications", notify::check(&settings.notify)),
    ]
}

fn authority(state: &StateFolder, settings: &Settings, now: Timestamp) -> Finding {
    let authority = authority_files::open(state).map_err(|error| format!("{error:#}"))?;
    authority.server(&settings.names, now, SERVER_VALIDITY).map_err(|error| error.to_string())?;
    let until = authority.ends_at();
    match until.since(now) < LEAST_TIME_LEFT {
        true => Err(format!("it ends at {until}; see `eosfed-coordinator ca --help`")),
        false => Ok(format!("until {until}; the server's certificate is for {}", settings.names.join(", "))),
    }
}

fn signing_key(state: &StateFolder) -> Finding {
    match signing_keys::open(state) {
        Ok(Some(keys)) => Ok(format!("{}", keys.key().public())),
        Ok(None) => Ok("none yet; the first start makes one".to_owned()),
        Err(error) => Err(format!("{error:#}")),
    }
}

fn store(state: &StateFolder) -> Finding {
    Ok(match state.store().exists() {
        true => format!("{}; `serve --check` opens it", state.store().display()),
        false => "none yet; the first start makes one".to_owned(),
    })
}

/// Whether the address can be listened on. A serving coordinator has it already.
fn address(state: &StateFolder, settings: &Settings) -> Finding {
    let listen = settings.listen;
    if state.take_lock().is_ok_and(|lock| lock.is_none()) {
        return Ok("a coordinator serves this folder".to_owned());
    }
    let file = state.settings();
    let advice = |error| format!("cannot listen on {listen}: {error}; change `listen` in {}", file.display());
    TcpListener::bind(listen).map(|_| format!("{listen} can be listened on")).map_err(advice)
}
