//! Lets the trainer find libtorch where it was built against, without `LD_LIBRARY_PATH`. Emitted here
//! and not through `RUSTFLAGS`, a change of which would rebuild torch-sys.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    match std::env::var("LIBTORCH") {
        Ok(folder) => println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}/lib"),
        Err(_) => println!(
            "cargo:warning=LIBTORCH is not set; `make libtorch` installs libtorch and says how to set it"
        ),
    }
}
