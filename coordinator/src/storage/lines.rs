//! Records as JSON lines, the format of exports and imports.

use std::io::{BufRead, Write};

use serde_json::Value;

use super::StoreError;
use super::assembly::{Assembled, Assembly};
use super::migrate::migrate;
use super::record::Record;
use super::trees::{Each, Tree};

/// Writes a record as a line.
///
/// # Errors
/// Errors of the writer.
pub(super) fn write_line(to: &mut dyn Write, tree: &str, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Backend(format!("cannot write a record: {error}")),
    };
    let name = serde_json::json!([tree, key]);
    write!(to, "{{\"tree\":{},\"key\":{},\"record\":", name[0], name[1]).map_err(failed)?;
    to.write_all(bytes).and_then(|()| to.write_all(b"}\n")).map_err(failed)
}

/// Reads the lines of an export with schema `from`, and passes each record, migrated to the present schema,
/// to `each`.
///
/// # Errors
/// If it cannot be read; [`StoreError::Damaged`] with the number of a line that is not a record; errors of
/// `each`.
pub fn read_lines(lines: impl BufRead, from: u32, each: &mut Each<'_>) -> Result<Assembled, StoreError> {
    let mut assembly = Assembly::default();
    for (number, line) in (1_u64..).zip(lines.lines()) {
        let damaged = |reason: String| StoreError::Damaged { key: format!("line {number}"), reason };
        let line = line.map_err(|error| damaged(error.to_string()))?;
        let record: Record = serde_json::from_str(&line).map_err(|error| damaged(error.to_string()))?;
        for record in migrate(record, from) {
            take(&mut assembly, record, each)?;
        }
    }
    Ok(assembly.finish())
}

fn take(
    assembly: &mut Assembly,
    Record { tree, key, record }: Record,
    each: &mut Each<'_>,
) -> Result<(), StoreError> {
    let name = format!("{tree}/{key}");
    let Ok(tree) = tree.parse::<Tree>() else {
        let reason = format!(
            "unknown kind of record; the known kinds are {}",
            Tree::names().collect::<Vec<_>>().join(", ")
        );
        return Err(StoreError::Damaged { key: name, reason });
    };
    let bytes = bytes(tree, &record);
    let taken = assembly.take(tree, &key, &bytes);
    taken.map_err(|error| StoreError::Damaged { key: name, reason: error.to_string() })?;
    each(tree, &key, &bytes)
}

/// A record in the form of the store. Events have one canonical form, which is hashed.
pub(super) fn bytes(tree: Tree, record: &Value) -> Vec<u8> {
    match tree {
        Tree::Events => eosfed_common::canonical::canonical(record).into_bytes(),
        Tree::Institutions
        | Tree::People
        | Tree::Jobs
        | Tree::JobStates
        | Tree::Rounds
        | Tree::Curves
        | Tree::Specialists
        | Tree::Releases
        | Tree::Ablations
        | Tree::Quarantine
        | Tree::Documents => record.to_string().into_bytes(),
    }
}
