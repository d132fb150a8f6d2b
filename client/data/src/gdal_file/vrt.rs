//! VRT files: XML that names other files. GDAL would open any file and any address that it names, run code in it and
//! resample, so all that a VRT says is looked at before.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};

use super::kinds::{FileKind, GdalKind, is_image_folder};
use super::{guard, zarr};
use crate::error::DataError;
use crate::open::{open_regular, stays_inside};
use crate::xml::parse_xml;

/// Most bytes of a VRT, and most files that it may name.
const MOST_BYTES: u64 = 4 << 20;
const MOST_FILES: usize = 4096;
/// Most bytes of the name of a file.
const LONGEST_NAME: usize = 4096;

/// What a VRT may consist of. Others resample, compute, or read what is not described here.
const ELEMENTS: [&str; 27] = [
    "VRTDataset",
    "SRS",
    "GeoTransform",
    "Metadata",
    "MDI",
    "VRTRasterBand",
    "MaskBand",
    "Description",
    "UnitType",
    "Offset",
    "Scale",
    "ColorInterp",
    "ColorTable",
    "Entry",
    "CategoryNames",
    "Category",
    "NoDataValue",
    "SimpleSource",
    "ComplexSource",
    "SourceFilename",
    "SourceBand",
    "SourceProperties",
    "SrcRect",
    "DstRect",
    "NODATA",
    "UseMaskBand",
    "OverviewList",
];
/// What elements may have. GDAL takes an attribute for an element of its name, and looks at no case of letters, so that every
/// other spelling is refused.
const ATTRIBUTES: [&str; 25] = [
    "rasterXSize",
    "rasterYSize",
    "dataType",
    "band",
    "blockXSize",
    "blockYSize",
    "dataAxisToSRSAxisMapping",
    "coordinateEpoch",
    "relativeToVRT",
    "shared",
    "xOff",
    "yOff",
    "xSize",
    "ySize",
    "RasterXSize",
    "RasterYSize",
    "DataType",
    "BlockXSize",
    "BlockYSize",
    "key",
    "domain",
    "c1",
    "c2",
    "c3",
    "c4",
];
/// The beginnings of a name of one of several images in a file, by which kind it is opened, and of which kinds the file is.
const INSIDE: [(&str, GdalKind, &[GdalKind]); 5] = [
    ("NETCDF:", GdalKind::NetCdf, &[GdalKind::NetCdf, GdalKind::NetCdfClassic, GdalKind::Hdf5]),
    ("HDF5:", GdalKind::Hdf5, &[GdalKind::Hdf5, GdalKind::NetCdf]),
    ("HDF4_SDS:UNKNOWN:", GdalKind::Hdf4, &[GdalKind::Hdf4]),
    ("HDF4_EOS:EOS_GRID:", GdalKind::Hdf4, &[GdalKind::Hdf4]),
    ("ZARR:", GdalKind::Zarr, &[GdalKind::Zarr]),
];

/// Checks a VRT and the files that it names. `marks_missing` opens one of them, and says whether it marks missing pixels.
/// Gives a file that does.
///
/// # Errors
/// If it is no XML, says what is not allowed, or names a file that is not read.
#[cfg(feature = "gdal")]
pub(super) fn check(
    path: &Path,
    marks_missing: impl Fn(FileKind, &Source) -> Result<bool, DataError>,
) -> Result<Option<PathBuf>, DataError> {
    let mut marked = None;
    for (kind, source) in sources(path)? {
        if marks_missing(kind, &source).map_err(|error| not_read(path, &error))? {
            marked = Some(source.place().to_owned());
        }
    }
    Ok(marked)
}

