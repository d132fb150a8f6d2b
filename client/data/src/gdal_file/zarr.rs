//! Zarr: a folder with a file for each chunk of an array. Its metadata could name what lies elsewhere, and the library reads
//! a chunk that is not there as the fill value, so all files are looked at before.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::error::DataError;
use crate::open::open_regular;

/// Most files and folders of one Zarr folder.
const MOST_FILES: usize = 50_000;
/// Folders in which a file may lie.
const MOST_DEPTH: usize = 16;
/// Most bytes of a file of metadata.
const MOST_BYTES: u64 = 4 << 20;
/// Most bytes of a chunk in memory.
const MOST_CHUNK: u64 = 256 << 20;
/// Most dimensions of an array.
const MOST_RANK: usize = 8;
/// Files of metadata: of an array, of a group, and what both state besides.
const ARRAY: &str = ".zarray";
const GROUP: &str = ".zgroup";
const ATTRIBUTES: &str = ".zattrs";
/// A file that repeats the others.
const CONSOLIDATED: &str = ".zmetadata";
/// The metadata of version 3.
const VERSION_3: &str = "zarr.json";
/// How chunks may be compressed.
const COMPRESSORS: [&str; 6] = ["blosc", "zlib", "gzip", "zstd", "lz4", "lzma"];
/// Attributes that name arrays beside the own one.
const NAMING: [&str; 3] = ["_ARRAY_DIMENSIONS", "coordinates", "grid_mapping"];
/// The beginnings of an address that names a reference system, which is not fetched.
const SYSTEMS: [&str; 2] = ["http://www.opengis.net/def/crs/", "https://www.opengis.net/def/crs/"];

/// Checks a folder: it has arrays of version 2, all of whose chunks are there or missing pixels, and nothing else.
///
/// # Errors
/// If it has other files, links, or says what is not read here.
pub(super) fn check(folder: &Path) -> Result<(), DataError> {
    let fail = |reason: String| DataError::file(folder, reason);
    let files = files(folder)?;
    let mut arrays: BTreeMap<&str, Array> = BTreeMap::new();
    let mut chunks: Vec<(&str, &str)> = Vec::new();
    for file in &files {
        let (inside, name) = file.rsplit_once('/').unwrap_or(("", file));
        match name {
            VERSION_3 => return Err(fail(format!("Zarr must be of version 2, found `{file}` of version 3"))),
            ARRAY => {
                let array =
                    array(&folder.join(file)).map_err(|reason| fail(format!("`{file}`: {reason}")))?;
                arrays.insert(inside, array);
            }
            ATTRIBUTES => {
                let found = json(&folder.join(file)).and_then(|value| check_attributes(&value));
                found.map_err(|reason| fail(format!("`{file}`: {reason}")))?;
            }
            GROUP => {}
            CONSOLIDATED => check_repeated(folder, file, inside, &files).map_err(fail)?,
            _ => chunks.push((inside, file)),
        }
    }
    let mut there: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (inside, file) in chunks {
        let array = above(inside).find(|place| arrays.contains_key(place));
        let Some(array) = array else { return Err(fail(foreign(file))) };
        there.entry(array).or_default().insert(file[array.len()..].trim_start_matches('/'));
    }
    if arrays.is_empty() {
        return Err(fail("must have an array (`.zarray`), found none".to_owned()));
    }
    for (place, array) in &arrays {
        let found = there.remove(place).unwrap_or_default();
        array.check_chunks(&found).map_err(|reason| fail(format!("array `/{place}`: {reason}")))?;
    }
    Ok(())
}

/// The files of a folder; none if they cannot be known.
pub(super) fn parts(folder: &Path) -> Vec<PathBuf> {
    let files = files(folder).unwrap_or_default();
    files.into_iter().map(|file| folder.join(file)).collect()
}

fn foreign(file: &str) -> String {
    format!("may have the files of arrays only, found `{}`; remove it", file.escape_debug())
}

/// A folder and those above it, up to the outermost, which has no name.
fn above(inside: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(inside), |place| {
        let upper = place.rsplit_once('/').map_or("", |(upper, _)| upper);
        (!place.is_empty()).then_some(upper)
    })
}

