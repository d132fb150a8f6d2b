//! The EoS-Fed daemon that runs at an institution, beside its private imagery.
//!
//! It polls the coordinator for work, checks it against the site policy, runs the training program and
//! submits the result. All connections of the daemon go out. Only [`dashboard`] listens, where a person starts
//! it, and for programs of the same machine.
//!
//! Direction of imports: the command line, then [`setup`], [`dashboard`] and [`daemon`], then [`coordinator`], [`trainer`],
//! [`imagery`], [`egress`], [`noised`], [`outbound`], [`journal`], [`report`], [`budgets`], [`spent`] and [`site`], then
//! [`site_log`], [`sandbox`], [`policy`], [`condition`], [`retry`], [`state`], [`offload`] and [`settings`],
//! then [`privacy`].
//! The decisions in `policy`, `privacy`, `condition`, `retry`, `state` and `daemon::step` are pure.

pub mod budgets;
pub mod condition;
pub mod coordinator;
pub mod daemon;
pub mod dashboard;
pub mod data_description;
pub mod data_sets;
pub mod document;
pub mod egress;
pub mod encoded;
pub mod imagery;
pub mod jobs;
pub mod join;
pub mod journal;
pub mod noised;
pub mod offload;
pub mod outbound;
pub mod policy;
pub mod privacy;
pub mod report;
pub mod retry;
pub mod sandbox;
pub mod settings;
pub mod setup;
pub mod site;
pub mod site_log;
pub mod spent;
pub mod state;
#[cfg(test)]
mod testing;
pub mod trainer;
