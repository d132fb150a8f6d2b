//! What tests, benches and the fuzz harness start from: valid plans, cards, releases, heads,
//! assignments and submissions, and what stub trainers make of them.
//!
//! A caller states only what it needs otherwise, with a method of [`plans::Plan`] or by
//! `Card { name, ..cards::card() }`. The crate depends on `eosfed-common` only, so that the unit tests
//! of every crate above that one can use it. Plans and heads are files: the unit tests of
//! `eosfed-common` itself include them as text, because a crate's own tests do not share its types
//! with crates that depend on it.

#![allow(clippy::unwrap_used, reason = "a part of the tests: it says by its panic what went wrong")]

pub mod assignments;
pub mod cards;
pub mod ids;
pub mod plans;
pub mod releases;
pub mod submissions;
pub mod training;
