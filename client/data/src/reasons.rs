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
pub(crate) struct Groups(BTreeMap<String, Files>);

/// The files of a reason.
#[derive(Debug, Clone, Default)]
struct Files {
    count: u64,
    examples: Vec<String>,
    /// What is said instead if there is one file only: the whole reason, which names more than the file, and the file.
    alone: Option<[String; 2]>,
}

impl Groups {
    /// Adds what is wrong with a file.
    pub(crate) fn add(&mut self, error: &DataError) {
        match error {
            DataError::File { path, reason } => self.file(path, reason),
            DataError::OtherGrid { path, reason, general, numbers } => {
                let path = path.display().to_string();
                let example = if numbers.is_empty() { path.clone() } else { format!("{path}: {numbers}") };
                let alone = Some([reason.clone(), path]);
                self.put(general.clone(), &Files { count: 1, examples: vec![example], alone });
            }
            other => self.other(&other.to_string()),
        }
    }

    /// Adds a reason that names no file by itself.
    pub(crate) fn other(&mut self, reason: &str) {
        self.put(reason.to_owned(), &Files { count: 1, ..Files::default() });
    }

    /// Adds a reason that is true of a file.
    pub(crate) fn file(&mut self, path: &Path, reason: &str) {
        let name = path.display().to_string();
        let reason = reason.replace(&name, FILE);
        self.put(reason, &Files { count: 1, examples: vec![name], alone: None });
    }

    /// Adds those of another part.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (reason, files) in &other.0 {
            self.put(reason.clone(), files);
        }
    }

    fn put(&mut self, reason: String, files: &Files) {
        let full = self.0.len() >= MOST_REASONS && !self.0.contains_key(&reason);
        let reason = if full { "other reasons".to_owned() } else { reason };
        let known = self.0.entry(reason).or_default();
        let is_first = known.count == 0 && !full;
        known.alone = files.alone.clone().filter(|_| is_first);
        known.count += files.count;
        let room = NAMED.saturating_sub(known.examples.len());
        known.examples.extend(files.examples.iter().take(room).cloned());
    }

    /// How many files they are.
    pub(crate) fn files(&self) -> u64 {
        self.0.values().map(|files| files.count).sum()
    }

    /// The most frequent reason first.
    pub(crate) fn list(self) -> Vec<ReasonGroup> {
        let group = |(general, files): (String, Files)| match files {
            Files { count: 1, alone: Some([reason, file]), .. } => {
                ReasonGroup { reason, files: 1, examples: vec![file] }
            }
            Files { count, examples, .. } => ReasonGroup { reason: general, files: count, examples },
        };
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
        let mut grids = Groups::default();
        for at in 0..60 {
            let path = format!("/d/m{at}.tif").into();
            let reason = format!("is not as /d/i{at}.tif");
            let numbers = if at < 30 { String::new() } else { format!("`{at}`, not `0`") };
            let general = format!("is not as the other{}", at / 30);
            grids.add(&DataError::OtherGrid { path, reason, general, numbers });
        }
        let list = grids.list();
        assert_eq!(
            list.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "30 files: is not as the other0 (/d/m0.tif, /d/m1.tif, /d/m2.tif, …)",
                "30 files: is not as the other1 (/d/m30.tif: `30`, not `0`, /d/m31.tif: `31`, not `0`, /d/m32.tif: `32`, not \
                 `0`, …)"
            ]
        );
        // One alone is said with the name of the other file.
        let mut one = Groups::default();
        one.add(&DataError::OtherGrid {
            path: "/d/m.tif".into(),
            reason: "is not as /d/i.tif".to_owned(),
            general: "is not as the other".to_owned(),
            numbers: "`1`, not `0`".to_owned(),
        });
        let mut both = one.clone();
        assert_eq!(one.list()[0].to_string(), "1 file: is not as /d/i.tif (/d/m.tif)");
        both.merge(&both.clone());
        assert_eq!(
            both.list()[0].to_string(),
            "2 files: is not as the other (/d/m.tif: `1`, not `0`, /d/m.tif: `1`, not `0`)"
        );
        let mut many = Groups::default();
        (0..500).for_each(|at| many.file(Path::new("a"), &at.to_string()));
        let list = many.list();
        assert_eq!((list.len(), list[0].files), (MOST_REASONS + 1, 400));
    }
}
