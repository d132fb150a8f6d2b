//! Trains and applies specialists with libtorch. No other crate links it.
//!
//! A tensor operation of `tch` panics when libtorch refuses it. Since the trainer is a program of its
//! own, the daemon sees only that the process ends, and retries or reports it. Mistakes in the input
//! (files, shapes, options) are found before they reach libtorch and are errors.

pub mod device;
pub mod energy;
pub mod ensemble;
pub mod metrics;
pub mod net;
pub mod parameters;
pub mod train;
