//! Who takes a changed job sees its change. Otherwise the task that follows from it would not be started.

use std::thread;

use super::*;

/// How long the job must not be taken after its change was stored.
const WHILE: Duration = Duration::from_millis(50);

#[test]
fn a_job_is_taken_as_changed_when_its_change_can_be_read() {
    let bench = Bench::new();
    let job = bench.submit(ONE_SHOT);
    let core = &bench.core;
    core.take_changed();
    let head = || ready(bench.store.load()).unwrap().head;
    let before = head();
    thread::scope(|scope| {
        // While somebody reads the state, no change becomes visible.
        let pause = core.read(|_| {
            let pause = scope.spawn(|| ready(core.control_job(&job, JobAction::Pause, name("admin"))));
            while head() == before {
                thread::yield_now();
            }
            thread::sleep(WHILE);
            assert_eq!(core.take_changed(), BTreeSet::new());
            pause
        });
        pause.join().unwrap().unwrap();
    });
    assert_eq!(core.take_changed(), BTreeSet::from([job.clone()]));
    assert_eq!(core.job(&job).unwrap().state.name(), "paused");
}
