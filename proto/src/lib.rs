//! The wire contract: messages, clients and servers generated from `eosfed/v1/*.proto`, and their
//! descriptors. Generated types go no further inward than each program's conversion module.

/// Version 1 of the contract.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, unused_qualifications)]
pub mod v1 {
    tonic::include_proto!("eosfed.v1");
}

/// The compiled descriptors of the whole contract, for tests and tools that inspect it.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
