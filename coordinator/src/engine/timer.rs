//! Lets time pass: leases run out and deadlines come without anybody calling.

use std::sync::{Arc, Weak};
use std::time::Duration;

use eosfed_common::ids::JobId;

use super::{Handle, Shared};
use crate::domain::job::Event;

/// Longest sleep; a clock that jumps is noticed after it.
const LONGEST: Duration = Duration::from_secs(30);

/// Starts the timer; it ends when the engine is dropped.
pub(super) fn spawn(handle: &Handle) {
    let (shared, mut changes) = (Arc::downgrade(&handle.0), handle.changes());
    tokio::spawn(async move {
        while let Some(pause) = pass(&shared).await {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    });
}

/// Does what is due and gives how long to sleep; nothing when the engine is gone.
async fn pass(shared: &Weak<Shared>) -> Option<Duration> {
    let handle = Handle(shared.upgrade()?);
    let due = handle.tick().await;
    if due {
        return Some(Duration::ZERO);
    }
    let now = handle.now();
    let next = handle.jobs_awake().into_iter().map(|(_, at)| at.since(now)).min();
    Some(next.unwrap_or(LONGEST).clamp(Duration::from_millis(1), LONGEST))
}

impl Handle {
    /// Jobs that wait for a point in time, with it.
    fn jobs_awake(&self) -> Vec<(JobId, eosfed_common::clock::Timestamp)> {
        self.read(|state| {
            let waiting =
                state.jobs.values().filter_map(|job| Some((job.id.clone(), job.collecting()?.wake_at())));
            waiting.collect()
        })
    }

    /// Tells each job whose time has come; gives whether there was one.
    pub(super) async fn tick(&self) -> bool {
        let now = self.now();
        let mut any = false;
        for (id, _) in self.jobs_awake().into_iter().filter(|(_, at)| *at <= now) {
            match self.on_job(id.clone(), |job, now| job.apply(Event::Tick, now)).await {
                Ok(()) => any = true,
                Err(refusal) => tracing::warn!(job = %id, %refusal, "time passes without being recorded"),
            }
        }
        any
    }
}
