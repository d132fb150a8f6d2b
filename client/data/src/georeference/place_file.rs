//! Files beside an image that say where it lies, and are not read. World files are six numbers in a text, without a reference
//! system, and a place without its system is none. GDAL's metadata (`.aux.xml`) can have both. GDAL puts them into the image.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{GeoReference, Grid};
use crate::open::{beside, open_regular};
use crate::xml::parse_xml;

/// Endings of world files: those of any image, and of TIFF, PNG and JPEG.
const ENDINGS: [&str; 9] = ["wld", "tfw", "tifw", "tiffw", "pgw", "pngw", "jgw", "jpgw", "jpegw"];

/// Ending of GDAL's metadata, after the whole name of the image.
pub(crate) const METADATA_ENDING: &str = ".aux.xml";
/// What begins a place in them, and most bytes of them that are looked at.
const PLACES: [&str; 3] = ["<GeoTransform", "<SRS", "<GCPList"];
const MOST_BYTES: u64 = 4 << 20;
/// Most characters of them in a sentence.
const LONGEST: usize = 120;

/// Whether a file says where the image beside it lies: a world file by its name, GDAL's metadata by what they hold.
pub(crate) fn is_place_file(file: &Path) -> bool {
    is_world_file(file) || (of_metadata(file).is_some() && has_place(&text_of(file)))
}

/// The image of GDAL's metadata, by their name.
pub(crate) fn of_metadata(file: &Path) -> Option<PathBuf> {
    let name = file.file_name()?.to_str()?.strip_suffix(METADATA_ENDING)?;
    (!name.is_empty()).then(|| file.with_file_name(name))
}

fn has_place(text: &str) -> bool {
    PLACES.iter().any(|begin| text.contains(begin))
}

/// The text of metadata; empty if they cannot be read.
fn text_of(metadata: &Path) -> String {
    let mut text = String::new();
    let read = open_regular(metadata).map(|file| file.take(MOST_BYTES).read_to_string(&mut text));
    if matches!(read, Ok(Ok(_))) { text } else { String::new() }
}

/// What metadata beside an image say of its place that its own georeference contradicts. GDAL believes the metadata.
pub(crate) fn contradicted_place(image: &Path, own: &GeoReference) -> Option<String> {
    let (metadata, text) = metadata_beside(image)?;
    let document = parse_xml(&text).ok()?;
    let said = |name: &str| document.root_element().children().find(|node| node.has_tag_name(name));
    let value = |name: &str| said(name).map(|node| node.text().unwrap_or_default().trim());
    let found = if said("GCPList").is_some() {
        "ground control points".to_owned()
    } else if let Some(other) = value("GeoTransform").filter(|other| !is_geotransform(other, own)) {
        let other: String = other.chars().take(LONGEST).collect();
        format!("GeoTransform `{}`", other.escape_debug())
    } else {
        let own = Grid::new(1, 1, Some(own)).system_code()?;
        let other = value("SRS").and_then(epsg_code).filter(|other| *other != own)?;
        format!("reference system `EPSG:{other}`")
    };
    Some(format!(
        "where it lies must be written in it, found {found} in `{}` beside it, and another place in it",
        metadata.display()
    ))
}

/// Whether six numbers as GDAL writes them are the geotransform of an image, to a thousandth of a pixel.
fn is_geotransform(text: &str, own: &GeoReference) -> bool {
    let numbers: Option<Vec<f64>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    let numbers: Option<[f64; 6]> = numbers.and_then(|all| all.try_into().ok());
    let (Some([x, a, b, y, d, e]), Some(own)) = (numbers, own.geotransform()) else { return false };
    let near = 1e-3 * own.map(f64::abs)[..2].iter().sum::<f64>();
    [a, b, x, d, e, y].iter().zip(own).all(|(found, own): (&f64, f64)| (found - own).abs() <= near)
}

