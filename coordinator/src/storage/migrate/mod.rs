//! Migration of records of earlier versions: pure functions over JSON, one for each step from a schema to the
//! next. A record that has already been migrated stays unchanged.
//!
//! | schema | since | what is different |
//! | --- | --- | --- |
//! | 1 | the first versions | |
//! | 2 | aggregation strategies | a lease and an update say the round that they started from (`since`), an update the norm of its step (`norm`), a participant what was rejected (`rejected`) |
//! | 3 | the ledger, typed jobs | a job says what it is to do as `spec`, with the fields of its kind, and no longer as `plan`, the document; an update and a trained head have one `report` of the training; the head of a downstream job is a blob; a job is two records, of which one never changes; closed rounds and curves are records of their own |
//! | 4 | members and their keys | an institution has its `role`, the keys of its enrolment and whether its access was revoked; operators and readers have records (tree `people`). What an institution of before lacks reads as absent, so no record changes |
//!
//! An optional field, or one with a default, needs no step: it is read as absent.

mod head;
mod jobs;
mod report;
mod spec;
mod starts;

use serde_json::Value;

use super::record::Record;

/// The schema that this version reads and writes.
pub const SCHEMA: u32 = 4;
/// The oldest schema that this version can bring up to [`SCHEMA`].
pub(super) const OLDEST: u32 = 1;

/// Brings a record that was written under schema `from` up to [`SCHEMA`]; it may become several.
pub(super) fn migrate(mut record: Record, from: u32) -> Vec<Record> {
    if record.tree != "jobs" {
        return vec![record];
    }
    if from < 2 {
        each_round(&mut record.record, starts::to_2);
    }
    if from < 3 {
        spec::to_3(&mut record.record);
        report::job_to_3(&mut record.record);
        each_round(&mut record.record, report::round_to_3);
        let document = head::to_3(&mut record.record);
        let mut records = jobs::to_3(record);
        records.extend(document);
        return records;
    }
    vec![record]
}

/// The JSON pointers to the round in the state of a job.
const CURRENT: [&str; 4] = ["/collecting", "/aggregating", "/paused/next/collect", "/paused/next/aggregate"];

/// Changes every round of a job of schema 2 or earlier, closed or not.
fn each_round(job: &mut Value, change: fn(&mut Value)) {
    if let Some(history) = job.get_mut("history").and_then(Value::as_array_mut) {
        history.iter_mut().filter_map(|closed| closed.get_mut("round")).for_each(change);
    }
    if let Some(state) = job.get_mut("state") {
        for place in CURRENT {
            state.pointer_mut(place).into_iter().for_each(change);
        }
    }
}

/// Adds a field unless it is there.
fn add(object: &mut Value, field: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.entry(field).or_insert(value);
    }
}
