//! Who takes a changed job sees its change. Otherwise the task that follows from it would not be started.

use std::sync::mpsc::channel;
use std::thread;

use super::*;

/// Enough for the reader to look in the moment in which one of them becomes visible.
const CHANGES: usize = 400;

#[test]
fn a_job_is_taken_as_changed_when_its_change_can_be_read() {
    let bench = Bench::new();
    let job = bench.submit(ONE_SHOT);
    let core = &bench.core;
    core.take_changed();
    let (seen, taken) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut left = CHANGES;
            while left > 0 {
                for id in core.take_changed() {
                    seen.send(core.job(&id).unwrap().state.name() == "paused").unwrap();
                    left -= 1;
                }
            }
        });
        for paused in [true, false].into_iter().cycle().take(CHANGES) {
            let action = if paused { JobAction::Pause } else { JobAction::Resume };
            ready(core.control_job(&job, action, name("admin"))).unwrap();
            assert_eq!(taken.recv().unwrap(), paused);
        }
    });
}
