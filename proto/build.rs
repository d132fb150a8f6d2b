//! Compiles the contract with `protox`, so that no protoc needs to be installed.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let files =
        ["enrollment", "participant", "blobs", "operator"].map(|name| format!("eosfed/v1/{name}.proto"));
    println!("cargo:rerun-if-changed=eosfed");
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
