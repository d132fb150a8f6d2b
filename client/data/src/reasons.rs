//! Equal errors of many files, said once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::DataError;

/// Files that are named of each reason.
const NAMED: usize = 3;
/// Most reasons that are told apart; what comes later counts as one more.
const MOST_REASONS: usize = 100;
/// What stands for the file in a reason.
const FILE: &str = "FILE";

/// A reason, and the files that it is true of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReasonGroup {
    /// The reason; `FILE` stands for the file.
    pub reason: String,
    /// How many files.
    pub files: u64,
    /// Some of them.
    pub examples: Vec<String>,
}

impl fmt::Display for ReasonGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, files, examples } = self;
        let more = if *files > examples.len() as u64 { ", …" } else { "" };
        let word = if *files == 1 { "file" } else { "files" };
        write!(f, "{files} {word}: {reason} ({}{more})", examples.join(", "))
    }
}

/// Files by reason.
#[derive(Debug, Clone, Default)]
pub(crate) struct Groups(BTreeMap<String, (u64, Vec<String>)>);

impl Groups {
    /// Adds what is wrong with a file.
    pub(crate) fn add(&mut self, error: &DataError) {
        match error {
            DataError::File { path, reason } => self.file(path, reason),
            other => self.other(&other.to_string()),
        }
    }

    /// Adds a reason that names no file by itself.
    pub(crate) fn other(&mut self, reason: &str) {
        self.put(reason.to_owned(), 1, &[]);
    }

    /// Adds a reason that is true of a file.
    pub(crate) fn file(&mut self, path: &Path, reason: &str) {
        let name = path.display().to_string();
        self.put(reason.replace(&name, FILE), 1, &[name]);
    }

    /// Adds those of another part.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (reason, (files, examples)) in &other.0 {
            self.put(reason.clone(), *files, examples);
        }
    }

    fn put(&mut self, reason: String, files: u64, examples: &[String]) {
        let full = self.0.len() >= MOST_REASONS && !self.0.contains_key(&reason);
        let reason = if full { "other reasons".to_owned() } else { reason };
        let (count, named) = self.0.entry(reason).or_default();
        *count += files;
        named.extend(examples.iter().take(NAMED.saturating_sub(named.len())).cloned());
    }

    /// How many files they are.
    pub(crate) fn files(&self) -> u64 {
        self.0.values().map(|(files, _)| files).sum()
    }

    /// The most frequent reason first.
    pub(crate) fn list(self) -> Vec<ReasonGroup> {
        let group = |(reason, (files, examples))| ReasonGroup { reason, files, examples };
        let mut list: Vec<ReasonGroup> = self.0.into_iter().map(group).collect();
        list.sort_by_key(|group| std::cmp::Reverse(group.files));
        list
    }
}

/// Files that were skipped: what is wrong with each, and the same for equal reasons once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Skipped {
    said: Vec<String>,
    groups: Groups,
}

impl Skipped {
    /// Adds what is wrong with a file.
    pub(crate) fn add(&mut self, error: &DataError) {
        self.groups.add(error);
        self.said.push(error.to_string());
    }

    /// What is wrong with each, by name.
    pub(crate) fn said(&self) -> &[String] {
        &self.said
    }

    /// The same, by reasons.
    pub(crate) const fn groups(&self) -> &Groups {
        &self.groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_reasons_are_said_once() {
        let mut groups = Groups::default();
        for at in 0..5 {
            let path = format!("/d/{at}.tif");
            let reason = format!("is cut short; convert it with `x {path} y`");
            groups.add(&DataError::file(Path::new(&path), reason));
        }
        groups.add(&DataError::file(Path::new("/d/a"), "other"));
        let list = groups.list();
        assert_eq!(
            list[0].to_string(),
            "5 files: is cut short; convert it with `x FILE y` (/d/0.tif, /d/1.tif, /d/2.tif, …)"
        );
        assert_eq!(list[1].to_string(), "1 file: other (/d/a)");
        let mut many = Groups::default();
        (0..500).for_each(|at| many.file(Path::new("a"), &at.to_string()));
        let list = many.list();
        assert_eq!((list.len(), list[0].files), (MOST_REASONS + 1, 400));
    }
}
