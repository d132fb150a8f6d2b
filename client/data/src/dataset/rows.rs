//! The rows of a table, and reading them from CSV and Parquet.

use std::fs::File;
use std::panic::catch_unwind;
use std::path::Path;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;

use crate::error::DataError;
use crate::files::has_ending;
use crate::open::open_regular;

/// The separator between the entries of a list.
pub(super) const SEPARATOR: char = ';';

/// One sample.
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    /// Where it is in its file, for sentences.
    pub(super) place: String,
    /// The item that it is of, in an item collection.
    pub(super) item: Option<Value>,
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
    /// Opens a table in Parquet, if its ending says so, or CSV.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        if has_ending(path, &["parquet"]) { Self::parquet(path) } else { Self::csv(path) }
    }

    fn csv(path: &Path) -> Result<Self, DataError> {
        let mut reader = csv::Reader::from_reader(open_regular(path)?);
        let header = reader.headers().map_err(|error| DataError::file(path, error))?;
        let columns = header.iter().map(str::to_owned).collect();
        let of = path.to_owned();
        let row = move |row: Result<csv::StringRecord, csv::Error>| {
            let row = row.map_err(|error| DataError::file(&of, error))?;
            let line = row.position().map_or(0, csv::Position::line);
            let cells = row.iter().map(str::to_owned).collect();
            Ok(Row { cells, place: format!("line {line}"), item: None })
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
}

fn read_parquet(file: File) -> Result<(Vec<String>, Vec<Row>), String> {
    let reader = SerializedFileReader::new(file).map_err(|error| error.to_string())?;
    let schema = reader.metadata().file_metadata().schema();
    let columns = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
    let row = |(at, row): (usize, parquet::errors::Result<parquet::record::Row>)| {
        let row = row.map_err(|error| error.to_string())?;
        let cells = row.get_column_iter().map(|(_, field)| of_field(field)).collect();
        Ok(Row { cells, place: format!("row {}", at + 1), item: None })
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

pub(super) fn joined(entries: impl Iterator<Item = String>) -> String {
    entries.collect::<Vec<_>>().join(&SEPARATOR.to_string())
}
