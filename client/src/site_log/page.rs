//! A part of a site log, read from its end, so that the newest entries of a long log are found at once.

use std::collections::VecDeque;
use std::path::Path;

use super::SiteLogError;
use super::file::{firsts, path_of};
use super::read::each_line;

/// After so many bytes of the log, no earlier file is read for the same page.
const MAX_READ: u64 = 64 << 20;

/// Which lines are wanted. A line is known by its number, counted from the name of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogQuery {
    /// Lines from this number on.
    pub from: u64,
    /// Lines before this number.
    pub before: u64,
    /// The most lines.
    pub most: usize,
}

/// The lines of a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogPage {
    /// The lines with their numbers, newest first.
    pub lines: Vec<(u64, String)>,
    /// The number before which the search goes on; absent when all of the log was searched.
    pub earlier: Option<u64>,
    /// Whether the search has ended for the amount that was read, not for the number of lines.
    pub cut: bool,
}

/// The newest lines that `wants` takes.
///
/// # Errors
/// If a file cannot be read.
pub fn page(
    folder: &Path,
    query: LogQuery,
    mut wants: impl FnMut(&str) -> bool,
) -> Result<LogPage, SiteLogError> {
    let LogQuery { from, before, most } = query;
    let mut found = LogPage::default();
    let mut read = 0;
    let mut later = None;
    for first in firsts(folder)?.into_iter().rev().filter(|first| *first < before) {
        if found.lines.len() >= most || read >= MAX_READ {
            found.earlier = later;
            found.cut = found.lines.len() < most;
            break;
        }
        let room = most - found.lines.len();
        let mut newest: VecDeque<(u64, String)> = VecDeque::new();
        let mut number = first;
        let mut more = false;
        read += each_line(&path_of(folder, first), 0, &mut |line| {
            if (from..before).contains(&number) && wants(line) {
                newest.push_back((number, line.to_owned()));
                if newest.len() > room {
                    newest.pop_front();
                    more = true;
                }
            }
            number += 1;
        })?;
        found.lines.extend(newest.into_iter().rev());
        if more {
            found.earlier = found.lines.last().map(|(number, _)| *number);
            break;
        }
        if first <= from {
            break;
        }
        later = Some(first);
    }
    Ok(found)
}

/// The number of the first entry of the newest file, and the file's bytes, to see whether the log has grown.
#[must_use]
pub fn end(folder: &Path) -> Option<(u64, u64)> {
    let newest = *firsts(folder).ok()?.last()?;
    Some((newest, path_of(folder, newest).metadata().ok()?.len()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Three files with ten lines each; every fourth line is wanted.
    fn log() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for first in [0, 10, 20] {
            let lines: String = (first..first + 10).map(|at| format!("line {at}\n")).collect();
            fs::write(path_of(folder.path(), first), lines).unwrap();
        }
        folder
    }

    fn numbers(page: &LogPage) -> Vec<u64> {
        for (number, text) in &page.lines {
            assert_eq!(*text, format!("line {number}"));
        }
        page.lines.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn pages_follow_one_another_from_the_newest_to_the_oldest_without_gaps() {
        let folder = log();
        for most in [1, 3, 7, 10, 30, 31] {
            let mut all = Vec::new();
            let mut before = u64::MAX;
            loop {
                let query = LogQuery { from: 0, before, most };
                let found = page(folder.path(), query, |_| true).unwrap();
                assert!(found.lines.len() <= most && !found.cut);
                all.extend(numbers(&found));
                let Some(earlier) = found.earlier else { break };
                assert!(earlier < before, "the search goes on");
                before = earlier;
            }
            assert_eq!(all, (0..30).rev().collect::<Vec<_>>(), "{most} lines a page");
        }
    }

    #[test]
    fn a_range_and_a_wish_are_kept() {
        let folder = log();
        let query = LogQuery { from: 8, before: 13, most: 50 };
        assert_eq!(numbers(&page(folder.path(), query, |_| true).unwrap()), [12, 11, 10, 9, 8]);
        let query = LogQuery { from: 0, before: u64::MAX, most: 2 };
        let found = page(folder.path(), query, |line| line.ends_with('5')).unwrap();
        assert_eq!(numbers(&found), [25, 15]);
        assert_eq!(found.earlier, Some(10));
        let query = LogQuery { from: 15, before: 16, most: 1 };
        assert_eq!(numbers(&page(folder.path(), query, |_| true).unwrap()), [15]);
        let missing = folder.path().join("nothing");
        assert_eq!(page(&missing, query, |_| true).unwrap(), LogPage::default());
    }
}
