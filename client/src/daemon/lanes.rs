//! The lanes of a daemon: one for each device, each with a journal of its own and at most one assignment.
//!
//! All lanes of a process are polled by one task, so what one does between two points where it waits is never
//! mixed with what another does. One lane at a time has the desk: it polls for work and decides about offers. The
//! others are at work, or wait for the desk.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use eosfed_common::assignment::Assignment;
use eosfed_common::ids::JobId;
use tokio::sync::Notify;

use super::data_memory::DataMemory;
use super::offer_memory::OfferMemory;

/// What the lanes of a daemon share; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Lanes(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    desk: tokio::sync::Mutex<Desk>,
    turn: tokio::sync::Mutex<()>,
    held: Mutex<BTreeMap<usize, Assignment>>,
    /// Told when a lane has ended its work.
    freed: Notify,
    /// Lanes that have not ended.
    running: AtomicUsize,
}

/// What is remembered between polls, whichever lane polls.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) offers: OfferMemory,
    pub(super) data: DataMemory,
}

/// The place of a daemon among its lanes.
#[derive(Debug, Clone, Default)]
pub(super) struct Lane {
    /// Its number, from 0.
    pub(super) number: usize,
    /// Whether it only ends the work that its journal holds: the settings have fewer devices than before.
    pub(super) ends: bool,
    pub(super) lanes: Lanes,
}

impl Lanes {
    /// Waits until no other lane polls.
    pub(super) async fn desk(&self) -> tokio::sync::MutexGuard<'_, Desk> {
        self.0.desk.lock().await
    }

    /// Waits until no other lane changes a file of the state folder that all of them share.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.turn.lock().await
    }

    /// Notes what a lane has in hand.
    pub(super) fn hold(&self, lane: usize, held: Option<&Assignment>) {
        let before = match held {
            Some(assignment) => self.in_hand().insert(lane, assignment.clone()),
            None => self.in_hand().remove(&lane),
        };
        if held.is_none() && before.is_some() {
            self.0.freed.notify_one();
        }
    }

    /// What all lanes have in hand.
    pub(super) fn held(&self) -> Vec<Assignment> {
        self.in_hand().values().cloned().collect()
    }

    /// Waits until a lane has ended its work.
    pub(super) async fn freed(&self) {
        self.0.freed.notified().await;
    }

    /// Notes that a lane begins.
    pub(super) fn begins(&self) {
        self.0.running.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a lane has ended. Gives whether it was the last one.
    pub(super) fn ends(&self) -> bool {
        self.0.running.fetch_sub(1, Ordering::Relaxed) == 1
    }

    fn in_hand(&self) -> MutexGuard<'_, BTreeMap<usize, Assignment>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// Whether another lane works for a job. An institution has one assignment of a job at a time.
    pub(super) fn is_elsewhere(&self, job: &JobId) -> bool {
        self.elsewhere().iter().any(|assignment| assignment.id.job == *job)
    }

    /// What the other lanes have in hand.
    pub(super) fn elsewhere(&self) -> Vec<Assignment> {
        let held = self.lanes.in_hand();
        held.iter().filter(|(lane, _)| **lane != self.number).map(|(_, one)| one.clone()).collect()
    }

    /// Whether there are lanes beside it.
    pub(super) fn has_others(&self) -> bool {
        Arc::strong_count(&self.lanes.0) > 1
    }
}

/// Runs futures beside each other in this task, until all have ended. Their results, in order.
pub async fn beside<T>(futures: Vec<Pin<Box<dyn Future<Output = T> + Send + '_>>>) -> Vec<T> {
    let mut results: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    let mut running: Vec<_> = futures.into_iter().map(Some).collect();
    poll_fn(|context| {
        for (future, result) in running.iter_mut().zip(&mut results) {
            let Some(waiting) = future else { continue };
            if let Poll::Ready(done) = waiting.as_mut().poll(context) {
                *result = Some(done);
                *future = None;
            }
        }
        if running.iter().any(Option::is_some) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn futures_run_beside_each_other_and_keep_their_order() {
        let wait = |seconds: u64| {
            Box::pin(async move {
                tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
                seconds
            }) as Pin<Box<dyn Future<Output = u64> + Send>>
        };
        let begun = tokio::time::Instant::now();
        assert_eq!(beside(vec![wait(3), wait(1), wait(2)]).await, [3, 1, 2]);
        assert_eq!(begun.elapsed().as_secs(), 3, "not one after another");
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_is_in_one_lane_until_that_is_free() {
        let lanes = Lanes::default();
        let lane = |number| Lane { number, ends: false, lanes: lanes.clone() };
        let work = crate::testing::training(eosfed_common::plan::JobKind::Rounds);
        let job = work.id.job.clone();
        let free = || async { tokio::time::timeout(std::time::Duration::from_secs(1), lanes.freed()).await };
        lanes.hold(1, Some(&work));
        assert!(lane(0).is_elsewhere(&job) && !lane(1).is_elsewhere(&job));
        assert_eq!(lanes.held(), std::slice::from_ref(&work));
        assert!(free().await.is_err(), "it is at work");
        lanes.hold(1, None);
        assert!(!lane(0).is_elsewhere(&job) && lanes.held().is_empty());
        assert!(free().await.is_ok());
        lanes.hold(1, None);
        assert!(free().await.is_err(), "it was free");
    }

    #[test]
    fn the_last_lane_knows_that_it_is_the_last() {
        let lanes = Lanes::default();
        (0..3).for_each(|_| lanes.begins());
        assert_eq!([lanes.ends(), lanes.ends(), lanes.ends()], [false, false, true]);
    }
}
