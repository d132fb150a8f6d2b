//! The samples of a part of a data set, one at a time and in any order, without having all of them in memory.
//!
//! They come from a file in which all samples lie decoded, in their narrowest form, or from the files of the
//! data set. Both give the same samples, so nothing but time depends on which it is.
//!
//! The file of decoded samples is read at offsets and not mapped: mapped pages would count as memory of the
//! process, and a file that someone cuts short would end it by a signal.

mod facts;
mod folder;
mod key;
mod packed;
mod record;
mod source;

pub use facts::PartFacts;
pub use folder::SampleCache;
pub use packed::{Packed, Pixels};
pub use source::{Origin, SampleSource};
