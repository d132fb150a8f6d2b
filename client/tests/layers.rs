//! The layer rule, held by reading the sources: what decides is pure, and imports go one way.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::path::Path;

/// Modules that decide, and the modules of this crate that they may name.
const RULE: [(&str, &[&str]); 4] =
    [("retry.rs", &[]), ("policy.rs", &[]), ("policy/explain.rs", &[]), ("daemon/step.rs", &[])];

/// What only a shell may name: those that decide are given time, randomness and values.
const IMPURE: [&str; 6] = ["tokio", "tonic", "std::fs", "SystemTime", "Instant::now", "rand::rng"];

#[test]
fn what_decides_is_pure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (file, allowed) in RULE {
        let text = fs::read_to_string(root.join(file)).unwrap();
        for impure in IMPURE {
            assert!(!text.contains(impure), "{file} must not name `{impure}`");
        }
        for named in text.split("crate::").skip(1) {
            let module: String = named.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            assert!(allowed.contains(&&*module), "{file} must not name `crate::{module}`");
        }
    }
}

#[test]
fn only_the_command_line_names_the_command_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for folder in ["daemon", "policy", "site"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let text = fs::read_to_string(&path).unwrap();
                assert!(!text.contains("crate::cli") && !text.contains("clap"), "{}", path.display());
            }
        }
    }
}
