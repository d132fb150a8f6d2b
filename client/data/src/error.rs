//! Errors of imagery. Each names the file, the rule and the value found.

use std::path::{Path, PathBuf};

use eosfed_common::counted::counted;

/// Why a data set or one of its files cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// `dataset.toml` breaks rules: all of them.
    #[error("{path}: {} in the data set:{}", counted(.problems.len(), "problem"), listing(.problems), path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Key, rule and value of each.
        problems: Vec<String>,
    },
    /// A file cannot be used.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Which rule it breaks, with the value found.
        reason: String,
    },
    /// A file lies on another grid than one that belongs to it.
    #[error("{path}: {reason}", path = path.display())]
    OtherGrid {
        /// The file.
        path: PathBuf,
        /// The other one, and what differs, with both values.
        reason: String,
        /// The same without what is of these two files alone: equal for files of which the same is wrong.
        general: String,
        /// What is left out there; empty if that is the name of the other file only.
        numbers: String,
    },
    /// More files are corrupt than the data set allows.
    #[error("{}:{}", corrupt(*.files, *.total, *.read, .share), listing(.reasons))]
    TooManyCorrupt {
        /// How many were found.
        files: u64,
        /// Files that the share is of.
        total: usize,
        /// Files that were read before reading stopped; as many as `total` if it did not.
        read: usize,
        /// The share allowed.
        share: String,
        /// What is wrong with them; for equal reasons once.
        reasons: Vec<String>,
    },
    /// The declared bands contradict the pixels, and the data set is strict about it.
    #[error("{path}: the bands are not what `bands` says (`strict = true`):{}", listing(.findings), path = path.display())]
    Bands {
        /// The data set.
        path: PathBuf,
        /// The contradictions.
        findings: Vec<String>,
    },
    /// The data are unlike those that a network was trained on, and the data set is strict about it.
    #[error(
        "{path}: the data are unlike those that the network was trained on (`strict = true`):{}", listing(.findings),
        path = path.display()
    )]
    Unlike {
        /// The data set.
        path: PathBuf,
        /// The differences.
        findings: Vec<String>,
    },
    /// Files contradict each other or the description, or parts share what they must not, and the data set is strict about
    /// it.
    #[error("{path}: must be free of contradictions (`strict = true`), found:{}", listing(.findings), path = path.display())]
    Contradicted {
        /// The data set.
        path: PathBuf,
        /// The contradictions.
        findings: Vec<String>,
    },
    /// The data set cannot serve the request.
    #[error("{path}: {reason}", path = path.display())]
    Unfit {
        /// The data set.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// How many files are corrupt. Where reading stopped, there may be more.
fn corrupt(files: u64, total: usize, read: usize, share: &str) -> String {
    let rule =
        format!("{files} of {total} files cannot be read, more than `max_corrupt_share` = {share} allows");
    if read >= total {
        return rule;
    }
    format!("at least {rule}; reading stopped after {read} of them (`eosfed-client data inspect` reads all)")
}

fn listing(lines: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text: String = lines.iter().take(SHOWN).map(|line| format!("\n  - {line}")).collect();
    if lines.len() > SHOWN {
        text.push_str(&format!("\n  - and {} more", lines.len() - SHOWN));
    }
    text
}

impl DataError {
    pub(crate) fn file(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn unfit(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::Unfit { path: path.to_owned(), reason: reason.to_string() }
    }
}
