//! The rows of a table in CSV, Parquet or a STAC item collection.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::panic::catch_unwind;
use std::path::Path;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;

use crate::error::DataError;
use crate::open::open_regular;

/// Most bytes of an item collection, which is read whole.
const MOST_BYTES: u64 = 256 << 20;
/// The separator between the entries of a list.
pub(super) const SEPARATOR: char = ';';

/// One sample.
pub(super) struct Row {
    cells: Vec<String>,
    /// Where it is in its file, for sentences.
    pub(super) place: String,
}

impl Row {
    /// The text of a column, empty where there is none; entries of a list are joined by `;`.
    pub(super) fn text(&self, column: usize) -> String {
        self.cells.get(column).map(|text| text.trim().to_owned()).unwrap_or_default()
    }
}

/// A table.
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) rows: Box<dyn Iterator<Item = Result<Row, DataError>>>,
}

impl Table {
    /// Opens a table, whose kind its ending says.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
        match extension.as_deref() {
            Some("parquet") => Self::parquet(path),
            Some("json" | "geojson") => Self::items(path),
            _ => Self::csv(path),
        }
    }

    fn csv(path: &Path) -> Result<Self, DataError> {
        let mut reader = csv::Reader::from_reader(open_regular(path)?);
        let header = reader.headers().map_err(|error| DataError::file(path, error))?;
        let columns = header.iter().map(str::to_owned).collect();
        let of = path.to_owned();
        let row = move |row: Result<csv::StringRecord, csv::Error>| {
            let row = row.map_err(|error| DataError::file(&of, error))?;
            let line = row.position().map_or(0, csv::Position::line);
            Ok(Row { cells: row.iter().map(str::to_owned).collect(), place: format!("line {line}") })
        };
        Ok(Self { columns, rows: Box::new(reader.into_records().map(row)) })
    }

    fn parquet(path: &Path) -> Result<Self, DataError> {
        let file = open_regular(path)?;
        // The library panics at some damaged files.
        let read = catch_unwind(move || read_parquet(file));
        let read = read.unwrap_or_else(|_| Err("it is damaged".to_owned()));
        let (columns, rows) = read.map_err(|reason| DataError::file(path, reason))?;
        Ok(Self { columns, rows: Box::new(rows.into_iter().map(Ok)) })
    }

    fn items(path: &Path) -> Result<Self, DataError> {
        let mut bytes = Vec::new();
        let read = open_regular(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|error| DataError::file(path, error))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(DataError::file(
                path,
                format!("an item collection may take {MOST_BYTES} bytes, found more"),
            ));
        }
        let document: Value = serde_json::from_slice(&bytes).map_err(|error| DataError::file(path, error))?;
        let Some(Value::Array(items)) = document.get("features") else {
            let reason = "must be a STAC item collection, a GeoJSON object with `features`; found none";
            return Err(DataError::file(path, reason));
        };
        let columns = item_columns(items);
        let rows: Vec<_> = items
            .iter()
            .map(|item| {
                let cells = columns.iter().map(|column| of_item(item, column)).collect();
                let id = item.get("id").and_then(Value::as_str).unwrap_or_default();
                Ok(Row { cells, place: format!("item `{}`", id.escape_debug()) })
            })
            .collect();
        let columns = columns.into_iter().map(|column| column.name).collect();
        Ok(Self { columns, rows: Box::new(rows.into_iter()) })
    }
}

fn read_parquet(file: File) -> Result<(Vec<String>, Vec<Row>), String> {
    let reader = SerializedFileReader::new(file).map_err(|error| error.to_string())?;
    let schema = reader.metadata().file_metadata().schema();
    let columns = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
    let row = |(at, row): (usize, parquet::errors::Result<parquet::record::Row>)| {
        let row = row.map_err(|error| error.to_string())?;
        let cells = row.get_column_iter().map(|(_, field)| of_field(field)).collect();
        Ok(Row { cells, place: format!("row {}", at + 1) })
    };
    let rows: Result<Vec<Row>, String> = reader.into_iter().enumerate().map(row).collect();
    Ok((columns, rows?))
}

fn of_field(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::ListInternal(list) => joined(list.elements().iter().map(of_field)),
        other => other.to_string(),
    }
}

fn joined(entries: impl Iterator<Item = String>) -> String {
    entries.collect::<Vec<_>>().join(&SEPARATOR.to_string())
}

/// A column of an item collection.
struct ItemColumn {
    name: String,
    from: From,
}

enum From {
    Id,
    /// The middle of the box, from west to east or from south to north.
    Middle(usize),
    Asset(String),
    Property(String),
}

/// Assets come before properties: a property with the name of an asset is called `properties.NAME`.
fn item_columns(items: &[Value]) -> Vec<ItemColumn> {
    let keys = |part: &str| {
        let maps = items.iter().filter_map(|item| item.get(part)?.as_object());
        maps.flat_map(|map| map.keys().cloned()).collect::<std::collections::BTreeSet<String>>()
    };
    let fixed = [("id", From::Id), ("lon", From::Middle(0)), ("lat", From::Middle(1))];
    let mut columns: Vec<ItemColumn> =
        fixed.into_iter().map(|(name, from)| ItemColumn { name: name.to_owned(), from }).collect();
    columns.extend(
        keys("assets").into_iter().map(|key| ItemColumn { name: key.clone(), from: From::Asset(key) }),
    );
    for key in keys("properties") {
        let taken = columns.iter().any(|column| column.name == key);
        let name = if taken { format!("properties.{key}") } else { key.clone() };
        columns.push(ItemColumn { name, from: From::Property(key) });
    }
    columns
}

fn of_item(item: &Value, column: &ItemColumn) -> String {
    let found = match &column.from {
        From::Id => item.get("id"),
        From::Middle(axis) => {
            return middle(item, *axis).map_or_else(String::new, |middle| middle.to_string());
        }
        From::Asset(key) => item.get("assets").and_then(|assets| assets.get(key)?.get("href")),
        From::Property(key) => item.get("properties").and_then(|properties| properties.get(key)),
    };
    found.map(of_value).unwrap_or_default()
}

fn of_value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.strip_prefix("file://").unwrap_or(text).to_owned(),
        Value::Array(list) => joined(list.iter().map(of_value)),
        other => other.to_string(),
    }
}

/// Of the box, which has two or three coordinates of each of two corners.
fn middle(item: &Value, axis: usize) -> Option<f64> {
    let corners = item.get("bbox")?.as_array()?;
    let at = |index: usize| corners.get(index)?.as_f64();
    Some(f64::midpoint(at(axis)?, at(axis + corners.len() / 2)?))
}