/// The names of all files from the folder on, in order.
fn files(folder: &Path) -> Result<Vec<String>, DataError> {
    let fail = |reason: String| DataError::file(folder, reason);
    let mut waiting = vec![String::new()];
    let mut found = Vec::new();
    let mut seen = 0;
    while let Some(inside) = waiting.pop() {
        let place = folder.join(&inside);
        let entries = std::fs::read_dir(&place).map_err(|error| DataError::file(&place, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| DataError::file(&place, error))?;
            seen += 1;
            if seen > MOST_FILES {
                return Err(fail(format!(
                    "a Zarr folder may have {MOST_FILES} files, found more; make chunks larger"
                )));
            }
            let kind = entry.file_type().map_err(|error| DataError::file(&entry.path(), error))?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| fail(foreign(&name.to_string_lossy())))?;
            let file = if inside.is_empty() { name.to_owned() } else { format!("{inside}/{name}") };
            if kind.is_dir() && file.split('/').count() <= MOST_DEPTH {
                waiting.push(file);
            } else if kind.is_file() {
                found.push(file);
            } else {
                let reason = format!(
                    "may have files and {MOST_DEPTH} folders in each other, found a link, a device or more at `{}`; copy \
                     files there",
                    file.escape_debug()
                );
                return Err(fail(reason));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn json(path: &Path) -> Result<Value, String> {
    let mut text = Vec::new();
    let file = open_regular(path).map_err(|error| error.to_string())?;
    file.take(MOST_BYTES + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MOST_BYTES {
        return Err(format!("metadata may take {MOST_BYTES} bytes, found more"));
    }
    serde_json::from_slice(&text).map_err(|error| format!("must be JSON, found: {error}"))
}

/// Checks that a consolidated file says what the others say: the library reads it in their place.
fn check_repeated(folder: &Path, file: &str, inside: &str, files: &[String]) -> Result<(), String> {
    let consolidated = json(&folder.join(file))?;
    let Some(repeated) = consolidated["metadata"].as_object() else {
        return Err(format!("`{file}` must have an object `metadata`, found none"));
    };
    for (key, value) in repeated {
        let place = if inside.is_empty() { key.clone() } else { format!("{inside}/{key}") };
        let known = files.binary_search(&place).is_ok() && json(&folder.join(&place)).as_ref() == Ok(value);
        if !known {
            return Err(format!(
                "`{file}` must repeat the other metadata, and `{}` says something else or is not there; write it anew \
                 (`zarr.consolidate_metadata`)",
                key.escape_debug()
            ));
        }
    }
    Ok(())
}

/// Checks that attributes name arrays of their own group and a reference system only.
fn check_attributes(attributes: &Value) -> Result<(), String> {
    for key in NAMING {
        let names = match &attributes[key] {
            Value::Null => continue,
            Value::String(name) => vec![name.as_str()],
            Value::Array(names) => names.iter().map(|name| name.as_str().unwrap_or("/")).collect(),
            _ => vec!["/"],
        };
        let elsewhere = |name: &&&str| name.contains(['/', '\\']) || name.contains("..");
        if let Some(name) = names.iter().find(elsewhere) {
            return Err(format!("`{key}` must name arrays beside its own, found `{}`", name.escape_debug()));
        }
    }
    let system = &attributes["_CRS"];
    let url = system.get("url").map(|url| url.as_str().unwrap_or_default());
    let wkt = system.get("wkt").map(|wkt| wkt.as_str().unwrap_or_default());
    let known = |url: &str| SYSTEMS.iter().any(|known| url.starts_with(known));
    let is_wkt = |wkt: &str| wkt.starts_with(|first: char| first.is_ascii_uppercase()) && wkt.contains('[');
    let is_system = system.is_null() || system.is_object();
    if !is_system || !url.is_none_or(known) || !wkt.is_none_or(is_wkt) {
        return Err(
            "`_CRS` must say a reference system as WKT, PROJJSON or by its address at opengis.net".to_owned()
        );
    }
    Ok(())
}

/// What is said of an array.
#[derive(Deserialize)]
struct Array {
    zarr_format: u64,
    shape: Vec<u64>,
    chunks: Vec<u64>,
    dtype: String,
    compressor: Option<Compressor>,
    #[serde(default)]
    filters: Option<Vec<Value>>,
    order: String,
    fill_value: Value,
    #[serde(default)]
    dimension_separator: Option<String>,
}

#[derive(Deserialize)]
struct Compressor {
    id: String,
}

fn array(path: &Path) -> Result<Array, String> {
    let array: Array =
        serde_json::from_value(json(path)?).map_err(|error| format!("must be of an array: {error}"))?;
    array.check()?;
    Ok(array)
}

impl Array {
    fn check(&self) -> Result<(), String> {
        let Self {
            zarr_format, shape, chunks, dtype, compressor, filters, order, dimension_separator, ..
        } = self;
        let must = |name: &str, must: &str, found: &str| {
            Err(format!(
                "`{name}` must be {must}, found `{}`",
                found.chars().take(60).collect::<String>().escape_debug()
            ))
        };
        if *zarr_format != 2 {
            return must("zarr_format", "2", &zarr_format.to_string());
        }
        if order != "C" {
            return must("order", "`C`", order);
        }
        if filters.as_ref().is_some_and(|filters| !filters.is_empty()) {
            return must("filters", "null", "others");
        }
        if let Some(Compressor { id }) =
            compressor.as_ref().filter(|one| !COMPRESSORS.contains(&one.id.as_str()))
        {
            return must("compressor", &format!("null or of {}", COMPRESSORS.join(", ")), id);
        }
        if let Some(separator) = dimension_separator.as_ref().filter(|one| !matches!(one.as_str(), "." | "/"))
        {
            return must("dimension_separator", "`.` or `/`", separator);
        }
        if shape.len() != chunks.len() || shape.len() > MOST_RANK || chunks.contains(&0) {
            return must(
                "chunks",
                "a length above 0 for each of at most 8 of `shape`",
                &format!("{chunks:?}"),
            );
        }
        let digits = dtype.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        let bytes = digits.parse::<u64>().ok().filter(|bytes| *bytes > 0);
        let Some(bytes) = bytes else { return must("dtype", "a type of numbers, like `<u2`", dtype) };
        let size = chunks.iter().try_fold(bytes, |all, length| all.checked_mul(*length));
        if size.is_none_or(|size| size > MOST_CHUNK) {
            return must("chunks", &format!("of {MOST_CHUNK} bytes at most"), &format!("{chunks:?}"));
        }
        Ok(())
    }

    /// Checks that the chunks of an array are those that it has by its shape. Pixels of one that is not there are missing if
    /// the array has a fill value, which the library takes for the value of missing pixels.
    fn check_chunks(&self, there: &BTreeSet<&str>) -> Result<(), String> {
        let along: Vec<u64> =
            self.shape.iter().zip(&self.chunks).map(|(length, chunk)| length.div_ceil(*chunk)).collect();
        let count = along.iter().try_fold(1_u64, |all, along| all.checked_mul(*along));
        let Some(count) = count.filter(|count| *count <= MOST_FILES as u64) else {
            return Err(format!("may have {MOST_FILES} chunks, found more; make chunks larger"));
        };
        let separator = self.dimension_separator.as_deref().unwrap_or(".");
        let mut found = 0;
        for number in 0..count {
            let name = name(number, &along, separator);
            if there.contains(name.as_str()) {
                found += 1;
            } else if self.fill_value.is_null() {
                return Err(format!(
                    "its chunk `{name}` is not there, and without a `fill_value` it is unclear what its pixels are; write all \
                     chunks"
                ));
            }
        }
        if found == there.len() {
            return Ok(());
        }
        Err(format!("may have the chunks of its shape only, found {} others", there.len() - found))
    }
}

/// The name of a chunk by its number, in the order of rows.
fn name(mut number: u64, along: &[u64], separator: &str) -> String {
    let mut places: Vec<String> = Vec::new();
    for along in along.iter().rev() {
        places.push((number % along).to_string());
        number /= along;
    }
    places.reverse();
    // An array without dimensions has one number.
    if places.is_empty() { "0".to_owned() } else { places.join(separator) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRAY_TEXT: &str = r#"{"zarr_format":2,"shape":[3,5],"chunks":[2,5],"dtype":"<u2","compressor":null,
                                "filters":null,"order":"C","fill_value":null}"#;

    /// A folder with these files, of which the array has both of its chunks.
    fn said(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let whole = [("a/.zarray", ARRAY_TEXT), ("a/0.0", ""), ("a/1.0", ""), (".zgroup", "{}")];
        for (name, text) in whole.iter().chain(files) {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        check(folder.path()).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn arrays_and_their_chunks_are_accepted_and_nothing_else() {
        assert_eq!(said(&[]), "");
        assert_eq!(
            said(&[("a/.zattrs", r#"{"_ARRAY_DIMENSIONS":["y","x"],"_CRS":{"wkt":"PROJCRS[]"}}"#)]),
            ""
        );
        let other =
            ARRAY_TEXT.replace("\"fill_value\":null", "\"fill_value\":0,\"dimension_separator\":\"/\"");
        assert_eq!(said(&[("b/.zarray", &other), ("b/1/0", "")]), "", "a chunk of missing pixels");
        let repeated = format!(r#"{{"metadata":{{".zgroup":{{}},"a/.zarray":{ARRAY_TEXT}}}}}"#);
        assert_eq!(said(&[(".zmetadata", &repeated)]), "");
        for (files, part) in [
            (&[("a/.gmac", "")][..], "found 1 others"),
            (&[("notes.txt", "")], "found `notes.txt`"),
            (&[("a/2.0", "")], "found 1 others"),
            (&[("a/0", "")], "found 1 others"),
            (&[("zarr.json", "{}")], "version 3"),
            (&[("b/.zarray", ARRAY_TEXT), ("b/0.0", "")], "its chunk `1.0` is not there"),
            (&[("a/.zattrs", r#"{"_ARRAY_DIMENSIONS":["../../b","x"]}"#)], "found `../../b`"),
            (&[("a/.zattrs", r#"{"_ARRAY_DIMENSIONS":7}"#)], "`_ARRAY_DIMENSIONS` must name"),
            (&[("a/.zattrs", r#"{"coordinates":"x /vsicurl/http://a/b"}"#)], "`coordinates`"),
            (&[("a/.zattrs", r#"{"_CRS":{"url":"http://127.0.0.1:1/a"}}"#)], "`_CRS`"),
            (&[("a/.zattrs", r#"{"_CRS":{"wkt":"/etc/passwd"}}"#)], "`_CRS`"),
            (&[("a/.zattrs", r#"{"_CRS":"http://127.0.0.1:1/a"}"#)], "`_CRS`"),
            (&[("a/.zattrs", "[")], "must be JSON"),
            (&[(".zmetadata", "{}")], "must have an object `metadata`"),
            (&[(".zmetadata", r#"{"metadata":{"../b/.zarray":{}}}"#)], "`../b/.zarray` says something else"),
            (
                &[(".zmetadata", r#"{"metadata":{".zgroup":{"zarr_format":2}}}"#)],
                "`.zgroup` says something else",
            ),
        ] {
            let found = said(files);
            assert!(found.contains(part), "{files:?}: {found}");
        }
    }

    #[test]
    fn what_an_array_says_is_checked() {
        for (from, to, part) in [
            ("\"zarr_format\":2", "\"zarr_format\":3", "`zarr_format` must be 2, found `3`"),
            ("[3,5],", "[3],", "`chunks` must be"),
            ("[2,5]", "[0,5]", "`chunks` must be"),
            ("[2,5]", "[2,900000000000000000]", "bytes at most"),
            ("[3,5]", "[300000,5]", "may have 50000 chunks"),
            ("[3,5]", "[18446744073709551615,18446744073709551615]", "may have 50000 chunks"),
            ("[3,5]", "[-3,5]", "must be of an array"),
            ("\"<u2\"", "\"|O\"", "`dtype` must be"),
            ("\"<u2\"", "[[\"a\",\"<u2\"]]", "must be of an array"),
            ("\"compressor\":null", "\"compressor\":{\"id\":\"jpeg\"}", "found `jpeg`"),
            ("\"filters\":null", "\"filters\":[{\"id\":\"delta\"}]", "`filters` must be null"),
            ("\"C\"", "\"F\"", "`order` must be"),
            (
                "\"fill_value\":null",
                "\"fill_value\":0,\"dimension_separator\":\"..\"",
                "`dimension_separator`",
            ),
        ] {
            let found = said(&[("a/.zarray", &ARRAY_TEXT.replace(from, to))]);
            assert!(found.contains(part), "{to}: {found}");
        }
        assert!(said(&[("a/.zarray", &" ".repeat(5 << 20))]).contains("may take 4194304 bytes"));
    }

    #[test]
    fn links_and_deep_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".zarray"), ARRAY_TEXT).unwrap();
        std::fs::write(folder.path().join("0.0"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("1.0")).unwrap();
        let said = check(folder.path()).unwrap_err().to_string();
        assert!(said.contains("found a link") && said.contains("1.0"), "{said}");
        std::fs::remove_file(folder.path().join("1.0")).unwrap();
        let deep = "d/".repeat(MOST_DEPTH + 1);
        std::fs::create_dir_all(folder.path().join(deep)).unwrap();
        assert!(check(folder.path()).unwrap_err().to_string().contains("16 folders"));
        let empty = tempfile::tempdir().unwrap();
        assert!(check(empty.path()).unwrap_err().to_string().contains("must have an array"));
    }
}
