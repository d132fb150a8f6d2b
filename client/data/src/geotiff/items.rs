//! Items of GDAL's metadata as XML (tag 42112): those of files that are written, and the names of those of a file that a
//! copy of its pixels does not have.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use roxmltree::Node;
use tiff::tags::Tag;

use super::band_names::BandName;
use super::directory::{Directories, Directory};
use super::metadata::{GDAL_METADATA, Metadata, is_baseline};
use super::source::Source;
use crate::error::DataError;
use crate::georeference::METADATA_ENDING;
use crate::open::beside;
use crate::xml::{escaped, parse_xml};

/// Items that are being written.
#[derive(Default)]
pub(super) struct Items(String);

impl Items {
    /// Adds one with these attributes. An empty text says nothing.
    pub(super) fn add(&mut self, attributes: &str, text: &str) {
        if !text.is_empty() {
            // GDAL reads the XML, and what is escaped in its texts again.
            let text = escaped(&escaped(text));
            let _ = writeln!(self.0, "  <Item {attributes}>{text}</Item>");
        }
    }

    /// Adds the description of a band.
    pub(super) fn description(&mut self, band: usize, text: &str) {
        self.add(&format!("name=\"DESCRIPTION\" sample=\"{band}\" role=\"description\""), text);
    }

    pub(super) fn xml(self) -> Option<String> {
        (!self.0.is_empty()).then(|| format!("<GDALMetadata>\n{}</GDALMetadata>", self.0))
    }
}

impl Metadata {
    /// The baseline, the names of bands and which is alpha, as [`Metadata::read`] finds them again. Files with a scale or an offset are not
    /// written.
    pub(super) fn xml(&self) -> Option<String> {
        let Self { scaling: _, baseline, names, alpha } = self;
        let mut items = Items::default();
        if let Some(baseline) = baseline {
            items.add("name=\"PROCESSING_BASELINE\"", &baseline.to_string());
        }
        for (at, BandName { description, wavelength }) in names.iter().enumerate() {
            items.description(at, description.as_deref().unwrap_or_default());
            if let Some(nanometres) = wavelength {
                items.add(&format!("name=\"wavelength\" sample=\"{at}\""), &nanometres.to_string());
                items.add(&format!("name=\"wavelength_units\" sample=\"{at}\""), "nanometers");
            }
        }
        if let Some(at) = alpha {
            items.add(&format!("name=\"COLORINTERP\" sample=\"{at}\" role=\"colorinterp\""), "Alpha");
        }
        items.xml()
    }
}

/// Tags that say something of an image besides its pixels, its place and GDAL's metadata.
const OTHER_TAGS: [(u16, &str); 9] = [
    (50844, "RPC"),
    (270, "ImageDescription"),
    (305, "Software"),
    (306, "DateTime"),
    (315, "Artist"),
    (320, "ColorMap"),
    (700, "XMP"),
    (34665, "EXIF"),
    (34675, "ICC profile"),
];
/// Most items that are named.
const NAMED: usize = 8;

/// What a GeoTIFF that can be read says of itself and [`Metadata`] does not have, and what lies beside it, in words; nothing
/// if there is nothing. Statistics are left out: they are of all its pixels.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn unkept(path: &Path) -> Result<Vec<String>, DataError> {
    let fail = |reason: String| DataError::file(path, reason);
    let source = Source::open(path)?;
    let (file, first) = Directories::open(&source).map_err(fail)?;
    let directory = file.read(first).map_err(|error| fail(error.to_string()))?;
    let there = OTHER_TAGS.into_iter().filter(|(tag, _)| directory.has(Tag::Unknown(*tag)));
    let mut found: Vec<String> = there.map(|(tag, name)| format!("{name} (tag {tag})")).collect();
    let items = other_items(&file, &directory);
    if !items.is_empty() {
        let named: Vec<&str> = items.iter().take(NAMED).map(String::as_str).collect();
        let more = if items.len() > NAMED { ", …" } else { "" };
        let count = items.len();
        found.push(format!("{count} of its items of metadata, {}{more} (tag 42112)", named.join(", ")));
    }
    let metadata = beside(path, METADATA_ENDING);
    if metadata.is_file() {
        found.push(format!("what {} says", metadata.display()));
    }
    Ok(found)
}

/// The names of items that [`Metadata`] does not have. What cannot be read has been refused before.
fn other_items(file: &Directories<'_>, directory: &Directory) -> BTreeSet<String> {
    let bytes = file.bytes(directory, Tag::Unknown(GDAL_METADATA)).ok().flatten().unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_default();
    let Ok(document) = parse_xml(text.trim_end_matches('\0')) else { return BTreeSet::new() };
    let items =
        document.root_element().children().filter(|node| node.has_tag_name("Item") && !is_kept(*node));
    items
        .map(|item| item.attribute("name").unwrap_or("one without a name").escape_debug().to_string())
        .collect()
}

/// Whether an item is one of [`Metadata`], or does not matter: a scale of 1 and an offset of 0, or statistics. Where
/// coordinates are those of centres is in the keys of the place.
fn is_kept(item: Node<'_, '_>) -> bool {
    const NAMES: [&str; 4] = ["wavelength", "wavelength_units", "CENTRAL_WAVELENGTH_UM", "AREA_OR_POINT"];
    let name = item.attribute("name").unwrap_or_default();
    let role = item.attribute("role").unwrap_or_default();
    is_baseline(item)
        || ["description", "scale", "offset", "colorinterp"].contains(&role)
        || NAMES.iter().any(|kept| name.eq_ignore_ascii_case(kept))
        || name.starts_with("STATISTICS_")
}
