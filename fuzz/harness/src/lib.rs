//! What is fuzzed: one function for each kind of foreign bytes, which must neither panic, nor hang, nor
//! take more memory than it is allowed, whatever it is given. `cargo fuzz run NAME` in the folder above
//! calls them with a fuzzer's inputs; the test beside this crate calls them with its own.
//!
//! Each says whether it accepted something, so that a test can hold that valid inputs are among the tried.

#![allow(clippy::unwrap_used, reason = "a finding is a panic")]

mod before_gdal;
mod blobs;
mod folder;
mod messages;
mod plans;
mod polygons;
mod raster;
mod records;
mod samples;
mod settings;
mod site;
mod steps;
mod table;
mod target;
mod text;
mod weights;

pub use before_gdal::before_gdal;
pub use blobs::blobs;
pub use messages::{MESSAGES, messages};
pub use plans::plans;
pub use polygons::polygons;
pub use raster::raster;
pub use records::records;
pub use settings::settings;
pub use site::site;
pub use steps::steps;
pub use table::table;
pub use target::{Seeds, Target};
pub use text::text;
pub use weights::weights;

use target::{KIB, MIB};

/// All targets. Limits are a few times what the good inputs take; those of imagery follow from
/// [`eosfed_data::Limits`]. Of messages, a list of empty entries takes up to 440 bytes of memory for two
/// of its own: what holds that down is the longest message that each end takes, here 64 KiB. XML takes 72 bytes for
/// each `<` or `=`.
pub const TARGETS: [Target; 13] = [
    Target {
        name: "before_gdal",
        run: before_gdal,
        seeds: before_gdal::seeds,
        memory: 16 * MIB,
        single: 5 * MIB,
    },
    Target { name: "blobs", run: blobs, seeds: blobs::seeds, memory: 4 * MIB, single: 2 * MIB },
    Target { name: "messages", run: messages, seeds: messages::seeds, memory: 48 * MIB, single: 32 * MIB },
    Target { name: "plans", run: plans, seeds: plans::seeds, memory: 16 * MIB, single: 4 * MIB },
    Target { name: "polygons", run: polygons, seeds: polygons::seeds, memory: 16 * MIB, single: 4 * MIB },
    Target {
        name: "raster",
        run: raster,
        seeds: raster::seeds,
        memory: raster::MEMORY,
        single: raster::SINGLE,
    },
    Target { name: "records", run: records, seeds: records::seeds, memory: 16 * MIB, single: 4 * MIB },
    Target { name: "settings", run: settings, seeds: settings::seeds, memory: 16 * MIB, single: 4 * MIB },
    Target { name: "site", run: site, seeds: site::seeds, memory: 16 * MIB, single: 4 * MIB },
    Target { name: "steps", run: steps, seeds: steps::seeds, memory: 16 * MIB, single: 4 * MIB },
    Target { name: "table", run: table, seeds: table::seeds, memory: 16 * MIB, single: 4 * MIB },
    Target { name: "text", run: text, seeds: text::seeds, memory: 4 * MIB, single: 512 * KIB },
    Target { name: "weights", run: weights, seeds: weights::seeds, memory: 16 * MIB, single: 4 * MIB },
];
