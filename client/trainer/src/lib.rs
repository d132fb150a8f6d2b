//! Trains and applies specialists with libtorch. The only crate that links it.
//!
//! A plain tensor operation of `tch` panics when libtorch refuses it. That is contained here by being
//! a program of its own: the daemon sees the process end, and retries or reports. What can be wrong
//! with input (files, shapes, options) is checked before it reaches libtorch and is an error.

pub mod device;
pub mod energy;
pub mod ensemble;
pub mod metrics;
pub mod net;
pub mod parameters;
pub mod train;
