//! Columns as files: one safetensors file, or a folder of NumPy files.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use eosfed_common::files::{folder_of, write_atomically};
use npyz::{AutoSerialize as _, WriterBuilder as _};

use super::column::{Column, Number};

/// Writes one safetensors file, and `json` beside it.
pub(super) fn write_safetensors(path: &Path, columns: &mut [Column], json: &[u8]) -> io::Result<()> {
    let file = tempfile::NamedTempFile::new_in(folder_of(path))?;
    let mut writer = BufWriter::new(file.as_file());
    writer.write_all(&safetensors_header(columns))?;
    columns.iter_mut().try_for_each(|column| column.copy_to(&mut writer))?;
    writer.flush()?;
    drop(writer);
    file.persist(path)?;
    write_atomically(&path.with_extension("json"), json)
}

/// Writes one `.npy` file for each column into a folder, and `json` as `features.json`.
pub(super) fn write_numpy(folder: &Path, columns: &mut [Column], json: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for column in columns {
        let path = folder.join(format!("{}.npy", column.name.replace('.', "_")));
        let mut writer = numpy_header(column, BufWriter::new(File::create(path)?))?;
        column.copy_to(&mut writer)?;
        writer.flush()?;
    }
    write_atomically(&folder.join("features.json"), json)
}

/// The header of a safetensors file that holds these tensors in this order.
fn safetensors_header(columns: &[Column]) -> Vec<u8> {
    let mut entries = serde_json::Map::new();
    let mut offset = 0;
    for column in columns {
        let kind = match column.number {
            Number::Int64 => "I64",
            Number::Float32 => "F32",
        };
        let end = offset + column.bytes();
        let entry =
            serde_json::json!({ "dtype": kind, "shape": column.shape(), "data_offsets": [offset, end] });
        entries.insert(column.name.clone(), entry);
        offset = end;
    }
    let mut json = serde_json::Value::Object(entries).to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    [(json.len() as u64).to_le_bytes().to_vec(), json].concat()
}

/// Writes the header of a `.npy` file; the rows follow it.
fn numpy_header<W: Write>(column: &Column, writer: W) -> io::Result<W> {
    let kind = match column.number {
        Number::Int64 => i64::default_dtype(),
        Number::Float32 => f32::default_dtype(),
    };
    let shape: Vec<u64> = column.shape().iter().map(|n| *n as u64).collect();
    npyz::WriteOptions::new_header_only().dtype(kind).shape(&shape).writer(writer).write_header_only()
}
