//! The layer rule, held by reading the sources: which module may import which.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::path::Path;

/// Each layer, and the layers of this crate that it may name.
const RULE: [(&str, &[&str]); 4] = [
    ("domain", &["domain"]),
    ("storage", &["domain", "storage"]),
    ("engine", &["domain", "engine", "storage"]),
    ("grpc", &["domain", "engine", "grpc", "storage", "tls"]),
];

/// What only a shell may name: the core is given time, randomness and bytes.
const IMPURE: [&str; 6] = ["tokio", "std::fs", "std::net", "SystemTime", "Instant::now", "rand::rng"];

fn sources(path: &Path) -> Vec<(String, String)> {
    if path.is_file() {
        return vec![(path.display().to_string(), fs::read_to_string(path).unwrap())];
    }
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let tests = |path: &Path| {
        let name = path.file_name().unwrap().to_string_lossy();
        ["tests.rs", "conformance.rs", "simulation.rs"].contains(&&*name)
    };
    entries.filter(|path| !tests(path)).flat_map(|path| sources(&path)).collect()
}

/// The file's text before its tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

#[test]
fn imports_go_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (layer, allowed) in RULE {
        for (file, text) in sources(&root.join(layer)) {
            for named in code(&text).split("crate::").skip(1) {
                let module: String = named.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                assert!(allowed.contains(&&*module), "{file}: `{layer}` must not name `crate::{module}`");
            }
        }
    }
}

#[test]
fn the_domain_is_pure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain");
    for (file, text) in sources(&root) {
        for impure in IMPURE {
            assert!(!code(&text).contains(impure), "{file}: the domain must not name `{impure}`");
        }
    }
}
