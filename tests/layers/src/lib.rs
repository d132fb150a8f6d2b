//! Reads the imports of every crate of the workspace and finds those that break the layer rule: imports
//! between crates that are not allowed, cycles between modules, and pure modules that import I/O, waiting or
//! the clock.
//!
//! ```text
//! paths (tokens of a file)  ->  tree (modules of a crate)  ->  names (what a path means)
//!     ->  circles, layers, purity  ->  the test in `tests/workspace.rs`, which states the rules
//! ```
//!
//! What is compiled for tests only (`#[cfg(test)]`, `tests/`) is not read.

mod circles;
mod layers;
mod names;
mod paths;
mod purity;
mod tree;

use std::fmt;
use std::path::{Path, PathBuf};

pub use circles::circles;
pub use layers::{CrateRule, ModuleRule, OutsideRule, crate_rules, module_rules, outside_rules};
pub use names::{Import, Target, Workspace};
pub use purity::{Outside, PureRule, impure};

/// Why the sources cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A source file is not Rust.
    #[error("{path}: {source}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        source: syn::Error,
    },
    /// A manifest is not valid.
    #[error("{path}: {reason}", path = path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A module is declared, and its file is missing.
    #[error("{path}: the file of module `{module}` is missing", path = path.display())]
    Missing {
        /// The file that declares it.
        path: PathBuf,
        /// The module.
        module: String,
    },
}

/// A violation of the rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The rule: `circle`, `crate`, `layer` or `pure`.
    pub rule: &'static str,
    /// The subject: two crates, or the modules of a cycle.
    pub subject: String,
    /// Files and lines, and what to do.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n{}", self.rule, self.subject, self.detail)
    }
}

/// Reads a file.
fn read(path: &Path) -> Result<String, ReadError> {
    std::fs::read_to_string(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })
}
