//! The federation as records: which trees there are, under which keys records lie, and how they look
//! as JSON lines, in which they leave one store and enter another.

use std::io::{self, BufRead, Write};

use eosfed_common::card::Card;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StoreError;
use super::migrate::migrate;
use crate::domain::{Change, Federation, Institution, Job, Release};

/// The kinds of records.
pub(super) const TREES: [&str; 4] = ["institutions", "jobs", "specialists", "releases"];

/// A record outside a store; as JSON, a line of an export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// One of the store's trees.
    pub tree: String,
    /// Its key there.
    pub key: String,
    /// What it says, in the shape of the schema that it was written under.
    pub record: Value,
}

/// A [`Record`] that need not be taken apart to be written.
#[derive(Serialize)]
struct Line<'a, T> {
    tree: &'a str,
    key: String,
    record: &'a T,
}

pub(super) fn institution_key(one: &Institution) -> String {
    one.name.to_string()
}

pub(super) fn job_key(job: &Job) -> String {
    job.id.to_string()
}

pub(super) fn specialist_key(card: &Card) -> String {
    format!("{}@{:010}", card.name, card.version)
}

pub(super) fn release_key(release: &Release) -> String {
    format!("{:010}", release.manifest.number.0)
}

/// Writes all records of a federation, one a line; gives how many.
///
/// # Errors
/// Whatever writing gives.
pub fn write_lines(federation: &Federation, to: &mut impl Write) -> io::Result<u64> {
    let Federation { institutions, jobs, registry } = federation;
    let mut count = 0;
    for one in institutions.values() {
        count += line(to, TREES[0], institution_key(one), one)?;
    }
    for job in jobs.values() {
        count += line(to, TREES[1], job_key(job), job)?;
    }
    for card in registry.specialists.values() {
        count += line(to, TREES[2], specialist_key(card), card)?;
    }
    for release in registry.releases.values() {
        count += line(to, TREES[3], release_key(release), release)?;
    }
    Ok(count)
}

fn line<T: Serialize>(to: &mut impl Write, tree: &str, key: String, record: &T) -> io::Result<u64> {
    serde_json::to_writer(&mut *to, &Line { tree, key, record })?;
    to.write_all(b"\n")?;
    Ok(1)
}

/// Reads what [`write_lines`], or an earlier release under schema `from`, has written.
///
/// # Errors
/// If it cannot be read; [`StoreError::Damaged`] with the line if that is no record.
pub fn read_lines(lines: impl BufRead, from: u32) -> Result<Change, StoreError> {
    let mut change = Change::default();
    for (number, line) in (1..).zip(lines.lines()) {
        let damaged = |reason: String| StoreError::Damaged { key: format!("line {number}"), reason };
        let line = line.map_err(|error| damaged(error.to_string()))?;
        let record: Record = serde_json::from_str(&line).map_err(|error| damaged(error.to_string()))?;
        decode(record, from, &mut change)?;
    }
    Ok(change)
}

/// Adds a record, written under schema `from`, to a change.
///
/// # Errors
/// [`StoreError::Damaged`] if it is not what its tree holds.
pub(super) fn decode(record: Record, from: u32, into: &mut Change) -> Result<(), StoreError> {
    let Record { tree, key, mut record } = record;
    migrate(&tree, &mut record, from);
    let added = match tree.as_str() {
        "institutions" => serde_json::from_value(record).map(|one| into.institutions.push(one)),
        "jobs" => serde_json::from_value(record).map(|one| into.jobs.push(one)),
        "specialists" => serde_json::from_value(record).map(|one| into.specialists.push(one)),
        "releases" => serde_json::from_value(record).map(|one| into.releases.push(one)),
        _ => {
            let reason = format!("there are no records of this kind; known are {}", TREES.join(", "));
            return Err(StoreError::Damaged { key: format!("{tree}/{key}"), reason });
        }
    };
    added.map_err(|error| StoreError::Damaged { key: format!("{tree}/{key}"), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::SCHEMA;
    use crate::testing;

    #[test]
    fn what_is_written_reads_back() {
        let mut federation = Federation::default();
        federation.merge(testing::enrolled(&["east", "west"]));
        let job = testing::finished_one_shot(&federation);
        let change = federation.settle(job, testing::NOW).unwrap();
        federation.merge(change);
        let mut text = Vec::new();
        let count = write_lines(&federation, &mut text).unwrap();
        assert_eq!(count, 2 + 1 + 2 + 1);
        let mut read = Federation::default();
        read.merge(read_lines(text.as_slice(), SCHEMA).unwrap());
        assert_eq!(read, federation);
    }

    #[test]
    fn what_is_no_record_is_named() {
        for (text, wanted) in [
            ("{}", "line 1"),
            ("nonsense", "line 1"),
            (r#"{"tree":"jobs","key":"j-1","record":{}}"#, "jobs/j-1"),
            (r#"{"tree":"pets","key":"cat","record":{}}"#, "pets/cat"),
        ] {
            let error = read_lines(text.as_bytes(), SCHEMA).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
