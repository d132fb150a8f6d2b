//! `/healthz`: the process lives. `/readyz`: it can do its work.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use eosfed_common::files::write_atomically;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::Context;
use crate::disk::free_bytes;
use crate::engine::Core;
use crate::storage::RESERVE;

/// How long a result of the checks counts, so that asking often costs nothing.
const FRESH: Duration = Duration::from_secs(2);
/// How long the engine may take to let another change in.
const PROGRESS: Duration = Duration::from_secs(5);
/// The file that is written to see whether the state folder can be written.
const PROBE: &str = "writable";

/// The checks and when they were done last.
struct Readiness {
    context: Context,
    last: Mutex<Option<(Instant, Vec<String>)>>,
}

/// The two pages.
pub(super) fn routes(context: Context) -> Router {
    let readiness = Arc::new(Readiness { context, last: Mutex::default() });
    Router::new().route("/healthz", get(async || "alive\n")).route(
        "/readyz",
        get(async move || {
            let problems = readiness.problems().await;
            if problems.is_empty() {
                return (StatusCode::OK, "ready\n".to_owned());
            }
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", problems.join("; ")))
        }),
    )
}

impl Readiness {
    /// What is wrong. The listener exists only after recovery, so that is not asked.
    async fn problems(&self) -> Vec<String> {
        if self.context.stopping.is_cancelled() {
            return vec!["the coordinator is stopping".to_owned()];
        }
        let mut last = self.last.lock().await;
        if let Some((at, problems)) = &*last
            && at.elapsed() < FRESH
        {
            return problems.clone();
        }
        let problems = self.check().await;
        *last = Some((Instant::now(), problems.clone()));
        problems
    }

    async fn check(&self) -> Vec<String> {
        let state = self.context.state.clone();
        let disk = tokio::task::spawn_blocking(move || disk_problem(&state));
        let disk =
            disk.await.unwrap_or_else(|error| Some(format!("the check of the disk has failed: {error}")));
        let stopped = self.context.disk.check(0).err().map(|refusal| refusal.message);
        let let_in = self.context.engine.call(async |core: &Core| {
            core.let_in().await;
            Ok(())
        });
        let stuck = timeout(PROGRESS, let_in).await.is_err();
        let seconds = PROGRESS.as_secs();
        let stuck = stuck.then(|| format!("the engine has let no change in for {seconds} s"));
        disk.into_iter().chain(stopped).chain(stuck).collect()
    }
}

fn disk_problem(state: &Path) -> Option<String> {
    let shown = state.display();
    match free_bytes(state) {
        Err(error) => return Some(format!("cannot see the room on the disk of {shown}: {error}")),
        Ok(free) if free < RESERVE => {
            let rule = "nothing is stored below";
            return Some(format!("the disk of {shown} has {free} bytes free; {rule} {RESERVE}"));
        }
        Ok(_) => {}
    }
    let written = write_atomically(&state.join(PROBE), b"");
    written.err().map(|error| format!("cannot write in {shown}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_written_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(disk_problem(folder.path()), None);
        let gone = disk_problem(&folder.path().join("gone")).unwrap();
        assert!(gone.contains("gone"), "{gone}");
        let probe = folder.path().join(PROBE);
        std::fs::remove_file(&probe).unwrap();
        std::fs::create_dir_all(probe.join("in the way")).unwrap();
        let blocked = disk_problem(folder.path()).unwrap();
        assert!(blocked.contains("cannot write in"), "{blocked}");
    }
}
