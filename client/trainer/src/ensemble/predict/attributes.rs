//! Names and colours of a map's classes in a file beside it, from which GDAL and QGIS take them: `MAP.aux.xml`, a
//! raster attribute table of GDAL's (`pamdataset`, GDAL 3).

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use eosfed_data::{escaped, unwritable, write_public};

use crate::ensemble::error::EnsembleError;

/// Columns: name, type (0 integer, 2 text) and use (GDAL's `GDALRATFieldUsage`).
const COLUMNS: [(&str, u8, u8); 6] =
    [("Value", 0, 5), ("Class", 2, 2), ("Count", 0, 1), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8)];

/// Writes the file, readable for all like the map itself.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write(map: &Path, classes: &[(String, u64)], colours: &[[u8; 3]]) -> Result<(), EnsembleError> {
    let path = path_of(map);
    let written = write_public(&path, |mut file| {
        let done = file.write_all(table(classes, colours).as_bytes());
        done.map_err(|error| EnsembleError::file(&path, unwritable(&error)))
    })?;
    Ok(written.keep()?)
}

/// Removes what lies there of an earlier map of the same name: its classes, or statistics that a program has kept.
///
/// # Errors
/// If it cannot be removed.
pub(super) fn remove(map: &Path) -> Result<(), EnsembleError> {
    let path = path_of(map);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(EnsembleError::file(&path, error)),
        _ => Ok(()),
    }
}

/// The file beside a map.
pub(super) fn path_of(map: &Path) -> PathBuf {
    let mut name = map.file_name().unwrap_or_default().to_owned();
    name.push(".aux.xml");
    map.with_file_name(name)
}

fn table(classes: &[(String, u64)], colours: &[[u8; 3]]) -> String {
    let mut text = "<PAMDataset>\n  <PAMRasterBand band=\"1\">\n    <CategoryNames>\n".to_owned();
    for (name, _) in classes {
        let _ = writeln!(text, "      <Category>{}</Category>", escaped(name));
    }
    text += "    </CategoryNames>\n    <GDALRasterAttributeTable tableType=\"thematic\">\n";
    for (at, (name, kind, used)) in COLUMNS.iter().enumerate() {
        let _ = writeln!(
            text,
            "      <FieldDefn index=\"{at}\"><Name>{name}</Name><Type>{kind}</Type><Usage>{used}</Usage></FieldDefn>"
        );
    }
    for (at, ((name, count), [red, green, blue])) in classes.iter().zip(colours).enumerate() {
        let _ = writeln!(
            text,
            "      <Row index=\"{at}\"><F>{at}</F><F>{}</F><F>{count}</F><F>{red}</F><F>{green}</F><F>{blue}</F></Row>",
            escaped(name)
        );
    }
    text + "    </GDALRasterAttributeTable>\n  </PAMRasterBand>\n</PAMDataset>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_names_counts_and_colours() {
        let classes = [("water".to_owned(), 9), ("crops & <trees>\u{1}".to_owned(), 3)];
        let text = table(&classes, &[[0, 114, 178], [1, 2, 3]]);
        assert!(text.contains("<Category>water</Category>"), "{text}");
        let row = "<Row index=\"1\"><F>1</F><F>crops &amp; &lt;trees&gt;?</F><F>3</F><F>1</F><F>2</F><F>3</F></Row>";
        assert!(text.contains(row), "{text}");
        assert_eq!(path_of(Path::new("/m/map.tif")), Path::new("/m/map.tif.aux.xml"));
    }
}
