//! What is fuzzed: one function for each kind of foreign bytes, which must neither panic, nor hang, nor
//! take more memory than it is allowed, whatever it is given. `cargo fuzz run NAME` in the folder above
//! calls them with a fuzzer's inputs; the test beside this crate calls them with its own.
//!
//! Each says whether it accepted something, so that a test can hold that valid inputs are among the tried.

#![allow(clippy::unwrap_used, reason = "a finding is a panic")]

mod blobs;
mod folder;
mod messages;
mod plans;
mod raster;
mod records;
mod samples;
mod settings;
mod table;
mod text;
mod weights;

pub use blobs::blobs;
pub use messages::{MESSAGES, messages};
pub use plans::plans;
pub use raster::raster;
pub use records::records;
pub use settings::settings;
pub use table::table;
pub use text::text;
pub use weights::weights;

/// A kind of foreign bytes.
pub struct Target {
    /// Its name, for `cargo fuzz run`.
    pub name: &'static str,
    /// Reads bytes; says whether something in them was accepted. Panics at a finding.
    pub run: fn(&[u8]) -> bool,
    /// Valid inputs, made here and now, and some that nobody would write.
    pub seeds: fn() -> Seeds,
    /// Most memory that reading may take at any one time, in bytes.
    pub memory: usize,
    /// Most memory that may be asked for at once, in bytes.
    pub single: usize,
}

/// What mutations start from.
#[derive(Debug, Clone, Default)]
pub struct Seeds {
    /// Inputs that are accepted.
    pub good: Vec<Vec<u8>>,
    /// Inputs of kinds that changes would hardly find: lengths that lie, and what unfolds to much.
    pub odd: Vec<Vec<u8>>,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// All targets. Limits are a few times what the good inputs take; those of imagery follow from
/// [`eosfed_data::Limits`]. Of messages, a list of empty entries takes up to 440 bytes of memory for two
/// of its own: what holds that down is the longest message that each end takes, here 64 KiB.
pub const TARGETS: [Target; 9] = [
    Target { name: "blobs", run: blobs, seeds: blobs::seeds, memory: 4 * MIB, single: 2 * MIB },
    Target { name: "messages", run: messages, seeds: messages::seeds, memory: 48 * MIB, single: 32 * MIB },
    Target { name: "plans", run: plans, seeds: plans::seeds, memory: 16 * MIB, single: 4 * MIB },
    Target {
        name: "raster",
        run: raster,
        seeds: raster::seeds,
        memory: raster::MEMORY,
        single: raster::SINGLE,
    },
    Target { name: "records", run: records, seeds: records::seeds, memory: 16 * MIB, single: 4 * MIB },
    Target { name: "settings", run: settings, seeds: settings::seeds, memory: 16 * MIB, single: 4 * MIB },
    Target { name: "table", run: table, seeds: table::seeds, memory: 16 * MIB, single: 4 * MIB },
    Target { name: "text", run: text, seeds: text::seeds, memory: 4 * MIB, single: 512 * KIB },
    Target { name: "weights", run: weights, seeds: weights::seeds, memory: 16 * MIB, single: 4 * MIB },
];
