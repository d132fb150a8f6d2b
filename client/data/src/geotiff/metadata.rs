//! What GDAL's metadata say about the numbers of a file: the scale and offset of each band (tag 42112, GDAL_METADATA),
//! and the processing baseline of a Sentinel-2 product. Files beside the image can say more of them; what those
//! would change is refused, and not passed over.

use std::fmt;
use std::io::Read as _;
use std::path::Path;

use roxmltree::Node;
use tiff::tags::Tag;

use super::band_names::{BandName, band_names};
use super::directory::{Directories, Directory};
use super::refused::Refused;
use crate::bandcheck::Scaling;
use crate::error::DataError;
use crate::georeference::METADATA_ENDING;
use crate::open::{beside, open_regular};
use crate::xml::parse_xml;

/// The tag of GDAL's metadata, which the library does not name.
pub(super) const GDAL_METADATA: u16 = 42112;
/// Most bytes of a file of metadata beside an image.
const MOST_BYTES: u64 = 4 << 20;
/// Converts the numbers of a file as its metadata say.
pub(super) const UNSCALE: &str = "-unscale -ot Float32";
/// Brings what lies beside a file, or behind it, into it.
pub(crate) const MERGE: &str = "--config GDAL_TIFF_INTERNAL_MASK YES";
/// Makes a mask of numbers that mark missing pixels only together.
const MASK: &str = "--config GDAL_TIFF_INTERNAL_MASK YES -mask mask -nomd";
/// The name of such numbers, one for each band.
const TOGETHER: &str = "NODATA_VALUES";

/// The version of ESA's processor that made a Sentinel-2 product, in hundredths: 4.00 is 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Baseline(u16);

impl Baseline {
    /// From here on, numbers are 1,000 larger than before for the same reflectance (ESA, January 2022).
    const WITH_OFFSET: Self = Self(400);
    /// The baseline of products that users have made themselves: it says nothing.
    const OWN: Self = Self(9999);
    /// What numbers are larger by.
    pub(crate) const OFFSET: f64 = 1000.0;

    /// Whether numbers have the offset.
    pub(crate) fn has_offset(self) -> bool {
        self >= Self::WITH_OFFSET
    }

    /// The baseline in a product's name, `S2A_MSIL2A_20220203T101231_N0400_R022_T32UQD_…`, which is part of a path.
    pub(crate) fn of_name(path: &Path) -> Option<Self> {
        let names = path.iter().rev().filter_map(|name| name.to_str());
        names.filter_map(Self::of_product).next()
    }

    fn of_product(name: &str) -> Option<Self> {
        let mut parts = name.split('_').skip_while(|part| !(part.len() == 3 && part.starts_with("S2")));
        parts.next()?;
        let level = parts.next()?;
        let baseline = parts.nth(1)?.strip_prefix('N')?;
        let known = matches!(level, "MSIL1C" | "MSIL2A") && baseline.len() == 4;
        known.then(|| baseline.parse().ok().map(Self)).flatten().filter(|baseline| *baseline != Self::OWN)
    }

    /// The baseline in metadata, `04.00`.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let (whole, part) = text.trim().split_once('.')?;
        let number = |text: &str| (text.len() == 2).then(|| text.parse::<u16>().ok()).flatten();
        Some(Self(number(whole)? * 100 + number(part)?)).filter(|baseline| *baseline != Self::OWN)
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// What the metadata of a file say.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Metadata {
    /// Of each band; empty if no band has one that changes a number.
    pub(crate) scaling: Vec<Scaling>,
    pub(crate) baseline: Option<Baseline>,
    /// Of each band; empty if nothing is said of any.
    pub(crate) names: Vec<BandName>,
    /// The band that says how opaque pixels are.
    pub(crate) alpha: Option<usize>,
}

impl Metadata {
    /// Of a directory of a file with so many bands.
    ///
    /// # Errors
    /// If the metadata are no XML, state a scale or an offset that is no number, or mark missing pixels.
    pub(super) fn read(
        file: &Directories<'_>,
        directory: &Directory,
        bands: usize,
        path: &Path,
    ) -> Result<Self, Refused> {
        const DROP: &str = "-nomd";
        let of_name = Self { baseline: Baseline::of_name(path), ..Self::default() };
        let bytes = file.bytes(directory, Tag::Unknown(GDAL_METADATA));
        let Some(bytes) = bytes.map_err(|text| Refused::new(text, DROP))? else { return Ok(of_name) };
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        let refuse = |what: String| Refused::new(format!("tag 42112 (GDAL_METADATA) {what}"), DROP);
        let text =
            std::str::from_utf8(text).map_err(|error| refuse(format!("must be UTF-8, found: {error}")))?;
        if text.trim().is_empty() {
            return Ok(of_name);
        }
        let document = parse_xml(text).map_err(|error| refuse(format!("must be XML, found: {error}")))?;
        let mut found = of_name;
        let mut scaling = vec![Scaling::default(); bands];
        let items = || document.root_element().children().filter(|node| node.has_tag_name("Item"));
        found.names = band_names(items(), bands);
        for item in items() {
            if item.attribute("name").is_some_and(|name| name.eq_ignore_ascii_case(TOGETHER)) {
                return Err(together(item, &format!("tag {GDAL_METADATA} (GDAL_METADATA)")));
            }
            if is_baseline(item) {
                found.baseline = item.text().and_then(Baseline::of_text).or(found.baseline);
            }
            let band = item.attribute("sample").and_then(|sample| sample.parse::<usize>().ok());
            if is_alpha(item.attribute("role"), item.text()) {
                found.alpha = found.alpha.or_else(|| band.filter(|band| *band < bands));
            }
            let Some(of_band) = band.and_then(|band| scaling.get_mut(band)) else { continue };
            let target = match item.attribute("role") {
                Some("scale") => &mut of_band.scale,
                Some("offset") => &mut of_band.offset,
                _ => continue,
            };
            let text = item.text().unwrap_or_default();
            *target =
                text.trim().parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| {
                    let found: String = text.chars().take(40).collect();
                    refuse(format!(
                        "must state scales and offsets that are numbers, found `{}`",
                        found.escape_debug()
                    ))
                })?;
        }
        found.scaling = scaling;
        found.drop_unsaid();
        Ok(found)
    }

    /// Leaves out what is said of no band.
    pub(crate) fn drop_unsaid(&mut self) {
        if self.scaling.iter().all(|scaling| *scaling == Scaling::default()) {
            self.scaling.clear();
        }
        if self.names.iter().all(|name| *name == BandName::default()) {
            self.names.clear();
        }
    }
}

