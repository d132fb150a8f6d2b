//! Reading, computing and writing at the same time: while a batch of windows is computed, the next ones
//! are read and the last ones are written. The queues between are short, so memory stays bounded.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{ScopedJoinHandle, scope};

/// Batches that wait between two stages.
const QUEUE: usize = 2;

/// Passes what `read` gives through `compute`, in order, to `write`. `compute` stays on this thread; the others
/// get one each. `read` stops when what it calls says that nothing more is wanted.
///
/// # Errors
/// That of `read`, or else that of `write`.
pub(super) fn overlapped<In: Send, Out: Send, Done: Send, Problem: Send>(
    read: impl FnOnce(&dyn Fn(In) -> bool) -> Result<(), Problem> + Send,
    mut compute: impl FnMut(In) -> Out,
    write: impl FnOnce(&Receiver<Out>) -> Result<Done, Problem> + Send,
) -> Result<Done, Problem> {
    scope(|threads| {
        let (give_read, take_read) = sync_channel(QUEUE);
        let (give_computed, take_computed) = sync_channel(QUEUE);
        let reader = threads.spawn(move || read(&|batch| give_read.send(batch).is_ok()));
        let writer = threads.spawn(move || write(&take_computed));
        for batch in take_read {
            if give_computed.send(compute(batch)).is_err() {
                break;
            }
        }
        drop(give_computed);
        // Where reading failed, writing failed only because batches are missing.
        joined(reader)?;
        joined(writer)
    })
}

/// The result of a thread; its panic goes on here.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn count(wanted: usize) -> impl Fn(&dyn Fn(usize) -> bool) -> Result<(), String> {
        move |give| {
            (0..wanted).all(give);
            Ok(())
        }
    }

    #[test]
    fn all_three_work_at_the_same_time_and_in_order() {
        // Passes only if the third batch is read while the second is computed and the first is written.
        let together = Barrier::new(3);
        let read = |give: &dyn Fn(usize) -> bool| {
            for at in 0..8 {
                if at == 2 {
                    together.wait();
                }
                give(at);
            }
            Ok::<(), String>(())
        };
        let compute = |at: usize| {
            if at == 1 {
                together.wait();
            }
            at * 10
        };
        let write = |computed: &Receiver<usize>| {
            let first = computed.recv().unwrap();
            together.wait();
            Ok([first].into_iter().chain(computed.iter()).collect::<Vec<_>>())
        };
        assert_eq!(overlapped(read, compute, write), Ok((0..8).map(|at| at * 10).collect()));
    }

    #[test]
    fn no_more_is_read_than_the_queues_hold() {
        let read = AtomicUsize::new(0);
        let give_all = |give: &dyn Fn(usize) -> bool| {
            (0..100).all(|at| {
                read.fetch_add(1, Ordering::SeqCst);
                give(at)
            });
            Ok::<(), String>(())
        };
        let most = AtomicUsize::new(0);
        let write = |computed: &Receiver<usize>| {
            for (done, _) in computed.iter().enumerate() {
                most.fetch_max(read.load(Ordering::SeqCst) - done, Ordering::SeqCst);
            }
            Ok(())
        };
        assert_eq!(overlapped(give_all, |at| at, write), Ok(()));
        // Two queues, and one batch with each stage.
        let most = most.load(Ordering::SeqCst);
        assert!((1..=2 * QUEUE + 3).contains(&most), "{most}");
    }

    #[test]
    fn what_fails_first_is_reported_and_nothing_hangs() {
        let write_all = |computed: &Receiver<usize>| match computed.iter().count() {
            100 => Ok(()),
            found => Err(format!("only {found}")),
        };
        let broken = |give: &dyn Fn(usize) -> bool| {
            give(0);
            Err("damaged".to_owned())
        };
        assert_eq!(overlapped(broken, |at| at, write_all), Err("damaged".to_owned()));
        let full = |computed: &Receiver<usize>| {
            computed.recv().unwrap();
            Err::<(), _>("the disk is full".to_owned())
        };
        assert_eq!(overlapped(count(100), |at| at, full), Err("the disk is full".to_owned()));
        let panics =
            || overlapped(count(100), |at| assert!(at < 3, "no memory"), |done| Ok(done.iter().count()));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(overlapped(count(100), |at| at, write_all), Ok(()));
    }
}
