//! The page of image files, from the table by which they are accepted.

use std::fmt::Write as _;

use eosfed_common::quantity::bytes;
use eosfed_data::{Format, Formats, GdalFormat, Limits, formats};

use crate::page::Page;

const INTRODUCTION: &str = "\
# Image files

What the programs read, as `eosfed-client data formats` prints it. Every other file is refused with the
tag, the value found and a command that converts it.

";

const GDAL: &str = "
## Through GDAL

A build with the cargo feature `gdal` reads these too, by the drivers of the libgdal of its machine. The image
`eosfed-client-gdal` is such a build; any other says what lacks. [More kinds of files](../imagery-gdal.md) has
the rules.

| kind | drivers | endings | read | |
| --- | --- | --- | --- | --- |
";

/// The page.
///
/// # Errors
/// If the text cannot be written.
pub(crate) fn page() -> anyhow::Result<Page> {
    let Formats { files, compressions, numbers, photometric, gdal, gdal_version: _, limits } =
        formats(&Limits::default());
    let mut text = INTRODUCTION.to_owned();
    for file in files {
        writeln!(text, "- {file}")?;
    }
    for (title, rows) in [
        ("Compression of GeoTIFF (tag 259)", compressions),
        ("Numbers of GeoTIFF (tag 339, SampleFormat)", numbers),
        ("Meaning of the bands of GeoTIFF (tag 262, PhotometricInterpretation)", photometric),
    ] {
        write!(text, "\n## {title}\n\n| value | name | read | |\n| --- | --- | --- | --- |\n")?;
        for Format { value, name, read, note } in rows {
            let read = if read { "yes" } else { "no" };
            writeln!(text, "| {value} | {name} | {read} | {note} |")?;
        }
    }
    text.push_str(GDAL);
    for GdalFormat { name, drivers, endings, note, .. } in gdal {
        let read = if drivers.is_empty() { "no" } else { "yes" };
        writeln!(text, "| {name} | {} | {} | {read} | {note} |", drivers.join(", "), endings.join(", "))?;
    }
    writeln!(
        text,
        "\n## Limits\n\nAn image has at most {0}x{0} pixels and {1} bands, and a scene of `eosfed-trainer predict` {3}x{3} pixels.\n\
         A strip or tile, and an image that is read whole, takes at most {2} in memory.",
        limits.side,
        limits.bands,
        bytes(limits.bytes),
        Limits::SCENE_SIDE
    )?;
    Ok(Page { file: "imagery.md".to_owned(), text })
}
