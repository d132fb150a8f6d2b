//! Fixtures for tests, benches and the fuzz harness: valid plans, cards, releases, heads, assignments,
//! submissions, and the values that stub trainers produce.
//!
//! A test states only the values that must differ, with a method of [`plans::Plan`] or with
//! `Card { name, ..cards::card() }`. The crate depends on `eosfed-common` only, so that the unit tests
//! of every other crate can use it. Plans and heads are files: the unit tests of `eosfed-common` itself
//! include them as text, because a crate's own tests do not share its types with crates that depend on
//! it.

#![allow(clippy::unwrap_used, reason = "a part of the tests: it says by its panic what went wrong")]

pub mod assignments;
pub mod cards;
pub mod data_statements;
pub mod ids;
pub mod plans;
pub mod policy_summaries;
pub mod releases;
pub mod signing;
pub mod submissions;
pub mod training;