/// The files that a VRT names, with the kind by which each is opened, without opening one. All that the VRT says is allowed.
///
/// # Errors
/// If it is no XML, says what is not allowed, or names a file elsewhere or of a kind that is not read.
pub(super) fn sources(path: &Path) -> Result<Vec<(FileKind, Source)>, DataError> {
    let fail = |reason: String| DataError::file(path, reason);
    let text = text(path)?;
    let document = parse_xml(&text).map_err(|error| fail(format!("a VRT must be XML, found: {error}")))?;
    check_elements(&document).map_err(|found| {
        fail(format!(
            "{found}; write it with `gdalbuildvrt` of files on one grid, or make a GeoTIFF of it, `gdal_translate {} \
             converted.tif`",
            path.display()
        ))
    })?;
    let mut found = Vec::new();
    let mut checked = BTreeSet::new();
    for source in named(&document, path).map_err(fail)? {
        let place = source.place();
        check_inside(path, place)?;
        let kind = match (FileKind::of(place).map_err(|error| not_read(path, &error))?, &source) {
            (FileKind::Gdal(GdalKind::Vrt), _) => {
                let reason = format!("a VRT must not name another one, found `{}`", place.display());
                return Err(fail(reason));
            }
            (FileKind::Gdal(kind), Source::Inside { of, opened_as, .. }) if of.contains(&kind) => {
                // Bands name the same files.
                if checked.insert(place.to_owned()) {
                    guard::check(kind, place).map_err(|error| not_read(path, &error))?;
                }
                FileKind::Gdal(*opened_as)
            }
            (_, Source::Inside { .. }) => {
                let reason = format!(
                    "`{}` must be netCDF, HDF4, HDF5 or Zarr, as the name of the image says, to hold several images",
                    place.display()
                );
                return Err(fail(reason));
            }
            (kind, Source::Whole(_)) => kind,
        };
        found.push((kind, source));
    }
    Ok(found)
}

fn not_read(path: &Path, error: &DataError) -> DataError {
    DataError::file(path, format!("it names a file that is not read: {error}"))
}

/// The files that a VRT names, as far as they can be known.
pub(super) fn parts(path: &Path) -> Vec<PathBuf> {
    let Ok(text) = text(path) else { return Vec::new() };
    let Ok(document) = parse_xml(&text) else { return Vec::new() };
    let sources = named(&document, path).unwrap_or_default();
    let places: BTreeSet<&Path> = sources.iter().map(Source::place).collect();
    let files =
        |place: &Path| if is_image_folder(place) { zarr::parts(place) } else { vec![place.to_owned()] };
    places.into_iter().flat_map(files).collect()
}

fn text(path: &Path) -> Result<String, DataError> {
    let mut text = String::new();
    let read = open_regular(path)?.take(MOST_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| DataError::file(path, error))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(DataError::file(path, format!("a VRT may take {MOST_BYTES} bytes, found more")));
    }
    Ok(text)
}

/// Checks that each element is on the list and means what it says.
fn check_elements(document: &Document<'_>) -> Result<(), String> {
    let root = document.root_element();
    if root.tag_name().name() != "VRTDataset" {
        return Err(format!("its first element must be VRTDataset, found {}", shown(root.tag_name().name())));
    }
    for node in document.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        if !ELEMENTS.contains(&name) {
            return Err(format!(
                "a VRT may only place the pixels of files, found the element {}",
                shown(name)
            ));
        }
        if let Some(other) = node.attributes().find(|attribute| !ATTRIBUTES.contains(&attribute.name())) {
            return Err(format!(
                "a VRT may only place the pixels of files, found {} {} of {name}",
                shown(other.name()),
                shown(other.value())
            ));
        }
        if matches!(name, "SimpleSource" | "ComplexSource") {
            check_source(node)?;
        }
    }
    Ok(())
}

/// Checks that a source is placed pixel by pixel: GDAL would resample it for each window anew.
fn check_source(source: Node<'_, '_>) -> Result<(), String> {
    let child = |name: &str| source.children().find(|node| node.has_tag_name(name));
    if child("SourceFilename").is_none() {
        return Err("each source of a VRT must name a file, found none".to_owned());
    }
    // Without them, the whole file is at the upper left.
    let (Some(from), Some(to)) = (child("SrcRect"), child("DstRect")) else { return Ok(()) };
    let number = |node: Node<'_, '_>, name: &str| {
        let text = node.attribute(name).unwrap_or_default();
        text.trim().parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(|| {
            format!("{name} of {} must be a number, found {}", node.tag_name().name(), shown(text))
        })
    };
    for name in ["xOff", "yOff", "xSize", "ySize"] {
        let (from, to) = (number(from, name)?, number(to, name)?);
        let whole = |number: f64| (number - number.round()).abs() < PIXEL;
        if !whole(from) || !whole(to) || (name.ends_with("Size") && (from - to).abs() >= PIXEL) {
            return Err(format!(
                "a VRT must place whole pixels of a file at their own size, found {name} `{from}` of SrcRect and `{to}` of \
                 DstRect"
            ));
        }
    }
    Ok(())
}

