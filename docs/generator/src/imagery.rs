//! The page of image files, from the table by which they are accepted.

use std::fmt::Write as _;

use eosfed_data::{Format, Formats, Limits, formats};

use crate::page::Page;

const INTRODUCTION: &str = "\
# Image files

What the programs read, as `eosfed-client data formats` prints it. Every other file is refused with the
tag, the value found and a command that converts it.

";

/// The page.
///
/// # Errors
/// If the text cannot be written.
pub(crate) fn page() -> anyhow::Result<Page> {
    let Formats { files, compressions, numbers, photometric, limits } = formats(&Limits::default());
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
    writeln!(
        text,
        "\n## Limits\n\nAn image has at most {0}x{0} pixels and {1} bands. A strip or tile, and an image that is read whole,\n\
         takes at most {2} MiB in memory.",
        limits.side,
        limits.bands,
        limits.bytes >> 20
    )?;
    Ok(Page { file: "imagery.md".to_owned(), text })
}
