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
pub(crate) const SEPARATOR: char = ';';

/// One sample.
pub(crate) struct Row {
    pub(super) cells: Vec<String>,
    /// Where it is in its file, for sentences.
    pub(super) place: String,
    /// The item that it is of, in an item collection.
    pub(super) item: Option<Value>,
}

impl Row {
    /// The text of a column, empty where there is none; entries of a list are joined by `;`.
    pub(crate) fn text(&self, column: usize) -> String {
        self.cells.get(column).map(|text| text.trim().to_owned()).unwrap_or_default()
    }
}

/// A table.
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Box<dyn Iterator<Item = Result<Row, DataError>>>,
}

impl Table {
    /// Opens a table in Parquet, if its ending says so, or CSV.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        Self::open_some(path, usize::MAX)
    }

    /// Opens a table, of which so many cells are needed: rows after those may be missing, other than the next one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn open_some(path: &Path, cells: usize) -> Result<Self, DataError> {
        if has_ending(path, &["parquet"]) { Self::parquet(path, cells) } else { Self::csv(path) }
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

    fn parquet(path: &Path, cells: usize) -> Result<Self, DataError> {
        let file = open_regular(path)?;
        // The library panics at some damaged files.
        let read = catch_unwind(move || read_parquet(file, cells));
        let read = read.unwrap_or_else(|_| Err("it is damaged".to_owned()));
        let (columns, rows) = read.map_err(|reason| DataError::file(path, reason))?;
        Ok(Self { columns, rows: Box::new(rows.into_iter().map(Ok)) })
    }
}

fn read_parquet(file: File, cells: usize) -> Result<(Vec<String>, Vec<Row>), String> {
    let reader = SerializedFileReader::new(file).map_err(|error| error.to_string())?;
    let schema = reader.metadata().file_metadata().schema();
    let columns: Vec<String> = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
    let most = (cells / columns.len().max(1)).saturating_add(1);
    let row = |(at, row): (usize, parquet::errors::Result<parquet::record::Row>)| {
        let row = row.map_err(|error| error.to_string())?;
        let cells = row.get_column_iter().map(|(_, field)| of_field(field)).collect();
        Ok(Row { cells, place: format!("row {}", at + 1), item: None })
    };
    let rows: Result<Vec<Row>, String> = reader.into_iter().take(most).enumerate().map(row).collect();
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