/// How far a place may be from that of a whole pixel: `gdalbuildvrt` computes it from coordinates.
const PIXEL: f64 = 1e-3;

/// A file that a VRT names.
pub(super) enum Source {
    Whole(PathBuf),
    /// One of several images in it.
    Inside {
        place: PathBuf,
        /// The name by which the library opens the image.
        name: String,
        opened_as: GdalKind,
        /// The kinds that the file may be of.
        of: &'static [GdalKind],
    },
}

impl Source {
    pub(super) fn place(&self) -> &Path {
        match self {
            Self::Whole(place) | Self::Inside { place, .. } => place,
        }
    }

    /// Whether both are one image.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => one == other,
            (Self::Inside { name: one, .. }, Self::Inside { name: other, .. }) => one == other,
            _ => false,
        }
    }
}

fn named(document: &Document<'_>, vrt: &Path) -> Result<Vec<Source>, String> {
    let names = document.descendants().filter(|node| node.has_tag_name("SourceFilename"));
    let mut found: Vec<Source> = Vec::new();
    for node in names {
        let relative = node.attribute("relativeToVRT") == Some("1");
        // A comment in it divides it.
        let text = node.text().filter(|text| node.children().count() == 1 && text.trim() == *text);
        let source = source(text.unwrap_or_default(), relative, vrt)?;
        // Bands name the same files.
        if found.iter().any(|known| known.is(&source)) {
            continue;
        }
        if found.len() >= MOST_FILES {
            return Err(format!("a VRT may name {MOST_FILES} files, found more"));
        }
        found.push(source);
    }
    Ok(found)
}

fn source(text: &str, relative: bool, vrt: &Path) -> Result<Source, String> {
    let inside = INSIDE
        .iter()
        .find_map(|(prefix, opened_as, of)| Some((*prefix, *opened_as, *of, text.strip_prefix(prefix)?)));
    let (name, image) = match inside {
        None => (text, ""),
        Some((.., rest)) => {
            let quoted = rest.strip_prefix('"').and_then(|rest| rest.split_once("\":"));
            quoted.or_else(|| rest.split_once(':')).ok_or_else(|| {
                format!(
                    "the name of an image in a file must be like `NETCDF:\"file.nc\":name`, found {}",
                    shown(text)
                )
            })?
        }
    };
    let folder = vrt.parent().unwrap_or_else(|| Path::new("."));
    let place = if relative { folder.join(name) } else { PathBuf::from(name) };
    let is_path = !name.is_empty() && name.len() <= LONGEST_NAME && image.len() <= LONGEST_NAME;
    // What quotes and escapes mean in the name of an image differs between drivers.
    let is_path =
        is_path && (inside.is_none() || !(name.contains(['"', '\\']) || image.contains(['"', '\\'])));
    if !is_path || name.starts_with("/vsi") || name.contains("://") || !place.is_absolute() {
        return Err(format!(
            "a VRT must name files in its folder, relative to itself (relativeToVRT=\"1\"), found {}",
            shown(text)
        ));
    }
    let Some((prefix, opened_as, of, _)) = inside else { return Ok(Source::Whole(place)) };
    let name = format!("{prefix}\"{}\":{image}", place.display());
    Ok(Source::Inside { place, name, opened_as, of })
}

/// Checks that a file lies in the folder of the VRT or below it.
fn check_inside(vrt: &Path, place: &Path) -> Result<(), DataError> {
    let folder = vrt.parent().unwrap_or_else(|| Path::new("."));
    stays_inside(folder, place).map_err(|_| {
        let reason = format!(
            "a VRT must name files in its folder, {}, found `{}`; put the VRT above them",
            folder.display(),
            place.display()
        );
        DataError::file(vrt, reason)
    })
}

/// A text of the file, for a sentence.
fn shown(text: &str) -> String {
    const LONGEST: usize = 100;
    format!("`{}`", text.chars().take(LONGEST).collect::<String>().escape_debug())
}
