//! The rules of the parts that several kinds of jobs have in common, one file for each part.

pub(super) mod admission;
pub(super) mod aggregation;
pub(super) mod head;
pub(super) mod network;
pub(super) mod normalisation;
pub(super) mod participation;
pub(super) mod training;
pub(super) mod words;