/// The code of a reference system in a text: `EPSG:32633`, or the last authority of well-known text.
fn epsg_code(text: &str) -> Option<u16> {
    let (_, after) = text.rsplit_once("EPSG")?;
    let digits = after.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn is_world_file(file: &Path) -> bool {
    let ending = file.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
}

/// The metadata with a place that lie beside an image, and their text.
fn metadata_beside(image: &Path) -> Option<(PathBuf, String)> {
    let metadata = Some(beside(image, METADATA_ENDING)).filter(|file| file.is_file())?;
    let text = text_of(&metadata);
    has_place(&text).then_some((metadata, text))
}

/// The world file that lies beside an image.
fn world_file_beside(image: &Path) -> Option<PathBuf> {
    let names = ENDINGS.into_iter().flat_map(|ending| [ending.to_owned(), ending.to_ascii_uppercase()]);
    names.map(|ending| image.with_extension(ending)).find(|file| file.is_file())
}

/// What to know of an image without a georeference of its own that has a file beside it which says where it lies.
#[must_use]
pub fn unread_place_file(image: &Path) -> Option<String> {
    let named = |file: &Path| file.file_name().unwrap_or_default().display().to_string();
    let (why, options) = match (metadata_beside(image), world_file_beside(image)) {
        (Some((metadata, _)), _) => (format!("that in {} beside it is not read", named(&metadata)), ""),
        (None, Some(world)) => (
            format!("the world file beside it, {}, is not read: it names no reference system", named(&world)),
            "-a_srs EPSG:CODE ",
        ),
        (None, None) => return None,
    };
    let (image, placed) = (image.display(), image.with_extension("placed.tif"));
    Some(format!(
        "{image} has no georeference of its own, and {why}; `gdal_translate {options}{image} {}` writes an image with it",
        placed.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_file_is_named_with_the_command_that_puts_it_in() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("scene.tif");
        assert_eq!(unread_place_file(&image), None);
        for name in ["scene.TFW", "scene.wld"] {
            let world = folder.path().join(name);
            std::fs::write(&world, "10\n0\n0\n-10\n500005\n5299995\n").unwrap();
            assert!(is_world_file(&world));
            let said = unread_place_file(&image).unwrap();
            for part in
                [name, "scene.tif has no georeference", "gdal_translate -a_srs EPSG:CODE", "scene.placed.tif"]
            {
                assert!(said.contains(part), "{part}: {said}");
            }
            std::fs::remove_file(world).unwrap();
        }
        assert!(!is_world_file(&image) && !is_world_file(Path::new("tfw")));
    }

    #[test]
    fn metadata_with_a_place_are_named_with_the_command_that_puts_it_in() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("scene.jpg");
        let metadata = folder.path().join("scene.jpg.aux.xml");
        for (text, place) in [
            ("<PAMDataset><Metadata/></PAMDataset>", false),
            ("<PAMDataset><SRS>EPSG:32633</SRS></PAMDataset>", true),
            ("<PAMDataset><GeoTransform>1, 2, 3</GeoTransform></PAMDataset>", true),
        ] {
            std::fs::write(&metadata, text).unwrap();
            assert_eq!(is_place_file(&metadata), place, "{text}");
            let said = unread_place_file(&image);
            assert_eq!(said.is_some(), place, "{text}");
            let words = [
                "scene.jpg has no georeference",
                "scene.jpg.aux.xml beside it is not read",
                "scene.placed.tif",
            ];
            assert!(
                said.is_none_or(
                    |said| words.iter().all(|word| said.contains(word)) && !said.contains("a_srs")
                )
            );
        }
        let own = GeoReference {
            pixel_scale: vec![10.0, 10.0, 0.0],
            tie_point: vec![0.0, 0.0, 0.0, 500_000.0, 5_300_000.0, 0.0],
            keys: vec![1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32632],
            ..GeoReference::default()
        };
        for (text, words) in [
            ("<Metadata/>", None),
            ("<GeoTransform> 5e5, 10, 0, 5300000, 0, -10</GeoTransform><SRS>EPSG:32632</SRS>", None),
            ("<SRS>PROJCS[x,AUTHORITY[\"EPSG\",\"4326\"]],AUTHORITY[\"EPSG\",\"32632\"]]</SRS>", None),
            ("<SRS>a system of its own</SRS>", None),
            ("<GeoTransform>500010, 10, 0, 5300000, 0, -10</GeoTransform>", Some("GeoTransform `500010, 10")),
            ("<GeoTransform>500000, 10, 0, 5300000, 0</GeoTransform>", Some("GeoTransform `500000, 10")),
            ("<SRS>PROJCS[x,ID[\"EPSG\",32633]]</SRS>", Some("`EPSG:32633`")),
            ("<GCPList/>", Some("ground control points")),
        ] {
            std::fs::write(&metadata, format!("<PAMDataset>{text}</PAMDataset>")).unwrap();
            let said = contradicted_place(&image, &own);
            assert_eq!(said.is_some(), words.is_some(), "{text}: {said:?}");
            assert!(
                said.is_none_or(|said| said.contains(words.unwrap()) && said.contains("scene.jpg.aux.xml"))
            );
        }
        assert_eq!((of_metadata(&metadata), of_metadata(&image)), (Some(image), None));
        assert_eq!(of_metadata(Path::new(".aux.xml")), None);
    }
}
