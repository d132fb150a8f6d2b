//! The EoS-Fed daemon that runs at an institution, beside its private imagery.
//!
//! It asks the coordinator for work, holds it against the site policy, lets the training program do
//! it and hands in the result. All connections go out; nothing listens. Direction of imports: the
//! program, then [`daemon`], then [`coordinator`], [`trainer`], [`outbound`], [`imagery`] and
//! [`site`]; [`policy`], [`retry`] and [`settings`] are pure.

pub mod coordinator;
pub mod daemon;
pub mod imagery;
pub mod join;
pub mod outbound;
pub mod policy;
pub mod retry;
pub mod settings;
pub mod site;
#[cfg(test)]
mod testing;
pub mod trainer;