/// The refusal of numbers that mark missing pixels only together.
fn together(item: Node<'_, '_>, place: &str) -> Refused {
    let text: String = item.text().unwrap_or_default().trim().chars().take(40).collect();
    let text = text.escape_debug();
    Refused::new(
        format!(
            "missing pixels must be marked by one nodata value or a mask, found {TOGETHER} `{text}` in {place}"
        ),
        MASK,
    )
}

/// Whether it is said of a band that it is alpha.
fn is_alpha(role: Option<&str>, text: Option<&str>) -> bool {
    role.is_some_and(|role| role.eq_ignore_ascii_case("colorinterp"))
        && text.is_some_and(|text| text.trim().eq_ignore_ascii_case("alpha"))
}

pub(super) fn is_baseline(item: Node<'_, '_>) -> bool {
    item.attribute("name").is_some_and(|name| name.eq_ignore_ascii_case("PROCESSING_BASELINE"))
}

/// Checks that no file beside the image changes which numbers it has, in programs that look at such files.
///
/// # Errors
/// If there is a mask, or metadata with a scale, an offset, values of missing pixels or an alpha band.
pub(crate) fn check_beside(path: &Path) -> Result<(), DataError> {
    let refuse = |what: String| Err(DataError::file(path, Refused::new(what, MERGE).about(path)));
    let mask = beside(path, ".msk");
    if mask.exists() {
        let name = mask.display();
        return refuse(format!("its mask must lie inside it, found `{name}` beside it"));
    }
    let metadata = beside(path, METADATA_ENDING);
    if !metadata.exists() {
        return Ok(());
    }
    let mut text = String::new();
    let read = open_regular(&metadata)?.take(MOST_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| DataError::file(&metadata, error))?;
    if text.len() as u64 > MOST_BYTES {
        let reason = format!("metadata beside an image may take {MOST_BYTES} bytes, found more");
        return Err(DataError::file(&metadata, reason));
    }
    let document = parse_xml(&text).map_err(|error| DataError::file(&metadata, error))?;
    let of_image = document.root_element().children().filter(|node| node.has_tag_name("Metadata"));
    let mut items = of_image.flat_map(|list| list.children());
    if let Some(item) =
        items.find(|item| item.attribute("key").is_some_and(|key| key.eq_ignore_ascii_case(TOGETHER)))
    {
        let refused = together(item, &format!("`{}` beside it", metadata.display()));
        return Err(DataError::file(path, refused.about(path)));
    }
    let bands = document.root_element().children().filter(|node| node.has_tag_name("PAMRasterBand"));
    for element in bands.flat_map(|band| band.children()) {
        let unchanged = match element.tag_name().name() {
            "Scale" => Some(1.0),
            "Offset" => Some(0.0),
            "NoDataValue" => None,
            name if is_alpha(Some(name), element.text()) => None,
            _ => continue,
        };
        let text = element.text().unwrap_or_default().trim();
        if unchanged.is_none() || text.parse().ok() != unchanged {
            let what = element.tag_name().name();
            let name = metadata.display();
            let text: String = text.chars().take(40).collect();
            return refuse(format!(
                "what its numbers mean must be written in it, found {what} `{}` in `{name}` beside it",
                text.escape_debug()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_baseline_is_known_by_the_name_of_a_product() {
        let of = |path: &str| Baseline::of_name(Path::new(path));
        let product = "S2A_MSIL2A_20220203T101231_N0400_R022_T32UQD_20220203T130000";
        assert_eq!(of(&format!("/d/{product}/B02.tif")), Some(Baseline(400)));
        assert_eq!(of(&format!("chips/crop_{product}.tif")), Some(Baseline(400)));
        assert_eq!(of("S2B_MSIL1C_20180203T101231_N0206_R022_T32UQD_x.tif"), Some(Baseline(206)));
        for other in [
            "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_26_57",
            "S2A_MSIL2A_20220203T101231_R022.tif",
            "S2A_GRD_x_N0400.tif",
            "N0400.tif",
            "a/b.tif",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        assert!(Baseline(399) < Baseline::WITH_OFFSET && Baseline(510) >= Baseline::WITH_OFFSET);
        assert_eq!(Baseline::of_text("04.00"), Some(Baseline(400)));
        assert_eq!((Baseline::of_text("4"), Baseline::of_text("04.0x")), (None, None));
    }
}
