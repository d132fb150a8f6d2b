//! The rules of the tables that several kinds of jobs share, one file for each table.

pub(super) mod admission;
pub(super) mod aggregation;
pub(super) mod head;
pub(super) mod network;
pub(super) mod normalisation;
pub(super) mod participation;
pub(super) mod training;
pub(super) mod words;
