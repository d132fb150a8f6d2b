//! The number of threads of a task is that of the decoders too. It is set once in a process, so this program has
//! one test.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use eosfed_common::task::DeviceChoice;
use eosfed_trainer::device::set_up;

#[test]
fn threads_are_those_that_compute_and_those_that_decode() {
    set_up(DeviceChoice::Cpu, Some(3)).unwrap();
    assert_eq!((tch::get_num_threads(), rayon::current_num_threads()), (3, 3));
    // A second task of the process computes as it asks, and decodes with the threads that are there.
    set_up(DeviceChoice::Cpu, Some(1)).unwrap();
    assert_eq!((tch::get_num_threads(), rayon::current_num_threads()), (1, 3));
}
